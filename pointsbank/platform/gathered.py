"""Effects of intents, gathered: those that wait at the same time share one unit of work and one commit.

While one batch is on its way to the disk the next gathers, so that the flush, the community's one lock and
the round trips around them are paid once a batch. When a batch fails, each of its effects is done alone, so
that one that cannot be done is nobody else's trouble.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from pointsbank.platform import outbox
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.outbox import Intent

TOGETHER_MAX = 32

Act = Callable[[UnitOfWork], Awaitable[object]]
Lock = Callable[[UnitOfWork, Sequence[UUID]], Awaitable[object]]


@dataclass(slots=True)
class _Waiting:
    intent: Intent
    act: Act
    last: bool
    told: asyncio.Future[None]


class Gathered:
    """Does the effects of a process's intents and marks them done, batch by batch, in each community.

    lock: locks what the effects of these subjects will touch, in one order for everybody, before the first
    of them posts anything.
    """

    def __init__(self, database: Database, lock: Lock) -> None:
        self._database = database
        self._lock = lock
        self._waiting: dict[int, deque[_Waiting]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def do(self, intent: Intent, act: Act, *, last: bool = True) -> None:
        """Do ``act`` and mark its intent done in one commit, and return once that has happened.

        act: may be called again, when the batch it was in came to nothing. last: False where the intent is
        not done by it. Raises AlreadyDone, and what ``act`` raises. Cut off, it may still be done.
        """
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        community_id = intent.community_id
        if community_id in self._waiting:
            self._waiting[community_id].append(_Waiting(intent, act, last, told))
        else:
            self._waiting[community_id] = deque([_Waiting(intent, act, last, told)])
            task = asyncio.create_task(self._work(community_id))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await told

    async def close(self) -> None:
        """Wait until what was begun has been done."""
        while self._running:
            await asyncio.wait(self._running)

    async def _work(self, community_id: int) -> None:
        waiting = self._waiting[community_id]
        try:
            while waiting:
                batch = [waiting.popleft() for _ in range(min(TOGETHER_MAX, len(waiting)))]
                await self._attempt(community_id, [each for each in batch if not each.told.cancelled()])
        finally:
            del self._waiting[community_id]
            for each in waiting:
                each.told.cancel()

    async def _attempt(self, community_id: int, batch: list[_Waiting]) -> None:
        batch.sort(key=lambda each: (each.intent.subject_id, each.intent.id))
        try:
            if batch:
                await self._do(community_id, batch)
        except Exception as error:
            if len(batch) == 1:
                if not batch[0].told.done():
                    batch[0].told.set_exception(error)
                return
            for each in batch:
                await self._attempt(community_id, [each])
        else:
            for each in batch:
                if not each.told.done():
                    each.told.set_result(None)

    async def _do(self, community_id: int, batch: list[_Waiting]) -> None:
        async with self._database.unit_of_work(community_id) as uow:
            if len(batch) > 1:
                await self._lock(uow, sorted({each.intent.subject_id for each in batch}))
            for each in batch:
                await each.act(uow)
            if ended := [each.intent for each in batch if each.last]:
                await outbox.done(uow, *ended)
