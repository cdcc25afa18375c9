"""``pointsbank``, the command line."""

from __future__ import annotations

import click

import pointsbank
from api.cli.lazy import LazyGroup

COMMANDS = {
    "up": "api.cli.up:up",
    "doctor": "api.cli.doctor:doctor",
    "links": "api.cli.links:links",
    "audit": "api.cli.auditing:audit",
    "ledger": "api.cli.bookkeeping:ledger",
    "outbox": "api.cli.outbox:outbox",
    "settle": "api.cli.settle:settle",
    "claim": "api.cli.claim:claim",
    "policy": "api.cli.policy:policy",
    "import": "api.cli.importing:importing",
    "match": "api.cli.match:match",
    "migrate": "api.cli.schemas:migrate",
}
"""Name → module:command."""


@click.group(cls=LazyGroup, places=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pointsbank.__version__, prog_name="pointsbank")
def main() -> None:
    """A points bank for mutual-aid elder care."""
