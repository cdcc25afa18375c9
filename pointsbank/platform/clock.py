"""Time as a thing that is passed in, so that tests and seeds can say when it is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, timezone-aware, in UTC, to the microsecond."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands where it is put; tests and seeds move it."""

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        """Return the moment the clock was put to."""
        return self._at

    def move_to(self, at: datetime) -> None:
        """Put the clock to ``at`` (aware)."""
        self._at = at.astimezone(UTC)


@cache
def _timezones() -> frozenset[str]:
    # What these two mean is the machine's own matter, and another machine's differs.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def is_timezone(name: str) -> bool:
    """Tell whether ``name`` is an IANA time zone that means the same on every machine."""
    return name in _timezones()


def local_date(at: datetime, timezone: str) -> date:
    """Return the calendar day of ``at`` in the community's ``timezone`` (IANA name)."""
    return at.astimezone(ZoneInfo(timezone)).date()


def local_day(day: date, timezone: str) -> tuple[datetime, datetime]:
    """Return the first moment of a local ``day`` and of the day after, in UTC."""
    return _midnight(day, timezone), _midnight(day + timedelta(days=1), timezone)


def local_year(day: date, timezone: str) -> tuple[datetime, datetime]:
    """Return the first moment of the local calendar year ``day`` lies in and of the year after, in UTC."""
    return _midnight(date(day.year, 1, 1), timezone), _midnight(date(day.year + 1, 1, 1), timezone)


def _midnight(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time(), tzinfo=ZoneInfo(timezone)).astimezone(UTC)
