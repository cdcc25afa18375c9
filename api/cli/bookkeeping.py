"""``pointsbank ledger`` with all its commands: the journal out and in, and every earning derived again."""

from __future__ import annotations

from api.cli.ledger import ledger
from api.cli.recompute import recompute

ledger.add_command(recompute)

__all__ = ["ledger"]
