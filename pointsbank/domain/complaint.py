"""Complaints about a visit, and appeals against what was decided.

::

    filed ──hear──► heard ──► upheld ──appeal──► (appeal open) ──► upheld: restored | dismissed: it stands
                      └─────► dismissed

Nobody decides about themselves, what they complained of, what they confirmed or recorded, or an appeal
against their own decision.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.decision import ConcernsOneself, DecisionReason, SecondPersonNeeded
from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.visit import VisitState
from pointsbank.domain.visit_rules import Ground


class ComplaintState(StrEnum):
    """Where a complaint is in its life."""

    FILED = "filed"
    HEARD = "heard"
    UPHELD = "upheld"
    DISMISSED = "dismissed"


class AppealState(StrEnum):
    """Where an appeal is in its life."""

    OPEN = "open"
    UPHELD = "upheld"
    DISMISSED = "dismissed"


class ToDo(StrEnum):
    """What is still to be done by people after a decision."""

    NOTHING = "nothing"
    HEAR = "hear"  # listen to the volunteer
    DECIDE = "decide"  # by a coordinator who has no part in it
    APPROVE_REVERSAL = "approve_reversal"  # a second person posts it
    DECIDE_APPEAL = "decide_appeal"  # by another coordinator than decided the complaint
    APPROVE_RESTORING = "approve_restoring"  # a second person posts what is given back
    CONFIRM_VISIT = "confirm_visit"  # the visit is done again, and waits to be confirmed


REASONS: dict[Ground, DecisionReason] = {
    Ground.NOT_RENDERED: DecisionReason.NOT_RENDERED,
    Ground.WRONG_HOURS: DecisionReason.WRONG_HOURS,
    Ground.FALSE_RECORD: DecisionReason.FRAUD,
    Ground.CONDUCT: DecisionReason.CORRECTION,
}
"""Why the ledger takes the entry back, by what was complained of."""


def require_complaint(
    state: VisitState,
    ground: Ground,
    *,
    recorded_afterwards: bool,
    ended_at: datetime,
    now: datetime,
    days: int,
) -> None:
    """Check that a visit can be complained about: done or confirmed, and not longer ago than ``days``.

    Raises WrongState, InvalidValue (too late; a false record of what was not recorded afterwards).
    """
    if state not in (VisitState.DONE, VisitState.CONFIRMED):
        raise WrongState(what="visit", state=state, action="complain")
    if now > ended_at + timedelta(days=days):
        raise InvalidValue(field="complaint", rule=f"within_{days}_days")
    if ground is Ground.FALSE_RECORD and not recorded_afterwards:
        raise InvalidValue(field="ground", rule="recorded_afterwards")


def require_judge(judge: UUID, *, parties: Collection[UUID | None], others: Collection[UUID | None]) -> None:
    """Check who decides. parties: volunteer and elder; others: who had a hand in it before.

    Raises ConcernsOneself, SecondPersonNeeded.
    """
    if judge in parties:
        raise ConcernsOneself
    if judge in others:
        raise SecondPersonNeeded


def require_appeal(
    state: ComplaintState,
    appeal: AppealState | None,
    *,
    decided_at: datetime | None,
    now: datetime,
    days: int,
) -> None:
    """Check that a decision can be appealed against: upheld, once, within ``days``.

    Raises WrongState, InvalidValue.
    """
    if state is not ComplaintState.UPHELD or appeal is not None or decided_at is None:
        raise WrongState(what="complaint", state=appeal or state, action="appeal")
    if now > decided_at + timedelta(days=days):
        raise InvalidValue(field="appeal", rule=f"within_{days}_days")
