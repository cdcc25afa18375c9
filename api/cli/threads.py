"""Work beside an event loop: blocking work in a thread, and tasks that are to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_AGAIN_SECONDS = 5.0


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking ``work``; a cancellation waits for its end, so nothing it started is lost sight of."""
    task = asyncio.create_task(asyncio.to_thread(work))
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return task.result()


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel ``task`` until it has ended; raise what it raised.

    Again and again: in Python 3.11 ``asyncio.wait_for``, which libraries use, loses a cancellation that comes
    together with the answer it waits for.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN_SECONDS)
    if not task.cancelled():
        task.result()
