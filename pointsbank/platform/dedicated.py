"""A connection of one's own, for statements that commit by themselves.

When it is lost in the middle of a statement nobody knows whether that took effect, and it may even take
effect later, as long as its server process lives. So before the next statement is sent, that process is ended
and seen to be gone: from then on what is found in the database is what came of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import asyncpg

STATEMENT_SECONDS_MAX = 30
CONNECT_SECONDS_MAX = 10
GONE_SECONDS_MAX = 10
POLL_SECONDS = 0.01


StatementRefused = asyncpg.PostgresError
"""The database said no, and rolled back."""


class ConnectionLost(Exception):
    """The connection went away; whether the statement took effect is not known."""


class DedicatedConnection:
    """One connection, opened at the first statement and replaced after a loss."""

    def __init__(self, url: str, server_settings: dict[str, str]) -> None:
        self._url = url
        self._server_settings = server_settings
        self._connection: asyncpg.Connection | None = None
        self._backend: tuple[int, datetime] | None = None
        self.on_notice: Callable[[], None] | None = None
        """Called when the server sends a notice while a statement is under way."""

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """Run a statement and return its first row, or None.

        Raises ConnectionLost, StatementRefused.
        """
        connection = await self._open()
        try:
            return await connection.fetchrow(query, *arguments, timeout=STATEMENT_SECONDS_MAX)
        except asyncpg.PostgresError as error:
            if not connection.is_closed():
                raise
            self._drop(connection)
            raise ConnectionLost from error
        except (asyncpg.InterfaceError, OSError, TimeoutError) as error:
            self._drop(connection)
            raise ConnectionLost from error
        except asyncio.CancelledError:
            self._drop(connection)
            raise

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.remove_log_listener(self._noticed)
        if connection is not None and not connection.is_closed():
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=CONNECT_SECONDS_MAX)

    def end(self) -> None:
        """Let the connection go at once, without a word to the server."""
        if self._connection is not None:
            self._drop(self._connection)

    def _drop(self, connection: asyncpg.Connection) -> None:
        connection.remove_log_listener(self._noticed)
        connection.terminate()
        self._connection = None

    async def _open(self) -> asyncpg.Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        connection = None
        try:
            connection = await asyncpg.connect(
                self._url, timeout=CONNECT_SECONDS_MAX, server_settings=self._server_settings
            )
            if self._backend is not None:
                await _end(connection, *self._backend)
            self._backend = await connection.fetchrow(
                "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            if connection is not None:
                connection.terminate()
            raise ConnectionLost from error
        except asyncio.CancelledError:
            if connection is not None:
                connection.terminate()
            raise
        connection.add_log_listener(self._noticed)
        self._connection = connection
        return connection

    def _noticed(self, _connection: object, _message: object) -> None:
        if self.on_notice is not None:
            self.on_notice()


class DedicatedConnections:
    """A number of dedicated connections, opened when they are needed. Whoever waits gets one in turn."""

    def __init__(self, connect: Callable[[], DedicatedConnection], most: int) -> None:
        self.most = most
        self.taken = 0
        self._connect = connect
        self._idle: list[DedicatedConnection] = []
        self._waiters: deque[asyncio.Future[DedicatedConnection]] = deque()
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a connection."""
        return any(not waiter.done() for waiter in self._waiters)

    def take(self) -> DedicatedConnection | None:
        """Take a connection if one can be had at once."""
        if self.taken >= self.most or self.wanted:
            return None
        self.taken += 1
        return self._idle.pop() if self._idle else self._connect()

    async def wait(self, seconds: float) -> DedicatedConnection:
        """Take a connection, after whoever waits already. Raises TimeoutError."""
        if (connection := self.take()) is not None:
            return connection
        waiter: asyncio.Future[DedicatedConnection] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except BaseException:
            # Given and cancelled in the same moment: it is somebody else's turn.
            if waiter.done() and not waiter.cancelled():
                self.give(waiter.result())
            raise

    def give(self, connection: DedicatedConnection) -> None:
        """Give a connection back, on which nothing is under way."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.taken -= 1
        if self._closed:
            connection.end()
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close what is idle; what is taken is ended when it is given back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()


async def _end(connection: asyncpg.Connection, pid: int, started: datetime) -> None:
    """End a server process of ours and wait until it is gone. Raises TimeoutError."""
    for _ in range(round(GONE_SECONDS_MAX / POLL_SECONDS)):
        alive = await connection.fetchval(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2",
            pid,
            started,
        )
        if not alive:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise TimeoutError
