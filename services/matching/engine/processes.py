"""Parts solved in processes of their own, each under an outer kill.

A solver's own time limits are not to be relied on: it is a process that is given time, and ended when that
is over. It tells every better answer as it finds it (``python -m services.matching.engine.part_process``), so
that the best one known is at hand when it is ended; of one that told nothing, greed alone gives the answer.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO

from pointsbank.domain.pairing.plan import How
from services.matching.engine.frames import LENGTH_BYTES, frame
from services.matching.engine.parts import Part
from services.matching.engine.solving import Solved, first_answer

ROOT = Path(__file__).parents[3]
SMALL = 300
"""Columns up to which a part is first tried here: where greed reaches the bound, no process is needed."""

EACH = 5_000
"""Columns that each part counts for besides its own when time is shared: a small one, too, must be begun."""

ANSWER_BYTES_MAX = 1 << 30
"""What claims to be longer is no answer: something else wrote to the pipe."""

PART_PROCESS = "services.matching.engine.part_process"


class PartProcesses:
    """A few processes that solve parts; started when first needed, kept for the next run, then closed."""

    def __init__(self, count: int | None = None, *, module: str = PART_PROCESS) -> None:
        """count: of processes, one for each processor unless given. module: what each runs."""
        self.count = count or os.cpu_count() or 1
        self._module = module
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self._closed = False

    def __enter__(self) -> PartProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, needed: int | None = None) -> None:
        """Start the processes that are missing, without waiting for them. needed: no more than so many."""
        wanted = self.count if needed is None else min(self.count, needed)
        with self._lock:
            for _ in range(wanted - len(self._children)):
                self._start()

    def close(self) -> None:
        """End every process."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()
            self._children.clear()

    def solve(self, parts: Sequence[Part], *, seconds: float) -> list[Solved]:
        """Return the parts' answers in order, within about ``seconds`` in all.

        The smallest are begun first, each given its share of the time that is left, by its columns: what one
        does not need is the next one's, and a hard one keeps none from being tried. What is not done in its
        time is answered with the best that was told.
        """
        until = time.monotonic() + seconds
        firsts = {at: first_answer(part) for at, part in enumerate(parts) if len(part) <= SMALL}
        answers = {at: first for at, first in firsts.items() if first.how is How.RELAXED}
        order = sorted(set(range(len(parts))) - answers.keys(), key=lambda at: len(parts[at]))
        left = list(accumulate(EACH + len(parts[at]) for at in reversed(order)))[::-1]
        self.start(len(order))
        with ThreadPoolExecutor(self.count) as threads:
            found = threads.map(lambda at, of: self._in_its_share(parts[at], of, until), order, left)
            answers.update(zip(order, found, strict=True))
        return [answers[at] for at in range(len(parts))]

    def _in_its_share(self, part: Part, left: int, until: float) -> Solved:
        """Solve a part in its share of the time until ``until``; left: what it and all after it count."""
        now = time.monotonic()
        return self._one(part, now + (until - now) * min(1.0, self.count * (EACH + len(part)) / left))

    def _one(self, part: Part, until: float) -> Solved:
        try:
            if not self._children:
                return first_answer(part)
            child = self._idle.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            return first_answer(part)
        best, whole = child.solve(part, until)
        if whole:
            self._idle.put(child)
        else:
            with self._lock:
                child.kill()
                self._children.discard(child)
                if not self._closed:
                    self._start()
        if best is None:
            return first_answer(part)
        return best if whole else replace(best, how=How.GREEDY if best.how is How.GREEDY else How.STOPPED)

    def _start(self) -> None:
        try:
            child = _Child(self._module)
        except OSError:
            return  # no process to be had: greed answers what nobody is there to solve
        self._children.add(child)
        self._idle.put(child)


class _Child:
    """A process that solves one part after another."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            # The processes are the threads: numpy's own would only be in each other's way.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def solve(self, part: Part, until: float) -> tuple[Solved | None, bool]:
        """Return the last answer told, and whether the process has ended its work by itself in time."""
        stdin, stdout = _piped(self._process.stdin), _piped(self._process.stdout)
        best: Solved | None = None
        if not _write(stdin, frame(part), until):
            return None, False
        while True:
            told = _read(stdout, until)
            if told is None:
                return best, False
            if isinstance(told, Solved):
                best = told
            else:
                return best, told is True

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def _piped(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    return pipe


def _write(pipe: IO[bytes], text: bytes, until: float) -> bool:
    """Write all of ``text``; tell whether it could be done in time."""
    left = memoryview(text)
    while left:
        if not _ready(pipe, select.POLLOUT, until):
            return False
        try:
            left = left[os.write(pipe.fileno(), left) :]
        except BrokenPipeError:
            return False
    return True


def _read(pipe: IO[bytes], until: float) -> object | None:
    """Return the next thing told, or None if nothing came in time or the process is gone."""
    length = _bytes(pipe, LENGTH_BYTES, until)
    if length is None or int.from_bytes(length) > ANSWER_BYTES_MAX:
        return None
    text = _bytes(pipe, int.from_bytes(length), until)
    return None if text is None else pickle.loads(text)  # noqa: S301 - our own process


def _bytes(pipe: IO[bytes], count: int, until: float) -> bytes | None:
    found = bytearray()
    while len(found) < count:
        if not _ready(pipe, select.POLLIN, until):
            return None
        some = os.read(pipe.fileno(), count - len(found))
        if not some:
            return None
        found += some
    return bytes(found)


def _ready(pipe: IO[bytes], event: int, until: float) -> bool:
    """Wait until a pipe is ready or its other end is gone; tell whether that came in time."""
    poll = select.poll()
    poll.register(pipe, event)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1_000))
