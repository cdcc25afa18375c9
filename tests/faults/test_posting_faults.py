"""Connections die in the middle of batches, and every post is found exactly once or cleanly absent."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain.errors import DomainError
from pointsbank.domain.journal import JournalEntry, entry_id
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.dedicated import DedicatedConnection
from services.ledger import posting
from services.ledger.posting import Poster, PostingUndecided
from services.ledger.proof.verification import verify
from services.ledger.views import Recorded
from tests.ledgers import NOON, bare_ledger, grant

MEMBERS = [UUID(int=100 + number) for number in range(20)]
KILLS = 200


@pytest.fixture
async def ledger(database: Database) -> Database:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    return database


@pytest.fixture
async def owner(ledger: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def admin(servers: object, ledger: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Who may end the application's server processes."""
    connection = await asyncpg.connect(servers.admin_url)  # type: ignore[attr-defined]
    yield connection
    await connection.close()


class Killing:
    """Ends the connections of a poster at random moments, from the server's side and from ours."""

    def __init__(self, admin: asyncpg.Connection, poster: Poster, database: str, dice: random.Random) -> None:
        self.kills = 0
        self._admin, self._poster, self._database, self._dice = admin, poster, database, dice

    async def until(self, kills: int) -> None:
        while self.kills < kills:
            await asyncio.sleep(self._dice.random() * 0.02)
            self.kills += await (self._from_the_server() if self._dice.random() < 0.6 else self._from_us())

    async def _from_the_server(self) -> int:
        return await self._admin.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = $1 AND state = 'active' AND query LIKE '%apply_entries%'",
            self._database,
        )

    async def _from_us(self) -> int:
        cut = 0
        for connection in list(LIVE):
            transport = getattr(connection._connection, "_transport", None)
            if transport is not None and not transport.is_closing():
                transport.abort()
                cut += 1
        return cut


LIVE: set[DedicatedConnection] = set()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know every connection that a poster opens."""
    made = DedicatedConnection.__init__

    def remembered(self: DedicatedConnection, *arguments: object) -> None:
        made(self, *arguments)  # type: ignore[arg-type]
        LIVE.add(self)

    LIVE.clear()
    monkeypatch.setattr(DedicatedConnection, "__init__", remembered)


async def test_connections_killed_two_hundred_times_lose_no_post_and_double_none(
    ledger: Database, owner: asyncpg.Connection, admin: asyncpg.Connection, watched: None
) -> None:
    poster, dice = Poster(ledger), random.Random(4)
    killing = Killing(admin, poster, await owner.fetchval("SELECT current_database()"), dice)
    answered: dict[str, int] = {}
    undecided: set[str] = set()
    refused: Counter[str] = Counter()
    stopping = asyncio.Event()

    async def posts(worker: int) -> None:
        step = 0
        while not stopping.is_set():
            step += 1
            key = f"{worker}-{step}"
            try:
                answer = await poster.post(1, grant(dice.choice(MEMBERS), dice.randint(1, 9), key))
                answered[key] = answer.number
            except PostingUndecided:
                undecided.add(key)
            except DomainError as error:
                refused[error.code] += 1

    workers = [asyncio.create_task(posts(worker)) for worker in range(24)]
    await asyncio.wait_for(killing.until(KILLS), 120)
    stopping.set()
    await asyncio.gather(*workers)
    await poster.close()

    rows = await owner.fetch("SELECT id, number FROM bank.journal_lines WHERE community_id = 1")
    recorded = {row["id"]: row["number"] for row in rows}
    assert len(recorded) == len(rows), "no key twice"
    assert killing.kills >= KILLS
    assert len(answered) > KILLS, "posting went on all the while"
    for key, number in answered.items():
        assert recorded.pop(entry_id(key), None) == number, f"{key} was answered and is not there"
    assert set(recorded) <= {entry_id(key) for key in undecided}, "what nobody was told of is there"
    assert refused == Counter(), "a lost connection is no refusal"
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        assert (await verify(uow)).sound


async def test_a_post_whose_commit_was_not_heard_is_found_by_its_key(
    ledger: Database, owner: asyncpg.Connection, watched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    poster = Poster(ledger)
    entry = grant(MEMBERS[0], 5, "heard-late")
    once = Poster._once
    tries = 0

    async def deaf(self: Poster, connection: DedicatedConnection, *arguments: object) -> object:
        nonlocal tries
        tries += 1
        answer = await once(self, connection, *arguments)  # type: ignore[arg-type]
        if answer[0].verdict == "posted":
            # Committed; the answer is lost on the way, as when a cable is pulled.
            assert connection._connection is not None
            connection._drop(connection._connection)
            raise posting.ConnectionLost
        return answer

    monkeypatch.setattr(Poster, "_once", deaf)
    recorded = await poster.post(1, entry)
    await poster.close()
    assert (recorded.number, tries > 1) == (1, True)
    assert await owner.fetchval("SELECT count(*) FROM bank.journal_lines") == 1


async def test_while_the_database_is_away_posts_are_told_so_and_leave_nothing(
    ledger: Database, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    poster = Poster(ledger)
    await poster.post(1, grant(MEMBERS[0], 1, "before"))
    await asyncio.sleep(0.05)  # the lane goes idle and gives its connection back
    assert poster._connections._idle
    monkeypatch.setattr(posting, "BACKOFF_SECONDS", 0.001)
    for connection in poster._connections._idle:
        await connection.close()
        connection._url = connection._url.replace("pointsbank_test", "pointsbank_gone")

    async def post(number: int) -> Recorded | Exception:
        try:
            return await poster.post(1, grant(MEMBERS[0], 1, f"meanwhile-{number}"))
        except PostingUndecided as error:
            return error

    answers = await asyncio.gather(*(post(number) for number in range(50)))
    assert all(isinstance(answer, PostingUndecided) for answer in answers)
    assert await owner.fetchval("SELECT count(*) FROM bank.journal_lines") == 1
    for connection in poster._connections._idle:
        connection._url = connection._url.replace("pointsbank_gone", "pointsbank_test")
    entries: list[JournalEntry] = [grant(MEMBERS[0], 1, f"meanwhile-{number}") for number in range(50)]
    again = await asyncio.gather(*(poster.post(1, entry) for entry in entries))
    assert [answer.already for answer in again] == [False] * 50
    await poster.close()


async def test_what_was_lost_once_is_never_said_to_be_undone(
    ledger: Database, owner: asyncpg.Connection, watched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    poster = Poster(ledger)
    monkeypatch.setattr(posting, "BACKOFF_SECONDS", 0.001)
    once = Poster._once
    tries = 0

    async def lost_then_refused(self: Poster, connection: DedicatedConnection, *arguments: object) -> object:
        nonlocal tries
        tries += 1
        if tries > 1:
            raise asyncpg.LockNotAvailableError
        answer = await once(self, connection, *arguments)  # type: ignore[arg-type]
        if answer[0].verdict == "posted":
            raise posting.ConnectionLost
        return answer

    await poster.post(1, grant(MEMBERS[0], 1, "opens"))
    monkeypatch.setattr(Poster, "_once", lost_then_refused)
    with pytest.raises(PostingUndecided):
        await poster.post(1, grant(MEMBERS[0], 5, "recorded-unheard"))
    await poster.close()
    assert await owner.fetchval("SELECT count(*) FROM bank.journal_lines") == 2
