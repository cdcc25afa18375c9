"""When help may begin: a moment, a slot, a window."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.asked_time import (
    DEFAULT_SLOTS,
    SLOTS_SECTION,
    AskedTime,
    Slot,
    SlotOn,
    Timing,
    When,
    Window,
    asked_time,
    parse_slots,
)
from pointsbank.domain.errors import InvalidValue

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
"""Nine in the morning in the community's time."""

TODAY = date(2026, 3, 2)


def when(asked: When, minutes: int = 60) -> AskedTime:
    return asked_time(asked, minutes, slots=DEFAULT_SLOTS, timezone="Asia/Shanghai", now=NOW)


def at(hour: int, minute: int = 0, *, day: date = TODAY) -> datetime:
    """Return a moment by the clock on the community's wall."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


def test_a_moment_leaves_nothing_open() -> None:
    found = when(at(10))
    assert (found.timing, found.slot) == (Timing.FIXED, None)
    assert found.earliest_start == found.latest_start == at(10)
    assert found.latest_end == at(11)


def test_a_visit_in_a_slot_begins_and_ends_in_it() -> None:
    found = when(SlotOn(TODAY, Slot.AFTERNOON), 45)
    assert (found.timing, found.slot) == (Timing.SLOT, Slot.AFTERNOON)
    assert (found.earliest_start, found.latest_start, found.latest_end) == (at(14), at(16, 45), at(17, 30))


def test_a_visit_longer_than_the_slot_begins_with_it() -> None:
    found = when(SlotOn(TODAY, Slot.EVENING), 600)
    assert found.earliest_start == found.latest_start == at(17, 30)
    assert found.latest_end == at(3, 30, day=TODAY + timedelta(days=1))


def test_of_a_slot_that_has_begun_the_rest_counts() -> None:
    found = when(SlotOn(TODAY, Slot.MORNING))
    assert (found.earliest_start, found.latest_start) == (NOW, at(10, 30))


def test_a_window_is_what_was_said() -> None:
    found = when(Window(at(10), at(16)))
    assert (found.timing, found.earliest_start, found.latest_start) == (Timing.WINDOW, at(10), at(16))


@pytest.mark.parametrize(
    ("asked", "minutes", "field"),
    [
        (at(8, 59), 60, "starts_at"),
        (at(10).replace(tzinfo=None), 60, "starts_at"),
        (NOW + timedelta(days=61), 60, "starts_at"),
        (at(10), 9, "minutes"),
        (at(10), 721, "minutes"),
        (SlotOn(TODAY - timedelta(days=1), Slot.EVENING), 60, "slot"),
        (SlotOn(TODAY, Slot.MORNING), 151, "slot"),
        (SlotOn(date.min, Slot.MORNING), 60, "slot"),
        (SlotOn(date.max, Slot.MORNING), 60, "starts_at"),
        (Window(at(11), at(10)), 60, "latest_start"),
        (Window(at(7), at(8)), 60, "latest_start"),
        (Window(at(10), at(10, 1, day=TODAY + timedelta(days=1))), 60, "latest_start"),
        (Window(at(10), NOW.replace(tzinfo=None)), 60, "latest_start"),
    ],
)
def test_a_time_that_cannot_be_is_refused_by_its_field(asked: When, minutes: int, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        when(asked, minutes)
    assert refused.value.field == field


def test_the_clock_on_the_wall_decides_also_when_it_is_changed() -> None:
    now = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
    found = asked_time(
        SlotOn(date(2026, 3, 29), Slot.MORNING), 60, slots=DEFAULT_SLOTS, timezone="Europe/Paris", now=now
    )
    assert found.earliest_start == datetime(2026, 3, 29, 6, 0, tzinfo=UTC)


@given(st.integers(0, 600), st.integers(0, 600), st.integers(10, 720), st.integers(10, 720))
def test_times_overlap_when_some_choice_of_starts_does(one: int, other: int, long: int, longer: int) -> None:
    first, second = when(NOW + timedelta(minutes=one), long), when(NOW + timedelta(minutes=other), longer)
    assert first.overlaps(second) == second.overlaps(first)
    assert first.overlaps(second) == (one < other + longer and other < one + long)


def test_slots_that_meet_do_not_overlap() -> None:
    tomorrow = TODAY + timedelta(days=1)
    times = [when(SlotOn(tomorrow, slot)) for slot in Slot]
    assert not any(one.overlaps(other) for one, other in pairwise(times))


def test_a_policy_that_does_not_mention_slots_has_the_usual_ones() -> None:
    assert parse_slots({}) == DEFAULT_SLOTS == parse_slots({"slots": SLOTS_SECTION})


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ([], "slots"),
        ({"morning": {"from_minute": 480, "to_minute": 690}}, "slots.noon"),
        (SLOTS_SECTION | {"night": {"from_minute": 0, "to_minute": 60}}, "slots.night"),
        (SLOTS_SECTION | {"noon": {"from_minute": 800, "to_minute": 700}}, "slots.noon"),
        (SLOTS_SECTION | {"noon": {"from_minute": 800, "to_minute": 1441}}, "slots.noon"),
        (SLOTS_SECTION | {"noon": {"from_minute": 800.0, "to_minute": 900}}, "from_minute"),
        (SLOTS_SECTION | {"noon": {"from_minute": 1, "to_minute": 2, "x": 3}}, "slots.noon.x"),
    ],
)
def test_a_slot_that_cannot_be_is_refused_by_its_name(told: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_slots({"slots": told})
    assert refused.value.field == field
