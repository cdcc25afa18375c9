"""The plain trial: queue and workers die again and again, and at the end nothing is lost and nothing doubled.

Members redeem at a canteen and a station that are real processes; what was accepted is handed over, or called
off, or both at once. Valkey is emptied and workers are killed at random meanwhile. Then the ledger's books
are held against the partners' own, line by line. With ``--long``: 3,000 events, 30 FLUSHALLs, 10 SIGKILLs.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import redis.asyncio
from sqlalchemy.exc import DBAPIError

from pointsbank.domain import accounts
from pointsbank.domain.redemption import DailyLimitReached, PartnerWord
from pointsbank.platform.clock import local_date
from services.ledger import service as ledger
from services.settlement import service
from services.settlement.client import PartnerRefused, PartnerUnavailable
from tests.processes import PER_MEMBER, Addresses, Bank, running_bank, until

WORKERS = 2
AT_ONCE = 8
INSIST_TIMES = 30
CALLED_OFF, BOTH_AT_ONCE = 0.1, 0.05
"""Shares of accepted orders that the member calls off, and that are called off while they are handed over."""
DRAINED_SECONDS_MAX = 300
CALLED_OFF_BEFORE = {"wrong_state"}
"""What the partner says to a hand-over of what was called off a moment ago."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much trouble. Each redemption brings two events of its partner: accepted, and how it ended."""

    redemptions: int
    flushes: int
    kills: int
    seconds: float


SHORT, LONG = Size(40, 4, 1, 3), Size(1_500, 30, 10, 150)


async def trouble(bank: Bank, size: Size, chance: random.Random, counted: Counter[str]) -> None:
    """Empty the queue and kill workers at random moments; another takes the killed one's place."""
    valkey = redis.asyncio.Redis.from_url(bank.at.redis)
    kinds = ["flush"] * size.flushes + ["kill"] * size.kills
    chance.shuffle(kinds)
    for kind in kinds:
        await asyncio.sleep(chance.uniform(0.3, 1.7) * size.seconds / len(kinds))
        if kind == "flush":
            await valkey.flushall()
        else:
            alive = [worker for worker in bank.workers if worker.poll() is None]
            victim = chance.choice(alive)
            victim.kill()
            victim.wait(10)
            bank.start_worker()
        counted[kind] += 1
    await valkey.aclose()


async def live(bank: Bank, size: Size, chance: random.Random) -> None:
    """Redeem, and end what was accepted, one way or another."""
    numbers = iter(range(size.redemptions))
    pause = size.seconds / (size.redemptions / AT_ONCE)

    async def redeem() -> None:
        for number in numbers:
            await insist(lambda number=number: bank.redeem(number))  # type: ignore[misc]
            await asyncio.sleep(chance.uniform(0.3, 1.7) * pause)

    redeeming = asyncio.gather(*(redeem() for _ in range(AT_ONCE)))
    looked: set[UUID] = set()
    while True:
        all_made = redeeming.done()
        if all_made:
            redeeming.result()
        found = [each for each in await _in_state(bank, "accepted") if each not in looked]
        looked.update(found)
        turn = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(_end(bank, each, chance.random(), turn) for each in found))
        if all_made and not found and not await _in_state(bank, "held", "requested"):
            break
        await asyncio.sleep(0.1)


async def insist(work: Callable[[], Awaitable[object]]) -> None:
    """Do what members and staff do when a machine is busy: try again."""
    for _ in range(INSIST_TIMES):
        try:
            await work()
        except (PartnerUnavailable, DBAPIError, TimeoutError, asyncpg.PostgresError):
            await asyncio.sleep(1)
        except (PartnerRefused, DailyLimitReached) as error:
            # Called off a moment ago; or made by the try before, whose answer was lost.
            if isinstance(error, PartnerRefused) and error.code not in CALLED_OFF_BEFORE:
                raise
            return
        else:
            return
    raise TimeoutError


async def _end(bank: Bank, redemption_id: UUID, lot: float, turn: asyncio.Semaphore) -> None:
    async with turn:
        if lot < CALLED_OFF:
            await insist(lambda: bank.cancel(redemption_id))
        elif lot < CALLED_OFF + BOTH_AT_ONCE:
            await asyncio.gather(
                insist(lambda: bank.cancel(redemption_id)), insist(lambda: bank.hand_over(redemption_id))
            )
        else:
            await insist(lambda: bank.hand_over(redemption_id))


async def _in_state(bank: Bank, *states: str) -> list[UUID]:
    async with bank.database.unit_of_work(1) as uow:
        connection = await uow.connection()
        rows = await connection.fetch(
            "SELECT id FROM bank.redemptions WHERE community_id = 1 AND state = ANY($1)", list(states)
        )
    return [row["id"] for row in rows]


async def differences(bank: Bank, owner: asyncpg.Connection) -> dict[str, int]:
    """Hold the ledger against the partners' own statements of every day; return what is lost or doubled."""
    served: Counter[UUID] = Counter()
    owed = {"canteen": 0, "station": 0}
    async with bank.database.unit_of_work(1) as uow:
        today = local_date(uow.clock.now(), "Asia/Shanghai")
        partners = await service.partners(uow)
        assert (await ledger.trial_balance(uow)).balanced
        earned = {each.code: await ledger.balance(uow, accounts.partner_earned(each.id)) for each in partners}
    for code in owed:
        for ahead in range(-1, PER_MEMBER):
            day = today + timedelta(days=ahead)
            for line in await bank.partners[code].statement(1, day):
                served[line.redemption_id] += 1
                owed[code] += line.milli_points
    captured: Counter[UUID] = Counter(
        row["source_id"]
        for row in await owner.fetch(
            "SELECT source_id FROM bank.journal_lines WHERE kind = 'capture' AND line = 1"
        )
    )
    endings = Counter(
        row["source_id"]
        for row in await owner.fetch(
            "SELECT source_id FROM bank.journal_lines WHERE kind IN ('capture', 'void') AND line = 1"
        )
    )
    held = await owner.fetchval(
        "SELECT coalesce(sum(b.balance), 0) FROM bank.balances b JOIN bank.accounts a"
        " ON a.community_id = b.community_id AND a.number = b.account_number WHERE a.kind = 'member_held'"
    )
    return {
        "lost": len(set(served) - set(captured)),
        "taken without a meal": len(set(captured) - set(served)),
        "doubled": sum(count - 1 for count in endings.values()),
        "served twice": sum(count - 1 for count in served.values()),
        "still held": int(held),
        "owed otherwise": sum(abs(owed[code] - earned[code]) for code in owed),
    }


async def test_flushes_and_kills_lose_nothing_and_double_nothing(
    app_url: str,
    canteen_url_db: str,
    station_url_db: str,
    redis_url: str,
    owner_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    size = LONG if request.config.getoption("--long") else SHORT
    chance, counted = random.Random(20260309), Counter[str]()
    at = Addresses(app_url, canteen_url_db, station_url_db, redis_url)
    members = -(-size.redemptions // PER_MEMBER)
    async with running_bank(at, tmp_path, members=members) as bank:
        for _ in range(WORKERS):
            bank.start_worker()
        began = time.monotonic()
        await asyncio.gather(trouble(bank, size, chance, counted), live(bank, size, chance))
        quiet = time.monotonic()

        async def drained() -> bool:
            return not await _in_state(bank, "held", "requested", "accepted")

        await until(drained, seconds=DRAINED_SECONDS_MAX)
        ended = time.monotonic()
        owner = await asyncpg.connect(owner_url)
        try:
            found = await differences(bank, owner)
            states = dict(
                await owner.fetch("SELECT state, count(*) FROM bank.redemptions GROUP BY 1 ORDER BY 1")
            )
            events = await owner.fetchval("SELECT count(*) FROM bank.partner_events")
            dead = await owner.fetchval("SELECT count(*) FROM bank.outbox WHERE dead_at IS NOT NULL")
        finally:
            await owner.close()
    print(
        f"{size.redemptions} redemptions, {events} events, {counted['flush']} FLUSHALLs, "
        f"{counted['kill']} SIGKILLs in {quiet - began:.0f} s; drained {ended - quiet:.1f} s after: "
        f"{states}, {found}"
    )
    assert set(found.values()) == {0}, found
    assert sum(states.values()) == size.redemptions
    assert set(states) <= {"fulfilled", "cancelled", "refused"}, states
    assert states[PartnerWord.FULFILLED] > size.redemptions / 2
    assert events >= 2 * size.redemptions * 0.9
    assert dead == 0
