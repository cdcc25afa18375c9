"""The queue that wakes workers. It carries no intents and may forget everything: the outbox has the truth."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from urllib.parse import unquote

import msgspec
import redis.exceptions
from arq.connections import ArqRedis, RedisSettings, create_pool

RING = "ring"
"""Name of the worker's one job, which says that something waits: (community_id, topic)."""

encode = msgspec.json.encode
"""Job codec: plain JSON, never pickle."""

decode = msgspec.json.decode

WAKE_SECONDS_MAX = 1.0
SILENT_SECONDS = 5.0
CLOSE_SECONDS_MAX = 0.3


def redis_settings(url: str) -> RedisSettings:
    """Return arq's settings for a ``redis://``, ``rediss://`` or ``unix://`` address.

    An unreachable server is not waited for here: a wake may be lost, and the worker has its own patience.
    """
    settings = RedisSettings.from_dsn(url)
    return replace(
        settings,
        username=unquote(settings.username) if settings.username else None,
        password=unquote(settings.password) if settings.password else None,
        conn_retries=0,
    )


class Queue:
    """Wakes workers; ``wake`` is what a :class:`Database` is given as its ``wake``."""

    def __init__(self, url: str) -> None:
        self._settings = redis_settings(url)
        self._pool: ArqRedis | None = None
        self._opening = asyncio.Lock()
        self._silent_until = 0.0

    async def wake(self, community_id: int, topic: str) -> None:
        """Tell a worker that an intent of a topic waits, in ``WAKE_SECONDS_MAX`` at most.

        A server that did not answer in time is left alone for ``SILENT_SECONDS``: who waits for this has
        committed already, perhaps many intents. Raises TimeoutError and what Redis raises; the sweep finds
        the intent all the same.
        """
        if time.monotonic() < self._silent_until:
            return
        try:
            async with asyncio.timeout(WAKE_SECONDS_MAX):
                pool = await self._connected()
                # One ring is enough for all that waits: while it is queued, another of its id is refused.
                await pool.enqueue_job(RING, community_id, topic, _job_id=f"ob:{community_id}:{topic}")
        except (TimeoutError, redis.exceptions.TimeoutError):
            self._silent_until = time.monotonic() + SILENT_SECONDS
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections, of one that does not answer too. Raises nothing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with contextlib.suppress(TimeoutError, redis.exceptions.RedisError, OSError):
                async with asyncio.timeout(CLOSE_SECONDS_MAX):
                    await pool.aclose(close_connection_pool=True)

    async def _connected(self) -> ArqRedis:
        async with self._opening:
            if self._pool is None:
                self._pool = await create_pool(self._settings, job_serializer=encode, job_deserializer=decode)
            return self._pool
