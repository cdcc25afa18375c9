"""``pointsbank audit`` with all its commands: proving the journal, and asking it what an auditor asks."""

from __future__ import annotations

from api.cli.anomalies import anomalies_command
from api.cli.audit import audit
from api.cli.sample import sample_command

audit.add_command(anomalies_command)
audit.add_command(sample_command)

__all__ = ["audit"]
