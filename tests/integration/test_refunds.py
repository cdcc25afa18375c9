"""Portions and refunds: part of an order captured, what was paid given back, the batch corrected."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.decision import ConcernsOneself, DecisionState, SecondPersonNeeded
from pointsbank.domain.errors import InvalidValue, NotAllowed, WrongState
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.redemption import PartnerWord, RedemptionState
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.settlement import BatchState, LineKind
from services.ledger import lots
from services.ledger import service as ledger
from services.settlement import batches, reconciliation, refunds, service
from services.settlement.events import PartnerEvent, take_event
from services.settlement.refunds import ProposeRefund
from services.settlement.service import Redeem
from services.settlement.views import BatchInfo, RedemptionInfo, RefundInfo
from tests.givings import new_rules
from tests.shops import LUNCH, PURSE, TODAY, Shop, open_shop


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await shop.work()
        yield shop


async def propose(shop: Shop, meal: RedemptionInfo, *, quantity: int | None = None) -> RefundInfo:
    async with shop.database.unit_of_work(1) as uow:
        command = ProposeRefund(meal.id, RefundReason.BAD_QUALITY, quantity)
        return await refunds.propose(uow, shop.world.coordinator.actor, command)


async def refunded(shop: Shop, meal: RedemptionInfo, *, quantity: int | None = None) -> RefundInfo:
    proposed = await propose(shop, meal, quantity=quantity)
    async with shop.database.unit_of_work(1) as uow:
        return await refunds.approve(uow, shop.world.auditor.actor, proposed.id)


async def two_lunches(shop: Shop) -> RedemptionInfo:
    """An order of two lunches, accepted, under rules that allow two a day."""
    items = copy.deepcopy(DEFAULT_POLICY["items"])
    items["canteen"]["lunch_set"]["daily_limit"] = 2
    await new_rules(shop.database, shop.world, items=items)
    async with shop.database.unit_of_work(1) as uow:
        command = Redeem(shop.elder.id, "canteen", "lunch_set", quantity=2)
        ordered = await service.redeem(uow, shop.elder.actor, command)
    await shop.work()
    return await shop.look(ordered.id)


async def freeze(shop: Shop) -> list[BatchInfo]:
    return await batches.freeze_batches(shop.database, 1, TODAY + timedelta(days=40))


async def balances(shop: Shop) -> list[int]:
    """The canteen's earned and settled points, and what it is owed in fen."""
    async with shop.database.unit_of_work(1) as uow:
        canteen = (await service.partner(uow, "canteen")).id
        codes = [
            accounts.partner_earned(canteen),
            accounts.partner_settled(canteen),
            accounts.partner_receivable(canteen),
        ]
        found = await ledger.balances(uow, codes)
        assert (await ledger.trial_balance(uow)).balanced
    return [found[code] for code in codes]


async def test_of_two_portions_one_is_paid_and_the_other_is_given_back(shop: Shop) -> None:
    ordered = await two_lunches(shop)
    event = PartnerEvent(
        event_id=uuid4(),
        community_id=1,
        partner=PartnerCode.CANTEEN,
        redemption_id=ordered.id,
        type=PartnerWord.FULFILLED,
        occurred_at=shop.clock.now(),
        fulfilled_quantity=1,
    )
    async with shop.database.unit_of_work(1) as uow:
        await take_event(uow, event)
    await shop.work()
    served = await shop.look(ordered.id)
    assert (served.state, served.quantity, served.served) == (RedemptionState.FULFILLED, 2, 1)
    assert await shop.points() == (PURSE - LUNCH, 0)
    (batch,) = await freeze(shop)
    assert (batch.milli_points, batch.fen) == (LUNCH, 1_200)


async def test_more_than_was_ordered_is_not_handed_over(shop: Shop) -> None:
    ordered = await shop.accepted()
    async with shop.database.unit_of_work(1) as uow:
        canteen = await service.partner(uow, "canteen")
        with pytest.raises(InvalidValue):
            await service.hear(uow, ordered.id, PartnerWord.FULFILLED, said_by=canteen.id, served=2)
    assert (await shop.look(ordered.id)).state is RedemptionState.ACCEPTED


async def test_a_refund_gives_the_points_back_and_cites_the_capture(shop: Shop) -> None:
    meal = await shop.served()
    found = await refunded(shop, meal)
    assert (found.state, found.milli_points, found.fen) == (DecisionState.APPROVED, LUNCH, 1_200)
    assert (found.service_date, found.booked_on) == (TODAY, TODAY)
    assert await shop.points() == (PURSE, 0)
    assert found.entry_number is not None
    async with shop.database.unit_of_work(1) as uow:
        entry = await ledger.entry(uow, found.entry_number)
        assert entry.reverses is not None
        assert (await ledger.entry(uow, entry.reverses)).kind == "capture"
    assert (await shop.look(meal.id)).state is RedemptionState.FULFILLED


async def test_the_lots_that_were_spent_come_back_with_their_day(shop: Shop) -> None:
    async with shop.database.unit_of_work(1) as uow:
        before = await lots.lots_of(uow, shop.elder.ledger_ref)
    await refunded(shop, await shop.served())
    async with shop.database.unit_of_work(1) as uow:
        assert await lots.lots_of(uow, shop.elder.ledger_ref) == before


async def test_a_refund_before_the_batch_stands_in_it_beside_its_capture(shop: Shop) -> None:
    await refunded(shop, await shop.served())
    (batch,) = await freeze(shop)
    assert (batch.lines, batch.milli_points, batch.fen, batch.entry_number) == (2, 0, 0, None)
    async with shop.database.unit_of_work(1) as uow:
        kinds = [line.kind for line in await batches.batch_lines(uow, batch.id)]
    assert kinds == [LineKind.CAPTURE, LineKind.CORRECTION]
    assert await balances(shop) == [0, 0, 0]


async def test_a_refund_after_the_batch_is_the_next_batchs_line_with_the_day_of_the_meal(shop: Shop) -> None:
    meal = await shop.served()
    (first,) = await freeze(shop)
    shop.clock.move_to(shop.clock.now() + timedelta(days=3))
    await refunded(shop, meal)
    assert await balances(shop) == [-LUNCH, LUNCH, 1_200]
    (second,) = await freeze(shop)
    assert (second.business_date, second.lines) == (TODAY + timedelta(days=3), 1)
    assert (second.milli_points, second.fen) == (-LUNCH, -1_200)
    async with shop.database.unit_of_work(1) as uow:
        (line,) = await batches.batch_lines(uow, second.id)
        assert (line.kind, line.service_date, line.milli_points) == (LineKind.CORRECTION, TODAY, -LUNCH)
        assert await batches.batch(uow, first.id) == first
    assert await balances(shop) == [0, 0, 0]
    assert await freeze(shop) == []


async def test_a_refund_of_one_portion_leaves_the_other_paid(shop: Shop) -> None:
    ordered = await two_lunches(shop)
    await shop.hand_over(ordered.id)
    await shop.tell(ordered, "fulfilled")
    await shop.work()
    await refunded(shop, ordered, quantity=1)
    assert await shop.points() == (PURSE - LUNCH, 0)
    await freeze(shop)
    assert await balances(shop) == [0, LUNCH, 1_200]


async def test_a_meal_is_refunded_once(shop: Shop) -> None:
    meal = await shop.served()
    await refunded(shop, meal)
    with pytest.raises(WrongState):
        await propose(shop, meal)
    assert await shop.points() == (PURSE, 0)


async def test_a_refused_refund_moves_nothing_and_may_be_proposed_anew(shop: Shop) -> None:
    meal = await shop.served()
    proposed = await propose(shop, meal)
    async with shop.database.unit_of_work(1) as uow:
        await refunds.refuse(uow, shop.world.auditor.actor, proposed.id)
    assert await shop.points() == (PURSE - LUNCH, 0)
    await refunded(shop, meal)
    assert await shop.points() == (PURSE, 0)


async def test_nobody_approves_the_refund_they_proposed(shop: Shop) -> None:
    proposed = await propose(shop, await shop.served())
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(SecondPersonNeeded):
            await refunds.approve(uow, shop.world.coordinator.actor, proposed.id)


async def test_a_member_has_no_say_in_their_own_refund(shop: Shop) -> None:
    meal = await shop.served()
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await refunds.propose(uow, shop.elder.actor, ProposeRefund(meal.id, RefundReason.MISTAKE))
    assert ConcernsOneself.code == "concerns_oneself"


async def test_what_was_not_served_is_not_refunded(shop: Shop) -> None:
    with pytest.raises(WrongState):
        await propose(shop, await shop.accepted())


async def test_the_books_still_agree_with_the_canteens_statement_after_a_refund(shop: Shop) -> None:
    await refunded(shop, await shop.served())
    outcome = await reconciliation.reconcile_day(shop.database, shop.partners["canteen"], 1, TODAY)
    assert outcome.differences == 0


async def test_the_database_takes_no_correction_without_its_refund(shop: Shop, app_url: str) -> None:
    meal = await shop.served()
    (batch,) = await freeze(shop)
    connection = await asyncpg.connect(app_url)
    try:
        await connection.execute("SET pointsbank.community_id = '1'")
        with pytest.raises(asyncpg.CheckViolationError, match="not an approved refund"):
            await connection.execute(
                "INSERT INTO bank.settlement_lines"
                " (community_id, redemption_id, kind, batch_id, service_date, milli_points, fen,"
                " subsidy_fen, cash_fen)"
                " VALUES (1, $1, 'correction', $2, $3, -10000, -1200, 0, 0)",
                meal.id,
                batch.id,
                TODAY,
            )
    finally:
        await connection.close()


async def test_a_refund_names_the_entry_that_takes_its_capture_back(shop: Shop, app_url: str) -> None:
    proposed = await propose(shop, await shop.served())
    connection = await asyncpg.connect(app_url)
    try:
        await connection.execute("SET pointsbank.community_id = '1'")
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="carried out by no entry"):
            await connection.execute(
                "UPDATE bank.refunds SET state = 'approved', decided_by = $2, decided_at = now(),"
                " booked_on = $3, entry_number = 1 WHERE id = $1",
                proposed.id,
                shop.world.auditor.id,
                TODAY,
            )
    finally:
        await connection.close()


async def test_two_people_sign_a_batch_before_it_is_paid(shop: Shop) -> None:
    await shop.served()
    (batch,) = await freeze(shop)
    coordinator, auditor = shop.world.coordinator.actor, shop.world.auditor.actor
    async with shop.database.unit_of_work(1) as uow:
        assert (await batches.sign(uow, coordinator, batch.id)).state is BatchState.FROZEN
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(SecondPersonNeeded):
            await batches.sign(uow, coordinator, batch.id)
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(WrongState):
            await batches.note_paid(uow, coordinator, batch.id, reference="R-1", paid_on=TODAY)
    async with shop.database.unit_of_work(1) as uow:
        assert (await batches.sign(uow, auditor, batch.id)).state is BatchState.APPROVED
    for _ in range(2):
        async with shop.database.unit_of_work(1) as uow:
            paid = await batches.note_paid(uow, coordinator, batch.id, reference=" R-1 ", paid_on=TODAY)
    assert paid.state is BatchState.PAID
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(WrongState):
            await batches.note_paid(uow, coordinator, batch.id, reference="R-2", paid_on=TODAY)


async def test_the_database_pays_no_batch_that_one_person_signed(shop: Shop, app_url: str) -> None:
    await shop.served()
    (batch,) = await freeze(shop)
    async with shop.database.unit_of_work(1) as uow:
        await batches.sign(uow, shop.world.coordinator.actor, batch.id)
    connection = await asyncpg.connect(app_url)
    try:
        await connection.execute("SET pointsbank.community_id = '1'")
        with pytest.raises(asyncpg.CheckViolationError, match="not signed by two"):
            await connection.execute(
                "INSERT INTO bank.settlement_payments"
                " (community_id, batch_id, reference, paid_on, noted_by, noted_at)"
                " VALUES (1, $1, 'R', $2, $3, now())",
                batch.id,
                TODAY,
                shop.world.coordinator.id,
            )
    finally:
        await connection.close()
