"""Weekly free hours, and the stretches of real time they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.pairing import Period

DAY_MINUTES = 24 * 60
HOURS_A_WEEK_MAX = 70
"""Most stretches one volunteer may name: ten a day."""


@dataclass(frozen=True, slots=True, order=True)
class FreeHour:
    """A weekly stretch. weekday: Monday is 0; minutes count from local midnight, the end excluded."""

    weekday: int
    from_minute: int
    to_minute: int


def require_free_hours(hours: Sequence[FreeHour]) -> None:
    """Check one volunteer's week. Raises InvalidValue naming ``weekday``, ``minutes`` or ``free_hours``."""
    if len(hours) > HOURS_A_WEEK_MAX:
        raise InvalidValue(field="free_hours", rule=f"at_most_{HOURS_A_WEEK_MAX}")
    for hour in hours:
        if type(hour.weekday) is not int or not 0 <= hour.weekday <= 6:
            raise InvalidValue(field="weekday", rule="between_0_and_6")
        if type(hour.from_minute) is not int or type(hour.to_minute) is not int:
            raise InvalidValue(field="minutes", rule="whole_number")
        if not 0 <= hour.from_minute < hour.to_minute <= DAY_MINUTES:
            raise InvalidValue(field="minutes", rule="within_the_day")
    for one, other in pairwise(sorted(hours)):
        if one.weekday == other.weekday and other.from_minute < one.to_minute:
            raise InvalidValue(field="free_hours", rule="not_overlapping")


def free_periods(hours: Iterable[FreeHour], days: Iterable[date], timezone: str) -> tuple[Period, ...]:
    """Return when these hours fall on local ``days``, in order; what touches is joined, past midnight too.

    Local wall time decides, so a day with a clock change is as long as the clock on the wall says.
    """
    week: dict[int, list[FreeHour]] = {}
    for hour in hours:
        week.setdefault(hour.weekday, []).append(hour)
    joined: list[Period] = []
    for day in sorted(set(days)):
        for hour in sorted(week.get(day.weekday(), ())):
            start = _wall(day, hour.from_minute, timezone)
            end = _wall(day, hour.to_minute, timezone)
            if joined and joined[-1].end >= start:
                joined[-1] = Period(joined[-1].start, max(joined[-1].end, end))
            else:
                joined.append(Period(start, end))
    return tuple(joined)


def _wall(day: date, minute: int, timezone: str) -> datetime:
    days, rest = divmod(minute, DAY_MINUTES)
    at = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), tzinfo=ZoneInfo(timezone))
    return at.astimezone(ZoneInfo("UTC"))
