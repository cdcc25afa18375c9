"""The outbox: what was committed is carried out, whatever the queue and the workers do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from pointsbank.platform import dead_letters, outbox
from pointsbank.platform import queue as queues
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.outbox import (
    GIVEN_BACK_WAIT,
    LEASE,
    PARALLEL_INTENTS,
    TRIES_MAX,
    Handler,
    Intent,
    Topics,
    TryLater,
)
from pointsbank.platform.queue import WAKE_SECONDS_MAX, Queue
from tests.ledgers import NOON, bare_ledger

DEAD_PORT = "redis://127.0.0.1:9/0"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
async def bank(app_url: str, clock: FixedClock) -> AsyncIterator[Database]:
    """A database with one community and nothing in its outbox."""
    database = Database(app_url, clock=clock)
    await bare_ledger(database)
    yield database
    await database.close()


async def add(bank: Database, topic: str = "test", subject: UUID | None = None) -> UUID:
    async with bank.unit_of_work(1) as uow:
        return await outbox.add(uow, topic, subject or uuid4())


async def backlog(bank: Database) -> dead_letters.Backlog:
    async with bank.unit_of_work(1) as uow:
        return await dead_letters.backlog(uow)


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
    clock.move_to(NOON + LEASE)
    async with bank.unit_of_work(1) as uow:
        (again,) = await outbox.claim(uow, limit=10)
    assert (again.id, again.attempts) == (intent_id, 2)


async def test_no_more_is_claimed_than_was_asked_for(bank: Database) -> None:
    for _ in range(3 * PARALLEL_INTENTS):
        await add(bank)
    async with bank.unit_of_work(1) as uow:
        assert len(await outbox.claim(uow, limit=PARALLEL_INTENTS)) == PARALLEL_INTENTS


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
        assert await dead_letters.retry(uow) == 1
    await outbox.work_off(bank, 1, handlers)
    assert await backlog(bank) == dead_letters.Backlog(undone=0, dead=0, oldest=None)


async def test_an_outage_outside_never_makes_a_dead_letter(bank: Database, clock: FixedClock) -> None:
    seen: list[Intent] = []
    away = counting(bank, seen, fail_first=TRIES_MAX * 3, error=TryLater("canteen: ConnectError"))
    await add(bank)
    for minute in range(TRIES_MAX * 3 + 1):
        clock.move_to(NOON + timedelta(minutes=minute))
        await outbox.work_off(bank, 1, {"test": away})
    assert len(seen) == TRIES_MAX * 3 + 1
    assert await backlog(bank) == dead_letters.Backlog(undone=0, dead=0, oldest=None)


async def test_an_intent_that_takes_its_worker_down_is_buried(bank: Database, clock: FixedClock) -> None:
    await add(bank)
    for hour in range(TRIES_MAX):
        clock.move_to(NOON + timedelta(hours=hour))
        async with bank.unit_of_work(1) as uow:
            assert len(await outbox.claim(uow)) == 1  # and the worker is gone
    clock.move_to(NOON + timedelta(days=2))
    await outbox.work_off(bank, 1, {})
    assert (await backlog(bank)).dead == 1


async def test_an_outage_outside_forgives_the_faults_before_it(bank: Database, clock: FixedClock) -> None:
    seen: list[Intent] = []
    await add(bank)
    for hour in range(TRIES_MAX - 1):
        clock.move_to(NOON + timedelta(hours=hour))
        await outbox.work_off(bank, 1, {"test": counting(bank, seen, fail_first=TRIES_MAX)})
    clock.move_to(NOON + timedelta(days=1))
    away = counting(bank, [], fail_first=1, error=TryLater("canteen: ConnectError"))
    await outbox.work_off(bank, 1, {"test": away})
    clock.move_to(NOON + timedelta(days=2))
    await outbox.work_off(bank, 1, {"test": counting(bank, seen, fail_first=TRIES_MAX)})
    assert seen[-1].attempts == 1
    assert (await backlog(bank)).dead == 0


async def test_two_workers_that_overlap_at_a_slow_partner_use_up_no_tries(
    bank: Database, clock: FixedClock
) -> None:
    await add(bank)
    for hour in range(2 * TRIES_MAX):
        claims: list[Intent] = []
        for late in (timedelta(), LEASE):
            clock.move_to(NOON + timedelta(hours=hour) + late)
            async with bank.unit_of_work(1) as uow:
                claims += await outbox.claim(uow)
        assert len(claims) == 2
        for intent in claims:
            async with bank.unit_of_work(1) as uow:
                await outbox.failed(uow, intent, TryLater("canteen: no answer in time"))
    assert await backlog(bank) == dead_letters.Backlog(undone=1, dead=0, oldest=NOON)


async def test_a_worker_told_to_stop_gives_back_what_it_had_begun(bank: Database, clock: FixedClock) -> None:
    for _ in range(PARALLEL_INTENTS):
        await add(bank)
    begun: list[Intent] = []

    async def slow(intent: Intent) -> None:
        begun.append(intent)
        await asyncio.sleep(60)

    for stop in range(TRIES_MAX + 1):
        clock.move_to(NOON + stop * GIVEN_BACK_WAIT)
        begun.clear()
        working = asyncio.create_task(outbox.work_off(bank, 1, {"test": slow}))
        async with asyncio.timeout(10):
            while len(begun) < PARALLEL_INTENTS:  # noqa: ASYNC110 (the handlers have begun when they say so)
                await asyncio.sleep(0.01)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
    assert {intent.attempts for intent in begun} == {1}
    clock.move_to(NOON + (TRIES_MAX + 1) * GIVEN_BACK_WAIT)
    seen: list[Intent] = []
    assert await outbox.work_off(bank, 1, {"test": counting(bank, seen)}) == PARALLEL_INTENTS


async def test_giving_back_late_leaves_anothers_claim_alone(bank: Database, clock: FixedClock) -> None:
    await add(bank)
    async with bank.unit_of_work(1) as uow:
        (slow,) = await outbox.claim(uow)
    clock.move_to(NOON + LEASE)
    async with bank.unit_of_work(1) as uow:
        assert len(await outbox.claim(uow)) == 1
    async with bank.unit_of_work(1) as uow:
        await outbox.give_back(uow, slow)
    clock.move_to(NOON + LEASE + 2 * GIVEN_BACK_WAIT)
    async with bank.unit_of_work(1) as uow:
        assert await outbox.claim(uow) == []


async def test_an_intent_that_takes_too_long_is_cut_off_and_that_is_a_try(
    bank: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch, owner_url: str
) -> None:
    monkeypatch.setattr(outbox, "HANDLER_SECONDS_MAX", 0.2)
    await add(bank)

    async def endless(intent: Intent) -> None:
        await asyncio.sleep(60)

    async with asyncio.timeout(5):
        assert await outbox.work_off(bank, 1, {"test": endless}) == 1
    clock.move_to(NOON + timedelta(minutes=1))
    async with bank.unit_of_work(1) as uow:
        (again,) = await outbox.claim(uow)
    assert again.attempts == 2


async def test_a_sweep_that_takes_long_lets_the_next_community_have_its_turn(
    bank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "SWEEP_SECONDS_MAX", 0.1)
    for _ in range(2 * PARALLEL_INTENTS):
        await add(bank)

    async def slow(intent: Intent) -> None:
        await asyncio.sleep(0.2)

    assert await outbox.work_off(bank, 1, {"test": slow}) == PARALLEL_INTENTS


async def test_two_sweeps_share_the_topics_and_leave_none_out(bank: Database) -> None:
    for topic in ("asks", "moves", "strange"):
        await add(bank, topic)
    seen: list[Intent] = []
    handlers = dict.fromkeys(("asks", "moves", "strange"), counting(bank, seen))
    asking = frozenset({"asks"})
    await outbox.work_off(bank, 1, handlers, topics=Topics(asking))
    assert [intent.topic for intent in seen] == ["asks"]
    await outbox.work_off(bank, 1, handlers, topics=Topics(asking, others=True))
    assert sorted(intent.topic for intent in seen) == ["asks", "moves", "strange"]


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
    woken: list[tuple[int, str]] = []

    async def wake(community_id: int, topic: str) -> None:
        woken.append((community_id, topic))

    bank.wake = wake

    async with bank.unit_of_work(1) as uow:
        await outbox.add(uow, "test", uuid4())
        before = list(woken)
    assert (before, woken) == ([], [(1, "test")])


async def test_a_lost_queue_loses_nothing(bank: Database) -> None:
    queue = Queue(DEAD_PORT)
    bank.wake = queue.wake
    await add(bank)
    await queue.close()
    seen: list[Intent] = []
    assert await outbox.work_off(bank, 1, {"test": counting(bank, seen)}) == 1


async def test_waking_for_the_same_topic_twice_queues_one_job(redis_url: str) -> None:
    queue = Queue(redis_url)
    await queue.wake(1, "test")
    await queue.wake(1, "test")
    assert queue._pool is not None
    jobs = await queue._pool.queued_jobs()
    assert [(job.function, list(job.args)) for job in jobs] == [("ring", [1, "test"])]
    await queue.close()


@asynccontextmanager
async def mute_server() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """Stand where Valkey should be, take every connection and say nothing; yield address and connections."""
    taken: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", taken
    finally:
        server.close()
        for writer in taken:
            writer.close()


async def test_a_queue_that_never_answers_holds_a_commit_up_for_a_second_and_fails_nothing(
    bank: Database,
) -> None:
    async with mute_server() as (url, taken):
        queue = Queue(url)
        bank.wake = queue.wake
        began = time.monotonic()
        async with asyncio.timeout(4 * WAKE_SECONDS_MAX), bank.unit_of_work(1) as uow:
            for _ in range(5):
                await outbox.add(uow, "test", uuid4())
        await add(bank)
        assert time.monotonic() - began < 2 * WAKE_SECONDS_MAX
        assert len(taken) == 1
        await queue.close()
    assert (await backlog(bank)).undone == 6


async def test_many_answers_at_once_wait_for_a_mute_queue_together(bank: Database) -> None:
    async with mute_server() as (url, _):
        queue = Queue(url)
        bank.wake = queue.wake
        began = time.monotonic()
        async with asyncio.timeout(10 * WAKE_SECONDS_MAX):
            await asyncio.gather(*(add(bank) for _ in range(10)))
        assert time.monotonic() - began < 2 * WAKE_SECONDS_MAX
        await queue.close()


async def test_a_queue_that_was_mute_is_asked_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queues, "SILENT_SECONDS", 0.5)
    async with mute_server() as (url, taken):
        queue = Queue(url)
        with pytest.raises(TimeoutError):
            await queue.wake(1, uuid4())
        await queue.wake(1, uuid4())
        assert len(taken) == 1
        await asyncio.sleep(0.6)
        with pytest.raises(TimeoutError):
            await queue.wake(1, uuid4())
        assert len(taken) == 2
        await queue.close()
