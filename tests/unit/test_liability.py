"""What is owed in meals, how old it is, and when its cover is too low."""

from __future__ import annotations

from typing import Any

import pytest

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.liability import Age, BackingRules, Liability, liability, parse_backing

PRICES = [(10_000, 1_200), (2_000, 300)]


def report(*, owed: int = 0, **rules: Any) -> Liability:
    by_days = [(0, 60_000), (90, 10_000), (91, 20_000), (730, 5_000), (9_999, 5_000)]
    return liability(by_days, prices=PRICES, owed_fen=owed, rules=BackingRules(**rules))


def test_points_are_told_by_how_long_ago_they_were_received() -> None:
    assert report().by_age == {
        Age.QUARTER: 70_000,
        Age.YEAR: 20_000,
        Age.TWO_YEARS: 5_000,
        Age.OLDER: 5_000,
    }
    assert report().outstanding == 100_000


def test_they_are_worth_the_dearest_price() -> None:
    assert report().fen == 15_000


def test_the_fund_covers_less_by_what_the_partners_have_earned() -> None:
    told = report(owed=5_000, fund_fen=20_000)
    assert (told.fund_left, told.fund_cover, told.low) == (15_000, 1_000, False)
    assert report(owed=5_001, fund_fen=20_000).low


def test_the_cover_is_the_smaller_of_fund_and_capacity() -> None:
    told = report(fund_fen=10**9, capacity_milli_points_month=5_000, horizon_months=12)
    assert (told.capacity_cover, told.cover, told.low) == (600, 600, True)
    assert not report(capacity_milli_points_month=5_000, cover_warn_permille=600).low


def test_where_nothing_is_said_of_a_cover_none_is_told() -> None:
    assert (report().cover, report().low) == (None, False)


def test_who_owes_nothing_is_covered() -> None:
    assert not liability([], prices=PRICES, owed_fen=9, rules=BackingRules(fund_fen=0)).low


@pytest.mark.parametrize(
    ("backing", "field"),
    [
        ([], "backing"),
        ({"fund": 1}, "backing.fund"),
        ({"fund_fen": -1}, "backing.fund_fen"),
        ({"horizon_months": 0}, "backing.horizon_months"),
        ({"cover_warn_permille": True}, "backing.cover_warn_permille"),
    ],
)
def test_a_policy_that_says_it_wrong_is_refused_by_its_field(backing: object, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_backing({"backing": backing})
    assert refused.value.field == field
