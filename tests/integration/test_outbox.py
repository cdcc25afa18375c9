"""The outbox: what was committed is carried out, whatever the queue and the workers do."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from pointsbank.platform import outbox
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.outbox import LEASE, TRIES_MAX, Handler, Intent, TryLater
from pointsbank.platform.queue import Queue
from tests.ledgers import NOON, bare_ledger

DEAD_PORT = "redis://127.0.0.1:9/0"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
async def bank(app_url: str, clock: FixedClock) -> Database:
    """A database with one community and nothing in its outbox."""
    database = Database(app_url, clock=clock)
    await bare_ledger(database)
    yield database
    await database.close()


async def add(bank: Database, topic: str = "test", subject: UUID | None = None) -> UUID:
    async with bank.unit_of_work(1) as uow:
        return await outbox.add(uow, topic, subject or uuid4())


async def backlog(bank: Database) -> outbox.Backlog:
    async with bank.unit_of_work(1) as uow:
        return await outbox.backlog(uow)


def counting(
    bank: Database, seen: list[Intent], *, fail_first: int = 0, error: Exception | None = None
) -> Handler:
    """A handler that notes what it was given, and fails at first if told to."""

    async def handle(intent: Intent) -> None:
        seen.append(intent)
        if len(seen) <= fail_first:
            raise error or RuntimeError("a fault of ours that quotes 测试甲")
        async with bank.unit_of_work(1) as uow:
            await outbox.done(uow, intent)

    return handle


async def test_an_intent_is_recorded_only_if_its_transaction_commits(bank: Database) -> None:
    async def record_and_fail() -> None:
        async with bank.unit_of_work(1) as uow:
            await outbox.add(uow, "test", uuid4())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await record_and_fail()
    assert (await backlog(bank)).undone == 0


async def test_an_intent_is_carried_out_once(bank: Database) -> None:
    subject, seen = uuid4(), list[Intent]()
    await add(bank, subject=subject)
    handlers = {"test": counting(bank, seen)}
    assert await outbox.work_off(bank, 1, handlers) == 1
    assert await outbox.work_off(bank, 1, handlers) == 0
    assert [intent.subject_id for intent in seen] == [subject]
    assert (await backlog(bank)).undone == 0


async def test_sixteen_workers_at_once_share_the_intents_without_overlap(bank: Database) -> None:
    for _ in range(40):
        await add(bank)
    seen: list[Intent] = []
    handlers = {"test": counting(bank, seen)}
    await asyncio.gather(*(outbox.work_off(bank, 1, handlers) for _ in range(16)))
    assert len(seen) == len({intent.id for intent in seen}) == 40


async def test_a_claimed_intent_is_nobody_elses_until_its_lease_ends(
    bank: Database, clock: FixedClock
) -> None:
    intent_id = await add(bank)
    async with bank.unit_of_work(1) as uow:
        assert len(await outbox.claim(uow, limit=10)) == 1
    async with bank.unit_of_work(1) as uow:
        assert await outbox.claim(uow, limit=10) == []
        assert await outbox.claim(uow, intent_id=intent_id) == []
    clock.move_to(NOON + LEASE)
    async with bank.unit_of_work(1) as uow:
        (again,) = await outbox.claim(uow, limit=10)
    assert (again.id, again.attempts) == (intent_id, 2)


async def test_a_failed_intent_waits_and_comes_again(bank: Database, clock: FixedClock) -> None:
    seen: list[Intent] = []
    handlers = {"test": counting(bank, seen, fail_first=1)}
    await add(bank)
    await outbox.work_off(bank, 1, handlers)
    await outbox.work_off(bank, 1, handlers)
    assert len(seen) == 1
    clock.move_to(NOON + timedelta(seconds=2))
    await outbox.work_off(bank, 1, handlers)
    assert [intent.attempts for intent in seen] == [1, 2]
    assert (await backlog(bank)).undone == 0


async def test_what_always_fails_ends_as_dead_and_can_be_revived(bank: Database, clock: FixedClock) -> None:
    seen: list[Intent] = []
    handlers = {"test": counting(bank, seen, fail_first=TRIES_MAX)}
    await add(bank)
    for hour in range(TRIES_MAX + 3):
        clock.move_to(NOON + timedelta(hours=hour))
        await outbox.work_off(bank, 1, handlers)
    assert len(seen) == TRIES_MAX
    left = await backlog(bank)
    assert (left.undone, left.dead) == (0, 1)
    async with bank.unit_of_work(1) as uow:
        assert await outbox.revive(uow) == 1
    await outbox.work_off(bank, 1, handlers)
    assert await backlog(bank) == outbox.Backlog(undone=0, dead=0, oldest=None)


async def test_an_outage_outside_never_makes_a_dead_letter(bank: Database, clock: FixedClock) -> None:
    seen: list[Intent] = []
    away = counting(bank, seen, fail_first=TRIES_MAX * 3, error=TryLater("canteen: ConnectError"))
    await add(bank)
    for minute in range(TRIES_MAX * 3 + 1):
        clock.move_to(NOON + timedelta(minutes=minute))
        await outbox.work_off(bank, 1, {"test": away})
    assert len(seen) == TRIES_MAX * 3 + 1
    assert await backlog(bank) == outbox.Backlog(undone=0, dead=0, oldest=None)


async def test_an_intent_that_takes_its_worker_down_is_buried(bank: Database, clock: FixedClock) -> None:
    await add(bank)
    for hour in range(TRIES_MAX):
        clock.move_to(NOON + timedelta(hours=hour))
        async with bank.unit_of_work(1) as uow:
            assert len(await outbox.claim(uow)) == 1  # and the worker is gone
    clock.move_to(NOON + timedelta(days=2))
    await outbox.work_off(bank, 1, {})
    assert (await backlog(bank)).dead == 1


async def test_the_reason_kept_of_a_failure_quotes_nothing(bank: Database, owner_url: str) -> None:
    await add(bank)
    await outbox.work_off(bank, 1, {"test": counting(bank, [], fail_first=1)})
    async with bank.unit_of_work(1) as uow:
        connection = await uow.connection()
        assert await connection.fetchval("SELECT last_error FROM bank.outbox") == "RuntimeError"


async def test_a_late_failure_leaves_anothers_claim_alone(bank: Database, clock: FixedClock) -> None:
    await add(bank)
    async with bank.unit_of_work(1) as uow:
        (slow,) = await outbox.claim(uow)
    clock.move_to(NOON + LEASE)
    async with bank.unit_of_work(1) as uow:
        (quick,) = await outbox.claim(uow)
    async with bank.unit_of_work(1) as uow:
        await outbox.failed(uow, slow, RuntimeError())
    clock.move_to(NOON + LEASE + timedelta(seconds=5))
    async with bank.unit_of_work(1) as uow:
        assert await outbox.claim(uow) == []
        await outbox.done(uow, quick)
    assert (await backlog(bank)).undone == 0


async def test_another_communitys_intents_are_not_seen(bank: Database) -> None:
    await bare_ledger(bank, 2)
    await add(bank)
    seen: list[Intent] = []
    assert await outbox.work_off(bank, 2, {"test": counting(bank, seen)}) == 0
    assert (await backlog(bank)).undone == 1


async def test_a_worker_is_woken_after_the_commit_and_not_before(bank: Database) -> None:
    woken: list[tuple[int, UUID]] = []

    async def wake(community_id: int, intent_id: UUID) -> None:
        woken.append((community_id, intent_id))

    bank.wake = wake

    async def record(uow: UnitOfWork) -> UUID:
        intent_id = await outbox.add(uow, "test", uuid4())
        assert woken == []
        return intent_id

    async with bank.unit_of_work(1) as uow:
        intent_id = await record(uow)
    assert woken == [(1, intent_id)]


async def test_a_lost_queue_loses_nothing(bank: Database) -> None:
    queue = Queue(DEAD_PORT)
    bank.wake = queue.wake
    await add(bank)
    await queue.close()
    seen: list[Intent] = []
    assert await outbox.work_off(bank, 1, {"test": counting(bank, seen)}) == 1


async def test_waking_for_the_same_intent_twice_queues_one_job(redis_url: str) -> None:
    queue = Queue(redis_url)
    intent_id = uuid4()
    await queue.wake(1, intent_id)
    await queue.wake(1, intent_id)
    assert queue._pool is not None
    jobs = await queue._pool.queued_jobs()
    assert [(job.function, list(job.args)) for job in jobs] == [("handle_intent", [1, str(intent_id)])]
    await queue.close()
