"""Who pays for what is ordered: told before, frozen with the order, and given back when it is.

The split is by the version of the policy that is in force on the day eaten, and by the age, hardship and
household of that day as they are known when it is ordered; what is learned later changes no frozen split.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.points import MilliPoints, points_for_part
from pointsbank.domain.policy import Item, Policy
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.subsidy.payers import Diner, Meal, Payer, Share, age_on
from pointsbank.domain.subsidy.refund import refund_shares
from pointsbank.domain.subsidy.split import MealOrder, Split, split_meal
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.people import service as people
from services.settlement import store
from services.settlement.subsidies import share_store
from services.settlement.views import RedemptionInfo


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order costs and who pays it. milli_points: what is held. split: None where it is no meal.

    policy_version: the one that decided the split.
    """

    milli_points: MilliPoints
    fen: int
    policy_version: int
    split: Split | None

    @property
    def subsidised_meal(self) -> str | None:
        """The meal of the day that this order uses up, if it is subsidised."""
        return self.split.meal.value if self.split is not None and self.split.subsidised else None


class Diners:
    """What is known of members over some days: their standing, and which meals were subsidised already."""

    def __init__(
        self,
        members: Iterable[people.PersonInfo],
        standings: dict[UUID, list[people.StandingInfo]],
        eaten: set[tuple[UUID, date, Meal]],
    ) -> None:
        self._members = {member.id: member for member in members}
        self._standings = standings
        self._eaten = eaten

    def diner(self, member_id: UUID, day: date) -> Diner:
        """Return what a split needs to know of a member on the day eaten."""
        standing = people.standing_at(self._standings.get(member_id, []), day)
        return Diner(
            age=age_on(self._members[member_id].born_on, day),
            hardship=standing.hardship if standing else None,
            household=standing.household if standing else None,
        )

    def quote(self, policy: Policy, item: Item, member_id: UUID, day: date, quantity: int) -> Quote:
        """Return what ``quantity`` of an item cost a member, and who pays.

        policy: of the day eaten; item: at the price of the day it is ordered. Raises MealAlreadySubsidised.
        """
        whole, fen = item.milli_points * quantity, item.fen * quantity
        meal = policy.subsidy.meal_of(item.partner, item.code)
        if meal is None:
            return Quote(MilliPoints(whole), fen, policy.version, None)
        split = split_meal(
            policy.subsidy,
            self.diner(member_id, day),
            MealOrder(item.partner, meal, day, item.fen, quantity),
            eaten=(member_id, day, meal) in self._eaten,
        )
        due = points_for_part(whole, part=split.part(Payer.POINTS), whole=fen)
        return Quote(due, fen, policy.version, split)

    def took(self, quote: Quote, member_id: UUID, day: date) -> None:
        """Note that a member has an order, for the quotes that follow."""
        if quote.split is not None and quote.split.subsidised:
            self._eaten.add((member_id, day, quote.split.meal))


async def diners(uow: UnitOfWork, members: Collection[people.PersonInfo], from_: date, to: date) -> Diners:
    """Return what is known of members for the days [from_, to].

    Lock the members first where an order is to follow: two at once would each see the meal uneaten.
    """
    ids = [member.id for member in members]
    return Diners(
        members, await people.standings_of(uow, ids), await share_store.subsidised(uow, ids, from_, to)
    )


def frozen(redemption_id: UUID, quote: Quote, at: datetime) -> list[share_store.NewMeal]:
    """Return the meal to write for an order: one, or none where it is no meal."""
    if quote.split is None:
        return []
    split = quote.split
    return [
        share_store.NewMeal(redemption_id, split.meal, split.tier, quote.policy_version, at, split.shares)
    ]


async def with_shares(uow: UnitOfWork, found: Collection[RedemptionInfo]) -> list[RedemptionInfo]:
    """Return redemptions with who pays for those that are meals."""
    shares = await share_store.shares_of(uow, [each.id for each in found])
    return [replace(each, shares=shares.get(each.id, ())) for each in found]


async def shares_of(uow: UnitOfWork, redemption_id: UUID) -> tuple[Share, ...]:
    """Return who pays for a meal as it was frozen; nothing for what is none."""
    return (await share_store.shares_of(uow, [redemption_id])).get(redemption_id, ())


async def refund_meal(
    uow: UnitOfWork, refund_id: UUID, redemption_id: UUID, *, fen: int
) -> tuple[Share, ...]:
    """Share out what goes back of a captured meal, and return who gets how much back.

    refund_id: of the decision that gives back (a partial hand-over or a refund); the same again answers what
    it did then. fen: of the price, see :func:`refund_shares`. Redemptions without a split give nothing. For
    callers that have decided it, in the unit of work that posts it. Raises NotFound, InvalidValue.
    """
    held = await store.redemption(uow, redemption_id, lock=True)
    if held is None:
        raise NotFound(what="redemption")
    shares = (await share_store.shares_of(uow, [redemption_id])).get(redemption_id, ())
    before = await share_store.refunded(uow, redemption_id)
    if refund_id in before:
        if sum(share.fen for share in before[refund_id]) != fen:
            raise InvalidValue(field="fen", rule="as_registered")
        return before[refund_id]
    if not shares:
        return ()
    if held.state is not RedemptionState.FULFILLED:
        raise InvalidValue(field="redemption_id", rule="captured")
    gone: dict[Payer, int] = {}
    for refund in before.values():
        for share in refund:
            gone[share.payer] = gone.get(share.payer, 0) + share.fen
    left = [replace(share, fen=share.fen - gone.get(share.payer, 0)) for share in shares]
    left = [share for share in left if share.fen > 0]
    back = refund_shares(left, fen, price=held.fen // held.quantity)
    kept = {share.payer: share.fen for share in left}
    await share_store.insert_refund(
        uow,
        refund_id,
        redemption_id,
        recorded_on=local_date(uow.clock.now(), (await people.community(uow)).timezone),
        back=back,
        left=[kept[share.payer] - share.fen for share in back],
    )
    return back
