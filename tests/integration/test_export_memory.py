"""An export's memory does not grow with the journal: the command's own peak, as the system counts it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import Transfer
from pointsbank.platform.database import Database
from services.ledger import service
from tests.journals import MEMBERS
from tests.ledgers import bare_ledger, entry

FORMATS = ("jsonl", "beancount", "xlsx")
FEW, MANY = 2_000, 12_000
GROWTH_KIB_MAX = 5 * 1024
"""What 10,000 more entries may add: half of what they are as text, a tenth of what they are as objects."""


async def fill(database: Database, start: int, end: int) -> None:
    """Post entries of one line each."""
    moved = [
        Transfer(accounts.issuance(Commodity.POINT), accounts.available(member), 10) for member in MEMBERS
    ]
    async with database.unit_of_work(1) as uow:
        entries = [entry(f"e{number}", [moved[number % len(moved)]]) for number in range(start, end)]
        assert all(verdict.error is None for verdict in await service.post_many(uow, entries))


MEASURED = """
import re, sys
from api.cli import main
main(sys.argv[1:], standalone_mode=False)
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""
"""The command, and then its peak. (``ru_maxrss`` would not do: it begins with the parent's.)"""


def peak_kib(app_url: str, data: Path, *arguments: str | Path) -> int:
    """Run ``pointsbank ledger`` and return the most memory it had, in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "ledger", *arguments, "--data", data],
        env=os.environ | {"POINTSBANK_APP_DATABASE_URL": app_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process its peak there")
async def test_six_times_the_entries_take_no_more_memory(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    await bare_ledger(database)
    peaks: dict[str, list[int]] = {format_: [] for format_ in FORMATS}
    for start, end in ((0, FEW), (FEW, MANY)):
        await fill(database, start, end)
        for format_, measured in peaks.items():
            options = ("export", "--format", format_, "-o", tmp_path / format_)
            measured.append(await asyncio.to_thread(peak_kib, app_url, tmp_path, *options))
    for few, many in peaks.values():
        assert many - few < GROWTH_KIB_MAX, peaks
