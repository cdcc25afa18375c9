"""An effect happens once; what failed too often waits for a person, who tries it again or closes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.platform import dead_letters, outbox
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.gathered import Gathered
from pointsbank.platform.lane import Lane
from pointsbank.platform.outbox import (
    EVERY_TOPIC,
    LEASE,
    OUTSIDE_AGE_MAX,
    TRIES_MAX,
    AlreadyDone,
    Intent,
    TryLater,
)
from tests.ledgers import NOON, bare_ledger
from tests.worlds import World, small_world


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
async def bank(app_url: str, clock: FixedClock) -> AsyncIterator[Database]:
    database = Database(app_url, clock=clock)
    await bare_ledger(database)
    yield database
    await database.close()


@pytest.fixture
async def owner(bank: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(owner_url)
    await connection.execute("CREATE TABLE bank.marks (subject uuid)")
    await connection.execute("GRANT INSERT ON bank.marks TO pointsbank_app")
    yield connection
    await connection.close()


async def add(bank: Database, subject: UUID | None = None) -> UUID:
    async with bank.unit_of_work(1) as uow:
        return await outbox.add(uow, "test", subject or uuid4())


async def mark(uow: UnitOfWork, intent: Intent) -> None:
    """An effect that nothing but the outbox keeps from happening twice."""
    connection = await uow.connection()
    await connection.execute("INSERT INTO bank.marks VALUES ($1)", intent.subject_id)


async def dead(bank: Database, clock: FixedClock) -> UUID:
    """Record an intent and let it fail until it is put aside."""
    intent_id = await add(bank)

    async def fail(intent: Intent) -> None:
        raise RuntimeError

    began = clock.now()
    for hour in range(TRIES_MAX):
        clock.move_to(began + timedelta(hours=hour))
        await outbox.work_off(bank, 1, {"test": fail})
    return intent_id


async def test_two_workers_with_one_intent_do_its_effect_once(
    bank: Database, clock: FixedClock, owner: asyncpg.Connection
) -> None:
    await add(bank)
    async with bank.unit_of_work(1) as uow:
        (slow,) = await outbox.claim(uow)
    clock.move_to(NOON + LEASE)
    async with bank.unit_of_work(1) as uow:
        (quick,) = await outbox.claim(uow)
    both = asyncio.Barrier(2)

    async def carry_out(intent: Intent) -> bool:
        try:
            async with bank.unit_of_work(1) as uow:
                await mark(uow, intent)
                await both.wait()
                await outbox.done(uow, intent)
        except AlreadyDone:
            return False
        return True

    assert sorted(await asyncio.gather(carry_out(slow), carry_out(quick))) == [False, True]
    assert await owner.fetchval("SELECT count(*) FROM bank.marks") == 1


async def test_the_database_refuses_a_second_effect_under_one_key(
    bank: Database, owner: asyncpg.Connection
) -> None:
    intent_id = await add(bank)
    effect = (
        "INSERT INTO bank.outbox_effects (community_id, effect_key, intent_id, effected_at)"
        " VALUES (1, 'test', $1, now())"
    )
    await owner.execute(effect, intent_id)
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(effect, intent_id)


async def test_what_was_done_cannot_be_made_due_again(bank: Database, owner: asyncpg.Connection) -> None:
    await add(bank)
    async with bank.unit_of_work(1) as uow:
        await outbox.done(uow, *await outbox.claim(uow))
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("UPDATE bank.outbox SET done_at = NULL")


async def test_gathered_effects_share_one_commit(bank: Database, owner: asyncpg.Connection) -> None:
    for _ in range(20):
        await add(bank)
    async with bank.unit_of_work(1) as uow:
        intents = await outbox.claim(uow, limit=20)
    gathered = Gathered(bank, _nothing)
    await asyncio.gather(
        *(gathered.do(each, lambda uow, each=each: mark(uow, each)) for each in intents)  # type: ignore[misc]
    )
    transactions = await owner.fetchval("SELECT count(DISTINCT xmin::text) FROM bank.marks")
    assert (await owner.fetchval("SELECT count(*) FROM bank.marks"), transactions) == (20, 1)


async def test_one_that_fails_among_gathered_effects_spoils_no_other(
    bank: Database, owner: asyncpg.Connection
) -> None:
    for _ in range(6):
        await add(bank)
    async with bank.unit_of_work(1) as uow:
        intents = await outbox.claim(uow, limit=6)
    gathered = Gathered(bank, _nothing)

    async def act(uow: UnitOfWork, intent: Intent) -> None:
        await mark(uow, intent)
        if intent is intents[3]:
            raise RuntimeError

    ends = await asyncio.gather(
        *(gathered.do(each, lambda uow, each=each: act(uow, each)) for each in intents),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [type(None)] * 3 + [RuntimeError] + [type(None)] * 2
    assert await owner.fetchval("SELECT count(*) FROM bank.marks") == 5


async def _nothing(uow: UnitOfWork, subjects: object) -> None:
    """Lock nothing."""


async def test_a_lane_that_was_rung_once_carries_out_all_that_waits(bank: Database) -> None:
    for _ in range(40):
        await add(bank)
    seen: list[UUID] = []

    async def handle(intent: Intent) -> None:
        async with bank.unit_of_work(1) as uow:
            await outbox.done(uow, intent)
        seen.append(intent.id)

    lane = Lane(bank, {"test": handle}, EVERY_TOPIC, at_once=8)
    running = asyncio.create_task(lane.run())
    lane.ring(1)
    async with asyncio.timeout(30):
        while len(seen) < 40:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(set(seen)) == 40


async def test_a_lane_that_is_stopped_gives_back_what_it_had_begun(bank: Database, clock: FixedClock) -> None:
    await add(bank)
    begun = asyncio.Event()

    async def endless(intent: Intent) -> None:
        begun.set()
        await asyncio.sleep(60)

    lane = Lane(bank, {"test": endless}, EVERY_TOPIC, at_once=8)
    running = asyncio.create_task(lane.run())
    lane.ring(1)
    await asyncio.wait_for(begun.wait(), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    clock.move_to(NOON + timedelta(seconds=2))
    async with bank.unit_of_work(1) as uow:
        (again,) = await outbox.claim(uow)
    assert again.attempts == 1


async def test_an_outage_outside_ends_as_a_dead_letter_after_a_week(
    bank: Database, clock: FixedClock
) -> None:
    intent_id = await add(bank)

    async def away(intent: Intent) -> None:
        raise TryLater("canteen: ConnectError")

    clock.move_to(NOON + OUTSIDE_AGE_MAX - timedelta(seconds=1))
    await outbox.work_off(bank, 1, {"test": away})
    async with bank.unit_of_work(1) as uow:
        assert await dead_letters.letters(uow) == []
    clock.move_to(NOON + OUTSIDE_AGE_MAX + timedelta(minutes=1))
    await outbox.work_off(bank, 1, {"test": away})
    async with bank.unit_of_work(1) as uow:
        (letter,) = await dead_letters.letters(uow)
        assert (letter.id, letter.error) == (intent_id, "TryLater: canteen: ConnectError")
        await dead_letters.retry(uow, [intent_id])
    await outbox.work_off(bank, 1, {"test": away})
    async with bank.unit_of_work(1) as uow:
        assert await dead_letters.letters(uow) == [], "tried again, it has a week again"


async def test_an_intent_that_is_told_when_to_come_again_comes_then(
    bank: Database, clock: FixedClock
) -> None:
    await add(bank)

    async def away(intent: Intent) -> None:
        error = TryLater("canteen: left alone")
        error.not_before = NOON + timedelta(minutes=10)
        raise error

    await outbox.work_off(bank, 1, {"test": away})
    for minutes, due in ((9, 0), (11, 1)):
        clock.move_to(NOON + timedelta(minutes=minutes))
        async with bank.unit_of_work(1) as uow:
            assert len(await outbox.claim(uow)) == due


class TestDeciding:
    """What a coordinator does about a dead letter."""

    @pytest.fixture
    async def world(self, app_url: str, clock: FixedClock) -> AsyncIterator[tuple[Database, World]]:
        database = Database(app_url, clock=clock)
        world = await small_world(database)
        async with database.unit_of_work(1) as uow:
            await outbox.done(uow, *await outbox.claim(uow, limit=10))  # the introductions
        yield database, world
        await database.close()

    async def test_a_letter_tells_its_error_and_is_closed_with_a_reason(
        self, world: tuple[Database, World], clock: FixedClock, owner_url: str
    ) -> None:
        bank, people_ = world
        intent_id = await dead(bank, clock)
        async with bank.unit_of_work(1) as uow:
            (letter,) = await dead_letters.letters(uow)
            assert (letter.id, letter.attempts, letter.error) == (intent_id, TRIES_MAX, "RuntimeError")
            await dead_letters.close(uow, intent_id, by=people_.coordinator.id, reason=" 饭堂已电话确认 ")
            assert await dead_letters.letters(uow) == []
            assert (await dead_letters.backlog(uow)).dead == 0
        connection = await asyncpg.connect(owner_url)
        row = await connection.fetchrow(
            "SELECT closed_by, close_reason FROM bank.outbox WHERE id = $1", intent_id
        )
        await connection.close()
        assert tuple(row) == (people_.coordinator.id, "饭堂已电话确认")

    async def test_a_closed_letter_is_neither_tried_nor_closed_again(
        self, world: tuple[Database, World], clock: FixedClock
    ) -> None:
        bank, people_ = world
        intent_id = await dead(bank, clock)
        async with bank.unit_of_work(1) as uow:
            await dead_letters.close(uow, intent_id, by=people_.coordinator.id, reason="x")
            assert await dead_letters.retry(uow) == 0
            with pytest.raises(WrongState):
                await dead_letters.retry(uow, [intent_id])
            with pytest.raises(WrongState):
                await dead_letters.close(uow, intent_id, by=people_.coordinator.id, reason="y")

    async def test_what_is_due_is_no_dead_letter(self, world: tuple[Database, World]) -> None:
        bank, people_ = world
        intent_id = await add(bank)
        async with bank.unit_of_work(1) as uow:
            with pytest.raises(WrongState):
                await dead_letters.close(uow, intent_id, by=people_.coordinator.id, reason="x")
            with pytest.raises(NotFound):
                await dead_letters.retry(uow, [uuid4()])

    @pytest.mark.parametrize("reason", ["  ", "x" * 501])
    async def test_a_letter_is_not_closed_without_a_reason_of_some_length(
        self, world: tuple[Database, World], clock: FixedClock, reason: str
    ) -> None:
        bank, people_ = world
        intent_id = await dead(bank, clock)
        async with bank.unit_of_work(1) as uow:
            with pytest.raises(InvalidValue):
                await dead_letters.close(uow, intent_id, by=people_.coordinator.id, reason=reason)

    async def test_the_database_keeps_no_closing_without_who_and_why(
        self, world: tuple[Database, World], clock: FixedClock, owner_url: str
    ) -> None:
        bank, _ = world
        await dead(bank, clock)
        connection = await asyncpg.connect(owner_url)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE bank.outbox SET closed_at = now() WHERE dead_at IS NOT NULL")
        await connection.close()
