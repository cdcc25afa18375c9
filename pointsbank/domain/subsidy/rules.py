"""The subsidy section of a policy: which meals are helped, for whom, by how much, and who pays it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pointsbank.domain.subsidy.payers import OWN_REACH, Diner, Hardship, Meal, Payer, Reach

PERMILLE = 1_000


class SecondMeal(StrEnum):
    """What becomes of a meal somebody has had subsidised already that day, at whichever canteen."""

    REFUSED = "refused"
    UNSUBSIDISED = "unsubsidised"


class ClaimPeriod(StrEnum):
    """How often the payers are asked for what they owe."""

    MONTH = "month"
    QUARTER = "quarter"


@dataclass(frozen=True, slots=True)
class Part:
    """What one payer takes of a subsidy: so many ``fen``, ``permille`` of it, or (neither) the rest.

    reach: where it pays. cap_fen: the most it pays for a meal.
    """

    fen: int | None = None
    permille: int | None = None
    reach: Reach = Reach.ANYWHERE
    cap_fen: int | None = None

    @property
    def is_rest(self) -> bool:
        """Whether this payer takes what the others leave, with all that rounding leaves."""
        return self.fen is None and self.permille is None


@dataclass(frozen=True, slots=True)
class Tier:
    """A group of elders and the subsidy of one meal: ``fen``, or ``permille`` of the price up to ``cap_fen``.

    ages: from and to, both included, None for no bound. hardships: any of these; empty: not asked.
    """

    code: str
    age_from: int | None = None
    age_to: int | None = None
    hardships: frozenset[Hardship] = frozenset()
    fen: int | None = None
    permille: int | None = None
    cap_fen: int | None = None
    payers: Mapping[Payer, Part] | None = None

    def fits(self, diner: Diner) -> bool:
        """Tell whether somebody is of this group; who has not told a birthday is of no group by age."""
        if self.hardships and diner.hardship not in self.hardships:
            return False
        if self.age_from is None and self.age_to is None:
            return True
        if diner.age is None:
            return False
        return (self.age_from is None or self.age_from <= diner.age) and (
            self.age_to is None or diner.age <= self.age_to
        )

    def subsidy(self, price: int) -> int:
        """Return the subsidy of a meal at ``price`` fen, whole fen, a share of the price rounded down."""
        wanted = self.fen if self.fen is not None else price * (self.permille or 0) // PERMILLE
        return min(wanted, price if self.cap_fen is None else self.cap_fen)


@dataclass(frozen=True, slots=True)
class Scheme:
    """One subsidy: the meals it is for, its groups (the first that fits is the one), and who pays it."""

    code: str
    meals: frozenset[Meal]
    tiers: tuple[Tier, ...]
    payers: Mapping[Payer, Part]

    def tier_of(self, diner: Diner) -> Tier | None:
        """Return the first group that fits."""
        return next((tier for tier in self.tiers if tier.fits(diner)), None)


@dataclass(frozen=True, slots=True)
class SubsidyRules:
    """All of a policy's subsidies; what a document without the section says is none.

    meals: by partner and item, which meal an item is. places: the division each partner's table stands in.
    elder_fen_min: what the elder pays of a meal at least. points_permille: how much of the elder's part is
    paid by points; the rest, rounded down, is paid at the counter.
    """

    meals: Mapping[tuple[str, str], Meal] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    schemes: tuple[Scheme, ...] = ()
    second_meal: SecondMeal = SecondMeal.UNSUBSIDISED
    claim: ClaimPeriod = ClaimPeriod.MONTH
    elder_fen_min: int = 1
    points_permille: int = PERMILLE

    def meal_of(self, partner: str, item: str) -> Meal | None:
        """Return which meal an item is; None: it is no meal, and nobody shares in it."""
        return self.meals.get((partner, item))


def own_reach(payer: Payer) -> Reach:
    """Return where a payer pays when the policy does not say."""
    return OWN_REACH[payer]
