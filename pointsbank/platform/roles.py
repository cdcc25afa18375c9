"""Database roles: who owns what, and who may come in.

One database holds three schemas. The owner owns the database and schema ``bank`` and runs its migrations;
the application (api, worker) has only the rights that those migrations grant; the canteen and the station
each own their one schema and can read no other. Everything here may run again and changes nothing then.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

OWNER = "pointsbank_owner"
APP = "pointsbank_app"
CANTEEN = "pointsbank_canteen"
STATION = "pointsbank_station"
DATABASE = "pointsbank"

BANK_SCHEMA = "bank"
PARTNER_SCHEMAS = {"canteen": CANTEEN, "station": STATION}

SCRAM_ITERATIONS = 4096
CONNECT_SECONDS_MAX = 10


class DatabaseUnfit(Exception):
    """The database server cannot be used as it is; the message is one line for the user."""


def role_url(url: str, role: str, password: str, *, database: str | None = None) -> str:
    """Return ``url`` as another role (and another ``database`` when named)."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(
        parts._replace(
            netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{host}",
            path=parts.path if database is None else f"/{quote(database, safe='')}",
        )
    )


def database_name(url: str) -> str:
    """Return the database that ``url`` names, or its user's, as PostgreSQL does."""
    parts = urlsplit(url)
    return unquote(parts.path.lstrip("/")) or unquote(parts.username or "")


def role_name(url: str) -> str:
    """Return the role that ``url`` signs in as (empty when it names none)."""
    return unquote(urlsplit(url).username or "")


def with_database(url: str, database: str) -> str:
    """Return ``url`` naming another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database, safe='')}"))


def quote_identifier(name: str) -> str:
    """Return ``name`` quoted as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def scram_verifier(password: str, *, salt: bytes | None = None) -> str:
    """Return PostgreSQL's stored form of ``password`` (RFC 5803, RFC 7677), so that it never leaves in clear.

    The password must be ASCII: SASLprep is then the identity.
    """
    if not password.isascii():
        raise ValueError("a role's password is ASCII")
    salt = salt if salt is not None else os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt64}${stored64}:{server64}"


async def connect(url: str) -> asyncpg.Connection:
    """Open one connection to ``url``. Raises DatabaseUnfit (one line, no password in it)."""
    try:
        return await asyncpg.connect(url, timeout=CONNECT_SECONDS_MAX)
    except asyncpg.InvalidCatalogNameError:
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        where = urlsplit(url).netloc.rpartition("@")[2] or "its socket"
        said = " ".join(str(error).split()) or type(error).__name__
        raise DatabaseUnfit(
            f"the database server at {where} cannot be used as {role_name(url)}: {said}"
        ) from None


async def ensure_database(superuser_url: str, owner_password: str) -> str:
    """Make the owner's role and database on an embedded server; return the owner's address.

    superuser_url: names the maintenance database.
    """
    connection = await connect(superuser_url)
    try:
        await _ensure_login(connection, OWNER, owner_password, options="CREATEROLE")
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
    finally:
        await connection.close()
    return role_url(superuser_url, OWNER, owner_password, database=DATABASE)


async def ensure_outside_database(url: str) -> None:
    """Make the database that ``url`` names when its server has none of that name.

    Raises DatabaseUnfit when there is none and the role may not create it.
    """
    try:
        await (await connect(url)).close()
    except asyncpg.InvalidCatalogNameError:
        name = database_name(url)
        connection = await connect(with_database(url, "postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {quote_identifier(name)}")
        except asyncpg.InsufficientPrivilegeError:
            raise DatabaseUnfit(
                f"database {name} does not exist and role {role_name(url)} may not create it "
                "(POINTSBANK_DATABASE_URL)"
            ) from None
        finally:
            await connection.close()


async def _ensure_login(
    connection: asyncpg.Connection, role: str, password: str, *, options: str = ""
) -> None:
    """Create ``role`` (a name from this module) or renew its password."""
    exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    verb = "ALTER" if exists else "CREATE"
    await connection.execute(f"{verb} ROLE {role} LOGIN {options} PASSWORD '{scram_verifier(password)}'")


async def _check_fit(connection: asyncpg.Connection) -> None:
    """Refuse a role that could not do what follows, with the words that mend it."""
    fit = await connection.fetchrow(
        "SELECT current_user AS role, r.rolsuper OR r.rolcreaterole AS creates,"
        " r.rolsuper OR pg_has_role(d.datdba, 'USAGE') AS owns, d.datname AS database,"
        " pg_encoding_to_char(d.encoding) AS encoding,"
        " current_setting('server_version_num')::int / 10000 AS major"
        " FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()"
    )
    if fit["major"] < 16:
        raise DatabaseUnfit(f"the database server is PostgreSQL {fit['major']}; 16 or newer is needed")
    if fit["encoding"] != "UTF8":
        raise DatabaseUnfit(f"database {fit['database']} is in {fit['encoding']}; UTF8 is needed")
    if not fit["creates"]:
        raise DatabaseUnfit(
            f"role {fit['role']} may not create roles: run ALTER ROLE {fit['role']} CREATEROLE as a superuser"
        )
    if not fit["owns"]:
        raise DatabaseUnfit(
            f"role {fit['role']} does not own database {fit['database']}: "
            f"run ALTER DATABASE {fit['database']} OWNER TO {fit['role']}"
        )


async def ensure_roles(url: str, passwords: Mapping[str, str]) -> None:
    """Make the login roles, their schemas and their way in, as the owner at ``url``.

    passwords: by role name (``APP``, ``CANTEEN``, ``STATION``), ASCII. Raises DatabaseUnfit.
    """
    connection = await connect(url)
    try:
        await _check_fit(connection)
        async with connection.transaction():
            owner = quote_identifier(await connection.fetchval("SELECT current_user"))
            database = quote_identifier(await connection.fetchval("SELECT current_database()"))
            for role in (APP, CANTEEN, STATION):
                await _ensure_login(connection, role, passwords[role])
                # Without this a creator that is no superuser may not hand a schema to the role (PG 16+).
                # INHERIT FALSE: owning the database gives no reading of a partner's rows by accident.
                await connection.execute(f"GRANT {role} TO {owner} WITH SET TRUE, INHERIT FALSE")
            await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            await connection.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {APP}")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {BANK_SCHEMA}")
            await connection.execute(f"GRANT USAGE ON SCHEMA {BANK_SCHEMA} TO {APP}")
            for schema, role in PARTNER_SCHEMAS.items():
                await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
                await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role}")
    except (asyncpg.InsufficientPrivilegeError, asyncpg.DuplicateObjectError) as error:
        said = " ".join(str(error).split())
        raise DatabaseUnfit(f"the roles could not be made as {role_name(url)}: {said}") from None
    finally:
        await connection.close()
