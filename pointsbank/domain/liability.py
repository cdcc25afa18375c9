"""What the community owes its members in meals, against what it has to serve them with.

Every point outstanding is a promise. It is covered by two things: the money that pays the partners (the
fund), and how much the partners can serve within the policy's horizon. The cover ratio is the smaller of the
two; below the policy's line somebody must act: raise money, find partners, or slow what is earned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pointsbank.domain import points
from pointsbank.domain.errors import InvalidValue

PERMILLE = 1_000
COVER_MAX = 10**6
MONTHS_MAX = 60
BACKING_FIELDS = frozenset(
    {"fund_fen", "capacity_milli_points_month", "horizon_months", "cover_warn_permille"}
)


@dataclass(frozen=True, slots=True)
class BackingRules:
    """What stands behind the points, as the policy says it; None: not said, and then it covers nothing.

    fund_fen: money set aside for partners in all. capacity_milli_points_month: what the partners together can
    serve in a month. horizon_months: how long members may have to wait. cover_warn_permille: the line.
    """

    fund_fen: int | None = None
    capacity_milli_points_month: int | None = None
    horizon_months: int = 12
    cover_warn_permille: int = 1_000


class Age(StrEnum):
    """How long ago points were received that are still outstanding."""

    QUARTER = "quarter"  # up to 90 days
    YEAR = "year"  # up to 365
    TWO_YEARS = "two_years"  # up to 730
    OLDER = "older"


AGE_DAYS: Mapping[Age, int | None] = {Age.QUARTER: 90, Age.YEAR: 365, Age.TWO_YEARS: 730, Age.OLDER: None}


@dataclass(frozen=True, slots=True)
class Liability:
    """Outstanding milli-points by age, what they cost in fen, and the covers in permille (None: unknown).

    fen: at the dearest price any item has, rounded up. fund_left: the fund less what has been owed from it.
    """

    by_age: Mapping[Age, int]
    fen: int
    fund_left: int | None
    fund_cover: int | None
    capacity_cover: int | None
    line: int

    @property
    def outstanding(self) -> int:
        """Milli-points that members have, available and held."""
        return sum(self.by_age.values())

    @property
    def cover(self) -> int | None:
        """The cover ratio in permille: the smaller of the known ones; None where the policy tells of none."""
        known = [each for each in (self.fund_cover, self.capacity_cover) if each is not None]
        return min(known) if known else None

    @property
    def low(self) -> bool:
        """Whether the cover is below the policy's line."""
        return self.cover is not None and self.cover < self.line


def age_of(days: int) -> Age:
    """Return the age of points received so many days ago."""
    return next(age for age, most in AGE_DAYS.items() if most is None or days <= most)


def liability(
    by_days: Iterable[tuple[int, int]],
    *,
    prices: Iterable[tuple[int, int]],
    owed_fen: int,
    rules: BackingRules,
) -> Liability:
    """Return the report. by_days: (days ago, milli-points) outstanding. prices: (milli-points, fen) of items.

    owed_fen: what the partners have earned of the fund so far, paid or not.
    """
    by_age = dict.fromkeys(Age, 0)
    for days, amount in by_days:
        by_age[age_of(days)] += amount
    outstanding = sum(by_age.values())
    fen = max((-(-outstanding * fen // milli) for milli, fen in prices), default=0)
    left = None if rules.fund_fen is None else max(0, rules.fund_fen - owed_fen)
    served = rules.capacity_milli_points_month
    return Liability(
        by_age,
        fen,
        left,
        None if left is None else _cover(left, fen),
        None if served is None else _cover(served * rules.horizon_months, outstanding),
        rules.cover_warn_permille,
    )


def _cover(has: int, owes: int) -> int:
    return min(COVER_MAX, has * PERMILLE // owes) if owes else COVER_MAX


def parse_backing(body: Mapping[str, Any]) -> BackingRules:
    """Return what a policy document says stands behind the points; an older one says nothing.

    Raises InvalidValue naming the field that is wrong or not known.
    """
    told = body.get("backing", {})
    if not isinstance(told, Mapping):
        raise InvalidValue(field="backing", rule="object")
    for name in told:
        if name not in BACKING_FIELDS:
            raise InvalidValue(field=f"backing.{name}", rule="unknown_field")
    default = BackingRules()

    return BackingRules(
        _whole(told, "fund_fen", 0, points.AMOUNT_MAX) if told.get("fund_fen") is not None else None,
        _whole(told, "capacity_milli_points_month", 0, points.AMOUNT_MAX)
        if told.get("capacity_milli_points_month") is not None
        else None,
        _whole(told, "horizon_months", 1, MONTHS_MAX, default.horizon_months),
        _whole(told, "cover_warn_permille", 0, COVER_MAX, default.cover_warn_permille),
    )


def _whole(told: Mapping[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    field = f"backing.{name}"
    value = points.whole(told.get(name, default), field=field)
    if not low <= value <= high:
        raise InvalidValue(field=field, rule=f"between_{low}_and_{high}")
    return value
