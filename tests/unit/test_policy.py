"""What service earns under a policy version."""

from __future__ import annotations

import copy
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.points import MilliPoints, Minutes
from pointsbank.domain.policy import (
    DEFAULT_POLICY,
    EarnedSoFar,
    Policy,
    Risk,
    UnknownItem,
    UnknownServiceKind,
    parse_policy,
)


def policy(**caps: int) -> Policy:
    body = copy.deepcopy(DEFAULT_POLICY)
    body["caps"].update(caps)
    return parse_policy(1, date(2026, 1, 1), body)


def so_far(day: int = 0, year: int = 0, account: int = 0) -> EarnedSoFar:
    return EarnedSoFar(Minutes(day), MilliPoints(year), MilliPoints(account))


def test_an_hour_of_company_is_one_point() -> None:
    earning = policy().earning("companionship", Minutes(60), so_far())
    assert (earning.minutes, earning.milli_points) == (60, 1_000)
    assert (earning.clipped_minutes, earning.clipped_milli_points) == (0, 0)


def test_a_kind_has_its_own_coefficient() -> None:
    assert policy().earning("clinic_escort", Minutes(60), so_far()).milli_points == 1_200


def test_minutes_beyond_the_days_cap_are_clipped_and_recorded() -> None:
    earning = policy().earning("companionship", Minutes(60), so_far(day=450))
    assert (earning.minutes, earning.clipped_minutes) == (30, 30)
    assert (earning.milli_points, earning.clipped_milli_points) == (500, 500)


def test_minutes_still_count_when_the_account_is_full() -> None:
    earning = policy().earning("companionship", Minutes(60), so_far(account=1_500_000))
    assert (earning.minutes, earning.milli_points) == (60, 0)
    assert earning.clipped_milli_points == 1_000


def test_the_tighter_of_the_year_and_account_caps_decides() -> None:
    earning = policy(year_milli_points=1_000, account_milli_points=5_000).earning(
        "companionship", Minutes(120), so_far(year=700, account=100)
    )
    assert earning.milli_points == 300


@given(
    st.integers(1, 1_440),
    st.integers(0, 1_000),
    st.integers(0, 600_000),
    st.integers(0, 2_000_000),
    st.sampled_from(sorted(DEFAULT_POLICY["kinds"])),
)
def test_no_cap_is_ever_passed_and_nothing_is_lost_unrecorded(
    minutes: int, day: int, year: int, account: int, kind: str
) -> None:
    rules = policy()
    earning = rules.earning(kind, Minutes(minutes), so_far(day, year, account))
    assert earning.minutes >= 0
    assert earning.milli_points >= 0
    assert earning.minutes + earning.clipped_minutes == minutes
    assert day + earning.minutes <= max(day, rules.caps.day_minutes)
    assert year + earning.milli_points <= max(year, rules.caps.year_milli_points)
    assert account + earning.milli_points <= max(account, rules.caps.account_milli_points)
    uncapped = rules.earning(kind, Minutes(minutes), so_far())
    whole = uncapped.milli_points + uncapped.clipped_milli_points
    assert earning.milli_points + earning.clipped_milli_points == whole


@pytest.mark.parametrize("minutes", [0, -1, 1_441])
def test_a_visit_lasts_between_a_minute_and_a_day(minutes: int) -> None:
    with pytest.raises(InvalidValue, match="visit_length"):
        policy().earning("companionship", Minutes(minutes), so_far())


def test_a_kind_or_item_the_policy_does_not_know_is_refused() -> None:
    with pytest.raises(UnknownServiceKind):
        policy().earning("skydiving", Minutes(60), so_far())
    with pytest.raises(UnknownItem):
        policy().item("canteen", "caviar")


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("milli_points_per_hour",), "1000", "milli_points_per_hour"),
        (("milli_points_per_hour",), 0, "milli_points_per_hour"),
        (("caps", "day_minutes"), True, "day_minutes"),
        (("caps", "day_minutes"), 1_441, "day_minutes"),
        (("kinds", "shopping", "coefficient_permille"), 1.5, "coefficient_permille"),
        (("items", "canteen", "lunch_set", "milli_points"), -1, "milli_points"),
        (("kinds",), [], "kinds"),
        (("hold_hours",), None, "hold_hours"),
        (("points_expire_months",), 0, "points_expire_months"),
        (("points_expire_months",), 61, "points_expire_months"),
        (("gifts", "enabled"), 1, "enabled"),
        (("gifts", "min_milli_points"), 0, "min_milli_points"),
        (("donations",), True, "donations"),
        (("grants", "year_milli_points_max"), 1.5, "year_milli_points_max"),
        (("kinds", "shopping"), [], "shopping"),
        (("kinds", "shopping", "skill"), 7, "skill"),
        (("items", "canteen"), None, "canteen"),
        (("kinds", "No such"), {"coefficient_permille": 1, "expected_minutes": 1}, "kinds"),
        (("point_expire_months",), 24, "point_expire_months"),
        (("caps", "week_minutes"), 60, "caps.week_minutes"),
        (("kinds", "shopping", "rate"), 60, "kinds.shopping.rate"),
        (("items", "canteen", "lunch_set", "price"), 1, "items.canteen.lunch_set.price"),
        (("grants", "month_milli_points_max"), 1, "grants.month_milli_points_max"),
    ],
)
def test_a_malformed_version_is_refused_naming_the_field(
    path: tuple[str, ...], value: object, field: str
) -> None:
    body: dict[str, Any] = copy.deepcopy(DEFAULT_POLICY)
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InvalidValue) as caught:
        parse_policy(2, date(2026, 1, 1), body)
    assert caught.value.field == field


def test_a_version_of_an_earlier_form_promises_nothing_it_does_not_mention() -> None:
    body = copy.deepcopy(DEFAULT_POLICY)
    for section in ("points_expire_months", "gifts", "donations", "grants"):
        del body[section]
    rules = parse_policy(1, date(2026, 1, 1), body)
    assert rules.expires_on(date(2026, 3, 2)) is None
    assert not any(given.enabled for given in (rules.gifts, rules.donations, rules.grants))


def test_points_last_to_the_end_of_the_month_the_policy_says() -> None:
    rules = parse_policy(1, date(2026, 1, 1), DEFAULT_POLICY | {"points_expire_months": 24})
    assert rules.expires_on(date(2026, 3, 2)) == date(2028, 3, 31)


def test_a_kind_says_its_risk_and_how_many_must_come() -> None:
    kinds = policy().kinds
    assert (kinds["outing"].carers, kinds["night_watch"].risk) == (2, Risk.HIGH)
    assert {code for code, kind in kinds.items() if kind.carers == 2} == {"outing"}


def test_a_kind_of_an_older_document_needs_one_and_carries_little_risk() -> None:
    body = copy.deepcopy(DEFAULT_POLICY)
    for section in ("slots", "waiting"):
        del body[section]
    body["kinds"] = {"dancing": {"coefficient_permille": 1_000, "expected_minutes": 60}}
    read = parse_policy(1, date(2026, 1, 1), body)
    assert (read.kind("dancing").carers, read.kind("dancing").risk) == (1, Risk.LOW)
    assert read.kind("dancing").timing == "window"
    assert (read.slots, read.waiting) == (policy().slots, policy().waiting)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"risk": "deadly"}, "risk"),
        ({"risk": 1}, "risk"),
        ({"carers": 3}, "carers"),
        ({"carers": 0}, "carers"),
        ({"timing": "slot"}, "timing"),
        ({"timing": 9}, "timing"),
    ],
)
def test_a_kind_that_cannot_be_is_refused_by_its_field(changed: dict[str, Any], field: str) -> None:
    body = copy.deepcopy(DEFAULT_POLICY)
    body["kinds"]["outing"] |= changed
    with pytest.raises(InvalidValue) as refused:
        parse_policy(1, date(2026, 1, 1), body)
    assert refused.value.field == field


def test_a_kind_that_takes_longer_than_a_day_may_fills_it_and_no_more() -> None:
    policy = parse_policy(1, date(2026, 1, 1), DEFAULT_POLICY)
    assert policy.kinds["night_watch"].expected_minutes > policy.volunteers.day_minutes == 480
    assert [policy.counted_minutes("night_watch", each) for each in (300, 480, 720)] == [300, 480, 480]
    assert policy.counted_minutes("cleaning", 720) == 720
    assert policy.counted_minutes("dropped", 720) == 720
