"""No question of an auditor's reads the whole journal or all visits: each plan reaches them by a key."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256

import asyncpg
import pytest

from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.audit import store
from services.care.records import VisitRecord, record_visits
from tests.auditing import neighbours
from tests.worlds import NINE_ON_MONDAY, World, small_world

DAYS, VOLUNTEERS = 20, 200
GROWN = ("journal_lines", "visits", "people", "accounts")
GROWS = (*GROWN, "help_requests", "buildings")

KINDS = "ARRAY['earning', 'gift']"
QUESTIONS: Mapping[str, tuple[str, str]] = {
    "briefs": (store.BRIEFS, "{community}, ARRAY[{after} + 1, {after} + 2]::bigint[]"),
    "self_kinds": (store.SELF_KINDS, "{community}, {after}, {through}"),
    "self_numbers": (store.SELF_NUMBERS, "{community}, {after}, {through}, " + KINDS + ", 51"),
    "reversals": (store.REVERSALS, "{community}, {after}, {through}, 51"),
    "long_days": (store.LONG_DAYS, "{community}, {after}, {through}, 'Asia/Shanghai', 480, 51, 0"),
    "flows": (store.FLOWS, "{community}, {after}, {through}, 20001"),
    "round_at_night": (
        store.ROUND_AT_NIGHT,
        "{community}, {after}, {through}, " + KINDS + ", 10000, 'Asia/Shanghai', '22:00', '06:00', 51",
    ),
    "confirmations": (store.CONFIRMATIONS, "{community}, {after}, {through}, 1000"),
    "weak_confirmers": (store.WEAK_CONFIRMERS, "{community}, {after}, {through}, 2, 51, 0"),
    "population": (store.POPULATION, "{community}, {after}, {through}, 5000"),
    "drawn": (store.DRAWN, "{community}, ARRAY[{after} + 1, {after} + 2]::bigint[]"),
}


@pytest.fixture
async def world(database: Database) -> World:
    """A community with some thousand visits, recorded ten days at a time."""
    clock = FixedClock(NINE_ON_MONDAY - timedelta(days=DAYS))
    database.clock = clock
    world = await small_world(database)
    members = await neighbours(database, world, VOLUNTEERS)
    for first in range(0, DAYS, 10):
        clock.move_to(NINE_ON_MONDAY - timedelta(days=DAYS - first - 10))
        records = [
            VisitRecord(
                volunteer_id=member.id,
                elder_id=members[place - 1].id,
                kind="companionship",
                started_at=clock.now() - timedelta(days=10 - day, hours=2),
                ended_at=clock.now() - timedelta(days=10 - day, hours=1),
                confirmer_id=members[place - 1].id,
                content_key=sha256(f"{first}:{day}:{place}".encode()).digest(),
                method=ConfirmationMethod.ELDER,
                confirmed_at=None,
            )
            for day in range(10)
            for place, member in enumerate(members)
        ]
        async with database.unit_of_work(1) as uow:
            await record_visits(uow, records)
    return world


@pytest.fixture
async def connection(app_url: str, owner_url: str, world: World) -> AsyncIterator[asyncpg.Connection]:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("ANALYZE")
    await owner.close()
    connection = await asyncpg.connect(app_url)
    await connection.execute("SELECT set_config('pointsbank.community_id', '1', false)")
    yield connection
    await connection.close()


def scanned(plan: str, tables: Sequence[str]) -> list[str]:
    """Return those of ``tables`` that a plan reads from end to end."""
    return [table for table in re.findall(r"Seq Scan on (\w+)", plan) if table in tables]


async def test_every_question_reaches_what_grows_by_a_key(connection: asyncpg.Connection) -> None:
    entries = DAYS * VOLUNTEERS
    assert await connection.fetchval("SELECT count(*) FROM bank.journal_lines WHERE line = 1") == entries
    week = {"community": 1, "after": entries // 2, "through": entries // 2 + 2 * VOLUNTEERS}
    wrong = {}
    # As the planner would by itself, and as the store asks: then also what is still empty is looked up.
    for seqscan, tables in (("on", GROWN), ("off", GROWS)):
        await connection.execute(f"SET enable_seqscan = {seqscan}")
        for question, (query, arguments) in QUESTIONS.items():
            await connection.execute(f"PREPARE {question} AS {query}")
            for mode in ("force_generic_plan", "force_custom_plan"):
                await connection.execute(f"SET plan_cache_mode = {mode}")
                rows = await connection.fetch(f"EXPLAIN EXECUTE {question}({arguments.format(**week)})")
                plan = "\n".join(row[0] for row in rows)
                assert "journal_lines" in plan or "visits" in plan
                if scanned(plan, tables):
                    wrong[question, mode] = plan
            await connection.execute(f"DEALLOCATE {question}")
    assert wrong == {}, "\n\n".join(f"{name}\n{plan}" for name, plan in wrong.items())


def test_every_query_of_the_store_is_looked_at() -> None:
    queries = {name for name, value in vars(store).items() if name.isupper() and "SELECT" in str(value)}
    parts = {"MOVED", "REVERSED", "STANDS", "TAKEN_BACK"}
    assert {name.lower() for name in queries - parts} == set(QUESTIONS)


def test_every_table_of_every_query_is_asked_for_one_community_only() -> None:
    """Row-level security would hide another community's rows; the query must not need it."""
    for question, (query, _) in QUESTIONS.items():
        tables = re.findall(r"(?:FROM|JOIN) bank\.\w+ (\w+)", query)
        assert tables, question
        for alias in tables:
            assert f"{alias}.community_id = $1" in query, (question, alias)
