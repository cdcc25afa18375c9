"""Where portions, refunds and subsidies meet: what a member pays follows their share."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from pointsbank.domain import accounts
from pointsbank.domain.decision import SecondPersonNeeded
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.redemption import PartnerWord
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.subsidy.payers import Hardship, Payer
from services.ledger import service as ledger
from services.people import service as people
from services.settlement import batches, refunds, service
from services.settlement.events import PartnerEvent, take_event
from services.settlement.refunds import ProposeRefund
from services.settlement.service import Redeem
from services.settlement.subsidies import claims, share_store
from services.settlement.views import BatchInfo, RedemptionInfo
from tests.shops import LUNCH, PURSE, TODAY, Shop, open_shop
from tests.unit.subsidy.practice import ZENGCHENG, ZHENGGUO

OWN = 833
"""Milli-points of the 100 fen that the elder pays of a subsidised lunch of 1 200."""


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await shop.work()
        yield shop


async def rule(shop: Shop, **changes: Any) -> None:
    """Zengcheng's subsidies, two lunches a day, and an elder of whose lunch the government pays 1 100 fen."""
    items = copy.deepcopy(DEFAULT_POLICY["items"])
    items["canteen"]["lunch_set"]["daily_limit"] = 2
    subsidy = ZENGCHENG | {"meals": DEFAULT_POLICY["subsidy"]["meals"]} | changes
    async with shop.database.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow,
            effective_from=TODAY,
            body=DEFAULT_POLICY | {"subsidy": subsidy, "items": items},
            proposed_by=uuid4(),
            approved_by=uuid4(),
        )
        await (await uow.connection()).execute(
            "UPDATE bank.people SET born_on = '1950-03-09' WHERE community_id = 1 AND id = $1", shop.elder.id
        )
        await people.set_standing(
            uow,
            shop.world.coordinator.actor,
            shop.elder.id,
            effective_from=TODAY,
            hardship=Hardship.LOW_INCOME,
            household=ZHENGGUO,
        )


async def order(shop: Shop, quantity: int = 2) -> RedemptionInfo:
    async with shop.database.unit_of_work(1) as uow:
        command = Redeem(shop.elder.id, "canteen", "lunch_set", quantity=quantity)
        ordered = await service.redeem(uow, shop.elder.actor, command)
    await shop.work()
    return await shop.look(ordered.id)


async def hear(
    shop: Shop, ordered: RedemptionInfo, word: PartnerWord, served: int, outcome: str | None
) -> None:
    event = PartnerEvent(
        event_id=uuid4(),
        community_id=1,
        partner=PartnerCode.CANTEEN,
        redemption_id=ordered.id,
        type=word,
        occurred_at=shop.clock.now(),
        fulfilled_quantity=served,
        outcome=outcome,
    )
    async with shop.database.unit_of_work(1) as uow:
        await take_event(uow, event)


async def serve(shop: Shop, ordered: RedemptionInfo, served: int) -> RedemptionInfo:
    await hear(shop, ordered, PartnerWord.FULFILLED, served, None)
    await shop.work()
    return await shop.look(ordered.id)


async def give_back(shop: Shop, ordered: RedemptionInfo, quantity: int | None = None) -> None:
    async with shop.database.unit_of_work(1) as uow:
        command = ProposeRefund(ordered.id, RefundReason.BAD_QUALITY, quantity)
        proposed = await refunds.propose(uow, shop.world.coordinator.actor, command)
    async with shop.database.unit_of_work(1) as uow:
        await refunds.approve(uow, shop.world.auditor.actor, proposed.id)


async def freeze(shop: Shop) -> list[BatchInfo]:
    return await batches.freeze_batches(shop.database, 1, TODAY)


async def paid_points_share(shop: Shop, ordered: RedemptionInfo) -> int:
    """What is left of the elder's share by points, in fen."""
    async with shop.database.unit_of_work(1) as uow:
        shares = (await share_store.shares_of(uow, [ordered.id]))[ordered.id]
        back = (await share_store.refunded(uow, ordered.id)).values()
    paid = sum(share.fen for share in shares if share.payer is Payer.POINTS)
    return paid - sum(share.fen for refund in back for share in refund if share.payer is Payer.POINTS)


async def test_of_a_subsidised_and_an_unsubsidised_lunch_the_one_served_is_the_subsidised(shop: Shop) -> None:
    await rule(shop)
    ordered = await order(shop)
    assert (ordered.milli_points, ordered.fen) == (LUNCH + OWN, 2_400)
    await serve(shop, ordered, 1)
    assert await paid_points_share(shop, ordered) == 100
    assert await shop.points() == (PURSE - OWN, 0)
    (batch,) = await freeze(shop)
    assert (batch.milli_points, batch.fen) == (OWN, 1_200)


async def test_a_refund_of_one_of_two_gives_back_the_points_of_the_share_that_goes_back(shop: Shop) -> None:
    await rule(shop)
    ordered = await order(shop)
    await serve(shop, ordered, 2)
    await give_back(shop, ordered, 1)
    assert await paid_points_share(shop, ordered) == 100
    assert await shop.points() == (PURSE - OWN, 0)


async def test_what_was_served_in_part_is_refunded_whole_to_the_last_milli_point_and_fen(shop: Shop) -> None:
    await rule(shop)
    ordered = await order(shop)
    await serve(shop, ordered, 1)
    await give_back(shop, ordered)
    assert await shop.points() == (PURSE, 0)
    async with shop.database.unit_of_work(1) as uow:
        assert (await claims.claim(uow)).fen == 0
    (batch,) = await freeze(shop)
    assert (batch.lines, batch.milli_points, batch.fen) == (2, 0, 0)


async def test_a_portion_of_which_the_points_pay_no_fen_is_still_captured(shop: Shop) -> None:
    await rule(shop, points_permille=1)
    ordered = await order(shop)
    assert ordered.milli_points == 17
    served = await serve(shop, ordered, 1)
    assert (served.state.value, served.served) == ("fulfilled", 1)
    assert await paid_points_share(shop, ordered) == 0
    assert await shop.points() == (PURSE - 1, 0)
    await give_back(shop, ordered)
    assert await shop.points() == (PURSE, 0)


async def receivable(shop: Shop) -> int:
    async with shop.database.unit_of_work(1) as uow:
        canteen = await service.partner(uow, "canteen")
        return await ledger.balance(uow, accounts.partner_receivable(canteen.id))


async def test_a_batch_pays_what_was_not_paid_in_cash_and_says_by_whom(shop: Shop) -> None:
    await rule(shop, points_permille=500)
    ordered = await order(shop, 1)
    await serve(shop, ordered, 1)
    (batch,) = await freeze(shop)
    assert (batch.fen, batch.cash_fen, batch.due_fen) == (1_200, 50, 1_150)
    assert (batch.subsidy_fen, batch.community_fen) == (1_100, 50)
    assert await receivable(shop) == 1_150
    await give_back(shop, ordered)
    (corrected,) = await freeze(shop)
    assert (corrected.fen, corrected.cash_fen, corrected.subsidy_fen) == (-1_200, -50, -1_100)
    assert await receivable(shop) == 0


async def test_of_what_was_handed_over_in_part_the_batch_pays_the_shares_that_are_left(shop: Shop) -> None:
    await rule(shop, points_permille=500)
    ordered = await order(shop)
    await serve(shop, ordered, 1)
    (batch,) = await freeze(shop)
    assert (batch.fen, batch.subsidy_fen, batch.cash_fen) == (1_200, 1_100, 50)
    async with shop.database.unit_of_work(1) as uow:
        claim = await claims.claim(uow)
    assert claim.fen == batch.subsidy_fen


@pytest.mark.parametrize("known_before", [True, False])
async def test_a_meal_that_the_canteen_takes_back_is_captured_and_a_refund_of_it_proposed(
    shop: Shop, *, known_before: bool
) -> None:
    ordered = await order(shop, 1)
    if known_before:
        await serve(shop, ordered, 1)
        await hear(shop, ordered, PartnerWord.CANCELLED, 0, "complained")
    else:  # both wait for the worker, and the later word is worked off first
        await hear(shop, ordered, PartnerWord.FULFILLED, 1, "substituted")
        await hear(shop, ordered, PartnerWord.CANCELLED, 0, "complained")
        async with shop.database.unit_of_work(1) as uow:
            await (await uow.connection()).execute(
                "UPDATE bank.outbox SET available_at = available_at + interval '1 minute'"
                " WHERE community_id = 1 AND topic = 'redemption.capture'"
            )
    await shop.work()
    assert (await shop.look(ordered.id)).state.value == "fulfilled"
    async with shop.database.unit_of_work(1) as uow:
        (proposed,) = await refunds.refunds_of(uow, ordered.id)
        assert (proposed.state.value, proposed.reason, proposed.proposed_by) == (
            "proposed",
            RefundReason.BAD_QUALITY,
            None,
        )
        with pytest.raises(SecondPersonNeeded):
            await refunds.approve(uow, shop.world.auditor.actor, proposed.id)
    await give_back(shop, ordered)
    assert await shop.points() == (PURSE, 0)
