"""Who pays for a meal, from the order to the canteen: frozen once, to the fen, one subsidised a meal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from pointsbank.domain.decision import ConcernsOneself
from pointsbank.domain.errors import InvalidValue, NotAllowed
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.redemption import PartnerWord
from pointsbank.domain.subsidy.payers import Hardship, Payer, Share
from pointsbank.domain.subsidy.split import MealAlreadySubsidised
from pointsbank.platform import outbox
from services.ledger import service as ledger
from services.people import service as people
from services.settlement import jobs, service
from services.settlement.client import Partners
from services.settlement.records import RedemptionRecord, record_redemptions
from services.settlement.service import Redeem
from services.settlement.subsidies import freezing
from services.settlement.views import RedemptionInfo
from tests.shops import LUNCH, NOON, PURSE, TODAY, Shop, open_shop
from tests.unit.subsidy.practice import ZENGCHENG, ZHENGGUO

SUBSIDY = ZENGCHENG | {"meals": DEFAULT_POLICY["subsidy"]["meals"]}


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        yield shop


async def rule(shop: Shop, *, from_: date = TODAY, **changes: Any) -> None:
    """Have a policy in force whose subsidies are Zengcheng's."""
    async with shop.database.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow,
            effective_from=from_,
            body=DEFAULT_POLICY | {"subsidy": SUBSIDY | changes},
            proposed_by=uuid4(),
            approved_by=uuid4(),
        )


async def set_standing(
    shop: Shop,
    hardship: Hardship | None = Hardship.LOW_INCOME,
    *,
    from_: date = TODAY,
    born: str = "1950-03-09",
) -> None:
    """Say of the elder when they were born (by hand: nobody can yet) and what they are entitled to."""
    async with shop.database.unit_of_work(1) as uow:
        connection = await uow.connection()
        await connection.execute(
            "UPDATE bank.people SET born_on = $2 WHERE community_id = 1 AND id = $1",
            shop.elder.id,
            date.fromisoformat(born),
        )
        await people.set_standing(
            uow,
            shop.world.coordinator.actor,
            shop.elder.id,
            effective_from=from_,
            hardship=hardship,
            household=ZHENGGUO,
        )


def paid(redeemed: RedemptionInfo) -> dict[str, int]:
    return {share.payer.value: share.fen for share in redeemed.shares}


async def seen(shop: Shop, redeemed: RedemptionInfo) -> RedemptionInfo:
    async with shop.database.unit_of_work(1) as uow:
        return await service.redemption(uow, shop.elder.actor, redeemed.id)


async def test_the_split_is_told_before_frozen_with_the_order_and_only_the_elders_part_is_held(
    shop: Shop,
) -> None:
    await rule(shop)
    await set_standing(shop)
    async with shop.database.unit_of_work(1) as uow:
        quote = await service.quote(uow, shop.elder.actor, Redeem(shop.elder.id, "canteen", "lunch_set"))
        assert quote.split is not None
    redeemed = await shop.redeem()
    assert paid(redeemed) == {"city": 300, "district": 300, "town": 500, "points": 100}
    assert redeemed.shares == quote.split.shares
    assert (redeemed.fen, redeemed.milli_points) == (1_200, 833)
    assert await shop.points() == (PURSE - 833, 833)
    await rule(shop, second_meal="refused", schemes=[])
    assert paid(await seen(shop, redeemed)) == paid(redeemed)


async def test_the_canteen_is_told_who_pays_and_takes_fewer_points(shop: Shop) -> None:
    await rule(shop)
    await set_standing(shop)
    sent: list[dict[str, Any]] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.append(msgspec.json.decode(request.content))
        return httpx.Response(200, json={"redemption_id": str(redeemed.id), "status": "accepted"})

    redeemed = await shop.redeem()
    listening = Partners({"canteen": shop.answering("canteen", answer)})
    await outbox.work_off(shop.database, 1, jobs.handlers(shop.database, listening))
    assert [body["shares"] for body in sent if "item" in body] == [
        [
            {"payer": "city", "fen": 300},
            {"payer": "district", "fen": 300},
            {"payer": "town", "fen": 500},
            {"payer": "points", "fen": 100},
        ]
    ]
    assert not any(str(shop.elder.id) in str(body) for body in sent)


async def test_a_subsidised_meal_is_accepted_served_captured_and_asked_for_again_the_same(shop: Shop) -> None:
    await rule(shop)
    await set_standing(shop)
    served = await shop.served()
    assert (served.state.value, await shop.earned()) == ("fulfilled", 833)
    async with shop.database.unit_of_work(1) as uow:
        (again,) = await freezing.with_shares(uow, [served])
    answer = await shop.partners["canteen"].place(1, again)
    assert answer.status is PartnerWord.FULFILLED


async def test_a_meal_is_subsidised_once_a_day_until_it_is_called_off(shop: Shop) -> None:
    await rule(shop)
    await set_standing(shop)
    first = await shop.redeem("lunch_set")
    second = await shop.redeem("soft_lunch")
    assert (paid(second), second.milli_points) == ({"points": 1_200}, LUNCH)
    await shop.cancel(second.id)
    await shop.cancel(first.id)
    assert "city" in paid(await shop.redeem("soft_lunch"))
    assert "city" in paid(await shop.redeem("dinner_set"))


async def test_a_second_meal_is_refused_where_the_policy_says_so(shop: Shop) -> None:
    await rule(shop, second_meal="refused")
    await set_standing(shop)
    await shop.redeem("lunch_set")
    with pytest.raises(MealAlreadySubsidised):
        await shop.redeem("soft_lunch")


async def test_two_orders_at_once_are_not_both_subsidised(shop: Shop) -> None:
    await rule(shop)
    await set_standing(shop)
    both = await asyncio.gather(shop.redeem("lunch_set"), shop.redeem("soft_lunch"))
    assert sorted("city" in paid(each) for each in both) == [False, True]


async def test_age_and_hardship_are_those_of_the_day_eaten(shop: Shop) -> None:
    await rule(shop)
    await set_standing(shop, None, born="1946-03-10")
    tomorrow = TODAY + timedelta(days=1)
    assert paid(await shop.redeem(day=TODAY))["town"] == 100
    assert paid(await shop.redeem(day=tomorrow))["town"] == 300
    await set_standing(shop, from_=TODAY + timedelta(days=2), born="1946-03-10")
    assert paid(await shop.redeem(day=TODAY + timedelta(days=2)))["town"] == 500
    assert paid(await shop.redeem("dinner_set", day=tomorrow))["town"] == 300


async def test_the_rules_are_those_in_force_on_the_day_eaten(shop: Shop) -> None:
    tomorrow = TODAY + timedelta(days=1)
    await rule(shop, from_=tomorrow)
    await set_standing(shop)
    assert paid(await shop.redeem(day=TODAY)) == {"points": 1_200}
    assert "city" in paid(await shop.redeem(day=tomorrow))


async def test_meals_written_up_from_paper_are_split_by_the_day_they_were_eaten(shop: Shop) -> None:
    await rule(shop)
    await set_standing(shop, from_=TODAY - timedelta(days=9))
    records = [
        RedemptionRecord(shop.elder.id, "canteen", item, 1, NOON - timedelta(hours=hours))
        for item, hours in (("lunch_set", 24), ("lunch_set", 2), ("soft_lunch", 1))
    ]
    await shop.work()
    async with shop.database.unit_of_work(1) as uow:
        outcomes = await record_redemptions(uow, records)
        again = await record_redemptions(uow, records)
    told = [each.redemption for each in outcomes]
    assert [len(each.shares) if each else None for each in told] == [1, 4, 1]
    assert [each.redemption for each in again] == told
    await shop.partners["canteen"].take_in(1, [each for each in told if each])


async def test_what_goes_back_is_shared_once_and_never_more_than_was_paid(shop: Shop) -> None:
    await rule(shop)
    await set_standing(shop)
    served = await shop.served()
    refund = uuid4()
    async with shop.database.unit_of_work(1) as uow:
        back = await freezing.refund_meal(uow, refund, served.id, fen=600)
        assert await freezing.refund_meal(uow, refund, served.id, fen=600) == back
    assert {share.payer.value: share.fen for share in back} == {
        "city": 150,
        "district": 150,
        "town": 250,
        "points": 50,
    }
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue, match="at_most_paid"):
            await freezing.refund_meal(uow, uuid4(), served.id, fen=601)
    async with shop.database.unit_of_work(1) as uow:
        assert sum(s.fen for s in await freezing.refund_meal(uow, uuid4(), served.id, fen=600)) == 600


async def test_standing_is_set_by_a_coordinator_of_somebody_else(shop: Shop) -> None:
    world = shop.world
    asked: dict[str, Any] = {"effective_from": TODAY, "hardship": None, "household": ZHENGGUO}
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await people.set_standing(uow, shop.elder.actor, shop.elder.id, **asked)
        with pytest.raises(ConcernsOneself):
            await people.set_standing(uow, world.coordinator.actor, world.coordinator.id, **asked)
        with pytest.raises(InvalidValue, match="division_code"):
            await people.set_standing(
                uow, world.coordinator.actor, shop.elder.id, **asked | {"household": "Zengcheng"}
            )
        with pytest.raises(NotAllowed):
            await people.view_standings(uow, world.volunteer.actor, shop.elder.id)


async def test_what_is_set_later_for_the_same_day_counts_and_the_former_is_kept(shop: Shop) -> None:
    await set_standing(shop, Hardship.DESTITUTE)
    await set_standing(shop, None)
    async with shop.database.unit_of_work(1) as uow:
        found = await people.view_standings(uow, shop.elder.actor, shop.elder.id)
        assert [each.hardship for each in found] == [None, Hardship.DESTITUTE]
        assert people.standing_at(found, TODAY) == found[0]
        assert people.standing_at(found, TODAY - timedelta(days=1)) is None


# --- what the database refuses, for code that goes around the service --------------------------------------


@pytest.fixture
async def app(shop: Shop, app_url: str) -> AsyncIterator[asyncpg.Connection]:
    await rule(shop)
    await set_standing(shop)
    connection = await asyncpg.connect(app_url)
    await connection.execute("SET pointsbank.community_id = '1'")
    yield connection
    await connection.close()


async def test_a_frozen_split_and_a_standing_are_never_changed(
    app: asyncpg.Connection, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    for table in ("meals", "meal_shares", "meal_refunds", "person_standings"):
        for change in (f"UPDATE bank.{table} SET community_id = 1", f"DELETE FROM bank.{table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(change)
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await owner.execute(change)
    await owner.close()


async def test_a_share_that_comes_later_is_refused(shop: Shop, app: asyncpg.Connection) -> None:
    redeemed = await shop.redeem()
    with pytest.raises(asyncpg.CheckViolationError, match="are not its price"):
        await app.execute("INSERT INTO bank.meal_shares VALUES (1, $1, 'cash', 1)", redeemed.id)


async def test_shares_that_are_not_the_price_are_refused(
    shop: Shop, app: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = freezing.frozen

    def short(*given: Any) -> Any:
        return [
            replace(meal, shares=(*meal.shares[:-1], Share(Payer.POINTS, meal.shares[-1].fen - 1)))
            for meal in real(*given)
        ]

    monkeypatch.setattr(freezing, "frozen", short)
    with pytest.raises(IntegrityError, match="are not its price"):
        await shop.redeem()
    monkeypatch.setattr(freezing, "frozen", lambda *_: [])
    with pytest.raises(IntegrityError, match="nothing says by whom"):
        await shop.redeem()


async def test_a_second_subsidised_meal_of_the_day_is_refused_by_the_database(
    shop: Shop, app: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.redeem("lunch_set")

    async def nobody_ate(*_: object) -> set[object]:
        return set()

    monkeypatch.setattr("services.settlement.subsidies.share_store.subsidised", nobody_ate)
    with pytest.raises(IntegrityError, match="uq_redemptions_subsidised_meal"):
        await shop.redeem("soft_lunch")


async def test_a_refund_of_more_than_the_share_is_refused(shop: Shop, app: asyncpg.Connection) -> None:
    served = await shop.served()
    refund = (
        "INSERT INTO bank.meal_refunds VALUES (1, gen_random_uuid(), 'city', $1, $2, $3, current_date, now())"
    )
    for fen, left in ((301, 0), (100, 100)):
        with pytest.raises(asyncpg.CheckViolationError, match="not what is left"):
            await app.execute(refund, served.id, fen, left)
    waiting = await shop.redeem("dinner_set")
    with pytest.raises(asyncpg.CheckViolationError, match="was not captured"):
        await app.execute(refund, waiting.id, 300, 0)
