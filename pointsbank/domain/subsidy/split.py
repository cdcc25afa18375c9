"""The split of a meal's price among its payers.

One meal of one person is subsidised; what is ordered beside it, the elder pays. For each scheme:

1. The group that fits names the subsidy of the meal; it never leaves the elder less than ``elder_fen_min``.
2. Payers take their parts of it in the order of :class:`Payer`: fixed amounts whole, shares rounded down to
   the fen; the one payer that takes the rest takes what all others leave, and so every fen of rounding.
3. A part beyond its payer's cap, or of a payer that does not pay at this table for this household, is lost:
   no other payer takes it, the elder pays it.

What is left is the elder's: by points, and in the policy's share (rounded down) in cash; points take what
rounding leaves. So the parts sum to the price, to the fen.

Sources: Guangzhou Zengcheng, Zhengguo town's guide of 2020-03-05 (fixed amounts by group, the city 3, the
district 3, the town the rest, the town's part lost in another town and the district's in another district);
Guangzhou's rule of 2025 (a quarter of the price, at most 3 yuan, lunch and dinner, one a person a meal).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pointsbank.domain import points
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.subsidy.payers import (
    SUBSIDISING,
    Diner,
    Meal,
    Payer,
    Reach,
    Share,
    division_at,
    payers_place,
)
from pointsbank.domain.subsidy.rules import PERMILLE, Part, Scheme, SecondMeal, SubsidyRules, Tier


@dataclass(eq=False)
class MealAlreadySubsidised(DomainError):
    """The person has had this meal of the day subsidised, and the policy gives no second one."""

    code = "meal_already_subsidised"
    meal: str
    day: date


@dataclass(frozen=True, slots=True)
class MealOrder:
    """What is ordered: ``quantity`` of one item at ``price`` fen each, at a partner's table, for a day."""

    partner: str
    meal: Meal
    day: date
    price: int
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Split:
    """Who pays what of an order. shares: those above 0, in the order of payers; they sum to ``fen``.

    tier: the group that the (first) subsidy was for. lost: what payers do not pay at this table, and the
    elder pays instead. second: the meal of the day was subsidised before.
    """

    meal: Meal
    fen: int
    shares: tuple[Share, ...]
    tier: str | None = None
    lost: tuple[Share, ...] = ()
    second: bool = False

    def part(self, payer: Payer) -> int:
        """Return what one payer pays, in fen."""
        return sum(share.fen for share in self.shares if share.payer is payer)

    @property
    def elder_fen(self) -> int:
        """What the elder pays, by points and in cash."""
        return self.part(Payer.POINTS) + self.part(Payer.CASH)

    @property
    def subsidised(self) -> bool:
        """Whether anybody but the elder pays a part."""
        return self.elder_fen < self.fen


def split_meal(rules: SubsidyRules, diner: Diner, order: MealOrder, *, eaten: bool) -> Split:
    """Return who pays what of ``order``. The same facts give the same split, always.

    diner: as of the day eaten. eaten: whether the person has this meal of that day subsidised already, at
    whichever canteen. Raises MealAlreadySubsidised (by policy), InvalidValue (price, quantity).
    """
    if not points.whole(order.price, field="price") >= 0:
        raise InvalidValue(field="price", rule="at_least_0")
    if not points.whole(order.quantity, field="quantity") >= 1:
        raise InvalidValue(field="quantity", rule="at_least_1")
    paid: dict[Payer, int] = dict.fromkeys(SUBSIDISING, 0)
    lost: dict[Payer, int] = dict.fromkeys(SUBSIDISING, 0)
    tier = _subsidise(rules, diner, order, paid, lost)
    second = False
    if any(paid.values()) and (eaten or order.quantity > 1) and rules.second_meal is SecondMeal.REFUSED:
        raise MealAlreadySubsidised(meal=order.meal.value, day=order.day)
    if eaten:
        second, tier = any(paid.values()), None
        paid, lost = {}, {}
    fen = order.price * order.quantity
    own = fen - sum(paid.values())
    cash = own * (PERMILLE - rules.points_permille) // PERMILLE
    told = {**paid, Payer.POINTS: own - cash, Payer.CASH: cash}
    return Split(
        meal=order.meal,
        fen=fen,
        shares=_shares(told, diner),
        tier=tier,
        lost=_shares(lost, diner),
        second=second,
    )


def _subsidise(
    rules: SubsidyRules, diner: Diner, order: MealOrder, paid: dict[Payer, int], lost: dict[Payer, int]
) -> str | None:
    """Add what every scheme pays and loses for one meal; return the first group that fitted."""
    found: str | None = None
    canteen = rules.places.get(order.partner)
    for scheme in rules.schemes:
        tier = scheme.tier_of(diner) if order.meal in scheme.meals else None
        if tier is None:
            continue
        found = found or tier.code
        # What an earlier scheme lost stays with the elder; what it paid is not there to be paid again.
        left = max(0, order.price - rules.elder_fen_min - sum(paid.values()))
        for payer, wanted in _parts(scheme, tier, min(tier.subsidy(order.price), left)).items():
            part = _part_of(scheme, tier, payer)
            pays = min(wanted, wanted if part.cap_fen is None else part.cap_fen)
            if not _reaches(part.reach, diner.household, canteen):
                pays = 0
            paid[payer] += pays
            lost[payer] += wanted - pays
    return found


def _parts(scheme: Scheme, tier: Tier, subsidy: int) -> dict[Payer, int]:
    """Return each payer's part of a subsidy before anything is lost; they sum to it."""
    payers = tier.payers if tier.payers is not None else scheme.payers
    parts: dict[Payer, int] = {}
    rest, left = None, subsidy
    for payer in SUBSIDISING:
        part = payers.get(payer)
        if part is None:
            continue
        if part.is_rest:
            rest = payer
            continue
        wanted = part.fen if part.fen is not None else subsidy * (part.permille or 0) // PERMILLE
        parts[payer] = min(wanted, left)
        left -= parts[payer]
    if rest is not None:
        parts[rest] = left
    return parts


def _part_of(scheme: Scheme, tier: Tier, payer: Payer) -> Part:
    return (tier.payers if tier.payers is not None else scheme.payers)[payer]


def _reaches(reach: Reach, household: str | None, canteen: str | None) -> bool:
    """Tell whether a payer pays for this household at this table; what is not known is not its own."""
    if reach is Reach.ANYWHERE:
        return True
    here, home = division_at(canteen, reach), division_at(household, reach)
    return home is not None and home == here


def _shares(parts: Mapping[Payer, int], diner: Diner) -> tuple[Share, ...]:
    return tuple(
        Share(payer, parts[payer], payers_place(payer, diner.household))
        for payer in Payer
        if parts.get(payer, 0) > 0
    )
