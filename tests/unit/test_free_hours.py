"""Weekly free hours as stretches of real time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.free_hours import (
    ExceptionKind,
    FreeHour,
    HoursException,
    free_periods,
    require_exceptions,
    require_free_hours,
)
from pointsbank.domain.period import Period

SHANGHAI = "Asia/Shanghai"
MONDAY = date(2026, 3, 2)


def test_a_weekly_stretch_falls_on_its_weekday_in_local_time() -> None:
    (period,) = free_periods([FreeHour(0, 540, 660)], [MONDAY, MONDAY + timedelta(days=1)], SHANGHAI)
    assert period == Period(datetime(2026, 3, 2, 1, 0, tzinfo=UTC), datetime(2026, 3, 2, 3, 0, tzinfo=UTC))


def test_stretches_that_touch_are_one_also_past_midnight() -> None:
    week = [FreeHour(0, 600, 720), FreeHour(0, 720, 780), FreeHour(0, 1380, 1440), FreeHour(1, 0, 60)]
    days = [MONDAY + timedelta(days=1), MONDAY]
    periods = free_periods(week, days, SHANGHAI)
    assert [period.end - period.start for period in periods] == [timedelta(hours=3), timedelta(hours=2)]


def test_a_day_with_a_clock_change_is_as_long_as_the_clock_says() -> None:
    (spring,) = free_periods([FreeHour(6, 0, 1440)], [date(2026, 3, 29)], "Europe/Berlin")
    assert spring.end - spring.start == timedelta(hours=23)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440)), max_size=12),
    st.integers(1, 21),
)
def test_free_time_is_never_longer_than_the_week_says(hours: list[tuple[int, int, int]], days: int) -> None:
    week = [
        FreeHour(weekday, min(start, end), max(start, end)) for weekday, start, end in hours if start != end
    ]
    try:
        require_free_hours(week)
    except InvalidValue:
        return
    wanted = [MONDAY + timedelta(days=day) for day in range(days)]
    periods = free_periods(week, wanted, SHANGHAI)
    minutes = sum(
        hour.to_minute - hour.from_minute for day in wanted for hour in week if hour.weekday == day.weekday()
    )
    assert sum((period.end - period.start for period in periods), timedelta()) == timedelta(minutes=minutes)
    assert all(one.end < other.start for one, other in pairwise(periods))


DAY = timedelta(days=1)
NINE_TO_NOON = [FreeHour(weekday, 540, 720) for weekday in range(7)]


def hours_of(exceptions: list[HoursException], days: int = 1) -> list[tuple[int, int]]:
    """Return the free stretches of days from Monday on as minutes from Monday's midnight."""
    wanted = [MONDAY + DAY * number for number in range(days)]
    midnight = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
    return [
        ((period.start - midnight) // timedelta(minutes=1), (period.end - midnight) // timedelta(minutes=1))
        for period in free_periods(NINE_TO_NOON, wanted, SHANGHAI, exceptions)
    ]


def test_away_takes_its_part_of_the_week_and_leaves_the_rest() -> None:
    assert hours_of([HoursException(MONDAY, 600, 660, ExceptionKind.AWAY)]) == [(540, 600), (660, 720)]
    assert hours_of([HoursException(MONDAY, 0, 600, ExceptionKind.AWAY)]) == [(600, 720)]
    assert hours_of([HoursException.away_all_day(MONDAY)], days=2) == [(1440 + 540, 1440 + 720)]


def test_free_besides_is_added_and_joined_to_what_it_touches() -> None:
    assert hours_of([HoursException(MONDAY, 720, 780, ExceptionKind.FREE)]) == [(540, 780)]
    assert hours_of([HoursException(MONDAY, 900, 960, ExceptionKind.FREE)]) == [(540, 720), (900, 960)]


def test_free_on_a_day_that_is_else_away_is_free() -> None:
    only = [HoursException.away_all_day(MONDAY), HoursException(MONDAY, 600, 630, ExceptionKind.FREE)]
    assert hours_of(only) == hours_of(only[::-1]) == [(600, 630)]


def test_an_exception_reaches_past_midnight_into_a_day_that_is_asked_for() -> None:
    away = HoursException(MONDAY - DAY, 1380, 1440 + 600, ExceptionKind.AWAY)
    assert hours_of([away]) == [(600, 720)]
    free = HoursException(MONDAY - DAY, 1380, 1440 + 60, ExceptionKind.FREE)
    assert hours_of([free]) == [(-60, 60), (540, 720)]
    to_midnight = HoursException(MONDAY - DAY, 1380, 1440, ExceptionKind.FREE)
    assert hours_of([to_midnight]) == [(540, 720)]


EXCEPTIONS = st.builds(
    lambda day, start, length, kind: HoursException(MONDAY + DAY * day, start, start + length, kind),
    st.integers(-2, 8),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sampled_from(ExceptionKind),
)


@given(st.lists(EXCEPTIONS, max_size=8), st.integers(0, 5 * 24 * 60 - 1))
def test_a_minute_is_free_if_an_exception_says_so_or_the_week_does_and_none_takes_it(
    exceptions: list[HoursException], minute: int
) -> None:
    covering = {
        each.kind
        for each in exceptions
        if 0
        <= minute - (each.day - MONDAY).days * 1440 - each.from_minute
        < each.to_minute - each.from_minute
    }
    usual = 540 <= minute % 1440 < 720
    expected = ExceptionKind.FREE in covering or (usual and ExceptionKind.AWAY not in covering)
    free = hours_of(exceptions, days=5)
    assert any(start <= minute < end for start, end in free) == expected
    assert all(one[1] < other[0] for one, other in pairwise(free))


@pytest.mark.parametrize(
    ("start", "end", "rule"),
    [
        (-1, 60, "within_the_day"),
        (1440, 1500, "within_the_day"),
        (60, 60, "within_24_hours"),
        (60, 1501, "within_24_hours"),
        (True, 60, "whole_number"),
    ],
)
def test_an_exception_lies_in_its_day_and_lasts_at_most_one(start: int, end: int, rule: str) -> None:
    require_exceptions([HoursException(MONDAY, 60, 1500, ExceptionKind.FREE)])
    with pytest.raises(InvalidValue) as refused:
        require_exceptions([HoursException(MONDAY, start, end, ExceptionKind.FREE)])
    assert refused.value.facts() == {"field": "minutes", "rule": rule}


def test_the_same_beginning_twice_and_too_many_exceptions_are_refused() -> None:
    once = HoursException(MONDAY, 60, 120, ExceptionKind.AWAY)
    with pytest.raises(InvalidValue, match="not_overlapping"):
        require_exceptions([once, HoursException(MONDAY, 60, 90, ExceptionKind.AWAY)])
    with pytest.raises(InvalidValue, match="at_most_400"):
        require_exceptions([HoursException.away_all_day(MONDAY + DAY * number) for number in range(401)])
