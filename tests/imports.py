"""Files to import, and importing them as the command does."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pointsbank.platform.database import Database
from pointsbank.platform.sheets import ImportCounts, RefusedFile, RefusedRow, Sheet
from services.care.sheet_import import SERVICE_COLUMNS, service_import
from services.people.roster import ROSTER_COLUMNS, roster_import

SAMPLES = Path(__file__).parent / "samples"
SERVICE_HEADER = ("志愿者", "长者", "服务类型", "开始", "结束", "确认人")


@dataclass(frozen=True, slots=True)
class Imported:
    """What a dry run said, what the import did, and what it refused."""

    judged: ImportCounts
    done: ImportCounts
    refused: list[RefusedRow]

    @property
    def codes(self) -> dict[int, str]:
        """The refusals' codes by row."""
        return {row.number: row.refusal.code for row in self.refused}


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """Write a UTF-8 file and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


async def import_roster(database: Database, path: Path, *, write: bool = True) -> Imported:
    """Import a roster into community 1, with a dry run before it."""
    with roster_import(database, 1, Sheet(path, ROSTER_COLUMNS)) as opened:
        judged = await opened.judge(_silent)
        done = await opened.record(_silent) if write else judged
        return Imported(judged, done, [row async for row in opened.refused()])


async def import_service(
    database: Database, path: Path, *, write: bool = True, refused_to: Path | None = None
) -> Imported:
    """Import service records into community 1, with a dry run before it."""
    sheet = Sheet(path, SERVICE_COLUMNS)
    async with service_import(database, 1, sheet) as opened:
        judged = await opened.judge(_silent)
        done = await opened.record(_silent) if write else judged
        refused = [row async for row in opened.refused()]
    if refused_to is not None:
        with RefusedFile(refused_to, sheet, language="zh") as file:
            for row in refused:
                column = sheet.header_of(row.refusal.field)
                file.write(row.raw, number=row.number, column=column, reason=row.refusal.code)
    return Imported(judged, done, refused)


def _silent(_step: str, _share: float) -> None:
    """No progress bar in tests."""
