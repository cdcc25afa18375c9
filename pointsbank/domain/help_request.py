"""Help requests: what an elder asks for, and the life of the asking.

::

    open ──► offered ──► accepted ──► under_way ──► done ──► posted
     ▲ │        │ │          │ │
     │ │        │ └─► open   │ └─► open (volunteer withdrew, did not come, or is kept apart since)
     │ │        └─► (declined, lapsed)
     │ └─► cancelled (also from offered, accepted) · expired (also from offered)

The visit has a life of its own beside it (``visit.py``): what is disputed is a visit that is done, what is
no-show a visit that was agreed. What each means for the points, and for whom it counts:

=========== ============================== ====================================================
state       points                         reliability
=========== ============================== ====================================================
open        none                           nobody's; the waiting clock runs
offered     none                           nobody's: to decline is free, the waiting clock runs
accepted    none                           the volunteer's from here on: to withdraw late counts
                                           (``visit_rules.VisitRules.notice_minutes``)
under_way   none                           the volunteer came
done        none yet: who is not paid      the visit's confirmation decides
            has to confirm
posted      the entry stands; a mistake    the volunteer kept their word
            is mended by reversal only
cancelled   none, whoever had agreed       nobody's: the elder called off before anybody came; an
                                           elder who is not there when somebody comes is the
                                           visit's no-show
expired     none                           nobody's: the community had nobody to send
=========== ============================== ====================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pointsbank.domain.errors import DomainError, InvalidValue, WrongState

MINUTES_MIN = 10
MINUTES_MAX = 12 * 60
AHEAD_MAX = timedelta(days=60)


@dataclass(eq=False)
class DuplicateRequest(DomainError):
    """The elder has asked for this kind at such a time already. number: of the first request."""

    code = "duplicate_request"
    number: int


class AskedThrough(StrEnum):
    """Who spoke for the elder: they themselves, their family, or a coordinator told by phone."""

    SELF = "self"
    FAMILY = "family"
    PHONE = "phone"


class RequestState(StrEnum):
    """Where a help request is in its life."""

    OPEN = "open"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    UNDER_WAY = "under_way"
    DONE = "done"
    POSTED = "posted"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


NEXT: dict[RequestState, frozenset[RequestState]] = {
    RequestState.OPEN: frozenset({RequestState.OFFERED, RequestState.CANCELLED, RequestState.EXPIRED}),
    RequestState.OFFERED: frozenset(
        {RequestState.ACCEPTED, RequestState.OPEN, RequestState.CANCELLED, RequestState.EXPIRED}
    ),
    RequestState.ACCEPTED: frozenset({RequestState.UNDER_WAY, RequestState.OPEN, RequestState.CANCELLED}),
    RequestState.UNDER_WAY: frozenset({RequestState.DONE}),
    RequestState.DONE: frozenset({RequestState.POSTED}),
    RequestState.POSTED: frozenset(),
    RequestState.CANCELLED: frozenset(),
    RequestState.EXPIRED: frozenset(),
}


def advance(state: RequestState, to: RequestState) -> RequestState:
    """Return ``to`` if a request may go there from ``state``. Raises WrongState."""
    if to not in NEXT[state]:
        raise WrongState(what="help_request", state=state, action=to)
    return to


def require_time(starts_at: datetime, minutes: int, *, now: datetime) -> None:
    """Check a fixed time: in the future, within 60 days, 10 minutes to 12 hours long.

    Raises InvalidValue naming ``starts_at`` or ``minutes``.
    """
    if starts_at.tzinfo is None:
        raise InvalidValue(field="starts_at", rule="timezone")
    if starts_at < now:
        raise InvalidValue(field="starts_at", rule="in_the_future")
    if starts_at > now + AHEAD_MAX:
        raise InvalidValue(field="starts_at", rule="within_60_days")
    require_minutes(minutes)


def require_minutes(minutes: int) -> None:
    """Check how long help is asked for: 10 minutes to 12 hours. Raises InvalidValue naming ``minutes``."""
    if type(minutes) is not int or not MINUTES_MIN <= minutes <= MINUTES_MAX:
        raise InvalidValue(field="minutes", rule=f"between_{MINUTES_MIN}_and_{MINUTES_MAX}")
