"""What the ledger's benchmark stands on: a durable server, four communities of 20,000 members, references."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import asyncpg

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind, JournalEntry, Origin, SourceKind, Transfer, journal_entry
from pointsbank.platform import migrations, roles, servers
from pointsbank.platform.clock import SystemClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from pointsbank.platform.servers import EmbeddedPostgres
from services.ledger.batch import account_id
from services.ledger.posting import Poster
from tests.ledgers import bare_ledger

COMMUNITIES = (1, 2, 3, 4)
MEMBERS = 20_000
FUNDS = 10**9
PGBENCH_SCALE = 20
PGBENCH_CLIENTS = 8
CLOCK = SystemClock()


def member(number: int) -> UUID:
    """Return the pseudonym of a member by number, from 0; in every community the same."""
    return UUID(int=10**6 + number)


def moving(giver: UUID, getter: UUID, amount: int = 1) -> JournalEntry:
    """Return an entry that moves milli-points, with a document and a key of its own."""
    document = uuid7()
    return journal_entry(
        EntryKind.GIFT,
        (Transfer(accounts.available(giver), accounts.available(getter), amount),),
        origin=Origin(SourceKind.GIFT, document, giver, giver, 1),
        key=f"gift:{document}",
        occurred_at=CLOCK.now(),
    )


def movings(count: int, *, hot: float = 0.0, poor: float = 0.0, seed: int = 1) -> Iterator[JournalEntry]:
    """Yield so many entries between random members.

    A share ``hot`` of them gives to one member; a share ``poor`` asks for more than there is.
    """
    dice = random.Random(seed)
    for _ in range(count):
        giver, getter = dice.randrange(1, MEMBERS), dice.randrange(1, MEMBERS - 1)
        getter += getter >= giver
        amount = 10 * FUNDS if poor and dice.random() < poor else 1
        yield moving(member(giver), member(0 if dice.random() < hot else getter), amount)


@dataclass(frozen=True, slots=True)
class World:
    """The addresses of a running benchmark server: the application's role, the owner's, the superuser's."""

    app_url: str
    owner_url: str
    admin_url: str
    pgbench: Pgbench


@contextmanager
def world() -> Iterator[World]:
    """Start a server with the settings that ``pointsbank up`` uses, fsync on; remove everything after."""
    with (
        tempfile.TemporaryDirectory(prefix="pointsbank-bench-") as name,
        EmbeddedPostgres(Path(name) / "postgres", secrets.token_hex(8)) as postgres,
    ):
        admin = postgres.url()
        owner = asyncio.run(roles.ensure_database(admin, secrets.token_hex(8)))
        password = secrets.token_hex(8)
        asyncio.run(
            roles.ensure_roles(owner, dict.fromkeys((roles.APP, roles.CANTEEN, roles.STATION), password))
        )
        migrations.upgrade(owner, "services:migrations")
        yield World(roles.role_url(owner, roles.APP, password), owner, admin, Pgbench(admin))


class Pgbench:
    """The reference: pgbench's tpcb-like at eight clients, on the same server."""

    def __init__(self, admin_url: str) -> None:
        parts = urlsplit(admin_url)
        self._environment = {
            **os.environ,
            "PGHOST": parse_qs(parts.query)["host"][0],
            "PGUSER": parts.username or "",
            "PGPASSWORD": unquote(parts.password or ""),
            "PGDATABASE": "pgbench",
        }
        self._ready = False

    def per_second(self, seconds: int = 4) -> float:
        """Return transactions per second over so many seconds; the first call sets it up and warms it."""
        if not self._ready:
            self._run("createdb", "pgbench")
            self._run("pgbench", "-i", "-q", "-s", str(PGBENCH_SCALE))
            self._tpcb(8)  # pages that a checkpoint has just made costly are touched once
            self._ready = True
        return self._tpcb(seconds)

    def _tpcb(self, seconds: int) -> float:
        said = self._run("pgbench", "-n", "-c", str(PGBENCH_CLIENTS), "-j", "2", "-T", str(seconds))
        (rate,) = [line.split()[2] for line in said.splitlines() if line.startswith("tps")]
        return float(rate)

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(servers.postgres_binary(program)), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True)
        return done.stdout


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Database, Poster]]:
    """A database and a poster on it."""
    database = Database(url)
    poster = Poster(database)
    try:
        yield database, poster
    finally:
        await poster.close()
        await database.close()


async def found(world: World) -> None:
    """Open the four communities' journals and give every member points."""
    async with opened(world.app_url) as (database, poster):
        for community in COMMUNITIES:
            await bare_ledger(database, community)
            funds = (_fund(member(number)) for number in range(MEMBERS))
            async for _ in poster.post_bulk(community, funds):
                pass


def _fund(owner: UUID) -> JournalEntry:
    document = uuid7()
    return journal_entry(
        EntryKind.EARNING,
        (Transfer(accounts.issuance(Commodity.POINT), accounts.available(owner), FUNDS),),
        origin=Origin(SourceKind.VISIT, document, owner, owner, 1),
        key=f"visit:{document}",
        occurred_at=CLOCK.now(),
    )


def know_accounts(communities: tuple[int, ...]) -> None:
    """Derive every account's id once, as a process that has run for a while has done."""
    for community in communities:
        for number in range(MEMBERS):
            account_id(community, accounts.available(member(number)))


async def checkpoint(world: World) -> None:
    """Have the server write a checkpoint."""
    connection = await asyncpg.connect(world.admin_url)
    try:
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def wal_position(world: World) -> int:
    """Return how many bytes the server has written to its log."""
    connection = await asyncpg.connect(world.admin_url)
    try:
        return int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))
    finally:
        await connection.close()


def seconds_since(begun: float) -> float:
    """Return the seconds since a ``time.perf_counter`` moment."""
    return time.perf_counter() - begun
