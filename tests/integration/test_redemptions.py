"""Redeeming at a real canteen: points are held, then captured or given back, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import pytest

from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound, WrongState
from pointsbank.domain.journal import InsufficientPoints
from pointsbank.domain.policy import UnknownItem
from pointsbank.domain.redemption import DailyLimitReached, PartnerWord, RedemptionState
from pointsbank.domain.roles import Actor
from pointsbank.platform import outbox
from pointsbank.platform.signing import BadSignature, sign
from services.ledger import service as ledger
from services.settlement import jobs, service
from services.settlement.client import Partners
from services.settlement.events import verify_and_take_event
from services.settlement.service import Redeem
from services.settlement.views import RedemptionInfo
from tests.partners.support import SECRET
from tests.shops import LUNCH, NOON, PURSE, TODAY, Shop, open_shop
from tests.worlds import small_world

ITEMS = ("lunch_set", "dinner_set", "soft_lunch")


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        yield shop


async def redeem(shop: Shop, actor: Actor | None = None, **changes: object) -> RedemptionInfo:
    asked = {"member_id": shop.elder.id, "partner": "canteen", "item": "lunch_set", **changes}
    async with shop.database.unit_of_work(1) as uow:
        return await service.redeem(uow, actor or shop.elder.actor, Redeem(**asked))  # type: ignore[arg-type]


async def count(shop: Shop, table: str) -> int:
    async with shop.database.unit_of_work(1) as uow:
        connection = await uow.connection()
        found: int = await connection.fetchval(f"SELECT count(*) FROM bank.{table}")
        return found


async def take(
    shop: Shop,
    body: bytes,
    *,
    key: str = "canteen",
    secret: str = SECRET,
    signed_path: str = "/partner-events",
) -> bool:
    """Let a signed event arrive."""
    headers = sign(secret, key, "POST", signed_path, body, at=shop.clock.now())
    return await verify_and_take_event(
        shop.database,
        headers,
        method="POST",
        path="/partner-events",
        body=body,
        secrets={"canteen": SECRET, "station": "another secret"},
        clock=shop.clock,
    )


def event(redeemed: RedemptionInfo, **changes: object) -> bytes:
    body = {
        "event_id": uuid4(),
        "community_id": 1,
        "partner": "canteen",
        "redemption_id": redeemed.id,
        "type": "fulfilled",
        "occurred_at": NOON,
        "fulfilled_quantity": redeemed.quantity,
    }
    return msgspec.json.encode({**body, **changes})


async def test_redeeming_sets_points_aside_and_records_the_intent(shop: Shop) -> None:
    redeemed = await shop.redeem()
    assert (redeemed.state, redeemed.milli_points, redeemed.fen) == (RedemptionState.HELD, LUNCH, 1_200)
    assert await shop.points() == (PURSE - LUNCH, LUNCH)
    await shop.work()
    accepted = await shop.look(redeemed.id)
    assert accepted.state is RedemptionState.ACCEPTED
    assert accepted.partner_reference is not None


async def test_a_meal_that_cannot_be_paid_leaves_nothing_behind(shop: Shop) -> None:
    before = await count(shop, "outbox")
    with pytest.raises(InsufficientPoints):
        await redeem(shop, shop.world.volunteer.actor, member_id=shop.world.volunteer.id)
    assert [await count(shop, table) for table in ("redemptions", "holds", "outbox")] == [0, 0, before]


async def test_what_cannot_be_ordered_is_refused_by_name(shop: Shop) -> None:
    with pytest.raises(UnknownItem):
        await redeem(shop, item="caviar")
    with pytest.raises(NotFound):
        await redeem(shop, partner="cinema")
    with pytest.raises(InvalidValue, match="business_date"):
        await redeem(shop, business_date=TODAY - timedelta(days=1))
    with pytest.raises(DailyLimitReached):
        await redeem(shop, quantity=2)


async def test_a_coordinator_redeems_for_an_elder_and_a_neighbour_does_not(shop: Shop) -> None:
    redeemed = await redeem(shop, shop.world.coordinator.actor)
    assert (redeemed.member_id, redeemed.requested_by) == (shop.elder.id, shop.world.coordinator.id)
    with pytest.raises(NotAllowed):
        await redeem(shop, shop.world.second_elder.actor, item="dinner_set")
    async with shop.database.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await service.redemption(uow, shop.world.volunteer.actor, redeemed.id)


async def test_two_orders_at_once_share_one_days_limit(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.redeem() for _ in range(4)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in answers) == [*["DailyLimitReached"] * 3, "RedemptionInfo"]


async def test_a_cancelled_meal_frees_its_place_in_the_days_limit(shop: Shop) -> None:
    await shop.cancel((await shop.redeem()).id)
    assert (await shop.redeem()).state is RedemptionState.HELD


async def test_sixteen_redemptions_at_once_never_overdraw_an_account(shop: Shop) -> None:
    days = [TODAY + timedelta(days=ahead) for ahead in range(6)]
    wanted = [(item, day) for day in days for item in ITEMS][:16]

    async def one(item: str, day: date) -> RedemptionInfo:
        return await shop.redeem(item, day=day)

    answers = await asyncio.gather(*(one(*each) for each in wanted), return_exceptions=True)
    assert sum(isinstance(each, RedemptionInfo) for each in answers) == PURSE // LUNCH
    assert sum(isinstance(each, InsufficientPoints) for each in answers) == 16 - PURSE // LUNCH
    assert await shop.points() == (0, PURSE)
    async with shop.database.unit_of_work(1) as uow:
        assert (await ledger.trial_balance(uow)).balanced


async def test_a_refused_meal_gives_the_points_back_with_its_reason(shop: Shop) -> None:
    await shop.work()  # the canteen comes to know the community
    item = {"community_id": 1, "name": "午餐", "milli_points": 1, "fen": 1, "available": True}
    terms = {"meal": "lunch", "day_capacity": 10, "dine_in": True, "delivery": True}
    changed = await shop.canteen.call("PUT", "/items/lunch_set", {**item, "terms": terms})
    assert changed.status_code == 200, changed.text
    refused = await shop.accepted()
    assert (refused.state, refused.reason) == (RedemptionState.REFUSED, "price_differs")
    assert await shop.points() == (PURSE, 0)


async def test_a_handed_over_meal_is_captured(shop: Shop) -> None:
    served = await shop.served()
    assert (served.state, served.captured_on) == (RedemptionState.FULFILLED, TODAY)
    assert (await shop.points(), await shop.earned()) == ((PURSE - LUNCH, 0), LUNCH)


async def test_an_event_that_comes_twice_is_paid_once(shop: Shop) -> None:
    accepted = await shop.accepted()
    event_id = uuid4()
    assert await shop.tell(accepted, "fulfilled", event_id=event_id)
    assert not await shop.tell(accepted, "fulfilled", event_id=event_id)
    assert await shop.tell(accepted, "fulfilled")  # the same news under another id
    await shop.work()
    assert await shop.earned() == LUNCH


async def test_four_workers_that_handle_the_same_news_pay_once(shop: Shop) -> None:
    accepted = await shop.accepted()
    for _ in range(4):
        await shop.tell(accepted, "fulfilled")
    await asyncio.gather(*(shop.work() for _ in range(4)))
    assert await shop.earned() == LUNCH


async def test_carrying_out_every_intent_a_second_time_changes_nothing(shop: Shop, owner_url: str) -> None:
    await shop.served("lunch_set")
    accepted = await shop.accepted("dinner_set")
    await shop.cancel(accepted.id)
    await shop.work()
    before = (await shop.points(), await shop.earned(), await count(shop, "journal_lines"))
    owner = await asyncpg.connect(owner_url)
    await owner.execute(
        "ALTER TABLE bank.outbox DISABLE TRIGGER refuse_second_ending; DELETE FROM bank.outbox_effects;"
        "UPDATE bank.outbox SET done_at = NULL WHERE topic LIKE 'redemption.%'"
    )
    await owner.close()
    shop.clock.move_to(NOON + timedelta(minutes=1))
    assert await shop.work() >= 4
    assert before == (await shop.points(), await shop.earned(), await count(shop, "journal_lines"))


async def test_an_event_may_overtake_the_answer(shop: Shop) -> None:
    redeemed = await shop.redeem()
    async with shop.database.unit_of_work(1) as uow:
        await service.begin_request(uow, redeemed.id)
    await shop.tell(redeemed, "fulfilled")
    await shop.work()
    assert (await shop.look(redeemed.id)).state is RedemptionState.FULFILLED
    assert await shop.earned() == LUNCH


async def test_a_meal_called_off_before_the_canteen_knows_ends_at_once(shop: Shop) -> None:
    redeemed = await shop.redeem()
    assert (await shop.cancel(redeemed.id)).state is RedemptionState.CANCELLED
    await shop.work()
    answer = await shop.canteen.call("GET", f"/redemptions/{redeemed.id}?community_id=1")
    assert answer.status_code == 404
    assert await shop.points() == (PURSE, 0)


async def test_a_meal_called_off_later_ends_when_the_canteen_agrees(shop: Shop) -> None:
    accepted = await shop.accepted()
    asked = await shop.cancel(accepted.id)
    assert (asked.state, asked.cancelling) == (RedemptionState.ACCEPTED, True)
    assert (await shop.cancel(accepted.id)).cancelling
    assert await shop.points() == (PURSE - LUNCH, LUNCH)
    await shop.work()
    assert (await shop.look(accepted.id)).state is RedemptionState.CANCELLED
    assert await shop.canteen.status(accepted.id, 1) == "cancelled"
    assert await shop.points() == (PURSE, 0)


async def test_a_cancellation_that_comes_after_the_meal_captures_it(shop: Shop) -> None:
    accepted = await shop.accepted()
    await shop.hand_over(accepted.id)
    await shop.cancel(accepted.id)
    await shop.work()
    assert (await shop.look(accepted.id)).state is RedemptionState.FULFILLED
    assert await shop.earned() == LUNCH
    with pytest.raises(WrongState):
        await shop.cancel(accepted.id)


async def test_an_order_that_reaches_the_canteen_after_its_cancellation_is_called_off_there(
    shop: Shop,
) -> None:
    await shop.work()
    redeemed = await shop.redeem()
    async with shop.database.unit_of_work(1) as uow:
        await service.begin_request(uow, redeemed.id)
        (slow,) = await outbox.claim(uow)  # a worker is about to send it
    await shop.cancel(redeemed.id)
    await shop.work()  # the canteen has never heard of it: the points are back
    assert await shop.points() == (PURSE, 0)
    answer = await shop.partners["canteen"].place(1, redeemed)  # and now the slow order arrives
    async with shop.database.unit_of_work(1) as uow:
        await service.hear(uow, redeemed.id, answer.status, said_by=redeemed.partner_id)
        await outbox.done(uow, slow)
    await shop.work()
    assert await shop.canteen.status(redeemed.id, 1) == "cancelled"
    assert await shop.points() == (PURSE, 0)


async def test_a_partner_has_no_word_in_another_partners_orders(shop: Shop) -> None:
    lunch = await shop.accepted()
    async with shop.database.unit_of_work(1) as uow:
        station = await service.partner(uow, "station")
        with pytest.raises(InvalidValue, match="of_this_partner"):
            await service.hear(uow, lunch.id, PartnerWord.FULFILLED, said_by=station.id)
    assert (await shop.look(lunch.id)).state is RedemptionState.ACCEPTED


async def test_a_cancellation_the_partner_refuses_ends_there_and_may_be_asked_for_again(shop: Shop) -> None:
    accepted = await shop.accepted()
    asked = 0

    async def refuses(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += request.url.path.endswith("/cancel")
        return httpx.Response(409, json={"code": "kitchen_has_begun"})

    here, shop.partners = shop.partners, Partners({"canteen": shop.answering("canteen", refuses)})
    for times in (1, 2):
        assert (await shop.cancel(accepted.id)).cancelling
        await shop.work()
        held = await shop.look(accepted.id)
        assert (held.state, held.cancelling, asked) == (RedemptionState.ACCEPTED, False, times)
        async with shop.database.unit_of_work(1) as uow:
            waiting = await (await uow.connection()).fetchval(
                "SELECT count(*) FROM bank.outbox WHERE topic = $1 AND done_at IS NULL", service.CANCEL
            )
        assert waiting == 0
    shop.partners = here
    await shop.cancel(accepted.id)
    await shop.work()
    assert (await shop.look(accepted.id)).state is RedemptionState.CANCELLED


async def test_the_canteen_is_asked_when_its_event_never_comes(shop: Shop) -> None:
    accepted = await shop.accepted()
    await shop.hand_over(accepted.id)
    assert await jobs.ask_after_silent(shop.database, shop.partners, 1) == 0
    shop.clock.move_to(NOON + jobs.SILENT_AFTER)
    assert await jobs.ask_after_silent(shop.database, shop.partners, 1) == 1
    assert await shop.earned() == LUNCH


async def test_an_accepted_meal_is_asked_after_less_and_less_often(shop: Shop) -> None:
    await shop.accepted()
    asked = []
    for minute in range(1, 61):
        shop.clock.move_to(NOON + timedelta(minutes=minute))
        if await jobs.ask_after_silent(shop.database, shop.partners, 1):
            asked.append(minute)
    assert asked == [1, 2, 4, 8, 16, 31, 46]


async def test_a_canteen_that_is_away_is_waited_for(shop: Shop) -> None:
    redeemed = await shop.redeem()
    here, shop.partners = shop.partners, Partners({})
    await shop.work()
    assert await shop.points() == (PURSE - LUNCH, LUNCH)
    shop.partners = here
    shop.clock.move_to(NOON + timedelta(minutes=1))
    await shop.work()
    assert (await shop.look(redeemed.id)).state is RedemptionState.ACCEPTED


async def test_a_signed_event_is_taken_and_its_copy_is_refused(shop: Shop) -> None:
    accepted = await shop.accepted()
    body = event(accepted)
    headers = sign(SECRET, "canteen", "POST", "/partner-events", body, at=shop.clock.now())

    async def arrive() -> bool:
        return await verify_and_take_event(
            shop.database,
            headers,
            method="POST",
            path="/partner-events",
            body=body,
            secrets={"canteen": SECRET},
            clock=shop.clock,
        )

    assert await arrive()
    with pytest.raises(BadSignature, match="nonce_seen"):
        await arrive()
    assert not await take(shop, body)  # signed anew it is a repeat, and gets the same answer
    await shop.work()
    assert await shop.earned() == LUNCH


async def test_an_event_signed_wrongly_is_refused(shop: Shop) -> None:
    accepted = await shop.accepted()
    with pytest.raises(BadSignature, match="signature_mismatch"):
        await take(shop, event(accepted), secret="another")
    with pytest.raises(BadSignature, match="signature_mismatch"):
        await take(shop, event(accepted), signed_path="/elsewhere")
    with pytest.raises(BadSignature, match="key_of_another_partner"):
        await take(shop, event(accepted), key="station", secret="another secret")
    with pytest.raises(BadSignature, match="unknown_key"):
        await take(shop, event(accepted), key="cinema")
    assert await count(shop, "partner_events") == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "eaten"}, "type"),
        ({"community_id": "1"}, "community_id"),
        ({"fulfilled_quantity": 2}, "fulfilled_quantity"),
        ({"fulfilled_quantity": True}, "fulfilled_quantity"),
        ({"occurred_at": "2026-03-09T12:00:00"}, "occurred_at"),
        ({"occurred_at": NOON + timedelta(hours=1)}, "occurred_at"),
        ({"name": "测试甲"}, "name"),
    ],
)
async def test_an_event_with_a_wrong_field_is_refused_by_its_name(
    shop: Shop, changes: dict[str, object], field: str
) -> None:
    redeemed = await shop.redeem()
    with pytest.raises(InvalidValue) as refused:
        await take(shop, event(redeemed, **changes))
    assert refused.value.field == field


async def test_an_event_for_a_community_that_is_not_there_is_refused(shop: Shop) -> None:
    with pytest.raises(NotFound):
        await take(shop, event(await shop.redeem(), community_id=9))


async def test_an_event_reaches_only_its_own_community(shop: Shop) -> None:
    await small_world(shop.database, 2)
    accepted = await shop.accepted()
    assert await take(shop, event(accepted, community_id=2))
    await shop.work()
    assert (await shop.look(accepted.id)).state is RedemptionState.ACCEPTED
    async with shop.database.unit_of_work(2) as uow:
        with pytest.raises(NotFound):
            await service.known_redemption(uow, accepted.id)


async def test_a_page_of_redemptions_goes_on_where_the_last_ended(shop: Shop) -> None:
    made = [(await shop.redeem(item)).id for item in ITEMS]
    async with shop.database.unit_of_work(1) as uow:
        first = await service.redemptions_of(uow, shop.elder.id, limit=2)
        rest = await service.redemptions_of(uow, shop.elder.id, after=first[-1].id, limit=2)
    assert [each.id for each in (*first, *rest)] == made[::-1]
