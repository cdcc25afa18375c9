"""The supervisor with real child processes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from api.cli.supervisor import ChildFailed, Service, State, Supervisor
from api.cli.threads import in_thread

SERVE = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
REFUSE = "import sys; print('# the menu is missing'); sys.exit(3)"
STUBBORN = (
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
)
WAIT_SECONDS = 20


class Stage:
    """Children whose health is a file that they make, and what was told of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.told: list[tuple[str, State, str]] = []
        self.supervisors: list[Supervisor] = []
        self.changes = 0

    def service(self, name: str, script: str = SERVE) -> Service:
        mark = self.directory / f"{name}.healthy"

        async def probe() -> bool:
            return mark.exists()

        async def prepare() -> None:
            mark.unlink(missing_ok=True)

        return Service(
            name=name,
            command=[sys.executable, "-c", script, str(mark)],
            environment={"PATH": os.defpath},
            directory=self.directory,
            log=self.directory / f"{name}.log",
            probe=probe,
            prepare=prepare,
        )

    def supervise(self, *services: Service) -> Supervisor:
        def changed() -> None:
            self.changes += 1

        supervisor = Supervisor(services, lambda *told: self.told.append(told), changed)
        self.supervisors.append(supervisor)
        return supervisor


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    for supervisor in stage.supervisors:
        await supervisor.stop(list(supervisor.states()))


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():  # noqa: ASYNC110 - what is waited for is in other processes
            await asyncio.sleep(0.05)


async def test_children_are_healthy_once_start_returns(stage: Stage) -> None:
    supervisor = stage.supervise(stage.service("one"), stage.service("two"))
    await supervisor.start()
    assert supervisor.states() == {"one": State.HEALTHY, "two": State.HEALTHY}


async def test_a_killed_child_is_started_again_and_this_is_said(stage: Stage) -> None:
    supervisor = stage.supervise(stage.service("one"))
    await supervisor.start()
    first = supervisor.pids()["one"]
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pids().get("one", first) != first)
    await eventually(lambda: supervisor.states()["one"] is State.HEALTHY)
    said = [detail for name, state, detail in stage.told if state is State.WAITING]
    assert len(said) == 1
    assert said[0].startswith("ended by SIGKILL; starting again in ")
    assert stage.changes == 2


async def test_a_child_that_keeps_dying_is_given_longer_and_longer_pauses(stage: Stage) -> None:
    supervisor = stage.supervise(stage.service("one"))
    await supervisor.start()
    for _ in range(3):
        await eventually(lambda: supervisor.states()["one"] is State.HEALTHY)
        os.kill(supervisor.pids()["one"], signal.SIGKILL)
        await eventually(lambda: supervisor.states()["one"] is not State.HEALTHY)
    pauses = [float(told[2].split()[-2]) for told in stage.told if told[1] is State.WAITING]
    assert pauses[0] < pauses[1] < pauses[2]


async def test_a_child_that_never_starts_is_given_up_with_its_last_words(stage: Stage) -> None:
    supervisor = stage.supervise(stage.service("one", REFUSE))
    with pytest.raises(ChildFailed, match="one does not start: # the menu is missing") as failed:
        await supervisor.start()
    assert "\n" not in str(failed.value)


async def test_children_stop_one_after_another_in_the_order_asked_for(stage: Stage) -> None:
    supervisor = stage.supervise(*(stage.service(name) for name in ("one", "two", "three")))
    await supervisor.start()
    pids = supervisor.pids().values()
    await supervisor.stop(["two", "three", "one"])
    assert [name for name, state, _ in stage.told if state is State.STOPPED] == ["two", "three", "one"]
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_child_that_ignores_the_request_to_end_is_killed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.supervisor.STOP_SECONDS_MAX", 0.5)
    supervisor = stage.supervise(stage.service("one", STUBBORN))
    await supervisor.start()
    pid = supervisor.pids()["one"]
    await supervisor.stop(["one"])
    assert not psutil.pid_exists(pid)


async def test_a_child_inherits_nothing_but_its_own_environment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSBANK_DATABASE_URL", "postgresql://owner@/x")
    supervisor = stage.supervise(stage.service("one"))
    await supervisor.start()
    environment = psutil.Process(supervisor.pids()["one"]).environ()
    assert "POINTSBANK_DATABASE_URL" not in environment


async def test_a_child_whose_health_cannot_be_learned_is_unhealthy_and_not_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.supervisor.PROBE_SECONDS", 0.05)
    monkeypatch.setattr("api.cli.supervisor.PROBE_SECONDS_MAX", 0.2)
    service = stage.service("one")
    silent = asyncio.Event()

    async def probe() -> bool:
        if silent.is_set():
            await asyncio.Event().wait()
        return True

    supervisor = stage.supervise(dataclasses.replace(service, probe=probe))
    await supervisor.start()
    silent.set()
    await eventually(lambda: supervisor.states()["one"] is State.UNHEALTHY)
    silent.clear()
    await eventually(lambda: supervisor.states()["one"] is State.HEALTHY)


async def test_a_child_whose_log_cannot_be_written_is_given_up_by_name(stage: Stage) -> None:
    service = stage.service("one")
    service.log.mkdir()
    supervisor = stage.supervise(service)
    with pytest.raises(ChildFailed, match=r"one does not start: \S+one\.log: Is a directory"):
        async with asyncio.timeout(WAIT_SECONDS):
            await supervisor.start()


async def test_a_probe_that_loses_a_cancellation_does_not_hold_up_the_stop(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.threads.CANCEL_AGAIN_SECONDS", 0.1)
    asked, lost = asyncio.Event(), asyncio.Event()

    async def probe() -> bool:
        asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if lost.is_set():
                raise
            lost.set()
        return True

    supervisor = stage.supervise(dataclasses.replace(stage.service("one"), probe=probe))
    starting = asyncio.create_task(supervisor.start())
    await asked.wait()
    async with asyncio.timeout(WAIT_SECONDS):
        await supervisor.stop(["one"])
    assert lost.is_set()
    starting.cancel()


async def test_a_cancellation_waits_for_the_thread_however_often_it_comes() -> None:
    go_on, done = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(WAIT_SECONDS)
        done.set()

    task = asyncio.create_task(in_thread(work))
    for _ in range(3):
        await asyncio.sleep(0.05)
        task.cancel()
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
