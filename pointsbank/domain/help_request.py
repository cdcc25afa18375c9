"""Help requests: what an elder asks for, and the life of the asking.

::

    open ──► offered ──► accepted ──► under_way ──► done ──► posted
     ▲          │            │
     └──────────┘ (declined, │ volunteer withdrew)
     ▲───────────────────────┘
     └─► cancelled (from open, offered, accepted) · expired (from open, offered)
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pointsbank.domain.errors import InvalidValue, WrongState

MINUTES_MIN = 10
MINUTES_MAX = 12 * 60
AHEAD_MAX = timedelta(days=60)


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
    """Check when help is asked for: in the future, within 60 days, 10 minutes to 12 hours long.

    Raises InvalidValue naming ``starts_at`` or ``minutes``.
    """
    if starts_at.tzinfo is None:
        raise InvalidValue(field="starts_at", rule="timezone")
    if starts_at < now:
        raise InvalidValue(field="starts_at", rule="in_the_future")
    if starts_at > now + AHEAD_MAX:
        raise InvalidValue(field="starts_at", rule="within_60_days")
    if type(minutes) is not int or not MINUTES_MIN <= minutes <= MINUTES_MAX:
        raise InvalidValue(field="minutes", rule=f"between_{MINUTES_MIN}_and_{MINUTES_MAX}")
