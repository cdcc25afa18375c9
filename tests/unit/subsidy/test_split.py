"""Who pays for a meal: worked by hand from published practice, and true of any policy."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.points import points_for_part
from pointsbank.domain.subsidy.parse import parse_subsidy
from pointsbank.domain.subsidy.payers import SUBSIDISING, Diner, Hardship, Meal, Payer, Reach, age_on, total
from pointsbank.domain.subsidy.rules import Scheme, SubsidyRules
from pointsbank.domain.subsidy.split import MealAlreadySubsidised, MealOrder, Split, split_meal
from tests.unit.subsidy.practice import (
    DAY,
    GUANGZHOU,
    OTHER_CITY,
    OTHER_DISTRICT,
    OTHER_TOWN,
    ZENGCHENG,
    ZHENGGUO,
    lunch,
    rules,
)

LOW_INCOME = Hardship.LOW_INCOME


def parts(split: Split) -> dict[str, int]:
    """What each payer pays, in fen."""
    return {share.payer.value: share.fen for share in split.shares}


def eat(document: dict[str, Any], diner: Diner, order: MealOrder | None = None, **changes: Any) -> Split:
    """Split one meal of somebody who has not eaten."""
    return split_meal(rules(document, **changes), diner, order or lunch(), eaten=False)


# age, hardship, table → city, district, town, the elder; yuan, from the guide's table of a 12-yuan meal.
ZENGCHENG_TABLE = [
    (65, LOW_INCOME, "canteen", (3, 3, 5, 1)),
    (85, LOW_INCOME, "canteen", (3, 3, 5, 1)),
    (80, None, "canteen", (3, 3, 3, 3)),
    (95, None, "canteen", (3, 3, 3, 3)),
    (60, None, "canteen", (3, 3, 1, 5)),
    (79, None, "canteen", (3, 3, 1, 5)),
    (65, LOW_INCOME, "next_town", (3, 3, 0, 6)),
    (80, None, "next_town", (3, 3, 0, 6)),
    (60, None, "next_town", (3, 3, 0, 6)),
    (65, LOW_INCOME, "next_district", (3, 0, 0, 9)),
    (80, None, "next_district", (3, 0, 0, 9)),
    (60, None, "next_district", (3, 0, 0, 9)),
    (59, None, "canteen", (0, 0, 0, 12)),
    (59, LOW_INCOME, "canteen", (0, 0, 0, 12)),
]


@pytest.mark.parametrize(("age", "hardship", "table", "yuan"), ZENGCHENG_TABLE)
def test_a_zengcheng_meal_is_shared_as_the_towns_guide_says(
    age: int, hardship: Hardship | None, table: str, yuan: tuple[int, ...]
) -> None:
    split = eat(ZENGCHENG, Diner(age, hardship, ZHENGGUO), lunch(at=table))
    paid = [split.part(payer) for payer in (Payer.CITY, Payer.DISTRICT, Payer.TOWN)]
    assert (*paid, split.elder_fen) == tuple(each * 100 for each in yuan)


# price → what the city pays; fen.
GUANGZHOU_TABLE = [
    (1_200, 300),
    (1_000, 250),
    (600, 150),
    (1_500, 300),
    (999, 249),
    (1_201, 300),
    (3, 0),
    (0, 0),
]


@pytest.mark.parametrize(("price", "city"), GUANGZHOU_TABLE)
@pytest.mark.parametrize("meal", [Meal.LUNCH, Meal.DINNER])
def test_a_guangzhou_meal_is_helped_by_a_quarter_of_its_price_and_at_most_three_yuan(
    price: int, city: int, meal: Meal
) -> None:
    split = eat(GUANGZHOU, Diner(60, None, ZHENGGUO), lunch(price, meal=meal))
    assert (split.part(Payer.CITY), split.elder_fen) == (city, price - city)


def test_breakfast_is_not_helped_in_guangzhou() -> None:
    assert not eat(GUANGZHOU, Diner(70, None, ZHENGGUO), lunch(meal=Meal.BREAKFAST)).subsidised


def test_a_city_pays_for_its_own_people_only() -> None:
    assert eat(GUANGZHOU, Diner(70, None, OTHER_DISTRICT)).part(Payer.CITY) == 300
    assert not eat(GUANGZHOU, Diner(70, None, OTHER_CITY)).subsidised
    assert not eat(GUANGZHOU, Diner(70, None, ZHENGGUO), lunch(at="far")).subsidised


def test_a_household_or_a_table_nobody_knows_of_has_no_government() -> None:
    assert not eat(ZENGCHENG, Diner(85)).subsidised
    assert not eat(ZENGCHENG, Diner(85, None, ZHENGGUO), lunch(at="elsewhere")).subsidised
    known_district = eat(ZENGCHENG, Diner(85, None, ZHENGGUO[:6]))
    assert parts(known_district) == {"city": 300, "district": 300, "points": 600}


def test_who_has_not_told_a_birthday_is_of_no_group_by_age() -> None:
    assert not eat(ZENGCHENG, Diner(None, LOW_INCOME, ZHENGGUO)).subsidised


def test_a_lost_part_is_told_and_paid_by_the_elder_and_taken_by_no_other_payer() -> None:
    split = eat(ZENGCHENG, Diner(85, None, ZHENGGUO), lunch(at="next_district"))
    assert parts(split) == {"city": 300, "points": 900}
    assert [(share.payer, share.fen, share.place) for share in split.lost] == [
        (Payer.DISTRICT, 300, "440118"),
        (Payer.TOWN, 300, ZHENGGUO),
    ]


def test_a_share_names_which_city_district_or_town_pays_it() -> None:
    split = eat(ZENGCHENG, Diner(85, None, ZHENGGUO))
    assert [share.place for share in split.shares] == ["4401", "440118", "440118108", None]


def test_the_first_group_that_fits_decides() -> None:
    assert eat(ZENGCHENG, Diner(85, LOW_INCOME, ZHENGGUO)).tier == "hardship_60"
    assert eat(ZENGCHENG, Diner(85, Hardship.BEREAVED, ZHENGGUO)).tier == "aged_80"


def test_a_meal_of_the_day_is_helped_once_over_all_canteens() -> None:
    again = split_meal(rules(ZENGCHENG), Diner(85, None, ZHENGGUO), lunch(), eaten=True)
    assert (parts(again), again.second, again.tier) == ({"points": 1_200}, True, None)
    refusing = rules(ZENGCHENG, second_meal="refused")
    with pytest.raises(MealAlreadySubsidised):
        split_meal(refusing, Diner(85, None, ZHENGGUO), lunch(), eaten=True)
    with pytest.raises(MealAlreadySubsidised):
        split_meal(refusing, Diner(85, None, ZHENGGUO), lunch(quantity=2), eaten=False)


def test_a_second_meal_that_nobody_would_have_helped_with_is_not_refused() -> None:
    refusing = rules(ZENGCHENG, second_meal="refused")
    assert not split_meal(refusing, Diner(30), lunch(), eaten=True).subsidised


def test_one_of_two_meals_ordered_at_once_is_helped() -> None:
    split = eat(ZENGCHENG, Diner(85, None, ZHENGGUO), lunch(quantity=2))
    assert parts(split) == {"city": 300, "district": 300, "town": 300, "points": 1_500}


def test_the_elder_always_pays_the_least_that_the_policy_says() -> None:
    diner = Diner(65, LOW_INCOME, ZHENGGUO)
    assert parts(eat(ZENGCHENG, diner, lunch(800), elder_fen_min=100)) == {
        "city": 300,
        "district": 300,
        "town": 100,
        "points": 100,
    }
    assert parts(eat(ZENGCHENG, diner, lunch(450), elder_fen_min=100)) == {
        "city": 300,
        "district": 50,
        "points": 100,
    }
    assert parts(eat(ZENGCHENG, diner, lunch(80), elder_fen_min=100)) == {"points": 80}


def shared(payers: dict[str, Any], *, fen: int = 100, **more: Any) -> dict[str, Any]:
    scheme = {"code": "s", "meals": ["lunch"], "tiers": [{"code": "all", "fen": fen}], "payers": payers}
    return {"places": {"canteen": ZHENGGUO}, "schemes": [scheme], **more}


def test_every_fen_that_rounding_leaves_goes_to_the_payer_of_the_rest() -> None:
    thirds = {"city": {"permille": 333}, "district": {"permille": 333}, "town": {"rest": True}}
    split = eat(shared(thirds, fen=101), Diner(None, None, ZHENGGUO))
    assert parts(split) == {"city": 33, "district": 33, "town": 35, "points": 1_099}
    other = {"city": {"rest": True}, "district": {"permille": 333}, "town": {"permille": 333}}
    split = eat(shared(other, fen=101), Diner(None, None, ZHENGGUO))
    assert parts(split) == {"city": 35, "district": 33, "town": 33, "points": 1_099}


def test_what_a_payer_does_not_pay_beyond_its_cap_the_elder_pays() -> None:
    payers = {"city": {"permille": 500, "cap_fen": 30}, "district": {"rest": True, "cap_fen": 40}}
    split = eat(shared(payers), Diner(None, None, ZHENGGUO))
    assert parts(split) == {"city": 30, "district": 40, "points": 1_130}


def test_a_payer_may_be_told_to_pay_wherever_its_people_eat() -> None:
    payers = {"city": {"permille": 500}, "town": {"rest": True, "reach": "district"}}
    split = eat(shared(payers), Diner(None, None, OTHER_TOWN))
    assert parts(split) == {"city": 50, "town": 50, "points": 1_100}


def test_two_subsidies_add_up_and_never_pass_the_price() -> None:
    first = shared({"community": {"rest": True}}, fen=150)["schemes"]
    both = {"schemes": [*first, *first]}
    assert parts(eat(both, Diner())) == {"community": 300, "points": 900}
    assert parts(eat(both, Diner(), lunch(200))) == {"community": 199, "points": 1}


def test_the_elders_part_is_paid_in_points_and_the_policys_share_of_it_at_the_counter() -> None:
    split = eat(ZENGCHENG, Diner(85, None, ZHENGGUO), lunch(1_201), points_permille=500)
    assert parts(split) == {"city": 300, "district": 300, "town": 300, "points": 151, "cash": 150}


def test_points_are_due_for_the_elders_part_at_the_items_own_rate() -> None:
    assert points_for_part(10_000, part=1_200, whole=1_200) == 10_000
    assert points_for_part(10_000, part=300, whole=1_200) == 2_500
    assert points_for_part(10_000, part=1, whole=1_200) == 8
    assert points_for_part(1, part=1, whole=1_200) == 1
    assert points_for_part(10_000, part=0, whole=0) == 10_000


@pytest.mark.parametrize(
    ("born_on", "day", "age"),
    [
        (date(1966, 3, 10), DAY, 59),
        (date(1966, 3, 9), DAY, 60),
        (date(1964, 2, 29), date(2026, 2, 28), 61),
        (date(1964, 2, 29), date(2026, 3, 1), 62),
        (None, DAY, None),
    ],
)
def test_a_year_of_age_is_full_on_the_birthday(born_on: date | None, day: date, age: int | None) -> None:
    assert age_on(born_on, day) == age


def test_what_is_no_price_or_number_is_refused() -> None:
    for order in (lunch(-1), lunch(quantity=0)):
        with pytest.raises(InvalidValue):
            eat(ZENGCHENG, Diner(85, None, ZHENGGUO), order)


# --- true of any policy -------------------------------------------------------------------------------------

FEN = st.integers(0, 3_000)
PLACES = st.sampled_from([None, ZHENGGUO, OTHER_TOWN, OTHER_DISTRICT, OTHER_CITY, "4401", "440118"])
CAPS = st.none() | FEN
DINERS = st.builds(Diner, st.none() | st.integers(0, 110), st.none() | st.sampled_from(Hardship), PLACES)
ORDERS = st.builds(
    lambda price, at, quantity: lunch(price, at=at, quantity=quantity),
    FEN,
    st.sampled_from(["canteen", "next_town", "next_district", "elsewhere"]),
    st.integers(1, 3),
)


@st.composite
def payer_tables(draw: st.DrawFn) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(SUBSIDISING), min_size=1, unique=True))
    table: dict[str, Any] = {}
    for payer in chosen[1:]:
        table[payer.value] = draw(
            st.fixed_dictionaries({"fen": FEN}) | st.fixed_dictionaries({"permille": st.integers(0, 333)})
        )
    table[chosen[0].value] = {"rest": True}
    for part in table.values():
        part |= {"reach": draw(st.sampled_from(Reach)).value, "cap_fen": draw(CAPS)}
    return dict(draw(st.permutations(list(table.items()))))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    def tier(number: int) -> dict[str, Any]:
        amount = draw(st.sampled_from(["fen", "permille"]))
        return {
            "code": f"t{number}",
            "age_from": draw(st.none() | st.integers(0, 60)),
            amount: draw(FEN if amount == "fen" else st.integers(0, 1_000)),
            "cap_fen": draw(CAPS),
        }

    schemes = [
        {
            "code": f"s{number}",
            "meals": ["lunch"],
            "tiers": [tier(each) for each in range(draw(st.integers(1, 3)))],
            "payers": draw(payer_tables()),
        }
        for number in range(draw(st.integers(0, 3)))
    ]
    return {
        "places": ZENGCHENG["places"],
        "schemes": schemes,
        "elder_fen_min": draw(st.integers(1, 300)),
        "points_permille": draw(st.integers(1, 1_000)),
    }


@settings(max_examples=60, deadline=None)
@given(documents(), DINERS, ORDERS, st.booleans())
def test_the_parts_of_any_meal_sum_to_its_price_and_none_is_negative(
    document: dict[str, Any], diner: Diner, order: MealOrder, eaten: bool
) -> None:
    split = split_meal(parse_subsidy(document), diner, order, eaten=eaten)
    assert total(split.shares) == split.fen == order.price * order.quantity
    assert all(share.fen > 0 for share in (*split.shares, *split.lost))
    assert [share.payer for share in split.shares] == [p for p in Payer if p.value in parts(split)]
    assert split.elder_fen >= min(split.fen, document["elder_fen_min"])
    assert not (eaten and split.subsidised)


@settings(max_examples=60, deadline=None)
@given(documents(), DINERS, ORDERS)
def test_no_payer_pays_beyond_its_caps_or_where_it_does_not_reach(
    document: dict[str, Any], diner: Diner, order: MealOrder
) -> None:
    split = split_meal(parse_subsidy(document), diner, order, eaten=False)
    for payer in SUBSIDISING:
        said = [s["payers"][payer.value] for s in document["schemes"] if payer.value in s["payers"]]
        caps = [part["cap_fen"] for part in said]
        if None not in caps:
            assert split.part(payer) <= sum(caps)
        digits = {"city": 4, "district": 6, "town": 9}
        table = document["places"].get(order.partner, "")
        at_home = [
            part["reach"] == "anywhere"
            or (
                len(diner.household or "") >= digits[part["reach"]]
                and table[: digits[part["reach"]]] == (diner.household or "")[: digits[part["reach"]]]
            )
            for part in said
        ]
        assert any(at_home) or split.part(payer) == 0


@settings(max_examples=60, deadline=None)
@given(documents(), DINERS, ORDERS, st.randoms(use_true_random=False))
def test_the_order_of_payers_in_the_document_changes_nothing(
    document: dict[str, Any], diner: Diner, order: MealOrder, shuffle: random.Random
) -> None:
    def turned(scheme: dict[str, Any]) -> dict[str, Any]:
        listed = list(scheme["payers"].items())
        shuffle.shuffle(listed)
        return scheme | {"payers": dict(listed)}

    other = document | {"schemes": [turned(scheme) for scheme in document["schemes"]]}
    ask = (diner, order)
    first = split_meal(parse_subsidy(document), *ask, eaten=False)
    assert first == split_meal(parse_subsidy(other), *ask, eaten=False)
    assert first == split_meal(parse_subsidy(document), *ask, eaten=False)


@settings(max_examples=60, deadline=None)
@given(documents(), DINERS, ORDERS)
def test_paid_and_lost_parts_together_are_what_the_groups_were_promised(
    document: dict[str, Any], diner: Diner, order: MealOrder
) -> None:
    read = parse_subsidy(document)
    for scheme in read.schemes:
        alone = SubsidyRules(places=read.places, schemes=(scheme,), elder_fen_min=read.elder_fen_min)
        split = split_meal(alone, diner, order, eaten=False)
        subsidised = split.fen - split.elder_fen
        assert subsidised + total(split.lost) == _promised(scheme, diner, order, read.elder_fen_min)


def _promised(scheme: Scheme, diner: Diner, order: MealOrder, least: int) -> int:
    tier = next((each for each in scheme.tiers if each.fits(diner)), None)
    return min(tier.subsidy(order.price), max(0, order.price - least)) if tier else 0
