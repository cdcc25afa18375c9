"""The chain from the outside: ``up`` to ready, building the demo world, importing a year of paper.

References, in the same run: starting the bare servers for ``up``; COPY of the finished world's postings to a
table without keys for the demo world; COPY of the file's rows to such a table for the import.
"""

from __future__ import annotations

import asyncio
import csv
import re
import secrets
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from pointsbank.platform.servers import EmbeddedPostgres, EmbeddedValkey
from tests.bench.form import Options, PeakMemory, Row, options, report, row, timed
from tests.e2e.running import COMMAND, Up, environment, three_free_ports

SERVICE_ROWS, SERVICE_ROWS_QUICK = 100_000, 5_000
ROWS_PER_VOLUNTEER = 100


def bare_servers(directory: Path) -> float:
    """Return the seconds that initdb, PostgreSQL and Valkey take to start, and nothing else."""

    def start() -> None:
        with (
            EmbeddedPostgres(directory / "postgres", secrets.token_hex(8)),
            EmbeddedValkey(directory / "valkey", secrets.token_hex(8), persistent=True),
        ):
            pass

    return timed(start)[1]


async def copy_seconds(url: str, lines: bytes, columns: int) -> float:
    """Return the seconds that COPY of ``lines`` (CSV) to a bare table of text columns takes, committed."""
    connection = await asyncpg.connect(url)
    try:
        names = ", ".join(f"c{number} text" for number in range(columns))
        await connection.execute(f"CREATE TABLE public.bare ({names})")
        begun = datetime.now(UTC)
        await connection.copy_to_table("bare", source=_Source(lines), format="csv")
        seconds = (datetime.now(UTC) - begun).total_seconds()
        await connection.execute("DROP TABLE public.bare")
        return seconds
    finally:
        await connection.close()


class _Source:
    """Bytes as the file that asyncpg reads."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def read(self, size: int) -> bytes:
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


async def journal_lines(url: str) -> tuple[int, bytes]:
    """Return how many entries there are, and all postings as CSV."""
    connection = await asyncpg.connect(url)
    try:
        parts: list[bytes] = []

        async def keep(part: bytes) -> None:
            parts.append(part)

        await connection.copy_from_query("SELECT * FROM bank.journal_lines", output=keep, format="csv")
        entries = await connection.fetchval("SELECT count(*) FROM bank.journal_lines WHERE line = 1")
        return int(entries), b"".join(parts)
    finally:
        await connection.close()


def bench_up(directory: Path) -> list[Row]:
    """An empty ``up`` until it says ready."""
    bare = directory / "bare"
    bare.mkdir(parents=True)
    reference = bare_servers(bare)
    up = Up(directory / "data", three_free_ports())
    try:
        with PeakMemory(up.process.pid) as memory:
            _, seconds = timed(up.ready)
    finally:
        up.end()
    return [
        row("up to ready, empty data", seconds, "s", reference),
        row("up to ready, peak memory of all processes", memory.mebibytes, "MiB"),
    ]


def bench_demo(directory: Path, *, small: bool) -> list[Row]:
    """``up --demo`` until ready; of that, the building of the world."""
    directory.mkdir()
    up = Up(directory / "data", three_free_ports(), "--demo", *(["--small"] if small else []))
    try:
        with PeakMemory(up.process.pid) as memory:
            up.ready()
        said = next(line for line in up.lines if line.startswith("the demo world was built in"))
        seconds = float(re.findall(r"[\d.]+", said)[0])
        entries, lines = asyncio.run(journal_lines(up.runtime.owner_url))
        reference = asyncio.run(copy_seconds(up.runtime.owner_url, lines, columns=7))
    finally:
        up.end()
    name = "small demo world" if small else "demo world"
    return [
        row(f"{name}, {entries:,} journal entries", seconds, "s", reference),
        row(f"{name}, peak memory of all processes", memory.mebibytes, "MiB"),
    ]


def write_files(directory: Path, rows: int) -> tuple[Path, Path]:
    """Write a roster and a year of service that fits it; return both paths."""
    roster, service = directory / "roster.csv", directory / "service.csv"
    pairs = rows // ROWS_PER_VOLUNTEER
    with roster.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["编号", "姓名", "小区", "楼栋", "小网格", "角色"])
        writer.writerow(["C", "测试丙", "样例小区", "1栋", 1, "社工"])
        for number in range(pairs):
            grid = number % 16 + 1
            writer.writerow([f"V{number}", "测试志", "样例小区", f"{grid}栋", grid, "志愿者"])
            writer.writerow([f"E{number}", "测试长", "样例小区", f"{grid}栋", grid, "长者"])
    first = datetime.now(UTC).replace(hour=0, minute=0) - timedelta(days=ROWS_PER_VOLUNTEER + 3)
    with service.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["志愿者", "长者", "服务类型", "开始", "结束", "确认人"])
        for day in range(ROWS_PER_VOLUNTEER):
            date = f"{first + timedelta(days=day):%Y-%m-%d}"
            for number in range(pairs):
                minutes = 20 + number % 40
                writer.writerow(
                    [f"V{number}", f"E{number}", "陪伴", f"{date} 09:00", f"{date} 09:{minutes}", "C"]
                )
    return roster, service


def bench_import(directory: Path, rows: int) -> list[Row]:
    """``pointsbank import service`` of ``rows`` records, dry run and writing, beside a bare COPY."""
    directory.mkdir()
    roster, service = write_files(directory, rows)
    data = directory / "data"
    up = Up(data, three_free_ports()).ready()
    try:
        subprocess.run(
            [COMMAND, "import", "people", str(roster), "--data", str(data), "--yes"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        reference = asyncio.run(copy_seconds(up.runtime.owner_url, service.read_bytes(), columns=6))

        def run() -> tuple[str, float]:
            importing = subprocess.Popen(
                [COMMAND, "import", "service", str(service), "--data", str(data), "--yes"],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
            with PeakMemory(importing.pid) as memory:
                told, _ = importing.communicate()
            if importing.returncode:
                raise SystemExit(told)
            return told, memory.mebibytes

        (_, mebibytes), seconds = timed(run)
        entries, _ = asyncio.run(journal_lines(up.runtime.owner_url))
        if entries != rows:
            raise SystemExit(f"{rows} rows were to be imported, the journal has {entries} entries")
    finally:
        up.end()
    return [
        row(f"import of {rows:,} service rows", seconds, "s", reference),
        row(f"import of {rows:,} service rows, rate", rows / seconds, "rows/s", rows / reference),
        row(f"import of {rows:,} service rows, peak memory of the command", mebibytes, "MiB"),
    ]


def main(chosen: Options) -> None:
    """Run all three and report."""
    with tempfile.TemporaryDirectory(prefix="pointsbank-bench-") as name:
        directory = Path(name)
        rows = bench_up(directory / "up")
        rows += bench_demo(directory / "demo", small=chosen.quick)
        rows += bench_import(directory / "import", SERVICE_ROWS_QUICK if chosen.quick else SERVICE_ROWS)
    report("the chain", rows, chosen)


if __name__ == "__main__":
    main(options("bench_chain"))
