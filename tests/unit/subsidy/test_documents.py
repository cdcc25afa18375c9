"""The subsidy section of a policy document, claims' periods, and refunds."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.policy import DEFAULT_POLICY, parse_policy
from pointsbank.domain.subsidy.parse import parse_subsidy
from pointsbank.domain.subsidy.payers import Payer, Share, require_division, total
from pointsbank.domain.subsidy.period import parse_span, span_of
from pointsbank.domain.subsidy.refund import refund_shares
from pointsbank.domain.subsidy.rules import ClaimPeriod, SubsidyRules
from tests.unit.subsidy.practice import ZENGCHENG


def test_a_document_without_the_section_subsidises_nothing() -> None:
    older = {name: value for name, value in DEFAULT_POLICY.items() if name != "subsidy"}
    assert parse_policy(1, date(2026, 1, 1), older).subsidy == SubsidyRules()


def changed(path: str, value: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(ZENGCHENG))
    place: Any = document
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        place = place[step]
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("scheme", [], "unknown_field"),
        ("schemes.0.payer", {}, "unknown_field"),
        ("schemes.0.tiers.0.age", 60, "unknown_field"),
        ("schemes.0.tiers.0.permille", 250, "fen_or_permille"),
        ("schemes.0.tiers.0.fen", 11.0, "whole_number"),
        ("schemes.0.tiers.0.fen", True, "whole_number"),
        ("schemes.0.tiers.0.fen", -1, "between_0_and_100000"),
        ("schemes.0.tiers.2.age_to", 59, "in_order"),
        ("schemes.0.tiers.1.code", "hardship_60", "unique"),
        ("schemes.0.tiers.0.hardships", ["poor"], "known_value"),
        ("schemes.0.meals", ["supper"], "known_value"),
        ("schemes.0.payers.county", {"fen": 1}, "known_value"),
        ("schemes.0.payers.points", {"fen": 1}, "known_value"),
        ("schemes.0.payers.city", {"rest": True}, "one_takes_the_rest"),
        ("schemes.0.payers.town", {"fen": 100}, "one_takes_the_rest"),
        ("schemes.0.payers.city", {"fen": 1, "permille": 1}, "fen_permille_or_rest"),
        ("schemes.0.payers.city", {"reach": "street", "fen": 1}, "known_value"),
        ("schemes.0.payers.city", {"fen": 300, "cap": 1}, "unknown_field"),
        ("places.canteen", "4401181", "division_code"),
        ("places.canteen", 440118, "division_code"),
        ("second_meal", "perhaps", "known_value"),
        ("claim", "year", "known_value"),
        ("elder_fen_min", 0, "between_1_and_100000"),
        ("points_permille", 0, "between_1_and_1000"),
    ],
)
def test_a_wrong_rule_is_refused_by_name(path: str, value: Any, rule: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_subsidy(changed(path, value))
    assert refused.value.rule == rule


def test_shares_of_more_than_the_whole_are_refused() -> None:
    payers = {"city": {"permille": 600}, "district": {"permille": 500}, "town": {"rest": True}}
    with pytest.raises(InvalidValue, match="at_most_1000_permille"):
        parse_subsidy(changed("schemes.0.payers", payers))


def test_a_division_is_a_city_a_district_or_a_town() -> None:
    for code in ("4407", "440703", "440703003"):
        assert require_division(code, field="household") == code
    for code in ("", "44", "44070", "4407030030", "0407", "44070３", None):
        with pytest.raises(InvalidValue):
            require_division(code, field="household")


def test_claims_are_asked_by_month_or_quarter() -> None:
    assert (parse_span("2026-02").first, parse_span("2026-02").last) == (date(2026, 2, 1), date(2026, 2, 28))
    fourth = parse_span("2026-Q4")
    assert (fourth.first, fourth.last) == (date(2026, 10, 1), date(2026, 12, 31))
    assert span_of(date(2026, 5, 1), ClaimPeriod.QUARTER).code == "2026-Q2"
    assert span_of(date(2026, 5, 1), ClaimPeriod.MONTH).code == "2026-05"
    for code in ("2026", "2026-13", "2026-Q5", "2026-1", "26-01"):
        with pytest.raises(InvalidValue):
            parse_span(code)


def shares(**fen: int) -> list[Share]:
    return [Share(payer, fen[payer.value]) for payer in Payer if fen.get(payer.value)]


def told(refunded: tuple[Share, ...]) -> dict[str, int]:
    return {share.payer.value: share.fen for share in refunded}


def test_a_whole_refund_gives_everybody_back_what_they_paid() -> None:
    paid = shares(city=300, town=100, points=750, cash=50)
    assert told(refund_shares(paid, 1_200, price=1_200)) == {
        "city": 300,
        "town": 100,
        "points": 750,
        "cash": 50,
    }


def test_the_meal_ordered_beside_the_subsidised_one_goes_back_to_the_elder_alone() -> None:
    paid = shares(city=300, points=2_100)
    assert told(refund_shares(paid, 1_200, price=1_200)) == {"points": 1_200}
    assert told(refund_shares(paid, 1_800, price=1_200)) == {"city": 150, "points": 1_650}


def test_half_a_meal_goes_back_in_proportion_and_the_odd_fen_by_largest_remainder() -> None:
    assert told(refund_shares(shares(city=300, district=1, points=900), 600, price=1_201)) == {
        "city": 150,
        "points": 450,
    }


def test_no_more_goes_back_than_was_paid() -> None:
    for fen in (0, -1, 1_201):
        with pytest.raises(InvalidValue):
            refund_shares(shares(city=300, points=900), fen, price=1_200)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from([p.value for p in Payer]), st.integers(1, 2_000), min_size=1),
    st.integers(1, 3_000),
    st.data(),
)
def test_refunds_one_after_another_sum_exactly_and_never_pass_a_share(
    paid: dict[str, int], price: int, data: st.DataObject
) -> None:
    left = shares(**paid)
    for last in (False, False, True):
        if not left:
            break
        fen = total(left) if last else data.draw(st.integers(1, total(left)))
        back = refund_shares(left, fen, price=price)
        assert total(back) == fen
        given = {share.payer: share.fen for share in back}
        after = [Share(share.payer, share.fen - given.get(share.payer, 0)) for share in left]
        assert all(share.fen >= 0 for share in after)
        left = [share for share in after if share.fen]
    assert not left
