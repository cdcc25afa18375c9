"""``pointsbank`` as a user runs it: a process with a screen, started and told to end."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from api.cli.runtime import Runtime, end_left_over, stored_runtime
from pointsbank.platform.left_over import ended_within
from pointsbank.platform.ports import free_port, port_is_free

COMMAND = str(Path(sys.executable).with_name("pointsbank"))
READY_SECONDS_MAX = 180
END_SECONDS_MAX = 60
KILL_SECONDS_MAX = 10


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this environment without what would name other servers, and with ``extra``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("POINTSBANK_")}
    return own | dict(extra or {})


def pointsbank(*arguments: str, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS_MAX,
        check=False,
    )


def processes_in(data: Path) -> list[psutil.Process]:
    """Return the living processes that work in ``data`` or below it: children and servers alike."""
    here, found = data.resolve(), []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(here) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def three_free_ports() -> int:
    """Return a port that is free with the two after it."""
    while True:
        port = free_port()
        if port <= 65_533 and all(port_is_free("127.0.0.1", port + offset) for offset in range(3)):
            return port


class Up:
    """One ``pointsbank up`` and what it printed."""

    def __init__(self, data: Path, port: int, *options: str, extra: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.port = port
        self.lines: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [COMMAND, "up", "--data", str(data), "--port", str(port), *options],
            env=environment(extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as screen:
            for line in screen:
                self._fresh.put(line.rstrip("\n"))
        self._fresh.put(None)

    def wait_for(self, pattern: str) -> str:
        """Return the first line yet unread that matches ``pattern``; fail when the command ends before."""
        end = time.monotonic() + READY_SECONDS_MAX
        while True:
            line = self._fresh.get(timeout=max(0.1, end - time.monotonic()))
            if line is None:
                self._fresh.put(None)
                raise AssertionError("it ended: " + "\n".join(self.lines))
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def ready(self) -> Up:
        """Wait until it says that it is ready."""
        self.wait_for("^ready$")
        return self

    @property
    def runtime(self) -> Runtime:
        """What it wrote down about itself."""
        runtime = stored_runtime(self.data)
        assert runtime is not None
        return runtime

    def pid(self, name: str) -> int:
        """Return the number of one of its processes."""
        return next(mark.pid for mark in self.runtime.processes if mark.name == name)

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """Tell it to end, read the rest of its screen and return its exit code.

        One that does not end is killed with all that it started, and this fails.
        """
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            end_left_over(self.data)
            for process in processes_in(self.data):  # what it had not written down yet
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
                    ended_within(process, KILL_SECONDS_MAX)
            raise AssertionError(f"it did not end within {END_SECONDS_MAX} s") from None
        while (line := self._fresh.get(timeout=END_SECONDS_MAX)) is not None:
            self.lines.append(line)
        self._fresh.put(None)
        return code


def one_line(finished: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a refused command printed; fail when there was more, or when it succeeded."""
    assert finished.returncode != 0
    lines: Sequence[str] = [line for line in finished.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    return lines[0]
