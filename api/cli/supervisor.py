"""Child processes kept alive: started, watched, started again with growing pauses, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from api.cli.threads import end_task
from pointsbank.platform.servers import last_words

START_SECONDS_MAX = 60
START_TRIES_MAX = 3
STOP_SECONDS_MAX = 20
PROBE_SECONDS = 3.0
PROBE_SECONDS_MAX = 10.0
PROBE_FIRST_SECONDS = 0.1
BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
LOG_BYTES_MAX = 20_000_000


class State(StrEnum):
    """
    starting ──► healthy ◄──► unhealthy
       │            │             │
       └────────────┴──► waiting ◄┘ ──► starting        any ──► stopped
    """

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    WAITING = "waiting"
    STOPPED = "stopped"


class ChildFailed(Exception):
    """A child never became healthy; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Service:
    """One child: how it starts and how it is asked for its health.

    environment: all of it, nothing is inherited. probe: tells whether it is ready; must not raise.
    prepare: called before each start.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    probe: Callable[[], Awaitable[bool]]
    prepare: Callable[[], Awaitable[None]] | None = None


Told = Callable[[str, State, str], None]


@dataclass(slots=True)
class _Child:
    service: Service
    state: State = State.STOPPED
    process: subprocess.Popen[bytes] | None = None
    first_health: asyncio.Event = field(default_factory=asyncio.Event)
    failed: str | None = None
    watch: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps ``services`` running.

    told: called with a child's name, its new state and one line of detail. changed: called whenever a
    process was started, so that its number can be written down.
    """

    def __init__(self, services: Sequence[Service], told: Told, changed: Callable[[], None]) -> None:
        self._children = {service.name: _Child(service) for service in services}
        self._told = told
        self._changed = changed

    def pids(self) -> dict[str, int]:
        """Return the numbers of the processes that live, by name."""
        return {
            name: child.process.pid
            for name, child in self._children.items()
            if child.process is not None and child.process.poll() is None
        }

    def states(self) -> dict[str, State]:
        """Return each child's state, by name."""
        return {name: child.state for name, child in self._children.items()}

    async def start(self) -> None:
        """Start all and return when each has been healthy once. Raises ChildFailed."""
        for child in self._children.values():
            child.watch = asyncio.create_task(self._watch(child), name=f"watch {child.service.name}")
        for child in self._children.values():
            await child.first_health.wait()
            if child.failed is not None:
                raise ChildFailed(child.failed)

    async def stop(self, order: Sequence[str]) -> None:
        """Stop the children one after another, in ``order``; no child is started again meanwhile."""
        for child in self._children.values():
            if child.watch is not None:
                await end_task(child.watch)
        for name in order:
            await self._stop_one(self._children[name])

    async def _stop_one(self, child: _Child) -> None:
        process, child.process = child.process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            if not await _ended_within(process, STOP_SECONDS_MAX):
                process.kill()
                await _ended_within(process, STOP_SECONDS_MAX)
        self._tell(child, State.STOPPED, "")

    def _tell(self, child: _Child, state: State, detail: str) -> None:
        if child.state != state:
            child.state = state
            self._told(child.service.name, state, detail)

    async def _watch(self, child: _Child) -> None:
        """Start the child again and again, for as long as it is wanted."""
        ended_soon = 0
        while True:
            began = time.monotonic()
            self._tell(child, State.STARTING, "")
            last = None
            try:
                child.process = await self._spawn(child.service)
            except OSError as error:  # its log, its program or its folder
                how = last = f"{error.filename}: {error.strerror}"
            else:
                self._changed()
                how = await self._until_ended(child, child.process)
            # A child that ran well for a while has earned a quick restart.
            ended_soon = 0 if time.monotonic() - began > STEADY_SECONDS else ended_soon + 1
            if not child.first_health.is_set() and ended_soon >= START_TRIES_MAX:
                why = last or last_words(child.service.log) or how
                child.failed = f"{child.service.name} does not start: {why} (see {child.service.log})"
                child.first_health.set()
                return
            pause = min(BACKOFF_FIRST_SECONDS * 2 ** max(ended_soon - 1, 0), BACKOFF_SECONDS_MAX)
            pause *= random.uniform(0.8, 1.2)  # noqa: S311 - so that they do not all come back together
            self._tell(child, State.WAITING, f"{how}; starting again in {pause:.1f} s")
            await asyncio.sleep(pause)

    async def _spawn(self, service: Service) -> subprocess.Popen[bytes]:
        if service.prepare is not None:
            await service.prepare()
        _rotate(service.log)
        with service.log.open("ab") as log:
            return subprocess.Popen(  # noqa: ASYNC220 - a fork takes a moment; its end is polled
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=service.directory,
                env=dict(service.environment),
                start_new_session=True,
            )

    async def _until_ended(self, child: _Child, process: subprocess.Popen[bytes]) -> str:
        """Probe until the process ends; return how it ended."""
        began = time.monotonic()
        while (code := process.poll()) is None:
            if await _answers(child.service):
                self._tell(child, State.HEALTHY, "")
                child.first_health.set()
            elif child.state is State.HEALTHY:
                self._tell(child, State.UNHEALTHY, f"does not answer; see {child.service.log}")
            elif child.state is State.STARTING and time.monotonic() - began > START_SECONDS_MAX:
                process.kill()
                await _ended_within(process, STOP_SECONDS_MAX)
                return f"was not healthy within {START_SECONDS_MAX} s"
            pause = PROBE_FIRST_SECONDS if child.state is State.STARTING else PROBE_SECONDS
            await _ended_within(process, pause)
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


async def _answers(service: Service) -> bool:
    """Ask for a child's health; one that is still thinking about it is not healthy."""
    try:
        # Not wait_for: in Python 3.11 it loses a cancellation that comes with the answer.
        async with asyncio.timeout(PROBE_SECONDS_MAX):
            return await service.probe()
    except TimeoutError:
        return False


async def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(0.05)
    return True


def _rotate(log: Path) -> None:
    """Keep one older log beside the current one, so that logs do not grow without bound."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_name(f"{log.name}.1"))
