"""Schemas move forward, and a schema of another version is left as it is."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.journal import Transfer
from pointsbank.platform import migrations
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.roles import DatabaseUnfit
from services.ledger import service
from services.matching import service as matching
from tests.ledgers import NOON, bare_ledger, entry, grant
from tests.worlds import ask_for_help, small_world


async def test_a_schema_at_an_unknown_revision_is_refused_by_name_and_untouched(owner_url: str) -> None:
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("UPDATE bank.alembic_version SET version_num = '0001'")
        with pytest.raises(DatabaseUnfit, match="revision 0001"):
            await asyncio.to_thread(migrations.upgrade, owner_url, "services:migrations")
        assert await connection.fetchval("SELECT version_num FROM bank.alembic_version") == "0001"
    finally:
        await connection.close()


async def test_the_tables_in_code_are_the_tables_in_the_database(owner_url: str) -> None:
    assert await asyncio.to_thread(migrations.check, owner_url, "services:migrations") == []


async def test_histories_are_reckoned_from_the_lines_of_an_older_journal(
    database: Database, owner_url: str
) -> None:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    members = [UUID(int=100 + number) for number in range(5)]
    async with database.unit_of_work(1) as uow:
        await service.post_many(uow, [grant(member, 100, f"g-{member}") for member in members])
        giving = [
            Transfer(accounts.available(members[0]), accounts.available(each), 1) for each in members[1:]
        ]
        await service.post_many(uow, [entry(f"several-{round_}", giving) for round_ in range(3)])
    await database.close()
    recorded = await _rows(owner_url)
    assert any(line["debit_before"] for line in recorded[0])
    await asyncio.to_thread(migrations.downgrade, owner_url, "services:migrations", "0004")
    assert "debit_before" not in (await _rows(owner_url))[0][0]
    await asyncio.to_thread(migrations.upgrade, owner_url, "services:migrations")
    assert await _rows(owner_url) == recorded
    assert await asyncio.to_thread(migrations.check, owner_url, "services:migrations") == []


async def test_offers_of_before_get_their_requests_time_and_go_back_without_it(
    database: Database, owner_url: str
) -> None:
    database.clock = FixedClock(NOON)
    world = await small_world(database)
    request = await ask_for_help(database, world)
    async with database.unit_of_work(1) as uow:
        await matching.run_pairing(uow)
        await matching.prove_skill(uow, world.volunteer.actor, world.volunteer.id, "repair", proof="T1")
    await database.close()
    owner = await asyncpg.connect(owner_url)
    try:
        await asyncio.to_thread(migrations.downgrade, owner_url, "services:migrations", "0005")
        assert await owner.fetchval("SELECT count(*) FROM bank.volunteer_skills WHERE skill = 'repair'") == 2
        await asyncio.to_thread(migrations.upgrade, owner_url, "services:migrations")
        offer = await owner.fetchrow("SELECT starts_at, ends_at FROM bank.offers")
        assert tuple(offer) == (request.starts_at, request.ends_at)
    finally:
        await owner.close()
    assert await asyncio.to_thread(migrations.check, owner_url, "services:migrations") == []


async def _rows(owner_url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every line, and every balance with where its history ends."""
    connection = await asyncpg.connect(owner_url)
    try:
        lines = await connection.fetch("SELECT * FROM bank.journal_lines ORDER BY community_id, number, line")
        balances = await connection.fetch("SELECT * FROM bank.balances ORDER BY community_id, account_id")
    finally:
        await connection.close()
    return [dict(each) for each in lines], [
        {name: value for name, value in each.items() if name != "previous_number"} for each in balances
    ]
