"""Delivery runs are cut in walking order, by what one volunteer carries; a meal's hours close its orders."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.canteen.rules import DEFAULT_RULES, Meal, MealHours, Outcome, Refunds, Rules, closes_at
from services.canteen.runs import Parcel, cut_runs, walking_order

NUMBERS = st.integers(1, 4)
PARCELS = st.lists(
    st.builds(
        lambda number, big, small, walk, quantity: Parcel(
            UUID(int=number), "main", big, small, walk, f"{walk}栋", f"{number:06d}", quantity
        ),
        st.integers(0, 10**6),
        NUMBERS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
    ),
    max_size=40,
    unique_by=lambda parcel: parcel.redemption_id,
)


def parcel(number: int, *, big: int = 1, small: int = 1, walk: int = 1, quantity: int = 1) -> Parcel:
    return Parcel(UUID(int=number), "main", big, small, walk, f"{walk}栋", f"{number:06d}", quantity)


@given(PARCELS, st.integers(1, 12))
def test_every_parcel_is_carried_once_and_nobody_carries_more_than_agreed(
    parcels: list[Parcel], portions: int
) -> None:
    runs = cut_runs(parcels, portions=portions)
    assert [each for run in runs for each in run] == sorted(parcels, key=walking_order)
    for run in runs:
        assert len({each.big_grid for each in run}) == 1
        assert sum(each.quantity for each in run) <= portions or len(run) == 1


def test_a_building_is_not_divided_between_runs_when_one_can_carry_it() -> None:
    parcels = [parcel(1, walk=1), parcel(2, walk=1), parcel(3, walk=2), parcel(4, walk=2)]
    assert [[each.walk for each in run] for run in cut_runs(parcels, portions=3)] == [[1, 1], [2, 2]]


def test_a_building_with_more_than_one_carries_is_divided() -> None:
    parcels = [parcel(number) for number in range(5)]
    assert [len(run) for run in cut_runs(parcels, portions=2)] == [2, 2, 1]


def test_orders_close_at_the_cut_off_of_the_community_on_the_day_or_the_day_before() -> None:
    day = date(2026, 3, 9)
    assert closes_at(DEFAULT_RULES, Meal.LUNCH, day, "Asia/Shanghai") == datetime(
        2026, 3, 9, 1, 30, tzinfo=UTC
    )
    eve = MealHours(days_before=1, cut_off="16:00", served_from="11:30", served_until="13:00")
    assert closes_at(Rules(lunch=eve), Meal.LUNCH, day, "Asia/Shanghai") == datetime(
        2026, 3, 8, 8, tzinfo=UTC
    )


def test_whether_a_meal_not_eaten_is_paid_is_the_canteens_rule() -> None:
    assert not DEFAULT_RULES.refunded(Outcome.NOT_HOME)
    assert Rules(refunds=Refunds(not_home=True)).refunded(Outcome.NOT_HOME)
    assert DEFAULT_RULES.refunded(Outcome.COMPLAINED)
