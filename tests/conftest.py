"""One PostgreSQL and one Valkey for the whole run; a fresh copy of a migrated database for each test.

With ``POINTSBANK_TEST_DATABASE_URL`` and ``POINTSBANK_TEST_REDIS_URL`` set, those servers are used instead.
They must be there for tests only: the roles' passwords are changed, and the Redis database is emptied. Every
other ``POINTSBANK_…`` of the environment is forgotten, for it may name servers with real people in them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import psutil
import pytest
import redis
from hypothesis import settings

from pointsbank.platform import migrations, roles
from pointsbank.platform.database import Database
from pointsbank.platform.servers import EmbeddedPostgres, EmbeddedValkey

T = TypeVar("T")

TEST_DATABASE_URL = "POINTSBANK_TEST_DATABASE_URL"
TEST_REDIS_URL = "POINTSBANK_TEST_REDIS_URL"
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 * 2**30
SERVERS_PREFIX = "pointsbank-tests-"
LONG = "long"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--long``: run the tests that can for as long as it takes to trust them, not only to know them."""
    parser.addoption("--long", action="store_true", help="run endurance tests in their long form (minutes)")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the settings of a real bank; say how long properties run; end like Ctrl-C when told to end."""
    for name in [name for name in os.environ if name.startswith("POINTSBANK_")]:
        if name not in (TEST_DATABASE_URL, TEST_REDIS_URL):
            del os.environ[name]

    settings.register_profile(LONG)
    if config.getoption("--long"):
        settings.load_profile(LONG)

    # A plain death would leave the servers behind.
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` to its end on a loop of its own, away from the session's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def memory_with_room() -> Path | None:
    """Return the file system that lies in memory, where there is one with room; None: there is none.

    A copy of a database is some 560 small files; on a disk the making and removing of these was what most
    of a run's time went into.
    """
    try:
        room = shutil.disk_usage(MEMORY).free
    except OSError:
        return None
    return MEMORY if room >= MEMORY_BYTES_MIN and os.access(MEMORY, os.W_OK) else None


def remove_left_over(within: Path) -> None:
    """End the servers of runs that were killed, and give their memory back."""
    for directory in within.glob(f"{SERVERS_PREFIX}*"):
        owner = directory.name.removeprefix(SERVERS_PREFIX).partition("-")[0]
        if not owner.isdigit() or psutil.pid_exists(int(owner)):
            continue
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(directory):
                    process.kill()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def server_directory(within: Path | None = None) -> Iterator[Path]:
    """A directory that servers may live in, removed after.

    pytest's own folder will not do: each pytest that starts closes it to others, and with that to the user
    that PostgreSQL runs as, under the feet of a run that goes on.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"{SERVERS_PREFIX}{os.getpid()}-", dir=within))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def data() -> Iterator[Path]:
    """An empty data directory, for tests that start servers in it."""
    with server_directory() as directory:
        yield directory


@dataclass(frozen=True, slots=True)
class Servers:
    """What the run stands on. ``admin_url`` may create databases; ``owner_url`` owns the template."""

    admin_url: str
    owner_url: str
    passwords: dict[str, str]
    redis_url: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start the servers once, or take those that the environment names; remove everything after."""
    passwords = {role: secrets.token_hex(8) for role in (roles.APP, roles.CANTEEN, roles.STATION)}
    outside, redis_url = os.environ.get(TEST_DATABASE_URL), os.environ.get(TEST_REDIS_URL)
    with ExitStack() as stack:
        memory = memory_with_room()
        if memory is not None:
            remove_left_over(memory)
        directory = stack.enter_context(server_directory(memory))
        if outside is None:
            postgres = EmbeddedPostgres(directory / "postgres", secrets.token_hex(8), durable=False)
            stack.enter_context(postgres)
            admin_url = postgres.url()
            owner_url = run_apart(roles.ensure_database(admin_url, secrets.token_hex(8)))
        else:
            admin_url = owner_url = outside
        if redis_url is None:
            valkey = EmbeddedValkey(directory / "valkey", secrets.token_hex(8), persistent=False)
            redis_url = stack.enter_context(valkey).url
        yield Servers(admin_url, owner_url, passwords, redis_url)


async def _create_database(servers: Servers, name: str) -> None:
    connection = await asyncpg.connect(servers.admin_url)
    try:
        owner = roles.quote_identifier(roles.role_name(servers.owner_url))
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {owner}")
    finally:
        await connection.close()


async def _drop_database(servers: Servers, name: str) -> None:
    connection = await asyncpg.connect(servers.admin_url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def empty_database_url(servers: Servers) -> Iterator[str]:
    """A database with roles and schemas and no migration run, as its owner: for tests of migrations."""
    name = f"pointsbank_empty_{secrets.token_hex(4)}"
    run_apart(_create_database(servers, name))
    url = roles.with_database(servers.owner_url, name)
    run_apart(roles.ensure_roles(url, servers.passwords))
    yield url
    run_apart(_drop_database(servers, name))


@pytest.fixture(scope="session")
def template_database(servers: Servers) -> Iterator[str]:
    """Name of the database that was migrated once and is copied for each test."""
    name = f"pointsbank_template_{secrets.token_hex(4)}"
    run_apart(_create_database(servers, name))
    url = roles.with_database(servers.owner_url, name)
    run_apart(roles.ensure_roles(url, servers.passwords))
    addresses = {
        "services:migrations": url,
        "services.canteen:migrations": roles.role_url(url, roles.CANTEEN, servers.passwords[roles.CANTEEN]),
        "services.station:migrations": roles.role_url(url, roles.STATION, servers.passwords[roles.STATION]),
    }
    for scripts, address in addresses.items():
        migrations.upgrade(address, scripts)
    yield name
    run_apart(_drop_database(servers, name))


@pytest.fixture(scope="session")
async def administrator(servers: Servers) -> AsyncIterator[asyncpg.Connection]:
    """The one connection that copies and drops databases: opening one takes as long as half a copy."""
    connection = await asyncpg.connect(servers.admin_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def copied(administrator: asyncpg.Connection, servers: Servers, template: str) -> AsyncIterator[str]:
    """A fresh copy of ``template``, as its owner; dropped after."""
    name = f"pointsbank_test_{secrets.token_hex(4)}"
    owner = roles.quote_identifier(roles.role_name(servers.owner_url))
    # Files are copied as they are: page by page through the log takes twice as long, here and at the drop.
    await administrator.execute(
        f"CREATE DATABASE {name} TEMPLATE {template} OWNER {owner} STRATEGY FILE_COPY"
    )
    yield roles.with_database(servers.owner_url, name)
    await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def owner_url(
    administrator: asyncpg.Connection, servers: Servers, template_database: str
) -> AsyncIterator[str]:
    """A fresh copy of the migrated database, as its owner; dropped after the test."""
    async with copied(administrator, servers, template_database) as url:
        yield url


@pytest.fixture
async def other_app_url(
    administrator: asyncpg.Connection, servers: Servers, template_database: str
) -> AsyncIterator[str]:
    """A second fresh copy of the migrated database, as the application's role; dropped after the test."""
    async with copied(administrator, servers, template_database) as url:
        yield roles.role_url(url, roles.APP, servers.passwords[roles.APP])


@pytest.fixture
async def other_database(other_app_url: str) -> AsyncIterator[Database]:
    """The second database as the application sees it."""
    database = Database(other_app_url)
    yield database
    await database.close()


@pytest.fixture
def app_url(servers: Servers, owner_url: str) -> str:
    """The test's database as the application's role."""
    return roles.role_url(owner_url, roles.APP, servers.passwords[roles.APP])


@pytest.fixture
def canteen_url_db(servers: Servers, owner_url: str) -> str:
    """The test's database as the canteen's role."""
    return roles.role_url(owner_url, roles.CANTEEN, servers.passwords[roles.CANTEEN])


@pytest.fixture
def station_url_db(servers: Servers, owner_url: str) -> str:
    """The test's database as the station's role."""
    return roles.role_url(owner_url, roles.STATION, servers.passwords[roles.STATION])


@pytest.fixture
async def database(app_url: str) -> AsyncIterator[Database]:
    """The test's database as the application sees it."""
    database = Database(app_url)
    yield database
    await database.close()


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """An empty Valkey database."""
    client = redis.Redis.from_url(servers.redis_url)
    client.flushdb()
    client.close()
    return servers.redis_url


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The system's Chromium. None: the test is skipped, and fails when ``CI=true``."""
    for name in CHROMIUM_NAMES:
        if found := shutil.which(name):
            return found
    complaint = f"no Chromium found (looked for {', '.join(CHROMIUM_NAMES)}): browser tests need one"
    if os.environ.get("CI") == "true":
        pytest.fail(complaint, pytrace=False)
    pytest.skip(complaint)
