"""Settling days: what was compared is paid, what was said once is not said again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import httpx
import pytest

from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.settlement import DifferenceKind
from services.settlement import reconciliation, service, settling
from services.settlement.client import Partners, PartnerUnavailable
from services.settlement.records import RedemptionRecord, record_redemptions
from services.settlement.views import DifferenceInfo, SettledDay
from tests.shops import (
    NOON,
    TODAY,
    Answer,
    Shop,
    listed,
    open_shop,
    refuse_changes,
    statement,
)


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await shop.work()
        yield shop


async def resolve(shop: Shop, difference_id: UUID, text: str = "已核对") -> None:
    async with shop.database.unit_of_work(1) as uow:
        coordinator = shop.world.coordinator.actor
        await reconciliation.resolve_difference(uow, coordinator, difference_id, text)


async def differences(shop: Shop) -> list[DifferenceInfo]:
    async with shop.database.unit_of_work(1) as uow:
        return await reconciliation.differences(uow, only_open=True)


async def count(shop: Shop, query: str) -> int:
    async with shop.database.unit_of_work(1) as uow:
        found: int = await (await uow.connection()).fetchval(query)
        return found


COMPARISONS = "SELECT count(*) FROM bank.reconciliations"


async def silent(request: httpx.Request) -> httpx.Response:
    """A partner that has served nothing."""
    return statement()


async def settle(shop: Shop, canteen: Answer = silent) -> list[SettledDay]:
    """Settle ended days with a canteen that gives ``canteen`` for statements."""
    partners = Partners(
        {"canteen": shop.answering("canteen", canteen), "station": shop.answering("station", silent)}
    )
    return await settling.settle_ended_days(shop.database, partners, 1)


def paid(days: list[SettledDay]) -> list[tuple[date, int]]:
    return [(batch.business_date, batch.lines) for day in days for batch in day.batches]


async def test_settling_a_day_goes_on_when_a_partner_is_away(shop: Shop) -> None:
    await shop.served()
    settled = await settling.settle_day(shop.database, shop.partners, 1, TODAY)
    assert settled.unreachable == ["station"]  # it has no address here
    assert [each.partner for each in settled.reconciliations] == ["canteen"]
    assert len(settled.batches) == 1


async def test_an_address_that_does_not_answer_is_unavailable(shop: Shop) -> None:
    with pytest.raises(PartnerUnavailable, match="no address"):
        shop.partners["station"]


async def test_ended_days_are_settled_once_the_day_is_over(shop: Shop) -> None:
    await shop.served()
    before = await settling.settle_ended_days(shop.database, shop.partners, 1)
    assert [batch for day in before for batch in day.batches] == []
    shop.clock.move_to(NOON + timedelta(days=1))
    after = await settling.settle_ended_days(shop.database, shop.partners, 1)
    assert [batch.business_date for day in after for batch in day.batches] == [TODAY]


async def test_a_capture_that_comes_while_the_statement_is_read_is_compared_before_it_is_paid(
    shop: Shop,
) -> None:
    claimed = await shop.accepted()
    shop.clock.move_to(NOON + timedelta(hours=13))

    async def tells_meanwhile(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(str(TODAY)):
            shop.clock.move_to(shop.clock.now() + timedelta(seconds=2))
            await shop.tell(claimed, "fulfilled")
            await shop.work()
        return statement()

    assert paid(await settle(shop, tells_meanwhile)) == []
    assert (await shop.look(claimed.id)).state is RedemptionState.FULFILLED
    assert await differences(shop) == []
    assert paid(await settle(shop)) == [(TODAY, 1)]
    (found,) = await differences(shop)
    assert (found.kind, found.redemption_id) == (DifferenceKind.MISSING_THERE, claimed.id)


async def test_a_capture_of_long_ago_is_compared_before_it_is_paid(shop: Shop) -> None:
    long_ago = settling.LOOK_BACK_DAYS + 10
    at = NOON - timedelta(days=long_ago)
    async with shop.database.unit_of_work(1) as uow:
        eaten = RedemptionRecord(shop.elder.id, "canteen", "lunch_set", 1, at)
        (outcome,) = await record_redemptions(uow, [eaten])
    assert outcome.redemption is not None
    assert paid(await settle(shop)) == [(TODAY - timedelta(days=long_ago), 1)]
    (found,) = await differences(shop)
    assert (found.kind, found.redemption_id) == (DifferenceKind.MISSING_THERE, outcome.redemption.id)


async def test_a_partner_whose_statement_cannot_be_had_is_paid_when_it_can(shop: Shop) -> None:
    served = await shop.served()
    shop.clock.move_to(NOON + timedelta(days=1))
    assert paid(await settling.settle_ended_days(shop.database, Partners({}), 1)) == []

    async def has_it(request: httpx.Request) -> httpx.Response:
        return statement(listed(served.id)) if request.url.path.endswith(str(TODAY)) else statement()

    assert paid(await settle(shop, has_it)) == [(TODAY, 1)]
    assert await differences(shop) == []


async def test_a_comparison_begun_before_the_day_was_over_is_made_again(shop: Shop) -> None:
    over = service.day_end(TODAY, "Asia/Shanghai")
    shop.clock.move_to(over - timedelta(seconds=1))

    async def slow(request: httpx.Request) -> httpx.Response:
        shop.clock.move_to(over + timedelta(seconds=1))
        return statement()

    await reconciliation.reconcile_day(shop.database, shop.answering("canteen", slow), 1, TODAY)
    asked: list[str] = []

    async def counts(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return statement()

    await settle(shop, counts)
    assert any(path.endswith(str(TODAY)) for path in asked)
    asked.clear()
    await settle(shop, counts)
    assert asked == []


async def test_a_standing_difference_is_written_once_however_often_it_is_seen(shop: Shop) -> None:
    await shop.served()
    shop.clock.move_to(NOON + timedelta(days=1))
    await settle(shop)
    rows = await count(shop, COMPARISONS)
    for _ in range(3):
        shop.clock.move_to(shop.clock.now() + timedelta(minutes=10))
        days = await settle(shop)
        assert [each.differences for day in days for each in day.reconciliations] == [1]
    assert await count(shop, COMPARISONS) == rows


async def test_a_day_whose_differences_are_resolved_is_asked_about_no_more(shop: Shop) -> None:
    await shop.served()
    shop.clock.move_to(NOON + timedelta(days=1))
    await settle(shop)
    (found,) = await differences(shop)
    await resolve(shop, found.id)
    rows = await count(shop, COMPARISONS)
    assert await settle(shop) == []
    assert await count(shop, COMPARISONS) == rows
    again = await reconciliation.reconcile_day(shop.database, shop.answering("canteen", silent), 1, TODAY)
    assert (again.differences, await differences(shop)) == (0, [])


async def test_a_partner_that_is_away_does_not_have_the_other_compared_again(shop: Shop) -> None:
    asked: list[str] = []

    async def counts(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return statement()

    partners = Partners({"canteen": shop.answering("canteen", counts)})
    first = await settling.settle_ended_days(shop.database, partners, 1)
    assert len(asked) == len(first) == settling.LOOK_BACK_DAYS
    second = await settling.settle_ended_days(shop.database, partners, 1)
    assert len(asked) == settling.LOOK_BACK_DAYS
    assert [day.unreachable for day in second] == [["station"]] * settling.LOOK_BACK_DAYS


async def test_other_figures_after_a_resolution_are_a_difference_of_their_own(shop: Shop) -> None:
    served = await shop.served()

    async def compare(fen: int) -> list[DifferenceInfo]:
        async def says(request: httpx.Request) -> httpx.Response:
            return statement(listed(served.id, fen=fen))

        await reconciliation.reconcile_day(shop.database, shop.answering("canteen", says), 1, TODAY)
        return await differences(shop)

    (first,) = await compare(1_201)
    await resolve(shop, first.id, "差一分，认可")
    assert await compare(1_201) == []
    (second,) = await compare(9_999_999)
    assert (second.fen_there, second.resolution) == (9_999_999, None)
    async with shop.database.unit_of_work(1) as uow:
        kept = await reconciliation.difference(uow, first.id)
    assert (kept.fen_there, kept.resolution) == (1_201, "差一分，认可")


async def test_the_database_keeps_a_resolved_difference_as_it_was(shop: Shop) -> None:
    await shop.served()
    shop.clock.move_to(NOON + timedelta(days=1))
    await settle(shop)
    (found,) = await differences(shop)
    await resolve(shop, found.id)
    with pytest.raises(asyncpg.RestrictViolationError):
        await count(shop, f"UPDATE bank.reconciliation_differences SET fen_there = 1 WHERE id = '{found.id}'")


async def test_what_was_resolved_as_gone_is_named_again_when_it_comes_back(shop: Shop) -> None:
    served = await shop.served()
    lists = [False]

    async def now_and_then(request: httpx.Request) -> httpx.Response:
        return statement(listed(served.id)) if lists[0] else statement()

    async def compare() -> list[DifferenceInfo]:
        shop.clock.move_to(shop.clock.now() + timedelta(minutes=1))
        client = shop.answering("canteen", now_and_then)
        await reconciliation.reconcile_day(shop.database, client, 1, TODAY)
        return await differences(shop)

    (named,) = await compare()
    lists[0] = True
    (gone,) = await compare()
    assert gone.vanished
    await resolve(shop, named.id, "饭堂已补登")
    lists[0] = False
    (back,) = await compare()
    assert back.id != named.id
    assert not back.vanished


async def test_a_listed_meal_that_cannot_be_captured_is_named_and_stops_nothing(
    shop: Shop, owner_url: str
) -> None:
    broken, sound = await shop.accepted("lunch_set"), await shop.accepted("dinner_set")
    await refuse_changes(owner_url, broken.id)
    shop.clock.move_to(NOON + timedelta(hours=13))

    async def lists_both(request: httpx.Request) -> httpx.Response:
        lines = [listed(broken.id), listed(sound.id)]
        return statement(*lines) if request.url.path.endswith(str(TODAY)) else statement()

    assert paid(await settle(shop, lists_both)) == [(TODAY, 1)]
    (found,) = await differences(shop)
    assert (found.kind, found.redemption_id) == (DifferenceKind.MISSING_HERE, broken.id)
