"""Engine and unit of work: one database transaction, one community, one commit point."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from pointsbank.platform.clock import Clock, SystemClock
from pointsbank.platform.dedicated import DedicatedConnection

log = structlog.get_logger(__name__)

Wake = Callable[[int, str], Awaitable[object]]
"""Tells a worker that an intent of a community waits: (community_id, topic)."""

Session = AsyncSession
"""What a service takes that reads outside any community; only stores know what it can do."""

POOL_CONNECTIONS = 10
POOL_OVERFLOW = 10


def sqlalchemy_url(url: str) -> str:
    """Return ``url`` (``postgresql://…``) with SQLAlchemy's asyncpg driver named."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError("a database address begins with postgresql://")
    return f"postgresql+asyncpg://{rest}"


LOCK_SECONDS_MAX = 10
IDLE_SECONDS_MAX = 60
SERVER_SETTINGS = {
    "lock_timeout": f"{LOCK_SECONDS_MAX}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS_MAX}s",
}
"""A community has one lock: nobody waits for it for ever, and a process that hangs does not keep it."""

PASSING = ("08", "40", "53", "55P03", "57", "25P03")
"""SQLSTATE classes and codes of faults that pass: connection, rollback (deadlock), resources, lock not had in
time, operator's or time limit's intervention (PostgreSQL, appendix A)."""


def is_passing(error: BaseException) -> bool:
    """Tell whether a database error will pass, so that the same request may well succeed in a moment."""
    while error is not None:
        sqlstate = getattr(error, "sqlstate", None)
        if isinstance(sqlstate, str):
            return sqlstate.startswith(PASSING)
        inner = getattr(error, "orig", None) or error.__cause__
        if not isinstance(inner, BaseException):
            return False
        error = inner
    return False


class UnitOfWork:
    """One transaction over one community's rows.

    ``session`` is for tables, ``connection`` (asyncpg) for statements that SQLAlchemy would only slow.
    Every store function takes a unit of work and names ``community_id`` in its query; row-level security
    sees the same number and is the second wall. Work to do after the commit (waking a worker) is
    registered with :meth:`after_commit` and is never relied upon.
    """

    def __init__(
        self, session: AsyncSession, community_id: int, clock: Clock, *, wake: Wake | None = None
    ) -> None:
        self.session = session
        self.community_id = community_id
        self.clock = clock
        self.wake = wake
        self._after_commit: list[Callable[[], Awaitable[Any]]] = []
        self._connection: asyncpg.Connection | None = None

    async def connection(self) -> asyncpg.Connection:
        """Return the asyncpg connection inside this transaction: one and the same to its end."""
        if self._connection is None:
            raw = await (await self.session.connection()).get_raw_connection()
            self._connection = cast("asyncpg.Connection", raw.driver_connection)
        return self._connection

    def after_commit(self, callback: Callable[[], Awaitable[Any]]) -> None:
        """Call ``callback`` once the commit has succeeded; its failure is logged and changes nothing."""
        self._after_commit.append(callback)

    async def run_after_commit(self) -> None:
        """Run and forget the registered callbacks."""
        callbacks, self._after_commit = self._after_commit, []
        for callback in callbacks:
            try:
                await callback()
            except Exception as error:  # the intent is safe in PostgreSQL; the sweep will find it
                log.warning("after_commit_failed", error=type(error).__name__)


class Database:
    """A pool of connections under one role."""

    def __init__(self, url: str, *, clock: Clock | None = None, pool_size: int = POOL_CONNECTIONS) -> None:
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=POOL_OVERFLOW,
            pool_pre_ping=True,
            connect_args={"server_settings": SERVER_SETTINGS},
            hide_parameters=True,  # an error's text may reach a log; people's data must not
        )
        self._url = url
        self.clock: Clock = clock or SystemClock()
        self.wake: Wake | None = None  # set by a process that has a queue; without it the sweep finds all
        self._sessions = async_sessionmaker(self.engine, class_=AsyncSession, expire_on_commit=False)

    @asynccontextmanager
    async def unit_of_work(self, community_id: int, *, snapshot: bool = False) -> AsyncIterator[UnitOfWork]:
        """Open a unit of work; commit at the end of the block, roll back if it raises.

        snapshot: read one consistent state however long it takes (audits, exports); it cannot write.
        """
        async with self._sessions() as session:
            uow = UnitOfWork(session, community_id, self.clock, wake=self.wake)
            async with session.begin():
                if snapshot:
                    await session.connection(
                        execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                    )
                connection = await session.connection()
                await connection.execute(  # also begins the transaction that ``UnitOfWork.connection`` is in
                    text("SELECT set_config('pointsbank.community_id', :community_id, true)"),
                    {"community_id": str(community_id)},
                )
                yield uow
        await uow.run_after_commit()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a session outside any community (the list of communities, health checks)."""
        async with self._sessions() as session, session.begin():
            yield session

    def dedicated(self) -> DedicatedConnection:
        """Return a connection outside the pool whose statements commit by themselves; close it yourself."""
        return DedicatedConnection(self._url, SERVER_SETTINGS)

    async def close(self) -> None:
        """Close every pooled connection."""
        await self.engine.dispose()
