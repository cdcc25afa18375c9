"""What has served its time is dropped, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from pointsbank.platform import idempotency, outbox
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.idempotency import ANSWERS_KEPT, GivenAnswer
from pointsbank.platform.outbox import DONE_KEPT
from tests.ledgers import NOON, bare_ledger


@pytest.fixture
async def bank(database: Database) -> Database:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    return database


async def test_an_answer_is_kept_for_two_days_and_that_it_was_given_for_ever(bank: Database) -> None:
    actor = uuid4()
    answer = GivenAnswer(fingerprint=bytes(32), status=201, body={"name": "测试甲"})
    async with bank.unit_of_work(1) as uow:
        await idempotency.keep_answer(uow, actor, "key", answer)
    bank.clock.move_to(NOON + ANSWERS_KEPT)
    async with bank.unit_of_work(1) as uow:
        assert await idempotency.forget(uow) == 0
        assert await idempotency.given_answer(uow, actor, "key") == answer
    bank.clock.move_to(NOON + ANSWERS_KEPT + timedelta(seconds=1))
    async with bank.unit_of_work(1) as uow:
        assert await idempotency.forget(uow) == 1
        assert await idempotency.forget(uow) == 0
        given = await idempotency.given_answer(uow, actor, "key")
        assert given == GivenAnswer(fingerprint=bytes(32), status=201, body=None)
        assert await idempotency.keep_answer(uow, actor, "key", answer) is False


async def test_an_undone_intent_is_never_dropped_and_a_done_one_after_a_month(bank: Database) -> None:
    async with bank.unit_of_work(1) as uow:
        await outbox.add(uow, "test", uuid4())
    async with bank.unit_of_work(1) as uow:
        waiting = await outbox.add(uow, "test", uuid4(), available_at=NOON + timedelta(hours=1))
        (intent,) = await outbox.claim(uow)
        await outbox.done(uow, intent)
    bank.clock.move_to(NOON + DONE_KEPT + timedelta(seconds=1))
    async with bank.unit_of_work(1) as uow:
        assert await outbox.forget(uow) == 1
        assert await outbox.forget(uow) == 0
        assert [each.id for each in await outbox.claim(uow, limit=5)] == [waiting]
