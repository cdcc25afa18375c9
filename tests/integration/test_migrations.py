"""Schemas move forward, and a schema of another version is left as it is."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pointsbank.platform import migrations
from pointsbank.platform.roles import DatabaseUnfit


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
