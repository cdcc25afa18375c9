"""The subsidies of two places, as policy documents say them, and people who eat there."""

from __future__ import annotations

from datetime import date
from typing import Any

from pointsbank.domain.subsidy.parse import parse_subsidy
from pointsbank.domain.subsidy.payers import Meal
from pointsbank.domain.subsidy.rules import SubsidyRules
from pointsbank.domain.subsidy.split import MealOrder

ZHENGGUO = "440118108"
"""A town of Zengcheng, a district of Guangzhou."""
OTHER_TOWN = "440118106"
OTHER_DISTRICT = "440106013"
OTHER_CITY = "440703003"

ZENGCHENG: dict[str, Any] = {
    "meals": {"canteen": {"lunch": "lunch", "dinner": "dinner"}},
    "places": {"canteen": ZHENGGUO, "next_town": OTHER_TOWN, "next_district": OTHER_DISTRICT},
    "schemes": [
        {
            "code": "zengcheng",
            "meals": ["lunch", "dinner"],
            "tiers": [
                {
                    "code": "hardship_60",
                    "age_from": 60,
                    "hardships": ["destitute", "minimum_living", "low_income", "entitled"],
                    "fen": 1_100,
                },
                {"code": "aged_80", "age_from": 80, "fen": 900},
                {"code": "aged_60_79", "age_from": 60, "age_to": 79, "fen": 700},
            ],
            "payers": {"city": {"fen": 300}, "district": {"fen": 300}, "town": {"rest": True}},
        }
    ],
}
"""Zhengguo town's guide of 2020-03-05: a meal of 12 yuan; hardship 11, from 80 on 9, from 60 to 79 7."""

GUANGZHOU: dict[str, Any] = {
    "places": {"canteen": ZHENGGUO, "far": OTHER_CITY},
    "schemes": [
        {
            "code": "quarter",
            "meals": ["lunch", "dinner"],
            "tiers": [{"code": "aged_60", "age_from": 60, "permille": 250, "cap_fen": 300}],
            "payers": {"city": {"rest": True}},
        }
    ],
}
"""Guangzhou, 2025: a quarter of the price, at most 3 yuan, lunch and dinner, one a person a meal."""

DAY = date(2026, 3, 9)


def rules(document: dict[str, Any], **changes: Any) -> SubsidyRules:
    """Return a document's rules, some of its fields changed."""
    return parse_subsidy(document | changes)


def lunch(
    price: int = 1_200, *, at: str = "canteen", quantity: int = 1, meal: Meal = Meal.LUNCH
) -> MealOrder:
    """Return an order of one meal."""
    return MealOrder(at, meal, DAY, price, quantity)
