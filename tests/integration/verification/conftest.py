"""A journal of more than a thousand entries, posted once and copied for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from pointsbank.platform import roles
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from tests.conftest import Servers, copied
from tests.ledgers import NOON, bare_ledger
from tests.long_journal import ENTRIES, some_entries


@pytest.fixture(scope="session")
async def long_journal(
    administrator: asyncpg.Connection, servers: Servers, template_database: str
) -> AsyncIterator[str]:
    """Name of the database that the journal was posted to; copied, and never opened again."""
    async with copied(administrator, servers, template_database) as url:
        app_url = roles.role_url(url, roles.APP, servers.passwords[roles.APP])
        database = Database(app_url, clock=FixedClock(NOON))
        await bare_ledger(database)
        async with database.unit_of_work(1) as uow:
            verdicts = await service.post_many(uow, some_entries(ENTRIES))
        await database.close()
        assert [verdict.number for verdict in verdicts] == list(range(1, ENTRIES + 1))
        yield roles.database_name(url)


@pytest.fixture
async def owner_url(
    administrator: asyncpg.Connection, servers: Servers, long_journal: str
) -> AsyncIterator[str]:
    """The test's own copy of the journal, as the database's owner; dropped after the test."""
    async with copied(administrator, servers, long_journal) as url:
        yield url


@pytest.fixture
async def ledger(database: Database) -> Database:
    """The journal as the application sees it, at noon."""
    database.clock = FixedClock(NOON)
    return database


@pytest.fixture
async def owner(ledger: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The database's owner, who may do what the application may not."""
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()
