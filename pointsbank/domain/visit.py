"""Visits: from agreement to confirmation. Minutes come from the two times, nothing else.

::

    planned ──check in──► under_way ──check out──► done ──confirm──► confirmed (its entry is posted)
     │ │ │                    │                    ▲  │ ▲
     │ │ └► cancelled         └► missing ──────────┘  │ └───────────┐
     │ │                         (a coordinator says when it ended) │
     │ └──► no_show_volunteer      └► cancelled       └► disputed ──┘ (complaint dismissed)
     └────► no_show_elder             (nobody did)        └► cancelled (upheld)

What each means for points and for reliability (the figures are the policy's, ``visit_rules.VisitRules``):

- planned, under_way, done: nothing yet. A late check-in is a visit like any other; it is marked with how
late.
- confirmed: its minutes are posted. Counts as kept, or as late.
- missing: it was never checked out; nothing is posted until a coordinator states when it ended.
- disputed: somebody complained before it was confirmed; it cannot be, until the complaint is decided.
- cancelled: earns nothing. Who called a planned visit off is kept: withdrawing with less notice than the
  policy's ``notice_minutes`` weighs on the volunteer (``withdrawn_permille``), unless a coordinator excuses
  it; in good time it costs nothing. An elder's calling off, however late (it is shown), and being kept apart
  afterwards (``kept_apart``: the request is open again) are nobody's fault.
- no_show_volunteer: earns nothing, counts against the volunteer; a coordinator may excuse it (cancelled) or
  put it right (done), and who comes after all is late (under_way) while nobody else was asked.
- no_show_elder: the volunteer came and nobody was at home: not held against the volunteer. Where the policy
  pays the way, it is not this but ``done`` with ``nobody_home``, and a coordinator confirms those minutes.

Overlapping is no state of its own: two visits of one volunteer whose real times overlap name each other, and
neither is confirmed until a coordinator has said which stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.errors import DomainError, InvalidValue, WrongState
from pointsbank.domain.points import Minutes
from pointsbank.domain.visit_rules import VISIT_MINUTES_MAX

EARLY_CHECK_IN_MAX = timedelta(hours=2)
"""How long before the agreed time a volunteer may check in."""


class VisitState(StrEnum):
    """Where a visit is in its life."""

    PLANNED = "planned"
    UNDER_WAY = "under_way"
    MISSING = "missing"  # never checked out
    DONE = "done"
    DISPUTED = "disputed"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    NO_SHOW_VOLUNTEER = "no_show_volunteer"
    NO_SHOW_ELDER = "no_show_elder"  # nobody at home


NEXT: dict[VisitState, frozenset[VisitState]] = {
    VisitState.PLANNED: frozenset(
        {
            VisitState.UNDER_WAY,
            VisitState.DONE,  # nobody at home, and the policy pays the way
            VisitState.CANCELLED,
            VisitState.NO_SHOW_VOLUNTEER,
            VisitState.NO_SHOW_ELDER,
        }
    ),
    VisitState.UNDER_WAY: frozenset({VisitState.DONE, VisitState.MISSING}),
    VisitState.MISSING: frozenset({VisitState.DONE, VisitState.CANCELLED}),
    VisitState.DONE: frozenset({VisitState.CONFIRMED, VisitState.DISPUTED, VisitState.CANCELLED}),
    VisitState.DISPUTED: frozenset({VisitState.DONE, VisitState.CANCELLED}),
    VisitState.CONFIRMED: frozenset(),
    VisitState.CANCELLED: frozenset({VisitState.DONE}),  # an appeal against an upheld complaint
    VisitState.NO_SHOW_VOLUNTEER: frozenset(
        {VisitState.CANCELLED, VisitState.UNDER_WAY, VisitState.DONE}  # late after all, or it was none
    ),
    VisitState.NO_SHOW_ELDER: frozenset(),
}

GIVEN_UP = frozenset({VisitState.CANCELLED, VisitState.NO_SHOW_VOLUNTEER, VisitState.NO_SHOW_ELDER})
"""States in which a visit no longer takes a place of its request."""

ATTENDED = frozenset({VisitState.DONE, VisitState.DISPUTED, VisitState.CONFIRMED})
"""States in which somebody was there and has gone."""


class CancelledWhy(StrEnum):
    """For whom a planned visit was called off; a visit that is cancelled without it fell out of itself."""

    VOLUNTEER = "volunteer"  # withdrew, or had a coordinator do it by phone
    ELDER = "elder"  # called the request off, or had it done
    KEPT_APART = "kept_apart"  # the two are not to meet (again)


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

WEAKEST = 1
"""What any confirmation of a visit recorded afterwards is worth."""


@dataclass(eq=False)
class ConfirmedByThePaid(DomainError):
    """Whoever earns by a visit may not confirm it."""

    code = "confirmed_by_the_paid"


@dataclass(eq=False)
class OverlappingVisit(DomainError):
    """The volunteer has another visit at that time."""

    code = "overlapping_visit"


@dataclass(eq=False)
class UnsettledOverlap(DomainError):
    """The volunteer was said to be somewhere else at the same time; a coordinator says which stands."""

    code = "unsettled_overlap"


@dataclass(eq=False)
class TooManyPairs(DomainError):
    """The day's check-ins for one activity (volunteer, elder and kind) are used up. limit: how many."""

    code = "too_many_pairs"
    limit: int


def advance_visit(state: VisitState, to: VisitState, *, action: str) -> VisitState:
    """Return ``to`` if a visit may go there from ``state``. action: a stable word. Raises WrongState."""
    if to not in NEXT[state]:
        raise WrongState(what="visit", state=state, action=action)
    return to


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


def is_late(planned_start: datetime, *, now: datetime, notice: timedelta) -> bool:
    """Tell whether calling a visit off now is late: it begins sooner than ``notice`` from now."""
    return planned_start < now + notice


def late_minutes(planned_start: datetime, checked_in: datetime, *, grace: Minutes) -> Minutes:
    """Return by how many whole minutes a check-in is late; 0 up to ``grace``."""
    late = Minutes(max(0, (checked_in - planned_start) // timedelta(minutes=1)))
    return late if late > grace else Minutes(0)


def require_check_in(state: VisitState, planned_start: datetime, *, now: datetime) -> None:
    """Check that a volunteer may check in now, however late. Raises WrongState, InvalidValue."""
    advance_visit(state, VisitState.UNDER_WAY, action="check_in")
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
