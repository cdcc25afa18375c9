"""Moments and days that are asked for: aware, in the calendar, and, where what was is meant, not to come."""

from __future__ import annotations

from datetime import date, datetime

from api.http.wire import YEARS, plausible
from pointsbank.domain.errors import InvalidValue


def require_moments(**moments: datetime | None) -> None:
    """Check that every moment given has an offset and a plausible year. Raises InvalidValue naming it."""
    for name, moment in moments.items():
        if moment is None:
            continue
        if moment.tzinfo is None:
            raise InvalidValue(field=name, rule="timezone")
        if not plausible(moment):
            raise InvalidValue(field=name, rule="plausible_date")


def require_day(name: str, day: date) -> None:
    """Check that a day has a plausible year: at the calendar's edge there is no day before or after it.

    Raises InvalidValue.
    """
    if day.year not in YEARS:
        raise InvalidValue(field=name, rule="plausible_date")


def require_past(name: str, moment: datetime, *, now: datetime) -> None:
    """Check that a moment has come. Raises InvalidValue."""
    if moment > now:
        raise InvalidValue(field=name, rule="not_in_the_future")
