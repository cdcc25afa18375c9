"""A journal of three entries, and two ways around the domain: as the owner and as the application."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from tests.integration.walls.support import MEMBER
from tests.ledgers import NOON, bare_ledger, grant


@pytest.fixture
async def ledger(database: Database) -> Database:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    async with database.unit_of_work(1) as uow:
        for number in range(3):
            await service.post(uow, grant(MEMBER, 100, f"g{number}"))
    return database


@pytest.fixture
async def owner(ledger: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The database's owner, who may do what the application may not."""
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def app(ledger: Database, app_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The application's role on a bare connection."""
    connection = await asyncpg.connect(app_url)
    await connection.execute("SET pointsbank.community_id = '1'")
    yield connection
    await connection.close()
