"""Weekly free hours, what is otherwise on single days, and the stretches of real time they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.period import Period

DAY_MINUTES = 24 * 60
HOURS_A_WEEK_MAX = 70
"""Most stretches one volunteer may name: ten a day."""

EXCEPTIONS_MAX = 400
"""Most exceptions one volunteer may name: one for each day of a year, and some."""


@dataclass(frozen=True, slots=True, order=True)
class FreeHour:
    """A weekly stretch. weekday: Monday is 0; minutes count from local midnight, the end excluded."""

    weekday: int
    from_minute: int
    to_minute: int


class ExceptionKind(StrEnum):
    """What is otherwise than in other weeks."""

    AWAY = "away"
    FREE = "free"


@dataclass(frozen=True, slots=True, order=True)
class HoursException:
    """A stretch of one local day that is not as in other weeks; the end excluded.

    Minutes count from the day's local midnight; ``to_minute`` may lie up to a day after the start and so
    reach past the next midnight. What is named free counts even where the volunteer is away else: away the
    whole day and free from nine to ten is free from nine to ten only.
    """

    day: date
    from_minute: int
    to_minute: int
    kind: ExceptionKind

    @classmethod
    def away_all_day(cls, day: date) -> HoursException:
        """Return the exception of who is away the whole of a day."""
        return cls(day, 0, DAY_MINUTES, ExceptionKind.AWAY)


def require_exceptions(exceptions: Sequence[HoursException]) -> None:
    """Check one volunteer's exceptions. Raises InvalidValue naming ``minutes`` or ``exceptions``."""
    if len(exceptions) > EXCEPTIONS_MAX:
        raise InvalidValue(field="exceptions", rule=f"at_most_{EXCEPTIONS_MAX}")
    for each in exceptions:
        if type(each.from_minute) is not int or type(each.to_minute) is not int:
            raise InvalidValue(field="minutes", rule="whole_number")
        if not 0 <= each.from_minute < DAY_MINUTES:
            raise InvalidValue(field="minutes", rule="within_the_day")
        if not each.from_minute < each.to_minute <= each.from_minute + DAY_MINUTES:
            raise InvalidValue(field="minutes", rule="within_24_hours")
    if len({(each.day, each.kind, each.from_minute) for each in exceptions}) != len(exceptions):
        raise InvalidValue(field="exceptions", rule="not_overlapping")


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


def free_periods(
    hours: Iterable[FreeHour],
    days: Iterable[date],
    timezone: str,
    exceptions: Iterable[HoursException] = (),
) -> tuple[Period, ...]:
    """Return when these hours fall on local ``days``, in order; what touches is joined, past midnight too.

    exceptions: on whatever days; those that reach into ``days`` count. Local wall time decides, so a day
    with a clock change is as long as the clock on the wall says.
    """
    wanted = sorted(set(days))
    week: dict[int, list[FreeHour]] = {}
    for hour in hours:
        week.setdefault(hour.weekday, []).append(hour)
    usual = [
        _period(day, hour.from_minute, hour.to_minute, timezone)
        for day in wanted
        for hour in week.get(day.weekday(), ())
    ]
    away: list[Period] = []
    extra: list[Period] = []
    for each in exceptions:
        touched = {
            each.day + timedelta(days=number) for number in range((each.to_minute - 1) // DAY_MINUTES + 1)
        }
        if touched.isdisjoint(wanted):
            continue
        period = _period(each.day, each.from_minute, each.to_minute, timezone)
        (away if each.kind is ExceptionKind.AWAY else extra).append(period)
    return _joined([*_without(usual, away), *extra])


def _without(periods: list[Period], taken: list[Period]) -> list[Period]:
    for away in taken:
        left: list[Period] = []
        for period in periods:
            if not period.overlaps(away):
                left.append(period)
                continue
            if period.start < away.start:
                left.append(Period(period.start, away.start))
            if away.end < period.end:
                left.append(Period(away.end, period.end))
        periods = left
    return periods


def _joined(periods: list[Period]) -> tuple[Period, ...]:
    joined: list[Period] = []
    for period in sorted(periods, key=lambda each: (each.start, each.end)):
        if joined and joined[-1].end >= period.start:
            joined[-1] = Period(joined[-1].start, max(joined[-1].end, period.end))
        else:
            joined.append(period)
    return tuple(joined)


def _period(day: date, from_minute: int, to_minute: int, timezone: str) -> Period:
    return Period(_wall(day, from_minute, timezone), _wall(day, to_minute, timezone))


def _wall(day: date, minute: int, timezone: str) -> datetime:
    days, rest = divmod(minute, DAY_MINUTES)
    at = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), tzinfo=ZoneInfo(timezone))
    return at.astimezone(UTC)
