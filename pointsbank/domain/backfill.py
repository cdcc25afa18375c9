"""Visits recorded afterwards: how long ago, how many, by whom.

Past activity is not accepted except by backfill, a false one cancels the hours and bars backfill for a year
(Chongqing's volunteer hours); how long ago and how many are the policy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.visit_rules import BarKind, VisitRules


@dataclass(eq=False)
class Barred(DomainError):
    """A sanction stands against this. bar: from what; until: the moment it ends."""

    code = "barred"
    bar: BarKind
    until: datetime


@dataclass(eq=False)
class BackfillLimit(DomainError):
    """The volunteer has recorded as many past visits this month as they may. limit: how many."""

    code = "backfill_limit"
    limit: int


def require_backfill(
    rules: VisitRules, *, ended_at: datetime, now: datetime, this_month: int, barred_until: datetime | None
) -> None:
    """Check that a visit that ended at ``ended_at`` may be recorded now.

    this_month: how many the volunteer has recorded this month. barred_until: of a sanction that stands.
    Raises Barred, BackfillLimit, InvalidValue.
    """
    if barred_until is not None and barred_until > now:
        raise Barred(bar=BarKind.BACKFILL, until=barred_until)
    if ended_at > now:
        raise InvalidValue(field="ended_at", rule="not_in_the_future")
    if ended_at < now - timedelta(days=rules.backfill_days):
        raise InvalidValue(field="ended_at", rule=f"within_{rules.backfill_days}_days")
    if this_month >= rules.backfills_a_month:
        raise BackfillLimit(limit=rules.backfills_a_month)
