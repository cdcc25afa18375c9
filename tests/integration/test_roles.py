"""The roles that one database has, and what each of them cannot do."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
import redis

from pointsbank.platform import roles
from pointsbank.platform.database import Database
from tests.conftest import Servers


@pytest.fixture
async def weak_url(servers: Servers) -> AsyncIterator[str]:
    """A role that may create neither roles nor databases, on a database it does not own."""
    name = f"weak_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(servers.admin_url)
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'weak'")
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield roles.role_url(servers.admin_url, name, "weak", database=name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.execute(f"DROP ROLE {name}")
    await admin.close()


async def test_a_unit_of_work_speaks_as_the_application_and_names_its_community(database: Database) -> None:
    async with database.unit_of_work(1) as uow:
        connection = await uow.connection()
        row = await connection.fetchrow(
            "SELECT current_user::text AS role, current_setting('pointsbank.community_id') AS community"
        )
    assert (row["role"], row["community"]) == (roles.APP, "1")


async def test_making_the_roles_again_changes_nothing_and_keeps_them_able_to_sign_in(
    servers: Servers, owner_url: str, canteen_url_db: str
) -> None:
    await roles.ensure_roles(owner_url, servers.passwords)
    connection = await asyncpg.connect(canteen_url_db)
    assert await connection.fetchval("SELECT current_user::text") == roles.CANTEEN
    await connection.close()


async def test_a_partner_can_neither_look_into_the_bank_nor_into_the_other_partner(
    owner_url: str, canteen_url_db: str, station_url_db: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("CREATE TABLE bank.looked_at (n int)")
    await owner.close()
    station = await asyncpg.connect(station_url_db)
    await station.execute("CREATE TABLE station.looked_at (n int)")
    await station.close()
    canteen = await asyncpg.connect(canteen_url_db)
    for table in ("bank.looked_at", "station.looked_at"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await canteen.fetch(f"SELECT * FROM {table}")
    await canteen.execute("CREATE TABLE canteen.own (n int)")
    await canteen.close()


@pytest.mark.parametrize("schema", ["bank", "public", "canteen"])
async def test_the_application_can_make_no_table_anywhere(app_url: str, schema: str) -> None:
    connection = await asyncpg.connect(app_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(f"CREATE TABLE {schema}.mine (n int)")
    await connection.close()


async def test_an_owner_that_may_not_create_roles_is_told_what_to_run(weak_url: str) -> None:
    with pytest.raises(
        roles.DatabaseUnfit, match=r"may not create roles: run ALTER ROLE \S+ CREATEROLE"
    ) as told:
        await roles.ensure_roles(weak_url, {})
    assert "\n" not in str(told.value)


async def test_an_owner_that_does_not_own_the_database_is_told_what_to_run(
    servers: Servers, weak_url: str
) -> None:
    admin = await asyncpg.connect(servers.admin_url)
    await admin.execute(f"ALTER ROLE {roles.role_name(weak_url)} CREATEROLE")
    await admin.close()
    with pytest.raises(roles.DatabaseUnfit, match="does not own database"):
        await roles.ensure_roles(weak_url, {})


async def test_a_missing_outside_database_that_may_not_be_made_is_named(weak_url: str) -> None:
    with pytest.raises(roles.DatabaseUnfit, match="database nowhere does not exist"):
        await roles.ensure_outside_database(roles.with_database(weak_url, "nowhere"))


async def test_a_missing_outside_database_is_made(servers: Servers) -> None:
    name = f"pointsbank_made_{secrets.token_hex(4)}"
    url = roles.with_database(servers.admin_url, name)
    await roles.ensure_outside_database(url)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT current_database()") == name
    await connection.close()
    admin = await asyncpg.connect(servers.admin_url)
    await admin.execute(f"DROP DATABASE {name}")
    await admin.close()


async def test_a_wrong_password_gets_one_line_without_the_password(app_url: str) -> None:
    with pytest.raises(roles.DatabaseUnfit) as told:
        await roles.connect(roles.role_url(app_url, roles.APP, "guessed-wrong"))
    assert roles.APP in str(told.value)
    assert "guessed-wrong" not in str(told.value)
    assert "\n" not in str(told.value)


def test_every_test_starts_with_an_empty_queue_server(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    assert client.dbsize() == 0
    client.set("left behind", "1")
    client.close()


def test_every_test_starts_with_an_empty_queue_server_again(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    assert client.dbsize() == 0
    client.close()
