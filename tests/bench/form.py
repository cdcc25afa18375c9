"""The one form of every benchmark: options, measuring, a table on the screen, a list in a file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from rich.console import Console
from rich.table import Table

SAMPLE_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line. quick: small enough to end within a minute.

    entries: how long a benchmark's great journal is to be, where it has one; None for its own number.
    """

    quick: bool
    json_file: Path | None
    entries: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its reference. ratio: value ÷ reference; none where there is nothing to compare."""

    case: str
    value: float
    unit: str
    reference: float | None = None
    ratio: float | None = None


def row(case: str, value: float, unit: str, reference: float | None = None) -> Row:
    """Return a row with its ratio worked out."""
    ratio = value / reference if reference else None
    return Row(case, value, unit, reference, ratio)


class Rows:
    """Rows in order, each told on the screen as soon as it is known: a long run can be followed, and read as
    far as it came."""

    def __init__(self) -> None:
        self.all: list[Row] = []
        self._console = Console(stderr=True, width=120)

    def add(self, *rows: Row) -> None:
        """Keep rows and tell them."""
        for each in rows:
            beside = f"   {_shown(each.ratio)} × {_shown(each.reference)}" if each.ratio else ""
            self._console.print(f"{each.case}: {_shown(each.value)} {each.unit}{beside}", highlight=False)
            self.all.append(each)


def options(name: str, argv: list[str] | None = None) -> Options:
    """Read the options that every benchmark has."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.bench.{name}")
    parser.add_argument("--quick", action="store_true", help="a smaller run, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    parser.add_argument(
        "--entries", type=int, metavar="N", help="length of the great journal, where there is one"
    )
    parsed = parser.parse_args(argv)
    return Options(quick=parsed.quick, json_file=parsed.json, entries=parsed.entries)


def report(title: str, rows: list[Row], chosen: Options) -> None:
    """Print the rows as a table, and write them as JSON where asked."""
    memory = psutil.virtual_memory().total / 2**30
    table = Table(
        title=f"{title}{' (quick)' if chosen.quick else ''}",
        caption=f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}",
    )
    for heading in ("case", "value", "unit", "reference", "ratio"):
        table.add_column(heading, justify="left" if heading in {"case", "unit"} else "right")
    for each in rows:
        table.add_row(each.case, _shown(each.value), each.unit, _shown(each.reference), _shown(each.ratio))
    Console(width=120).print(table)
    if chosen.json_file:
        chosen.json_file.write_text(json.dumps([asdict(each) for each in rows], indent=1) + "\n")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Do ``work`` and return what it returned with the wall seconds it took."""
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun


class PeakMemory:
    """Samples the memory of a process and everything it started, and keeps the highest sum in MiB.

    Pages that processes share (PostgreSQL's buffers) are shared out between them (PSS) where the system
    tells, so that they count once.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.mebibytes = 0.0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self.mebibytes = max(self.mebibytes, self._sample() / 2**20)
            self._ended.wait(SAMPLE_SECONDS)

    def _sample(self) -> int:
        total = 0
        with suppress(psutil.NoSuchProcess):
            for process in (self._process, *self._process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    memory = process.memory_full_info()
                    total += getattr(memory, "pss", 0) or memory.rss
        return total


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.2g}"
