"""Reading the subsidy section of a policy document: strict, so that a misspelt rule is never lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from pointsbank.domain import points
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.subsidy.payers import SUBSIDISING, Hardship, Meal, Payer, Reach, require_division
from pointsbank.domain.subsidy.rules import (
    PERMILLE,
    ClaimPeriod,
    Part,
    Scheme,
    SecondMeal,
    SubsidyRules,
    Tier,
    own_reach,
)

SECTION = "subsidy"
FEN_MAX = 100_000
"""No single meal costs more than 1,000 yuan."""
AGE_MAX = 150
SCHEMES_MAX = 10
TIERS_MAX = 20
CODE = re.compile(r"[a-z0-9_.-]{1,40}")

FIELDS = frozenset({"meals", "places", "schemes", "second_meal", "claim", "elder_fen_min", "points_permille"})
SCHEME_FIELDS = frozenset({"code", "meals", "tiers", "payers"})
TIER_FIELDS = frozenset({"code", "age_from", "age_to", "hardships", "fen", "permille", "cap_fen", "payers"})
PART_FIELDS = frozenset({"fen", "permille", "rest", "reach", "cap_fen"})

Word = TypeVar("Word", bound=StrEnum)


def parse_subsidy(told: Mapping[str, Any] | None) -> SubsidyRules:
    """Return the rules a document's section says; None: those of a document without one, which are none.

    Raises InvalidValue naming the field that is wrong, or that is not known.
    """
    if told is None:
        return SubsidyRules()
    _only(_object(told, SECTION), FIELDS, SECTION)
    return SubsidyRules(
        meals=_meals(told.get("meals", {})),
        places={
            _code(partner, "places"): _division(place, f"{SECTION}.places.{partner}")
            for partner, place in _object(told.get("places", {}), "places").items()
        },
        schemes=tuple(
            _scheme(each, f"{SECTION}.schemes[{index}]")
            for index, each in enumerate(_list(told.get("schemes", []), "schemes", SCHEMES_MAX))
        ),
        second_meal=_word(told.get("second_meal", SecondMeal.UNSUBSIDISED), SecondMeal, "second_meal"),
        claim=_word(told.get("claim", ClaimPeriod.MONTH), ClaimPeriod, "claim"),
        elder_fen_min=_number(told.get("elder_fen_min", 1), 1, FEN_MAX, "elder_fen_min"),
        points_permille=_number(told.get("points_permille", PERMILLE), 1, PERMILLE, "points_permille"),
    )


def _meals(told: Any) -> dict[tuple[str, str], Meal]:
    return {
        (_code(partner, "meals"), _code(item, "meals")): _word(
            meal, Meal, f"{SECTION}.meals.{partner}.{item}"
        )
        for partner, items in _object(told, "meals").items()
        for item, meal in _object(items, f"meals.{partner}").items()
    }


def _scheme(told: Any, path: str) -> Scheme:
    _only(_object(told, path), SCHEME_FIELDS, path)
    tiers = tuple(
        _tier(each, f"{path}.tiers[{index}]")
        for index, each in enumerate(_list(told.get("tiers"), f"{path}.tiers", TIERS_MAX))
    )
    if len({tier.code for tier in tiers}) < len(tiers):
        where = f"{path}.tiers"
        raise InvalidValue(field=where, rule="unique")
    return Scheme(
        code=_code(told.get("code"), f"{path}.code"),
        meals=frozenset(
            _word(meal, Meal, f"{path}.meals")
            for meal in _list(told.get("meals"), f"{path}.meals", len(Meal))
        ),
        tiers=tiers,
        payers=_payers(told.get("payers"), f"{path}.payers"),
    )


def _tier(told: Any, path: str) -> Tier:
    _only(_object(told, path), TIER_FIELDS, path)
    fen, permille = _maybe(told, "fen", 0, FEN_MAX, path), _maybe(told, "permille", 0, PERMILLE, path)
    if (fen is None) == (permille is None):
        raise InvalidValue(field=path, rule="fen_or_permille")
    low, high = _maybe(told, "age_from", 0, AGE_MAX, path), _maybe(told, "age_to", 0, AGE_MAX, path)
    if low is not None and high is not None and high < low:
        where = f"{path}.age_to"
        raise InvalidValue(field=where, rule="in_order")
    listed = _list(told.get("hardships", []), f"{path}.hardships", len(Hardship))
    return Tier(
        code=_code(told.get("code"), f"{path}.code"),
        age_from=low,
        age_to=high,
        hardships=frozenset(_word(each, Hardship, f"{path}.hardships") for each in listed),
        fen=fen,
        permille=permille,
        cap_fen=_maybe(told, "cap_fen", 0, FEN_MAX, path),
        payers=_payers(told["payers"], f"{path}.payers") if "payers" in told else None,
    )


def _payers(told: Any, path: str) -> dict[Payer, Part]:
    """Read who pays; exactly one takes the rest, so that no fen is ever left over."""
    parts: dict[Payer, Part] = {}
    for name, said in _object(told, path).items():
        payer = _word(name, Payer, path)
        if payer not in SUBSIDISING:
            where = f"{path}.{name}"
            raise InvalidValue(field=where, rule="known_value")
        parts[payer] = _part(payer, said, f"{path}.{name}")
    if sum(part.is_rest for part in parts.values()) != 1:
        raise InvalidValue(field=path, rule="one_takes_the_rest")
    if sum(part.permille or 0 for part in parts.values()) > PERMILLE:
        raise InvalidValue(field=path, rule="at_most_1000_permille")
    return parts


def _part(payer: Payer, told: Any, path: str) -> Part:
    _only(_object(told, path), PART_FIELDS, path)
    rest = told.get("rest", False)
    if type(rest) is not bool:
        where = f"{path}.rest"
        raise InvalidValue(field=where, rule="true_or_false")
    fen, permille = _maybe(told, "fen", 0, FEN_MAX, path), _maybe(told, "permille", 0, PERMILLE, path)
    if [fen is not None, permille is not None, rest].count(True) != 1:
        raise InvalidValue(field=path, rule="fen_permille_or_rest")
    return Part(
        fen=fen,
        permille=permille,
        reach=_word(told.get("reach", own_reach(payer)), Reach, f"{path}.reach"),
        cap_fen=_maybe(told, "cap_fen", 0, FEN_MAX, path),
    )


def _division(told: Any, path: str) -> str:
    return require_division(told, field=path)


def _object(told: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise InvalidValue(field=path, rule="object")
    return told


def _list(told: Any, path: str, longest: int) -> list[Any]:
    if not isinstance(told, list):
        raise InvalidValue(field=path, rule="list")
    if len(told) > longest:
        raise InvalidValue(field=path, rule=f"at_most_{longest}")
    return told


def _only(told: Mapping[str, Any], known: frozenset[str], path: str) -> None:
    for name in told:
        if name not in known:
            where = f"{path}.{name}"
            raise InvalidValue(field=where, rule="unknown_field")


def _word(told: Any, words: type[Word], path: str) -> Word:
    if not isinstance(told, str) or told not in set(words):
        raise InvalidValue(field=path, rule="known_value")
    return words(told)


def _code(told: Any, path: str) -> str:
    if not isinstance(told, str) or not CODE.fullmatch(told):
        raise InvalidValue(field=path, rule="characters")
    return told


def _number(told: Any, low: int, high: int, path: str) -> int:
    value = points.whole(told, field=path)
    if not low <= value <= high:
        raise InvalidValue(field=path, rule=f"between_{low}_and_{high}")
    return value


def _maybe(told: Mapping[str, Any], name: str, low: int, high: int, path: str) -> int | None:
    return None if told.get(name) is None else _number(told[name], low, high, f"{path}.{name}")


QUARTER_OF_THE_PRICE: dict[str, Any] = {
    "code": "quarter",
    "meals": ["lunch", "dinner"],
    "tiers": [{"code": "aged_60", "age_from": 60, "permille": 250, "cap_fen": 300}],
    "payers": {"city": {"rest": True}},
}
"""A quarter of the price, at most 3 yuan, to everybody of 60 registered in the city (Guangzhou)."""

DEFAULT_SUBSIDY: dict[str, Any] = {
    "meals": {"canteen": {"lunch_set": "lunch", "soft_lunch": "lunch", "dinner_set": "dinner"}},
    "places": {},
    "schemes": [QUARTER_OF_THE_PRICE],
    "second_meal": "unsubsidised",
    "claim": "month",
    "elder_fen_min": 100,
    "points_permille": 1_000,
}
"""What a new community starts with. No government pays until the policy says where the canteen stands
(``places``) and the elder's household is known."""
