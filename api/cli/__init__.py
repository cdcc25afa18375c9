"""``pointsbank``, the command line."""

from __future__ import annotations

from importlib import import_module

import click

import pointsbank

COMMANDS = {
    "up": "api.cli.up:up",
    "doctor": "api.cli.doctor:doctor",
    "links": "api.cli.links:links",
    "audit": "api.cli.auditing:audit",
    "ledger": "api.cli.bookkeeping:ledger",
    "settle": "api.cli.settle:settle",
    "policy": "api.cli.policy:policy",
    "import": "api.cli.importing:importing",
    "migrate": "api.cli.schemas:migrate",
}
"""Name → module:command. A command is imported when it is asked for: each needs other libraries."""


class LazyGroup(click.Group):
    """A group that imports only the command that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click gives it
        """Return every command's name, as in ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]} is no command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pointsbank.__version__, prog_name="pointsbank")
def main() -> None:
    """A points bank for mutual-aid elder care."""
