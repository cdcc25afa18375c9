"""A claim as a table for a finance office: CSV and an XLSX workbook, in the reader's language.

As the journal's tables: UTF-8 with a byte order mark, and no cell that a spreadsheet takes for a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import BinaryIO

import xlsxwriter

from services.ledger.exchange.sheets import FORMULA_STARTS
from services.settlement.views import Claim, ClaimLine

Say = Callable[[str], str]
"""Gives the words for a key of the catalogue in the reader's language."""

Cell = str | int | float

COLUMNS = ("payer", "place", "kind", "tier", "meal", "served_on", "meals", "fen", "yuan")
PERSON_COLUMN = "person"
FEN_PER_YUAN = 100


def write_csv(claim: Claim, say: Say, file: BinaryIO, *, by_person: bool = False) -> None:
    """Write a claim's lines and, below, the sum of each payer."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text)
    for row in _rows(claim, say, by_person=by_person):
        writer.writerow([_plain(cell) for cell in row])
    text.flush()
    text.detach()


def write_xlsx(claim: Claim, say: Say, file: BinaryIO, *, by_person: bool = False) -> None:
    """Write the same as a workbook of one sheet."""
    workbook = xlsxwriter.Workbook(
        file, {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False}
    )
    sheet = workbook.add_worksheet(claim.period)
    bold, money = workbook.add_format({"bold": True}), workbook.add_format({"num_format": "#,##0.00"})
    sheet.set_column(0, len(COLUMNS), 16)
    for number, row in enumerate(_rows(claim, say, by_person=by_person)):
        for place, cell in enumerate(row):
            style = bold if number == 0 else money if isinstance(cell, float) else None
            if isinstance(cell, str):
                sheet.write_string(number, place, cell, style)
            else:
                sheet.write_number(number, place, cell, style)
    sheet.freeze_panes(1, 0)
    workbook.close()


def _rows(claim: Claim, say: Say, *, by_person: bool) -> list[list[Cell]]:
    columns = (*COLUMNS, PERSON_COLUMN) if by_person else COLUMNS
    rows: list[list[Cell]] = [[say(f"claim.column.{column}") for column in columns]]
    rows += [_row(line, say, by_person=by_person) for line in claim.lines]
    for total in claim.totals:
        sums: list[Cell] = [say(f"payer.{total.payer}"), total.place or "", say("claim.total"), "", "", ""]
        rows.append([*sums, total.meals, total.fen, total.fen / FEN_PER_YUAN])
    return rows


def _row(line: ClaimLine, say: Say, *, by_person: bool) -> list[Cell]:
    row: list[Cell] = [
        say(f"payer.{line.payer}"),
        line.place or "",
        say(f"claim.kind.{line.kind}"),
        line.tier or "",
        say(f"meal.{line.meal}"),
        line.served_on.isoformat() if line.served_on else "",
        line.meals,
        line.fen,
        line.fen / FEN_PER_YUAN,
    ]
    return [*row, str(line.ledger_ref)] if by_person else row


def _plain(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.2f}"
    text = str(cell)
    return f"'{text}" if isinstance(cell, str) and text.startswith(FORMULA_STARTS) else text
