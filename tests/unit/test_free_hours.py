"""Weekly free hours as stretches of real time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.free_hours import FreeHour, free_periods, require_free_hours
from pointsbank.domain.pairing import Period

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
