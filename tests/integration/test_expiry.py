"""Holds whose time has passed: given back, unless we had been told in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from pointsbank.domain.hold import Hold
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.redemption import HOLD_GRACE, RedemptionState
from services.ledger import holds as ledger_holds
from services.settlement import jobs, service
from services.settlement.client import PartnerClient, Partners
from tests.ledgers import origin
from tests.shops import (
    LUNCH,
    NOON,
    PURSE,
    TODAY,
    Shop,
    open_shop,
    refuse_changes,
)


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        yield shop


async def test_a_hold_nobody_claims_is_given_back_and_the_canteen_told(shop: Shop) -> None:
    accepted = await shop.accepted()
    assert await jobs.lapse_overdue(shop.database, 1) == 0
    shop.clock.move_to(NOON + timedelta(hours=48))
    assert await jobs.lapse_overdue(shop.database, 1) == 1
    assert await jobs.lapse_overdue(shop.database, 1) == 0
    lapsed = await shop.look(accepted.id)
    assert (lapsed.state, lapsed.reason) == (RedemptionState.LAPSED, "hold_expired")
    await shop.work()
    assert await shop.canteen.status(accepted.id, 1) in {"cancelled", "lapsed"}
    assert await shop.points() == (PURSE, 0)


async def test_a_hold_for_a_day_ahead_outlives_that_day(shop: Shop) -> None:
    ahead = await shop.redeem(day=TODAY + timedelta(days=5))
    shop.clock.move_to(service.day_end(ahead.business_date, "Asia/Shanghai"))
    assert await jobs.lapse_overdue(shop.database, 1) == 0
    shop.clock.move_to(shop.clock.now() + HOLD_GRACE)
    assert await jobs.lapse_overdue(shop.database, 1) == 1


async def test_news_after_the_hold_has_expired_gives_the_points_back(shop: Shop) -> None:
    accepted = await shop.accepted()
    await shop.hand_over(accepted.id)
    shop.clock.move_to(NOON + timedelta(hours=48))
    await shop.tell(accepted, "fulfilled")
    await shop.work()
    assert (await shop.look(accepted.id)).state is RedemptionState.LAPSED
    assert (await shop.points(), await shop.earned()) == ((PURSE, 0), 0)


async def test_a_meal_we_were_told_of_in_time_is_paid_though_no_worker_was_there(shop: Shop) -> None:
    ahead = await shop.redeem(day=TODAY + timedelta(days=3))
    await shop.work()
    shop.clock.move_to(NOON + timedelta(days=3))
    await shop.tell(ahead, "fulfilled")
    shop.clock.move_to(service.day_end(ahead.business_date, "Asia/Shanghai") + HOLD_GRACE)
    await shop.work()
    assert (await shop.look(ahead.id)).state is RedemptionState.FULFILLED
    assert (await shop.points(), await shop.earned()) == ((PURSE - LUNCH, 0), LUNCH)


async def test_a_round_of_lapsing_pays_what_we_were_told_of_in_time(shop: Shop) -> None:
    ahead = await shop.redeem(day=TODAY + timedelta(days=3))
    await shop.work()
    expires = service.day_end(ahead.business_date, "Asia/Shanghai") + HOLD_GRACE
    shop.clock.move_to(expires - timedelta(microseconds=1))
    await shop.tell(ahead, "fulfilled")
    shop.clock.move_to(expires)
    assert await jobs.lapse_overdue(shop.database, 1) == 1
    assert (await shop.look(ahead.id)).state is RedemptionState.FULFILLED
    await shop.work()
    assert (await shop.points(), await shop.earned()) == ((PURSE - LUNCH, 0), LUNCH)


async def test_an_event_and_an_ending_under_way_wait_for_each_other(shop: Shop) -> None:
    accepted = await shop.accepted()
    shop.clock.move_to(NOON + timedelta(hours=48))
    async with shop.database.unit_of_work(1) as uow:
        await service.lapse(uow, accepted.id)
        telling = asyncio.create_task(shop.tell(accepted, "fulfilled"))
        await asyncio.sleep(0.3)
        assert not telling.done()
    assert await telling


async def test_holds_that_cannot_end_keep_nobody_elses_points(
    shop: Shop, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LAPSED_AT_ONCE", 1)
    async with shop.database.unit_of_work(1) as uow:
        canteen = await service.partner(uow, "canteen")
        stray = Hold(
            id=uuid4(),
            member=shop.elder.ledger_ref,
            partner=canteen.id,
            amount=MilliPoints(LUNCH),
            expires_at=NOON + timedelta(hours=1),
        )
        await ledger_holds.open_hold(uow, stray, origin(shop.elder.ledger_ref))
    broken = await shop.redeem("lunch_set")
    shop.clock.move_to(NOON + timedelta(minutes=1))
    sound = await shop.redeem("dinner_set")
    await refuse_changes(owner_url, broken.id)
    shop.clock.move_to(NOON + timedelta(days=3))
    assert await jobs.lapse_overdue(shop.database, 1) == 1
    assert (await shop.look(sound.id)).state is RedemptionState.LAPSED
    assert (await shop.look(broken.id)).state is RedemptionState.HELD


async def test_a_canteen_with_another_secret_gets_no_order_and_keeps_no_points(shop: Shop) -> None:
    client = PartnerClient(shop.canteen.http, "canteen", "http://partner", "wrong", clock=shop.clock)
    shop.partners = Partners({"canteen": client})
    redeemed = await shop.redeem()
    await shop.work()
    assert (await shop.look(redeemed.id)).state is RedemptionState.REQUESTED
    shop.clock.move_to(NOON + timedelta(hours=48))
    await jobs.lapse_overdue(shop.database, 1)
    assert await shop.points() == (PURSE, 0)
