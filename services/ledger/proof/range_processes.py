"""Ranges of the journal checked by several processes: ``python -m services.ledger.proof.range_processes``.

Each is a process of its own, started anew with nothing but what checking needs, and told over its standard
input what to do (where the database is, which snapshot, then one range after another). They are ended when
the caller is done or gives up; when the caller is gone, their input ends and so do they.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from services.ledger.proof import journal_store
from services.ledger.proof.range_reading import Span, check_range, ground_of
from services.ledger.proof.ranges import RangeResult

AHEAD = 4
"""Ranges that may be done or under way before the one that is waited for, for each process."""

LENGTH_BYTES = 8
STREAM_LIMIT = 1 << 20
ROOT = Path(__file__).parents[3]


Asked = tuple[Span, asyncio.Future[RangeResult]]
"""A range, and where its result is to be put."""


class RangeProcessFailed(Exception):
    """A process that checked ranges ended before its work was done."""


async def check_in_processes(
    url: str, community_id: int, snapshot: str, spans: Sequence[Span], processes: int
) -> AsyncGenerator[RangeResult, None]:
    """Yield the results of ranges in order. Raises RangeProcessFailed.

    url: as the application's role. snapshot: exported by a transaction that stays open meanwhile.
    """
    asked: asyncio.Queue[Asked] = asyncio.Queue()
    ahead: deque[asyncio.Future[RangeResult]] = deque()  # in order; none is kept once it was yielded
    rest = iter(spans)

    def ask(ranges: int) -> None:
        for span in islice(rest, ranges):
            ahead.append(asyncio.get_running_loop().create_future())
            asked.put_nowait((span, ahead[-1]))

    ask(AHEAD * processes)
    children = [
        asyncio.create_task(_work(url, community_id, snapshot, asked))
        for _ in range(min(processes, len(spans)))
    ]
    try:
        while ahead:
            await _wait([ahead[0], *children])
            while not ahead[0].done():
                _raise_failed(children)
                await _wait([ahead[0], *(each for each in children if not each.done())])
            yield ahead.popleft().result()
            ask(1)
    finally:
        for child in children:
            child.cancel()
        await asyncio.gather(*children, return_exceptions=True)


async def _wait(futures: Sequence[asyncio.Future[Any]]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _raise_failed(children: list[asyncio.Task[None]]) -> None:
    for child in children:
        if child.done() and not child.cancelled() and (error := child.exception()) is not None:
            raise error
    if all(child.done() for child in children):
        raise RangeProcessFailed("ended early")


async def _work(
    url: str,
    community_id: int,
    snapshot: str,
    asked: asyncio.Queue[Asked],
) -> None:
    """Keep one process busy until it is cancelled."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=STREAM_LIMIT,
        cwd=ROOT,
        # Our own threads are the processes: numpy's would only be in each other's way.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    try:
        await _send(process, (url, community_id, snapshot))
        while True:
            span, result = await asked.get()
            await _send(process, span)
            result.set_result(await _receive(process))
            del result  # the one that waits for it has it now
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _send(process: asyncio.subprocess.Process, what: object) -> None:
    assert process.stdin is not None
    text = pickle.dumps(what)
    try:
        process.stdin.write(len(text).to_bytes(LENGTH_BYTES) + text)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        raise RangeProcessFailed("ended early") from None


async def _receive(process: asyncio.subprocess.Process) -> RangeResult:
    assert process.stdout is not None
    try:
        length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES))
        result = pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 - our own process
    except asyncio.IncompleteReadError:
        raise RangeProcessFailed("ended early") from None
    assert isinstance(result, RangeResult)
    return result


def _read(stream: BinaryIO) -> Any:
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    return pickle.loads(stream.read(int.from_bytes(length)))  # noqa: S301 - from the process that started us


async def _serve(asked: BinaryIO, told: BinaryIO) -> None:
    url, community_id, snapshot = _read(asked)
    connection = await journal_store.open_reader(url, community_id, snapshot)
    ground = await ground_of(connection, community_id)
    while (span := _read(asked)) is not None:
        text = pickle.dumps(await check_range(connection, ground, span))
        told.write(len(text).to_bytes(LENGTH_BYTES) + text)
        told.flush()


if __name__ == "__main__":
    asyncio.run(_serve(sys.stdin.buffer, sys.stdout.buffer))
