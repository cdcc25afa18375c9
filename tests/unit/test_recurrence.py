"""Which days a series names."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from pointsbank.domain.asked_time import SlotHours
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.series import OnHolidays, first_shared, require_apart, spans
from services.care.recurrence import is_holiday, last_day, occurrences

MONDAY_AT_NINE = datetime.fromisoformat("2026-03-02T09:00:00")


def days(rule: str, first: datetime = MONDAY_AT_NINE, **more: object) -> list[str]:
    return [f"{at:%m-%d %H:%M}" for at in islice(occurrences(rule, first, **more), 20)]  # type: ignore[arg-type]


def test_a_series_is_at_the_same_hour_on_the_days_of_its_rule() -> None:
    assert days("FREQ=WEEKLY;BYDAY=MO,TH;COUNT=4") == [
        "03-02 09:00",
        "03-05 09:00",
        "03-09 09:00",
        "03-12 09:00",
    ]
    assert days("freq=monthly;byday=1mo;until=20260501") == ["03-02 09:00", "04-06 09:00"]
    assert days("FREQ=DAILY;BYHOUR=8,18;BYMINUTE=30;COUNT=3") == ["03-02 18:30", "03-03 08:30", "03-03 18:30"]


def test_an_exception_is_left_out_and_still_counted() -> None:
    left_out = {datetime.fromisoformat("2026-03-03T09:00:00")}
    assert days("FREQ=DAILY;COUNT=3", left_out=left_out) == ["03-02 09:00", "03-04 09:00"]


def test_a_series_skips_public_holidays_when_it_says_so() -> None:
    first = datetime.fromisoformat("2026-09-30T09:00:00")
    rule = "FREQ=DAILY;COUNT=11"
    assert len(days(rule, first)) == 11
    kept = days(rule, first, on_holidays=OnHolidays.SKIP)
    assert kept[:2] == ["09-30 09:00", "10-04 09:00"]
    assert "10-07 09:00" not in kept
    # A Saturday on which work is made up for the holiday.
    assert kept[-1] == "10-10 09:00"
    assert not is_holiday(date(2026, 10, 10))


def test_the_last_day_is_that_of_the_last_occurrence() -> None:
    assert last_day("FREQ=WEEKLY;COUNT=3", MONDAY_AT_NINE) == date(2026, 3, 16)
    assert last_day("FREQ=WEEKLY;UNTIL=20260320", MONDAY_AT_NINE) == date(2026, 3, 16)
    assert last_day("FREQ=WEEKLY;UNTIL=20260316T090000", MONDAY_AT_NINE) == date(2026, 3, 16)
    assert last_day("FREQ=WEEKLY;UNTIL=20260316T085959", MONDAY_AT_NINE) == date(2026, 3, 9)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("", "1_to_200_characters"),
        ("FREQ=DAILY;" + "BYDAY=MO;" * 40, "1_to_200_characters"),
        ("FREQ=SECONDLY;COUNT=1", "daily_or_less_often"),
        ("FREQ=HOURLY;COUNT=1", "daily_or_less_often"),
        ("COUNT=1", "daily_or_less_often"),
        ("FREQ=DAILY;BYSECOND=1;COUNT=1", "recurrence_rule"),
        ("FREQ=DAILY;FREQ=WEEKLY;COUNT=1", "recurrence_rule"),
        ("FREQ=DAILY;COUNT=1;UNTIL=20260401", "recurrence_rule"),
        ("FREQ=DAILY;INTERVAL=0;COUNT=1", "recurrence_rule"),
        ("FREQ=DAILY;COUNT=-1", "recurrence_rule"),
        ("FREQ=DAILY;UNTIL=20260231", "recurrence_rule"),
        ("FREQ=DAILY;UNTIL=20260401T090000Z", "recurrence_rule"),
        ("FREQ=WEEKLY;BYDAY=XX;COUNT=1", "recurrence_rule"),
        ("FREQ=DAILY;BYMONTH=x;COUNT=1", "recurrence_rule"),
        ("FREQ=DAILY;BYHOUR=25;COUNT=1", "recurrence_rule"),
        ("FREQ=DAILY;BYSETPOS=500;COUNT=1", "recurrence_rule"),
        ("FREQ=DAILY\nRRULE:FREQ=DAILY;COUNT=1", "daily_or_less_often"),
        ("FREQ=DAILY", "ends_within_2_years"),
        ("FREQ=DAILY;COUNT=733", "ends_within_2_years"),
        ("FREQ=YEARLY;COUNT=4", "ends_within_2_years"),
        ("FREQ=DAILY;UNTIL=20280304", "ends_within_2_years"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1", "names_a_day"),
        ("FREQ=WEEKLY;UNTIL=20260301", "names_a_day"),
        ("FREQ=DAILY;BYHOUR=8,9,10,11;COUNT=8", "at_most_3_times_a_day"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_in_no_time(rule: str, why: str) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidValue) as refused:
        last_day(rule, MONDAY_AT_NINE)
    assert (refused.value.field, refused.value.rule) == ("rule", why)
    assert time.monotonic() - began < 1


NINE = datetime.fromisoformat("2026-03-03T09:00:00")


def _spans(rule: str, first_at: datetime = NINE, **asked: Any) -> list[tuple[datetime, datetime]]:
    told = {"minutes": 60, "window_minutes": 0, "slot": None} | asked
    return list(spans(occurrences(rule, first_at), told.pop("minutes"), **told))


@pytest.mark.parametrize(
    ("rule", "first_at", "shared"),
    [
        ("FREQ=WEEKLY;COUNT=5", NINE, NINE),
        ("FREQ=DAILY;COUNT=9", NINE + timedelta(minutes=59), NINE + timedelta(minutes=59)),
        ("FREQ=DAILY;COUNT=9", NINE + timedelta(minutes=60), None),
        ("FREQ=MONTHLY;BYMONTHDAY=10;COUNT=2", NINE, NINE + timedelta(days=7)),
        ("FREQ=WEEKLY;BYDAY=WE;COUNT=9", NINE, None),
        ("FREQ=WEEKLY;COUNT=5", NINE + timedelta(weeks=20), None),
    ],
)
def test_two_series_are_alike_from_the_first_moment_that_both_ask_for(
    rule: str, first_at: datetime, shared: datetime | None
) -> None:
    weekly = _spans("FREQ=WEEKLY;COUNT=10")
    assert first_shared(weekly, _spans(rule, first_at)) == shared
    assert first_shared(_spans(rule, first_at), weekly) == shared


def test_a_window_and_a_slot_are_shared_to_their_end() -> None:
    later = _spans("FREQ=DAILY;COUNT=2", NINE + timedelta(minutes=119))
    assert first_shared(_spans("FREQ=DAILY;COUNT=2", window_minutes=60), later) == later[0][0]
    assert first_shared(_spans("FREQ=DAILY;COUNT=2", slot=SlotHours(540, 660)), later) == later[0][0]
    assert first_shared(_spans("FREQ=DAILY;COUNT=2", slot=SlotHours(540, 659)), later) is None


def test_a_series_does_not_ask_for_two_visits_at_once() -> None:
    require_apart(_spans("FREQ=DAILY;BYHOUR=9,10;COUNT=4"))
    with pytest.raises(InvalidValue) as refused:
        require_apart(_spans("FREQ=DAILY;BYHOUR=9,10;COUNT=4", minutes=61))
    assert (refused.value.field, refused.value.rule) == ("rule", "overlaps_itself")
