"""Walks through a grid, and the days of standing orders."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.meals import Spot, Standing, standing, walking_positions

MONDAY = date(2026, 3, 9)
METRES = st.one_of(st.none(), st.integers(-2_000, 2_000))
SPOTS = st.lists(
    st.builds(
        lambda number, east, north: Spot(UUID(int=number), f"{number}栋", east, north),
        st.integers(0, 999),
        METRES,
        METRES,
    ),
    max_size=25,
    unique_by=lambda spot: spot.id,
)


@given(SPOTS)
def test_every_building_has_one_place_on_the_walk(spots: list[Spot]) -> None:
    positions = walking_positions(spots)
    assert set(positions) == {spot.id for spot in spots}
    assert sorted(positions.values()) == list(range(1, len(spots) + 1))


def test_the_walk_goes_on_to_the_nearest_building_and_ends_with_those_nobody_measured() -> None:
    places = {"甲": (0, 0), "丙": (300, 0), "乙": (100, 20), "丁": (290, 60), "戊": None}
    spots = [
        Spot(UUID(int=number), name, *(place or (None, None)))
        for number, (name, place) in enumerate(places.items())
    ]
    order = walking_positions(spots)
    assert [spot.label for spot in sorted(spots, key=lambda spot: order[spot.id])] == list("甲乙丁丙戊")


def test_a_standing_order_names_its_weekdays_between_its_first_and_last_day() -> None:
    every = Standing(frozenset({0, 2}), MONDAY, MONDAY + timedelta(days=9))
    found = list(every.days(date.min, date.max - timedelta(days=1), skipped={MONDAY + timedelta(days=2)}))
    assert [(day - MONDAY).days for day in found] == [0, 7, 9]


@pytest.mark.parametrize(
    ("weekdays", "first", "until", "field"),
    [
        ((), MONDAY, MONDAY, "weekdays"),
        ((7,), MONDAY, MONDAY, "weekdays"),
        ((0,), MONDAY - timedelta(days=1), MONDAY, "first"),
        ((0,), MONDAY, MONDAY - timedelta(days=1), "until"),
        ((0,), MONDAY, MONDAY + timedelta(days=367), "until"),
    ],
)
def test_a_standing_order_that_names_no_days_is_refused(
    weekdays: tuple[int, ...], first: date, until: date, field: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        standing(weekdays, first, until, today=MONDAY)
    assert refused.value.field == field
