"""Points: integers, rounded once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.points import AMOUNT_MAX, Minutes, divide_half_up, earned_points, format_points, whole


def at_the_base_rate(minutes: int, coefficient: int = 1_000) -> int:
    return earned_points(Minutes(minutes), milli_points_per_hour=1_000, coefficient_permille=coefficient)


@pytest.mark.parametrize(
    ("minutes", "milli_points"), [(60, 1_000), (30, 500), (20, 333), (50, 833), (1, 17), (90, 1_500)]
)
def test_minutes_earn_their_share_of_an_hour(minutes: int, milli_points: int) -> None:
    assert at_the_base_rate(minutes) == milli_points


def test_half_an_hour_is_not_rounded_to_nothing() -> None:
    assert at_the_base_rate(30) == 500


def test_the_coefficient_is_applied_before_the_one_rounding() -> None:
    # 20 min × 1.2: rounding first would give 333 × 1.2 = 399.6 → 400 too, 50 min × 1.2 tells them apart.
    assert at_the_base_rate(50, 1_200) == 1_000
    assert at_the_base_rate(7, 1_350) == 158  # 157.5; rounded before the coefficient: 117 × 1.35 = 157.95
    assert at_the_base_rate(1, 150) == 3  # 2.5 up; rounded before: 17 × 0.15 = 2.55


@given(st.integers(-(10**18), 10**18), st.integers(1, 10**6))
def test_rounding_is_to_the_nearest_and_halves_go_away_from_zero(numerator: int, denominator: int) -> None:
    result = divide_half_up(numerator, denominator)
    assert 2 * abs(result * denominator - numerator) <= denominator
    assert divide_half_up(-numerator, denominator) == -result
    if 2 * abs(numerator) % (2 * denominator) == denominator:
        assert abs(result) * denominator > abs(numerator)


@given(st.integers(1, 1_440), st.integers(1, 1_440))
def test_splitting_a_visit_changes_what_it_earns_by_one_milli_point_at_most(one: int, other: int) -> None:
    together = at_the_base_rate(one + other)
    assert abs(at_the_base_rate(one) + at_the_base_rate(other) - together) <= 1


@pytest.mark.parametrize("value", [True, 1.0, float("nan"), "1", None, 1.5])
def test_only_a_whole_number_is_an_amount(value: object) -> None:
    with pytest.raises(InvalidValue, match="whole_number"):
        whole(value, field="amount")


@pytest.mark.parametrize("value", [AMOUNT_MAX + 1, -AMOUNT_MAX - 1])
def test_an_amount_has_a_bound(value: int) -> None:
    with pytest.raises(InvalidValue, match="too_large"):
        whole(value, field="amount")


@pytest.mark.parametrize(
    ("milli_points", "shown"),
    [(1_500, "1.5"), (1_000, "1"), (333, "0.333"), (-250, "-0.25"), (0, "0"), (1_234_567, "1,234.567")],
)
def test_points_are_shown_without_trailing_zeros(milli_points: int, shown: str) -> None:
    assert format_points(milli_points) == shown
