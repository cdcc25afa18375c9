"""The queue that wakes workers. It carries ids only and may forget everything: the outbox has the truth."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import unquote
from uuid import UUID

import msgspec
from arq.connections import ArqRedis, RedisSettings, create_pool

HANDLE_INTENT = "handle_intent"
"""Name of the worker's one job: (community_id, outbox id)."""

encode = msgspec.json.encode
"""Job codec: plain JSON, never pickle."""

decode = msgspec.json.decode


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

    async def wake(self, community_id: int, intent_id: UUID) -> None:
        """Tell a worker that an intent waits. Raises what Redis raises; the sweep finds it all the same."""
        pool = await self._connected()
        # A job of the same id that is still queued is enough: enqueueing is refused then.
        job_id = f"ob:{community_id}:{intent_id}:0"
        await pool.enqueue_job(HANDLE_INTENT, community_id, str(intent_id), _job_id=job_id)

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose(close_connection_pool=True)
            self._pool = None

    async def _connected(self) -> ArqRedis:
        async with self._opening:
            if self._pool is None:
                self._pool = await create_pool(self._settings, job_serializer=encode, job_deserializer=decode)
            return self._pool
