"""Days and times of day as forms tell them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from api.web.visitor import Visitor
from pointsbank.domain.errors import InvalidValue

CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def moment_of(visitor: Visitor, day: str, clock: str, *, field: str) -> datetime:
    """Return the moment of a form's day and time by the community's clock. Raises InvalidValue."""
    found = CLOCK.fullmatch(clock)
    try:
        on = date.fromisoformat(day)
    except ValueError:
        found = None
    if found is None:
        raise InvalidValue(field=field, rule="date_and_time")
    return visitor.words.moment(on, int(found[1]), int(found[2]))


def period_of(visitor: Visitor, day: str, begins: str, ends: str) -> tuple[datetime, datetime]:
    """Return from when to when: an end that is not after the beginning is of the next day.

    Raises InvalidValue.
    """
    start = moment_of(visitor, day, begins, field="started_at")
    end = moment_of(visitor, day, ends, field="ended_at")
    return start, end if end > start else end + timedelta(days=1)
