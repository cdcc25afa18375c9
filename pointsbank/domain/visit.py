"""Visits: from check-in to confirmation. Minutes come from the two times, nothing else.

::

    planned ──check in──► under_way ──check out──► done ──confirm──► confirmed (its entry is posted)
       └──► cancelled
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.errors import DomainError, InvalidValue, WrongState
from pointsbank.domain.points import Minutes
from pointsbank.domain.policy import VISIT_MINUTES_MAX

EARLY_CHECK_IN_MAX = timedelta(hours=2)
"""How long before the agreed time a volunteer may check in."""


class VisitState(StrEnum):
    """Where a visit is in its life."""

    PLANNED = "planned"
    UNDER_WAY = "under_way"
    DONE = "done"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class ConfirmationMethod(StrEnum):
    """How a visit was confirmed."""

    ELDER = "elder"  # the elder, on their own phone or card
    FAMILY = "family"
    COORDINATOR = "coordinator"  # after a call-back
    WITNESS = "witness"  # building leader or neighbour
    RECORD = "record"  # a signed paper record, imported


STRENGTH: dict[ConfirmationMethod, int] = {
    ConfirmationMethod.ELDER: 4,
    ConfirmationMethod.FAMILY: 3,
    ConfirmationMethod.COORDINATOR: 3,
    ConfirmationMethod.WITNESS: 2,
    ConfirmationMethod.RECORD: 1,
}
"""How much a confirmation is worth to an auditor: the weaker, the more often it is sampled."""


@dataclass(eq=False)
class ConfirmedByThePaid(DomainError):
    """Whoever earns by a visit may not confirm it."""

    code = "confirmed_by_the_paid"


@dataclass(eq=False)
class OverlappingVisit(DomainError):
    """The volunteer has another visit at that time."""

    code = "overlapping_visit"


def minutes_between(checked_in: datetime, checked_out: datetime) -> Minutes:
    """Return the whole minutes from check-in to check-out; a begun minute does not count.

    Raises InvalidValue if the end is not after the start, if it lasts under a minute, or over 24 hours.
    """
    if checked_in.tzinfo is None or checked_out.tzinfo is None:
        raise InvalidValue(field="checked_out", rule="timezone")
    minutes = (checked_out - checked_in) // timedelta(minutes=1)
    if checked_out <= checked_in:
        raise InvalidValue(field="checked_out", rule="after_check_in")
    if minutes < 1:
        raise InvalidValue(field="checked_out", rule="at_least_a_minute")
    if minutes > VISIT_MINUTES_MAX:
        raise InvalidValue(field="checked_out", rule="within_24_hours")
    return Minutes(minutes)


def require_check_in(state: VisitState, planned_start: datetime, *, now: datetime) -> None:
    """Check that a volunteer may check in now. Raises WrongState, InvalidValue."""
    if state is not VisitState.PLANNED:
        raise WrongState(what="visit", state=state, action="check_in")
    if now < planned_start - EARLY_CHECK_IN_MAX:
        raise InvalidValue(field="checked_in", rule="not_yet")


def require_check_out(state: VisitState) -> None:
    """Check that a volunteer may check out. Raises WrongState."""
    if state is not VisitState.UNDER_WAY:
        raise WrongState(what="visit", state=state, action="check_out")


def require_confirmation(state: VisitState, *, volunteer: UUID, confirmer: UUID) -> None:
    """Check that ``confirmer`` may confirm a visit made by ``volunteer``.

    Raises WrongState, ConfirmedByThePaid.
    """
    if state is not VisitState.DONE:
        raise WrongState(what="visit", state=state, action="confirm")
    if volunteer == confirmer:
        raise ConfirmedByThePaid
