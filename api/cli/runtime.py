"""What a running ``pointsbank up`` tells the other commands, and how one data directory has one owner.

``runtime.json`` holds addresses with passwords: only its owner may read it. It is there while ``up`` runs;
after a kill it stays, and the next ``up`` ends the processes that it names.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import click
import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from pointsbank.platform.left_over import ended_within
from pointsbank.platform.secrets import write_private
from pointsbank.platform.settings import Settings

RUNTIME_FILE = "runtime.json"
LOCK_FILE = "up.lock"
LEFT_OVER_SECONDS_MAX = 10
CLOCK_SLACK_SECONDS = 1.0


class DataDirectory(click.Path):
    """A directory that a command line names. An empty word is refused: it would mean the current one."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path. Raises click.ClickException, one line."""
        if not os.fspath(value).strip():
            raise click.ClickException("--data: names no directory")
        return super().convert(value, param, ctx)


data_option = click.option(
    "--data", type=DataDirectory(path_type=Path), help="Data directory (default: your data folder)."
)
"""``--data DIR``, the same for every command; for a parameter ``data: Path | None``."""


class ProcessMark(BaseModel):
    """A process that cannot be mistaken for another with the same number: ``created`` is Unix seconds."""

    model_config = ConfigDict(extra="forbid")

    name: str
    pid: int
    created: float

    @classmethod
    def of(cls, name: str, pid: int) -> ProcessMark | None:
        """Return the mark of the living process ``pid``, or None when it has ended."""
        try:
            return cls(name=name, pid=pid, created=psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """Return the process if it still lives."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < CLOCK_SLACK_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class Runtime(BaseModel):
    """Where everything of one data directory answers at this moment."""

    model_config = ConfigDict(extra="forbid")

    up: ProcessMark
    addresses: dict[str, str]
    owner_url: str
    app_url: str
    canteen_url: str
    station_url: str
    redis_url: str
    processes: list[ProcessMark] = []

    def save(self, data: Path) -> None:
        """Write it into the data directory, for this user only."""
        write_private(data / RUNTIME_FILE, self.model_dump_json(indent=1) + "\n")


def stored_runtime(data: Path) -> Runtime | None:
    """Return what was written last in ``data``, whether or not it still runs; None when there is nothing."""
    try:
        return Runtime.model_validate_json((data / RUNTIME_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    except OSError as error:
        raise click.ClickException(f"{data / RUNTIME_FILE} cannot be read: {error.strerror}") from None


def running(data: Path) -> Runtime | None:
    """Return the runtime of the ``up`` that runs on ``data``, or None."""
    runtime = stored_runtime(data)
    return runtime if runtime is not None and runtime.up.process() is not None else None


def require_running(data: Path) -> Runtime:
    """Return the runtime of the ``up`` that runs on ``data``; one line to the user when there is none."""
    runtime = running(data)
    if runtime is None:
        raise click.ClickException(f"pointsbank is not running on {data}: start it with `pointsbank up`")
    return runtime


def forget_runtime(data: Path) -> None:
    """Remove the file."""
    (data / RUNTIME_FILE).unlink(missing_ok=True)


def read_settings(*, data: Path | None = None, port: int | None = None) -> Settings:
    """Return the settings with a command's options over them; one line naming the field when one is wrong."""
    given = {"data": data, "port": port}
    try:
        settings = Settings.model_validate(
            Settings().model_dump() | {name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise click.ClickException(f"{field} (POINTSBANK_{field.upper()}): {said}") from None
    try:
        settings.data = settings.data.expanduser().absolute()
    except (RuntimeError, OSError):  # ~nobody, or a current directory that was removed
        raise click.ClickException(f"data (POINTSBANK_DATA): {settings.data} cannot be found") from None
    return settings


def make_data_directory(data: Path) -> None:
    """Make ``data`` and see that it can be written; one line when not."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"the data directory {data} cannot be written: {error.strerror}") from None
    for folder in (data, data / "logs"):  # they may belong to two users: once root's, once somebody's
        probe = folder / f".writable.{os.getpid()}"
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise click.ClickException(
                f"the data directory {folder} cannot be written: {error.strerror}"
            ) from None


@contextlib.contextmanager
def only_one_up(data: Path) -> Iterator[None]:
    """Hold the data directory's lock; one line when it cannot be had. A kill releases it."""
    path = data / LOCK_FILE
    try:
        opened = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"the lock {path} cannot be opened: {error.strerror}") from None
    with opened as file:
        try:
            # flock, not lockf: it holds against this process's own other uses of the file too.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another pointsbank"
            raise click.ClickException(f"{holder} is running on {data}") from None
        except OSError as error:
            raise click.ClickException(f"the lock {path} cannot be held: {error.strerror}") from None
        context = click.get_current_context(silent=True)
        file.truncate(0)
        file.write(f"`{context.command_path if context else 'pointsbank'}` (process {os.getpid()})")
        file.flush()
        yield


def end_left_over(data: Path) -> list[str]:
    """End the processes of an ``up`` that was killed; return their names. Call it with the lock held."""
    runtime = stored_runtime(data)
    ended: list[str] = []
    for mark in runtime.processes if runtime is not None else []:
        process = mark.process()
        if process is None:
            continue
        ended.append(mark.name)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            if not ended_within(process, LEFT_OVER_SECONDS_MAX):
                process.kill()
                ended_within(process, LEFT_OVER_SECONDS_MAX)
    forget_runtime(data)
    return ended
