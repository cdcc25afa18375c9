"""The partners' schemas: migrations, walls between roles, keys by community, constraints."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from pointsbank.platform import migrations
from services.canteen.tables import TABLES as CANTEEN_TABLES
from services.partnerkit.tables import PartnerTables
from services.station.tables import TABLES as STATION_TABLES
from tests.partners.support import COMMUNITY, Platform

CANTEEN_SCRIPTS = "services.canteen:migrations"
STATION_SCRIPTS = "services.station:migrations"


@pytest.fixture
async def canteen_role(canteen_url_db: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the canteen's role."""
    connection = await asyncpg.connect(canteen_url_db)
    yield connection
    await connection.close()


async def relations(connection: asyncpg.Connection, schema: str) -> set[str]:
    """Return names of tables and sequences in a schema."""
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'S')", schema
    )
    return {row["relname"] for row in rows}


@pytest.mark.parametrize("partner", ["canteen", "station"])
async def test_migrations_go_down_and_up_and_agree_with_the_tables(
    partner: str, canteen_url_db: str, station_url_db: str
) -> None:
    url, scripts = {
        "canteen": (canteen_url_db, CANTEEN_SCRIPTS),
        "station": (station_url_db, STATION_SCRIPTS),
    }[partner]
    assert migrations.current(url, scripts) == migrations.head(scripts)
    assert migrations.check(url, scripts) == []
    connection = await asyncpg.connect(url)
    before = await relations(connection, partner)
    migrations.downgrade(url, scripts, "base")
    assert migrations.current(url, scripts) is None
    assert await relations(connection, partner) == {"alembic_version"}
    migrations.upgrade(url, scripts)
    assert await relations(connection, partner) == before
    assert migrations.check(url, scripts) == []
    await connection.close()


async def test_a_difference_between_tables_and_database_is_told(
    canteen_url_db: str, canteen_role: asyncpg.Connection
) -> None:
    await canteen_role.execute("ALTER TABLE canteen.menu DROP COLUMN delivery")
    (difference,) = migrations.check(canteen_url_db, CANTEEN_SCRIPTS)
    assert "delivery" in difference


async def test_the_canteens_role_can_read_neither_the_bank_nor_the_station(
    canteen_role: asyncpg.Connection, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    tables = await owner.fetch(
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname IN ('bank', 'station') AND relkind IN ('r', 'p')"
    )
    await owner.close()
    assert {table["nspname"] for table in tables} == {"bank", "station"}
    for table in tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await canteen_role.fetch(f'SELECT 1 FROM "{table["nspname"]}"."{table["relname"]}" LIMIT 1')


async def test_the_stations_role_cannot_read_the_canteen(station_url_db: str) -> None:
    connection = await asyncpg.connect(station_url_db)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("SELECT 1 FROM canteen.redemptions")
    await connection.close()


@pytest.mark.parametrize("tables", [CANTEEN_TABLES, STATION_TABLES], ids=lambda tables: tables.schema)
def test_every_key_is_led_by_the_community(tables: PartnerTables) -> None:
    checked = 0
    for table in tables.metadata.sorted_tables:
        if table is tables.nonces:
            continue
        assert next(iter(table.primary_key.columns)).name == "community_id", table.name
        for index in table.indexes:
            assert next(iter(index.columns)).name == "community_id", index.name
        for key in table.foreign_key_constraints:
            assert key.column_keys[0] == "community_id", key.name
        checked += 1
    assert checked >= 6


async def test_the_database_refuses_an_impossible_order(
    canteen: Platform, canteen_role: asyncpg.Connection
) -> None:
    await canteen.place()
    for change in (
        "status = 'eaten'",
        "status = 'fulfilled', closed_at = now()",
        "fulfilled_at = now()",
        "status = 'refused', closed_at = now()",
        "status = 'cancelled'",
        "reason = 'sold_out'",
        "quantity = 0",
        "milli_points = -1",
        "fen = -1",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await canteen_role.execute(f"UPDATE canteen.redemptions SET {change}")


async def test_the_database_refuses_negative_stock_and_a_community_unknown(
    station: Platform, station_url_db: str
) -> None:
    connection = await asyncpg.connect(station_url_db)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE station.stocks SET remaining = -1")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await connection.execute(
            "INSERT INTO station.visits VALUES ($1, gen_random_uuid(), 'rest', now(), now(), 1)",
            COMMUNITY + 1,
        )
    await connection.close()
