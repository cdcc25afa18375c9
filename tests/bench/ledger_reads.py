"""Reading a journal: statements, balances of the past, the trial balance, verification, export."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg

from pointsbank.domain import accounts
from pointsbank.platform.database import UnitOfWork
from services.ledger import service
from tests.bench.form import PeakMemory, Row, row
from tests.bench.ledger_world import CLOCK, World, member, moving, opened, seconds_since

READS = 200
LINES = 50
"""Lines of the statement that is read: a busy month."""

SHEET_ENTRIES = 1_000_000
"""Beyond it a journal is no longer read in a spreadsheet, nor as plain text by an accounting program."""


def look_ups(here: World, length: int) -> list[Row]:
    """Measure what a page asks for, on the account that half of all posts go to."""

    async def run() -> list[Row]:
        code = accounts.available(member(0))
        async with opened(here.app_url) as (database, poster):
            begun = CLOCK.now()
            for number in range(LINES):
                await poster.post(1, moving(member(1 + number), member(0)))
            ended = CLOCK.now() + timedelta(microseconds=1)

            async def statement(uow: UnitOfWork) -> None:
                found = await service.statement(uow, code, begun, ended)
                assert len(found.lines) == LINES

            async def as_known(uow: UnitOfWork) -> None:
                await service.balance_as_of(uow, code, begun)

            async def as_happened(uow: UnitOfWork) -> None:
                await service.balance_as_happened(uow, code, begun)

            async def trial(uow: UnitOfWork) -> None:
                assert (await service.trial_balance(uow)).balanced

            rows = []
            for case, work, reads in (
                (f"a statement of {LINES} lines", statement, READS),
                ("a balance as known at a moment", as_known, READS),
                ("a balance as happened by a moment", as_happened, READS),
                ("the trial balance of 20,001 accounts", trial, 10),
            ):
                async with database.unit_of_work(1, snapshot=True) as uow:
                    took = await _median(work, uow, reads)
                    memory = await _peak(work, uow)
                rows.append(row(f"{case}, at {length:,} entries", took * 1e3, "ms"))
                rows.append(row("… peak memory of one, in the process that asks", memory / 1024, "KiB"))
            return rows

    return asyncio.run(run())


async def _median(work: Callable[[UnitOfWork], Awaitable[None]], uow: UnitOfWork, reads: int) -> float:
    await work(uow)
    took = []
    for _ in range(reads):
        begun = time.perf_counter()
        await work(uow)
        took.append(seconds_since(begun))
    return statistics.median(took)


async def _peak(work: Callable[[UnitOfWork], Awaitable[None]], uow: UnitOfWork) -> int:
    """Return the most bytes that one run held at once."""
    tracemalloc.start()
    try:
        await work(uow)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def verified(here: World) -> list[Row]:
    """Run ``pointsbank audit verify`` over all communities, beside a bare COPY of all lines out."""
    entries = asyncio.run(_entries(here))
    copied = asyncio.run(_copied_out(here))
    seconds, mebibytes, _ = _command(here, "audit", "verify")
    return [
        row(f"audit verify, {entries:,} entries", entries / seconds, "entries/s", entries / copied),
        row("… peak memory of its processes", mebibytes, "MiB"),
    ]


def exported(here: World, length: int) -> list[Row]:
    """Run ``pointsbank ledger export`` of one community in each format that a journal of that length fits."""
    rows = []
    for format_ in ("jsonl", "csv", "beancount", "hledger", "xlsx")[: 5 if length <= SHEET_ENTRIES else 2]:
        seconds, mebibytes, size = _command(
            here, "ledger", "export", "--community", "test-1", "--format", format_, "-o", "books"
        )
        case = f"export of {length:,} entries, {format_} ({size / 2**20:.0f} MiB)"
        rows.append(row(case, length / seconds, "entries/s"))
        rows.append(row("… peak memory", mebibytes, "MiB"))
    return rows


def _command(here: World, *words: str) -> tuple[float, float, int]:
    """Run a command from its start to its end; return seconds, peak memory, and the size of what it wrote."""
    with tempfile.TemporaryDirectory() as data:
        environment = {
            **os.environ,
            "POINTSBANK_APP_DATABASE_URL": here.app_url,
            "POINTSBANK_DATA": data,
            "PYTHONPATH": os.getcwd(),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever runs it twice has compiled it once
        begun = time.perf_counter()
        command = [sys.executable, "-c", "from api.cli import main; main()", *words]
        process = subprocess.Popen(command, env=environment, cwd=data, stdout=subprocess.DEVNULL)
        with PeakMemory(process.pid) as memory:
            code = process.wait()
        seconds = seconds_since(begun)
        assert code == 0, f"{' '.join(words)} ended with {code}"
        written = Path(data) / "books"
        return seconds, memory.mebibytes, written.stat().st_size if written.exists() else 0


async def _entries(here: World) -> int:
    connection = await asyncpg.connect(here.owner_url)
    try:
        return int(await connection.fetchval("SELECT sum(entry_number)::bigint FROM bank.ledger_heads"))
    finally:
        await connection.close()


async def _copied_out(here: World) -> float:
    """Return the seconds that the server needs to hand out every line in binary, looked at by nobody."""
    connection = await asyncpg.connect(here.owner_url)

    async def forget(_data: bytes) -> None:
        return

    try:
        begun = time.perf_counter()
        await connection.copy_from_query("SELECT * FROM bank.journal_lines", output=forget, format="binary")
        return seconds_since(begun)
    finally:
        await connection.close()
