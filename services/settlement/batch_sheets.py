"""A batch as the statement that is signed: CSV and an XLSX workbook, in the reader's language.

It names redemptions, never residents. As the journal's tables: UTF-8 with a byte order mark, and no cell
that a spreadsheet takes for a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

import xlsxwriter

from pointsbank.domain.points import format_points
from pointsbank.domain.settlement import SIGNATURES, LineKind
from pointsbank.platform.database import UnitOfWork
from services.ledger.exchange.sheets import FORMULA_STARTS
from services.settlement import batches
from services.settlement.views import BatchInfo, BatchLine

Say = Callable[[str], str]
"""Gives the words for a key of the catalogue in the reader's language."""

Cell = str | int

MONEY = ("fen", "subsidy_fen", "cash_fen", "due_fen")
"""What of the price governments owe, and what the counter has taken; the rest of it is due to the partner."""

COLUMNS = ("redemption", "kind", "served_on", "points", "milli_points", "yuan", *MONEY, "due_yuan")
FEN_PER_YUAN = 100


@dataclass(frozen=True, slots=True)
class BatchStatement:
    """A batch with all its lines, by place."""

    community: str
    batch: BatchInfo
    lines: Sequence[BatchLine]


async def batch_statement(uow: UnitOfWork, batch_id: UUID, *, community: str) -> BatchStatement:
    """Return a batch with all its lines. community: its name, as the statement tells it. Raises NotFound."""
    found = await batches.batch(uow, batch_id)
    lines: list[BatchLine] = []
    while len(lines) < found.lines:
        after = lines[-1].redemption_id if lines else None
        lines += await batches.batch_lines(uow, batch_id, after=after, limit=batches.PAGE_MAX)
    return BatchStatement(community, found, lines)


def write_csv(told: BatchStatement, say: Say, file: BinaryIO) -> None:
    """Write the head, the lines, the totals and the places to sign."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text)
    for row in _rows(told, say):
        writer.writerow([_plain(cell) for cell in row])
    text.flush()
    text.detach()


def write_xlsx(told: BatchStatement, say: Say, file: BinaryIO) -> None:
    """Write the same as a workbook of one sheet."""
    workbook = xlsxwriter.Workbook(
        file, {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False}
    )
    sheet = workbook.add_worksheet(f"{told.batch.business_date}-{told.batch.sequence}")
    sheet.set_column(0, 0, 40)
    sheet.set_column(1, len(COLUMNS), 16)
    for number, row in enumerate(_rows(told, say)):
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, place, cell)
            else:
                sheet.write_number(number, place, cell)
    workbook.close()


def _rows(told: BatchStatement, say: Say) -> list[list[Cell]]:
    batch = told.batch
    rows: list[list[Cell]] = [
        [say("batch.statement"), told.community],
        [say("batch.partner"), say(f"partner.{batch.partner}")],
        [say("batch.day"), batch.business_date.isoformat()],
        [say("batch.number"), batch.sequence, str(batch.id)],
        [say("settlement.hash"), batch.content_hash.hex()],
        [],
        [say(f"batch.column.{column}") for column in COLUMNS],
    ]
    rows += [
        [
            str(line.redemption_id),
            say(f"batch.kind.{line.kind}"),
            line.service_date.isoformat(),
            *_sums([line]),
        ]
        for line in told.lines
    ]
    rows.append([])
    for kind in LineKind:
        of_kind = [line for line in told.lines if line.kind is kind]
        rows.append([say(f"batch.kind.{kind}"), len(of_kind), "", *_sums(of_kind)])
    rows.append([say("batch.total"), len(told.lines), "", *_sums(told.lines)])
    rows.append([])
    rows += [[say("batch.sign_here"), "", say("batch.sign_date"), ""] for _ in range(SIGNATURES)]
    rows.append([say("batch.partner_signs"), "", say("batch.sign_date"), ""])
    return rows


def _sums(lines: Sequence[BatchLine]) -> list[Cell]:
    """Return the sums over lines: points and yuan for people, milli-points and fen to reckon with."""
    milli_points, fen = sum(line.milli_points for line in lines), sum(line.fen for line in lines)
    subsidy, cash = sum(line.subsidy_fen for line in lines), sum(line.cash_fen for line in lines)
    due = fen - cash
    return [format_points(milli_points), milli_points, _yuan(fen), fen, subsidy, cash, due, _yuan(due)]


def _yuan(fen: int) -> str:
    sign, whole, rest = "-" if fen < 0 else "", *divmod(abs(fen), FEN_PER_YUAN)
    return f"{sign}{whole}.{rest:02d}"


def _plain(cell: Cell) -> str:
    """Return a cell for CSV. A text that is no number and looks like a formula is marked as a text."""
    text = str(cell)
    number = text.lstrip("-").replace(".", "", 1).isdecimal()
    return f"'{text}" if isinstance(cell, str) and not number and text.startswith(FORMULA_STARTS) else text
