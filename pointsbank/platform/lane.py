"""Lanes: what a worker process has under way of one kind of work, so many at a time, whoever rang for it.

A ring says only that something may be due. While a claim brings as many as there was room for, the lane goes
on by itself; it looks once more a moment after a claim that brought fewer, for what was committed while its
last ring was being answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from pointsbank.platform import outbox
from pointsbank.platform.database import Database
from pointsbank.platform.outbox import Handler, Topics

log = structlog.get_logger(__name__)

AFTER_SECONDS = 0.05
"""How long after a claim a lane looks once more: a ring is refused while the one before is queued."""


class Lane:
    """Claims and carries out the due intents of ``topics``, at most ``at_once`` in this process."""

    def __init__(
        self, database: Database, handlers: Mapping[str, Handler], topics: Topics, *, at_once: int
    ) -> None:
        self._database = database
        self._handlers = handlers
        self._topics = topics
        self._at_once = at_once
        self._rung: deque[int] = deque()
        self._changed = asyncio.Event()
        self._under_way: set[asyncio.Task[Any]] = set()

    def ring(self, community_id: int) -> None:
        """Say that something of the community may be due."""
        if community_id not in self._rung:
            self._rung.append(community_id)
            self._changed.set()

    async def run(self) -> None:
        """Work until cancelled; what is under way then is given back."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                # Claims are worth their commit when they bring several; with nothing under way one will do.
                while self._rung and self._room() >= (self._at_once + 1) // 2:
                    await self._begin(self._rung.popleft())
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _room(self) -> int:
        return self._at_once - len(self._under_way)

    async def _begin(self, community_id: int) -> None:
        room = self._room()
        try:
            async with self._database.unit_of_work(community_id) as uow:
                intents = await outbox.claim(uow, limit=room, topics=self._topics)
        except Exception as error:  # the next ring, or the sweep's, tries again
            log.warning("claim_failed", community=community_id, error=type(error).__name__)
            return
        for intent in intents:
            task = asyncio.create_task(outbox.carry_out(self._database, intent, self._handlers))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        if len(intents) == room:
            self.ring(community_id)
        elif intents:
            asyncio.get_running_loop().call_later(AFTER_SECONDS, self.ring, community_id)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("intent_not_noted", error=type(error).__name__)
        self._changed.set()
