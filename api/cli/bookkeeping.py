"""``pointsbank ledger`` with all its commands: the journal out and in, and every earning derived again."""

from __future__ import annotations

import click

from api.cli.lazy import LazyGroup

COMMANDS = {
    "export": "api.cli.ledger:export_command",
    "import": "api.cli.ledger:import_command",
    "recompute": "api.cli.recompute:recompute",
}


@click.group(cls=LazyGroup, places=COMMANDS)
def ledger() -> None:
    """Take the whole journal out, and bring it in again."""
