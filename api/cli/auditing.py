"""``pointsbank audit`` with all its commands: proving the journal, and asking it what an auditor asks."""

from __future__ import annotations

import click

from api.cli.lazy import LazyGroup

COMMANDS = {
    "verify": "api.cli.audit:verify_command",
    "seal": "api.cli.audit:seal_command",
    "prove": "api.cli.proving:prove",
    "verify-file": "api.cli.proving:verify_file",
    "anomalies": "api.cli.anomalies:anomalies_command",
    "sample": "api.cli.sample:sample_command",
}


@click.group(cls=LazyGroup, places=COMMANDS)
def audit() -> None:
    """Prove what the journal says."""
