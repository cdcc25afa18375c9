"""Who may pay a part of a meal, at which table, and for whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from pointsbank.domain.errors import InvalidValue

DIVISION = re.compile(r"[1-9][0-9]{3}([0-9]{2}([0-9]{3})?)?")


class Payer(StrEnum):
    """Who pays. Parts are taken, told and rounded in this order, whatever order a document lists them in."""

    CITY = "city"  # 市财政
    DISTRICT = "district"  # 区财政
    TOWN = "town"  # 镇街
    COMMUNITY = "community"  # 社区
    POINTS = "points"  # the elder, by points
    CASH = "cash"  # the elder, at the counter


GOVERNMENT = (Payer.CITY, Payer.DISTRICT, Payer.TOWN)
SUBSIDISING = (*GOVERNMENT, Payer.COMMUNITY)


class Meal(StrEnum):
    """Which meal of the day."""

    BREAKFAST = "breakfast"
    LUNCH = "lunch"
    DINNER = "dinner"


class Hardship(StrEnum):
    """Why an elder is helped more than by age alone, as the civil affairs office has certified it."""

    DESTITUTE = "destitute"  # 特困人员
    MINIMUM_LIVING = "minimum_living"  # 低保
    LOW_INCOME = "low_income"  # 低收入(低保边缘)
    ENTITLED = "entitled"  # 优抚对象
    BEREAVED = "bereaved"  # 计划生育特殊家庭


class Reach(StrEnum):
    """Where a payer pays: where the meal is eaten in the elder's own city, district or town, or anywhere."""

    CITY = "city"
    DISTRICT = "district"
    TOWN = "town"
    ANYWHERE = "anywhere"


DIGITS = {Reach.CITY: 4, Reach.DISTRICT: 6, Reach.TOWN: 9, Reach.ANYWHERE: 4}
OWN_REACH = {
    Payer.CITY: Reach.CITY,
    Payer.DISTRICT: Reach.DISTRICT,
    Payer.TOWN: Reach.TOWN,
    Payer.COMMUNITY: Reach.ANYWHERE,
}
"""Where a payer pays unless the policy says otherwise: for its own people at its own tables."""


def require_division(code: object, *, field: str) -> str:
    """Return ``code`` if it is an administrative division: 4 digits a city, 6 a district, 9 a town.

    As GB/T 2260 (province, city, county: two digits each) and GB/T 10114 (three more for the town) write
    them; a longer code begins with those it lies in. Raises InvalidValue.
    """
    if not isinstance(code, str) or not DIVISION.fullmatch(code):
        raise InvalidValue(field=field, rule="division_code")
    return code


def division_at(code: str | None, reach: Reach) -> str | None:
    """Return the city, district or town that a division is or lies in; None where the code does not say."""
    digits = DIGITS[reach]
    return code[:digits] if code is not None and len(code) >= digits else None


def payers_place(payer: Payer, household: str | None) -> str | None:
    """Return which city, district or town pays for an elder registered at ``household``."""
    return division_at(household, Reach(payer.value)) if payer in GOVERNMENT else None


@dataclass(frozen=True, slots=True)
class Diner:
    """What a split needs to know of who eats, on the day eaten.

    age: full years, None when the birthday is not known. household: the division of the household register.
    """

    age: int | None = None
    hardship: Hardship | None = None
    household: str | None = None


def age_on(born_on: date | None, day: date) -> int | None:
    """Return full years of age on ``day``: a year is full on the birthday (of 29 February, on 1 March)."""
    if born_on is None:
        return None
    return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))


@dataclass(frozen=True, slots=True)
class Share:
    """What one payer pays of an order. fen: above 0. place: which city, district or town it is."""

    payer: Payer
    fen: int
    place: str | None = None


def total(shares: Sequence[Share]) -> int:
    """Return the sum of shares in fen."""
    return sum(share.fen for share in shares)
