"""Settlement batches and reconciliation: what was captured is frozen once, and both books are compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from pointsbank.domain import accounts, settlement
from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound, WrongState
from pointsbank.domain.journal import InsufficientPoints
from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.redemption import DailyLimitReached, RedemptionState
from pointsbank.domain.settlement import DifferenceKind, LineKind, SettledLine
from services.ledger import service as ledger
from services.settlement import batches, reconciliation, service
from services.settlement.records import RedemptionRecord, record_redemptions
from services.settlement.views import BatchInfo, DifferenceInfo, OutcomeKind, RedemptionOutcome
from tests.partners.support import past_order
from tests.shops import (
    LUNCH,
    NOON,
    PURSE,
    TODAY,
    Shop,
    open_shop,
)


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await shop.work()
        yield shop


async def freeze(shop: Shop) -> list[BatchInfo]:
    return await batches.freeze_batches(shop.database, 1, TODAY)


async def reconcile(shop: Shop) -> list[DifferenceInfo]:
    """Compare today and return the open differences."""
    await reconciliation.reconcile_day(shop.database, shop.partners["canteen"], 1, TODAY)
    async with shop.database.unit_of_work(1) as uow:
        return await reconciliation.differences(uow, only_open=True)


async def record(shop: Shop, *records: RedemptionRecord) -> list[RedemptionOutcome]:
    async with shop.database.unit_of_work(1) as uow:
        return await record_redemptions(uow, records)


def lunch(shop: Shop, *, days_ago: int = 0, item: str = "lunch_set", quantity: int = 1) -> RedemptionRecord:
    """A record of a meal the elder had an hour before noon."""
    at = NOON - timedelta(days=days_ago, hours=1)
    return RedemptionRecord(shop.elder.id, "canteen", item, quantity, at)


async def canteen_says(shop: Shop, **changes: object) -> UUID:
    """Let the canteen's books hold a meal of today that came in on paper."""
    line = past_order(**changes)
    answer = await shop.canteen.call("POST", "/redemptions/bulk", {"community_id": 1, "redemptions": [line]})
    assert answer.status_code == 200, answer.text
    return UUID(str(line["redemption_id"]))


async def test_a_batch_holds_every_capture_of_its_day_and_settles_it(shop: Shop) -> None:
    served = [await shop.served("lunch_set"), await shop.served("dinner_set")]
    (batch,) = await freeze(shop)
    assert (batch.partner, batch.business_date, batch.sequence) == ("canteen", TODAY, 1)
    assert (batch.lines, batch.milli_points, batch.fen) == (2, 2 * LUNCH, 2_400)
    lines = [
        SettledLine(each.id, LineKind.CAPTURE, TODAY, MilliPoints(LUNCH), Fen(1_200))
        for each in sorted(served, key=lambda each: each.id)
    ]
    assert batch.content_hash == settlement.content_hash(lines)
    async with shop.database.unit_of_work(1) as uow:
        canteen = await service.partner(uow, "canteen")
        balances = await ledger.balances(
            uow,
            [
                accounts.partner_earned(canteen.id),
                accounts.partner_settled(canteen.id),
                accounts.partner_receivable(canteen.id),
                accounts.subsidy_fund(),
            ],
        )
        assert list(balances.values()) == [0, 2 * LUNCH, 2_400, -2_400]
        assert [line.redemption_id for line in await batches.batch_lines(uow, batch.id)] == sorted(
            each.id for each in served
        )
        assert (await ledger.trial_balance(uow)).balanced


async def test_freezing_again_finds_nothing(shop: Shop) -> None:
    await shop.served()
    assert len(await freeze(shop)) == 1
    assert await freeze(shop) == []


async def test_four_freezings_at_once_make_one_batch(shop: Shop) -> None:
    await shop.served()
    frozen = await asyncio.gather(*(freeze(shop) for _ in range(4)))
    assert sorted(len(each) for each in frozen) == [0, 0, 0, 1]


async def test_a_late_capture_goes_into_the_days_next_batch(shop: Shop) -> None:
    await shop.served("lunch_set")
    await freeze(shop)
    late = await shop.served("dinner_set")
    (batch,) = await freeze(shop)
    assert (batch.sequence, batch.lines) == (2, 1)
    async with shop.database.unit_of_work(1) as uow:
        assert [line.redemption_id for line in await batches.batch_lines(uow, batch.id)] == [late.id]
        assert [each.sequence for each in await batches.batches(uow)] == [2, 1]


async def test_a_day_with_many_lines_is_frozen_in_bounded_batches(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_LINES_MAX", 2)
    for item in ("lunch_set", "dinner_set", "soft_lunch"):
        await shop.served(item)
    assert [(each.sequence, each.lines) for each in await freeze(shop)] == [(1, 2), (2, 1)]


async def test_what_is_only_held_is_in_no_batch(shop: Shop) -> None:
    await shop.accepted()
    assert await freeze(shop) == []


async def test_books_that_agree_have_no_difference(shop: Shop) -> None:
    await shop.served()
    assert await reconcile(shop) == []
    async with shop.database.unit_of_work(1) as uow:
        (compared,) = await reconciliation.reconciliations(uow)
    assert (compared.lines_here, compared.lines_there, compared.differences) == (1, 1, 0)


async def test_reconciliation_names_the_meal_the_canteen_never_saw(shop: Shop) -> None:
    (outcome,) = await record(shop, lunch(shop))
    assert outcome.redemption is not None
    (found,) = await reconcile(shop)
    assert (found.kind, found.redemption_id) == (DifferenceKind.MISSING_THERE, outcome.redemption.id)
    assert (found.milli_points_here, found.milli_points_there) == (LUNCH, None)


async def test_reconciliation_names_the_meal_we_never_captured(shop: Shop) -> None:
    unknown = await canteen_says(shop)
    (found,) = await reconcile(shop)
    assert (found.kind, found.redemption_id) == (DifferenceKind.MISSING_HERE, unknown)
    assert (found.fen_here, found.fen_there) == (None, 1_200)


async def test_reconciliation_names_the_meal_with_another_price(shop: Shop) -> None:
    (outcome,) = await record(shop, lunch(shop))
    assert outcome.redemption is not None
    await canteen_says(shop, redemption_id=str(outcome.redemption.id), fen=1_300)
    (found,) = await reconcile(shop)
    assert (found.kind, found.fen_here, found.fen_there) == (DifferenceKind.AMOUNT, 1_200, 1_300)


async def test_a_statement_captures_what_no_event_told(shop: Shop) -> None:
    accepted = await shop.accepted()
    await shop.hand_over(accepted.id)
    assert await reconcile(shop) == []
    assert (await shop.look(accepted.id)).state is RedemptionState.FULFILLED
    assert await shop.points() == (PURSE - LUNCH, 0)


async def test_a_difference_seen_again_is_named_once(shop: Shop) -> None:
    await canteen_says(shop)
    (first,) = await reconcile(shop)
    (again,) = await reconcile(shop)
    assert again.id == first.id
    assert not again.vanished


async def test_a_difference_that_vanished_stays_open_until_someone_says_why(shop: Shop) -> None:
    (outcome,) = await record(shop, lunch(shop))
    await reconcile(shop)
    assert outcome.redemption is not None
    await shop.partners["canteen"].take_in(1, [outcome.redemption])
    (vanished,) = await reconcile(shop)
    assert vanished.vanished
    async with shop.database.unit_of_work(1) as uow:
        coordinator = shop.world.coordinator.actor
        solved = await reconciliation.resolve_difference(uow, coordinator, vanished.id, " 纸单补录 ")
    assert (solved.resolution, solved.resolved_by) == ("纸单补录", shop.world.coordinator.id)
    assert await reconcile(shop) == []


async def test_only_a_coordinator_resolves_and_only_once_and_with_a_reason(shop: Shop) -> None:
    await canteen_says(shop)
    (found,) = await reconcile(shop)

    async def attempt(actor_of: str, text: str, difference_id: UUID = found.id) -> None:
        async with shop.database.unit_of_work(1) as uow:
            actor = getattr(shop.world, actor_of).actor
            await reconciliation.resolve_difference(uow, actor, difference_id, text)

    with pytest.raises(NotAllowed):
        await attempt("elder", "因为")
    with pytest.raises(InvalidValue):
        await attempt("coordinator", "  ")
    with pytest.raises(NotFound):
        await attempt("coordinator", "因为", uuid4())
    await attempt("coordinator", "因为")
    with pytest.raises(WrongState):
        await attempt("coordinator", "又一次")


async def test_recorded_redemptions_are_paid_and_agree_with_the_partner(shop: Shop) -> None:
    outcomes = await record(shop, lunch(shop, days_ago=1), lunch(shop), lunch(shop, item="dinner_set"))
    assert {each.kind for each in outcomes} == {OutcomeKind.RECORDED}
    assert await shop.points() == (PURSE - 3 * LUNCH, 0)
    past = [each.redemption for each in outcomes if each.redemption is not None]
    await shop.partners["canteen"].take_in(1, past)
    await shop.partners["canteen"].take_in(1, past)
    assert await reconcile(shop) == []
    assert [(each.business_date, each.lines) for each in await freeze(shop)] == [
        (TODAY - timedelta(days=1), 1),
        (TODAY, 2),
    ]


async def test_the_same_record_twice_is_paid_once(shop: Shop) -> None:
    outcomes = await record(shop, lunch(shop), lunch(shop))
    again = await record(shop, lunch(shop))
    assert [each.kind for each in (*outcomes, *again)] == [
        OutcomeKind.RECORDED,
        OutcomeKind.ALREADY,
        OutcomeKind.ALREADY,
    ]
    assert await shop.points() == (PURSE - LUNCH, 0)


async def test_records_are_refused_alone_and_by_name(shop: Shop) -> None:
    later = RedemptionRecord(shop.elder.id, "canteen", "soft_lunch", 1, NOON + timedelta(minutes=1))
    stranger = RedemptionRecord(uuid4(), "canteen", "lunch_set", 1, NOON)
    poor = RedemptionRecord(shop.world.volunteer.id, "canteen", "lunch_set", 1, NOON)
    outcomes = await record(
        shop, lunch(shop), lunch(shop, quantity=2, item="dinner_set"), later, stranger, poor
    )
    assert [type(each.error) for each in outcomes] == [
        type(None),
        DailyLimitReached,
        InvalidValue,
        NotFound,
        InsufficientPoints,
    ]
    assert await shop.points() == (PURSE - LUNCH, 0)


async def test_a_record_from_before_the_first_rules_is_refused_alone(shop: Shop) -> None:
    before, fine = await record(shop, lunch(shop, days_ago=3_000), lunch(shop))
    assert (before.kind, fine.kind) == (OutcomeKind.REFUSED, OutcomeKind.RECORDED)
    assert isinstance(before.error, NotFound)


async def test_a_refused_record_never_takes_what_another_hold_has_set_aside(shop: Shop) -> None:
    for item in ("lunch_set", "dinner_set", "soft_lunch"):
        await shop.redeem(item)
    await shop.redeem("lunch_set", day=TODAY + timedelta(days=1))
    await shop.redeem("dinner_set", day=TODAY + timedelta(days=1))
    assert await shop.points() == (0, PURSE)
    (outcome,) = await record(shop, lunch(shop, days_ago=1))
    assert isinstance(outcome.error, InsufficientPoints)
    assert await shop.points() == (0, PURSE)


async def test_each_batch_of_a_great_day_is_a_commit_of_its_own(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_LINES_MAX", 1)
    for item in ("lunch_set", "dinner_set", "soft_lunch"):
        await shop.served(item)
    assert len(await freeze(shop)) == 3
    async with shop.database.unit_of_work(1) as uow:
        connection = await uow.connection()
        commits = await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM bank.settlement_batches")
    assert commits == 3


async def test_a_record_with_another_quantity_is_refused_and_tells_nothing(shop: Shop) -> None:
    at = NOON - timedelta(hours=1)
    one, two = (RedemptionRecord(shop.elder.id, "station", "water_rest_pack", n, at) for n in (1, 2))
    recorded, refused = await record(shop, one, two)
    assert recorded.redemption is not None
    (again,) = await record(shop, two)
    for each in (refused, again):
        assert (each.kind, each.redemption) == (OutcomeKind.REFUSED, None)
        assert isinstance(each.error, InvalidValue)
        assert each.error.field == "quantity"
    (same,) = await record(shop, one)
    assert (same.kind, same.redemption) == (OutcomeKind.ALREADY, recorded.redemption)
