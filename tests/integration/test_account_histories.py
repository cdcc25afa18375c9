"""An account's history, followed from line to line, is every line that touches it and no other."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.journal import JournalEntry, Transfer
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.proof.verification import verify
from services.ledger.tables import MARK
from tests.ledgers import NOON, bare_ledger, entry, grant

MEMBERS = [UUID(int=100 + number) for number in range(6)]
FAR = 2**62


def entries(dice: random.Random, count: int) -> list[JournalEntry]:
    """Entries of one to four lines; the first member is in nearly all, the last in nearly none."""
    made = []
    for number in range(count):
        transfers = []
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            giver, getter = dice.sample(MEMBERS[:-1], 2)
            if dice.random() < 0.7:
                giver, getter = (MEMBERS[0], getter) if getter != MEMBERS[0] else (giver, MEMBERS[0])
            if dice.random() < 0.01 and giver != MEMBERS[-1]:
                getter = MEMBERS[-1]
            transfers.append(Transfer(accounts.available(giver), accounts.available(getter), 1))
        made.append(entry(f"e{number}", transfers))
    return made


@pytest.fixture
async def ledger(database: Database) -> Database:
    """A journal of some batches, refusals and retries among them."""
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    dice = random.Random(20260302)
    moves = entries(dice, 400)
    async with database.unit_of_work(1) as uow:
        await service.post_many(uow, [grant(member, 10_000, f"g-{member}") for member in MEMBERS])
        at = 0
        while at < len(moves):
            size = dice.choice((1, 2, 30))
            batch = moves[at : at + size]
            if dice.random() < 0.5:
                batch += moves[max(0, at - 1) : at]  # the last one again
            if dice.random() < 0.5:
                poor = Transfer(accounts.available(MEMBERS[1]), accounts.available(MEMBERS[2]), 10**9)
                batch.append(entry(f"poor{at}", [poor]))
            await service.post_many(uow, batch)
            at += size
    return database


async def all_lines(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    rows = await connection.fetch(
        "SELECT * FROM bank.journal_lines WHERE community_id = 1 ORDER BY number, line"
    )
    return [dict(row) for row in rows]


async def test_a_history_is_every_line_of_the_account_from_any_point_to_any_other(
    ledger: Database, owner_url: str
) -> None:
    connection = await asyncpg.connect(owner_url)
    lines = await all_lines(connection)
    last = lines[-1]["number"]
    dice = random.Random(7)
    windows = [(FAR, 0, None), (last, 0, 1), (0, 0, None)]
    windows += [
        (*sorted(dice.sample(range(last + 2), 2), reverse=True), dice.choice((None, 1, 7))) for _ in range(60)
    ]
    for account in {line[side] for line in lines for side in ("debit", "credit")}:
        own = [line for line in lines if account in (line["debit"], line["credit"])]
        for through, after, limit in windows:
            inside = [line for line in own if after < line["number"] <= through]
            rows = await connection.fetch(
                "SELECT * FROM bank.account_lines(1, $1, $2, $3, $4)", account, through, after, limit
            )
            assert [dict(row) for row in rows] == inside[::-1][:limit], (account, through, after, limit)
            size = limit or 40
            rows = await connection.fetch(
                "SELECT * FROM bank.account_page(1, $1, $2, $3, $4)", account, after, through, size
            )
            assert [dict(row) for row in rows] == inside[:size], (account, through, after, size)
            held = await connection.fetchval("SELECT bank.balance_at(1, $1, $2)", account, through)
            upto = [line for line in own if line["number"] <= through]
            side = "debit" if upto and upto[-1]["debit"] == account else "credit"
            assert held == (upto[-1][f"{side}_after"] if upto else None)
    await connection.close()


async def test_every_line_tells_the_entry_before_it(ledger: Database) -> None:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        assert (await verify(uow)).sound


async def test_an_account_that_does_not_exist_or_was_never_used_has_no_history(
    ledger: Database, owner_url: str
) -> None:
    connection = await asyncpg.connect(owner_url)
    for account in (0, 10**6):
        assert await connection.fetch("SELECT * FROM bank.account_lines(1, $1, $2, 0)", account, FAR) == []
        assert await connection.fetch("SELECT * FROM bank.account_page(1, $1, 0, $2, 5)", account, FAR) == []
        assert await connection.fetchval("SELECT bank.balance_at(1, $1, $2)", account, FAR) is None
    await connection.close()


@pytest.mark.parametrize("every", [1, 2, 16, 89, 233, 352, 4096, 8192, 65536])
async def test_one_line_in_sixteen_is_a_mark_in_whatever_rhythm_an_account_is_used(
    owner_url: str, every: int
) -> None:
    connection = await asyncpg.connect(owner_url)
    marks = await connection.fetch(
        f"SELECT l.number / $1 AS place FROM generate_series($1, 20000 * $1, $1) AS l(number) WHERE {MARK}",
        every,
    )
    await connection.close()
    places = [0, *(row["place"] for row in marks)]
    assert 0.9 * 20_000 / 16 < len(marks) < 1.1 * 20_000 / 16
    assert max(after - before for before, after in pairwise(places)) < 250, "longest way to a mark"


async def test_a_pointer_in_a_circle_ends_the_walk_and_is_left_to_verification(
    ledger: Database, owner_url: str
) -> None:
    connection = await asyncpg.connect(owner_url)
    await connection.execute("ALTER TABLE bank.journal_lines DISABLE TRIGGER refuse_change")
    await connection.execute("SET statement_timeout = '5s'")
    last = (await all_lines(connection))[-1]
    await connection.execute(
        "UPDATE bank.journal_lines SET debit_before = number WHERE number = $1", last["number"]
    )
    rows = await connection.fetch("SELECT * FROM bank.account_lines(1, $1, $2, 0)", last["debit"], FAR)
    await connection.close()
    assert {row["number"] for row in rows} == {last["number"]}
