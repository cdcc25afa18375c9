"""No race makes the ledger pay twice; a naive one, kept here, fails the same race."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from pointsbank.domain.accounts import AccountCode
from pointsbank.domain.journal import InsufficientPoints
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.batch import account_id
from services.ledger.posting import Poster
from services.ledger.proof.verification import verify
from tests.ledgers import NOON, bare_ledger, grant, move
from tests.stateful.races import CODES, MEMBERS, START, race


@pytest.fixture
async def ledger(database: Database) -> Database:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    async with database.unit_of_work(1) as uow:
        await service.post_many(uow, [grant(member, START, f"start-{member}") for member in MEMBERS])
    return database


MOVES_MIN = 100
"""However slow the machine, so much must have moved before the race is over."""


class Gathered:
    """The ledger, posted to by group commit."""

    def __init__(self, database: Database) -> None:
        self.database, self.poster = database, Poster(database)

    async def pay(self, source: AccountCode, target: AccountCode, amount: int, key: str) -> bool:
        try:
            await self.poster.post(1, move(source, target, amount, key))
        except InsufficientPoints:
            return False
        return True

    async def balances(self) -> dict[AccountCode, int]:
        async with self.database.unit_of_work(1) as uow:
            return await service.balances(uow, CODES)


class Riding(Gathered):
    """The ledger, posted to in units of work of their own."""

    async def pay(self, source: AccountCode, target: AccountCode, amount: int, key: str) -> bool:
        try:
            async with self.database.unit_of_work(1) as uow:
                await service.post(uow, move(source, target, amount, key))
        except InsufficientPoints:
            return False
        return True


class Naive(Gathered):
    """What many a ledger does: look, decide, write. It takes no lock and must fail the race."""

    def __init__(self, database: Database, pool: asyncpg.Pool) -> None:
        super().__init__(database)
        self.pool = pool

    async def pay(self, source: AccountCode, target: AccountCode, amount: int, _key: str) -> bool:
        giver, getter = account_id(1, source), account_id(1, target)
        async with self.pool.acquire() as connection, connection.transaction():
            look = "SELECT balance FROM bank.balances WHERE community_id = 1 AND account_id = $1"
            has, had = await connection.fetchval(look, giver), await connection.fetchval(look, getter)
            if has < amount:
                return False
            write = "UPDATE bank.balances SET balance = $2 WHERE community_id = 1 AND account_id = $1"
            for account, balance in sorted([(giver, has - amount), (getter, had + amount)]):
                await connection.execute(write, account, balance)
        return True


@pytest.fixture
async def owners(owner_url: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await asyncpg.create_pool(owner_url, min_size=8, max_size=8)
    yield pool
    await pool.close()


@pytest.mark.parametrize("way", [Gathered, Riding])
async def test_the_ledger_holds_under_the_race(ledger: Database, way: type[Gathered]) -> None:
    pays = way(ledger)
    assert await race(pays) == []
    await pays.poster.close()
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        assert (await verify(uow)).sound


async def test_the_naive_ledger_fails_the_same_race(ledger: Database, owners: asyncpg.Pool) -> None:
    assert await race(Naive(ledger, owners)) != []


async def test_opposed_transfers_never_deadlock(
    ledger: Database, app_url: str, request: pytest.FixtureRequest
) -> None:
    """Two processes move points back and forth between the same accounts, gathered and riding.

    With ``--long`` for ten minutes, else for a few seconds.
    """
    seconds = 600 if request.config.getoption("--long") else 3
    other = Database(app_url, clock=FixedClock(NOON))
    ways = [Gathered(ledger), Gathered(other), Riding(ledger), Riding(other)]
    end = asyncio.get_running_loop().time() + seconds
    moved = 0

    async def oppose(worker: int) -> None:
        nonlocal moved
        dice = random.Random(worker)
        step = 0
        while asyncio.get_running_loop().time() < end or moved < MOVES_MIN:
            step += 1
            source, target = dice.sample(CODES, 2)
            moved += await ways[worker % 4].pay(source, target, dice.randint(1, 300), f"{worker}-{step}")

    await asyncio.gather(*(oppose(worker) for worker in range(12)))
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    async with ledger.unit_of_work(1) as uow:
        assert await (await uow.connection()).fetchval(deadlocks) == 0
    for way in ways:
        await way.poster.close()
    await other.close()
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        assert (await verify(uow)).sound
