"""The demo world on an empty database: wanted, offered, or only spoken of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from api.cli.founding import COMMUNITY_TIMEZONE, is_founded
from api.cli.processes import CANTEEN, STATION
from api.cli.runtime import Runtime
from pointsbank.platform.clock import local_date
from pointsbank.platform.secrets import Secrets, write_private
from pointsbank.platform.settings import Settings

MARK_FILE = "demo.json"
BUILDING, BUILT = "building", "built"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    demo: bool
    small: bool


def refuse_half_built(data: Path) -> None:
    """Raise click.ClickException, one line, when a build of the demo world was interrupted in ``data``.

    Half a world is neither built upon nor served: nobody could tell what is missing in it.
    """
    if _mark(data) == BUILDING:
        raise click.ClickException(
            f"the demo world in {data} was interrupted while it was built and is incomplete: "
            "remove that directory, or choose another with --data"
        )


def is_demo(data: Path) -> bool:
    """Tell whether the community in ``data`` is the demo world, in which nobody is real."""
    return _mark(data) == BUILT


async def offer(runtime: Runtime, settings: Settings, secrets: Secrets, console: Console, wish: Wish) -> None:
    """Build the demo world when it is wanted and the database is empty; ask when someone can answer.

    Empty: no community has been founded.
    """
    data = settings.data
    if await is_founded(runtime.app_url):
        if wish.demo:
            _say(console, "the database has a community in it already: the demo world is not built")
        return
    question = "The database is empty. Build the demo world? [y/N] "
    if wish.demo or (sys.stdin.isatty() and await _asked(console, question)):
        await _build(runtime, data, secrets, console, small=wish.small)
        return
    _say(
        console,
        "the database is empty: `pointsbank up --demo` builds a demo world, "
        "`pointsbank import people FILE` brings in your own",
    )


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False)


async def _asked(console: Console, question: str) -> bool:
    """Ask on the terminal without blocking: Ctrl-C still ends everything in order."""
    console.print(question, end="", markup=False)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not answer.done():
            answer.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin.fileno(), read)
    try:
        return (await answer).strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(sys.stdin.fileno())


async def _build(runtime: Runtime, data: Path, secrets: Secrets, console: Console, *, small: bool) -> None:
    # Only here: the seeds bring a generator of names and much else that a running bank never needs.
    from seeds.build import build_demo_world

    began = time.monotonic()
    write_private(data / MARK_FILE, json.dumps({"state": BUILDING, "small": small}))
    with _bar(console) as told:
        await build_demo_world(
            runtime.app_url,
            small=small,
            today=local_date(datetime.now(UTC), COMMUNITY_TIMEZONE),
            canteen_url=runtime.addresses[CANTEEN],
            canteen_secret=secrets.canteen_secret,
            station_url=runtime.addresses[STATION],
            station_secret=secrets.station_secret,
            progress=told,
        )
    write_private(data / MARK_FILE, json.dumps({"state": BUILT, "small": small}))
    _say(console, f"the demo world was built in {time.monotonic() - began:.1f} s")


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each step; where there is no terminal, a line when a step is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def told(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(escape(step), total=total)
            progress.update(tasks[step], completed=done, total=total)
            if not console.is_terminal and done >= total:
                _say(console, f"{step}: {done}")

        yield told


def _mark(data: Path) -> str | None:
    try:
        found = json.loads((data / MARK_FILE).read_text(encoding="utf-8"))
        return str(found["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
