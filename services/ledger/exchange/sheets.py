"""The journal as tables for people: CSV, and an XLSX workbook with accounts, a trial balance and notes.

One row a journal line. Words are in the reader's language; amounts stand twice, as the integer we keep
(milli-points, minutes, fen) and in the unit people say. Nothing in a cell can be taken for a formula: the
workbook's texts are written as strings, and a CSV text that begins like a formula gets an apostrophe before
it (CWE-1236). CSV is RFC 4180 in UTF-8 with a byte order mark, without which Excel reads Chinese as rubbish.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import xlsxwriter

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.platform.database import UnitOfWork
from services.ledger.exchange.source import Books, ExportedLine, Progress, decimal, read_lines

Say = Callable[[str], str]
"""Gives the words for a key of the catalogue in the reader's language."""

Cell = str | int | Decimal | datetime | date | None

LINE_COLUMNS = (
    "number",
    "line",
    "kind",
    "occurred_at",
    "recorded_at",
    "credit",
    "credit_owner",
    "debit",
    "debit_owner",
    "commodity",
    "amount",
    "amount_units",
    "credit_after",
    "debit_after",
    "expires_on",
    "reverses",
    "policy_version",
    "source_kind",
    "source_id",
    "actor",
    "subject",
    "entry_id",
    "hash",
)
ACCOUNT_COLUMNS = (
    "account_number",
    "account",
    "owner",
    "commodity",
    "balance",
    "balance_units",
    "opened_at",
    "account_id",
)
TRIAL_COLUMNS = ("account", "commodity", "accounts", "balance", "balance_units")
NOTES = ("community", "timezone", "exported_at", "entries", "part", "algorithm", "head")
SHEETS = ("notes", "journal", "accounts", "trial")

ROWS_MAX = 1_048_576
"""Rows of one sheet, the header among them (Microsoft, "Excel specifications and limits")."""

EXACT_MAX = 2**53
"""The largest integer that a spreadsheet's numbers keep exactly."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection), full-width signs among it:
Excel takes those too where Chinese or Japanese is written."""

COLUMN_WIDTH = 16
DAY_FORMAT, MOMENT_FORMAT = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"


async def write_csv(uow: UnitOfWork, books: Books, progress: Progress, say: Say) -> AsyncIterator[str]:
    """Yield the table of lines piece by piece, the byte order mark first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([say(f"export.column.{column}") for column in LINE_COLUMNS])
    yield "\ufeff" + buffer.getvalue()
    row = _LineRows(books, say)
    async for lines in read_lines(uow, books, progress):
        buffer.seek(0)
        buffer.truncate()
        writer.writerows([_plain(cell) for cell in row(line)] for line in lines)
        yield buffer.getvalue()


async def write_xlsx(
    uow: UnitOfWork,
    books: Books,
    progress: Progress,
    say: Say,
    file: BinaryIO,
    *,
    rows_max: int = ROWS_MAX,
) -> None:
    """Write the workbook; a row is on the disk before the next one is read.

    rows_max: rows of one sheet; a longer table goes on in a sheet of its own.
    """
    workbook = xlsxwriter.Workbook(
        file,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
            "remove_timezone": True,
        },
    )
    workbook.use_zip64()
    try:
        _write_notes(workbook, books, say)
        table = _table(workbook, "journal", LINE_COLUMNS, say, rows_max)
        row = _LineRows(books, say)
        async for lines in read_lines(uow, books, progress):
            # In a thread, so that a process that serves others goes on serving them.
            await asyncio.to_thread(table.add_all, map(row, lines))
        _write_accounts(_table(workbook, "accounts", ACCOUNT_COLUMNS, say, rows_max), books, say)
        _write_trial(_table(workbook, "trial", TRIAL_COLUMNS, say, rows_max), books, say)
    finally:
        await asyncio.to_thread(workbook.close)


def _table(workbook: Any, name: str, columns: Sequence[str], say: Say, rows_max: int) -> _Table:
    table = _Table(workbook, name, columns, say, rows_max)
    table.open()
    return table


class _LineRows:
    """Makes a line's row; the words are looked up once each."""

    def __init__(self, books: Books, say: Say) -> None:
        self._words: dict[str, str] = {}
        self._say = say
        self._zone = ZoneInfo(books.community.timezone)

    def __call__(self, line: ExportedLine) -> list[Cell]:
        commodity = line.debit.code.commodity
        return [
            line.number,
            line.line,
            self._word(f"entry.{line.kind}"),
            line.occurred_at.astimezone(self._zone),
            line.recorded_at.astimezone(self._zone),
            self._word(f"account.{line.credit.code.kind}"),
            str(line.credit.code.owner),
            self._word(f"account.{line.debit.code.kind}"),
            str(line.debit.code.owner),
            self._word(_commodity_key(commodity)),
            decimal(line.amount, commodity),
            line.amount,
            decimal(line.credit_after, commodity),
            decimal(line.debit_after, commodity),
            line.expires_on,
            line.reverses,
            line.policy_version,
            self._word(f"source.{line.source_kind}"),
            str(line.source_id),
            str(line.actor_ref),
            str(line.subject_ref),
            str(line.id),
            line.hash.hex(),
        ]

    def _word(self, key: str) -> str:
        if key not in self._words:
            self._words[key] = self._say(key)
        return self._words[key]


class _Table:
    """A table in a workbook, over as many sheets as it needs."""

    def __init__(self, workbook: Any, name: str, columns: Sequence[str], say: Say, rows_max: int) -> None:
        self._workbook = workbook
        self._name = say(f"export.sheet.{name}")
        self._header = [say(f"export.column.{column}") for column in columns]
        self._bold = workbook.add_format({"bold": True})
        self._day = workbook.add_format({"num_format": DAY_FORMAT})
        self._moment = workbook.add_format({"num_format": MOMENT_FORMAT})
        self._rows_max = rows_max
        self._sheets = 0
        self._rows = rows_max
        self._sheet: Any = None

    def open(self) -> None:
        """Begin a sheet: the first one, or the next when this one is full."""
        self._sheets += 1
        name = self._name if self._sheets == 1 else f"{self._name} {self._sheets}"
        self._sheet = self._workbook.add_worksheet(name)
        self._sheet.set_column(0, len(self._header) - 1, COLUMN_WIDTH)
        self._sheet.freeze_panes(1, 0)
        for place, word in enumerate(self._header):
            self._sheet.write_string(0, place, word, self._bold)
        self._rows = 1

    def add_all(self, rows: Iterable[Iterable[Cell]]) -> None:
        """Write rows."""
        for row in rows:
            self.add(row)

    def add(self, row: Iterable[Cell]) -> None:
        """Write one row."""
        if self._rows >= self._rows_max:
            self.open()
        sheet, at = self._sheet, self._rows
        self._rows += 1
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(at, place, cell)
            elif isinstance(cell, datetime):
                sheet.write_datetime(at, place, cell, self._moment)
            elif isinstance(cell, date):
                sheet.write_datetime(at, place, cell, self._day)
            elif cell is not None:
                if -EXACT_MAX <= cell <= EXACT_MAX:
                    sheet.write_number(at, place, cell)
                else:
                    sheet.write_string(at, place, str(cell))


def _write_notes(workbook: Any, books: Books, say: Say) -> None:
    sheet = workbook.add_worksheet(say("export.sheet.notes"))
    bold = workbook.add_format({"bold": True})
    sheet.set_column(0, 0, COLUMN_WIDTH)
    sheet.set_column(1, 1, 6 * COLUMN_WIDTH)
    zone = ZoneInfo(books.community.timezone)
    facts = {
        "community": books.community.name,
        "timezone": books.community.timezone,
        "exported_at": books.exported_at.astimezone(zone).isoformat(timespec="seconds"),
        "entries": str(books.entries),
        "part": f"{books.first}–{books.last}",
        "algorithm": books.algorithm,
        "head": books.head.hex(),
    }
    rows = [(say(f"export.note.{note}"), facts[note]) for note in NOTES]
    rows.append(("", ""))
    seen = dict.fromkeys((*LINE_COLUMNS, *ACCOUNT_COLUMNS, *TRIAL_COLUMNS))
    rows += [(say(f"export.column.{column}"), say(f"export.meaning.{column}")) for column in seen]
    for at, (name, meaning) in enumerate(rows):
        sheet.write_string(at, 0, name, bold)
        sheet.write_string(at, 1, meaning)


def _write_accounts(table: _Table, books: Books, say: Say) -> None:
    zone = ZoneInfo(books.community.timezone)
    for account in books.accounts.values():
        code = account.code
        table.add(
            [
                account.number,
                say(f"account.{code.kind}"),
                str(code.owner),
                say(_commodity_key(code.commodity)),
                decimal(account.balance, code.commodity),
                account.balance,
                account.opened_at.astimezone(zone),
                str(account.id),
            ]
        )


def _write_trial(table: _Table, books: Books, say: Say) -> None:
    """Sum accounts by commodity and kind, and each commodity, which comes to zero."""
    sums: dict[tuple[Commodity, AccountKind], tuple[int, int]] = {}
    for account in books.accounts.values():
        key = (account.code.commodity, account.code.kind)
        count, total = sums.get(key, (0, 0))
        sums[key] = (count + 1, total + account.balance)
    for commodity in Commodity:
        unit = say(_commodity_key(commodity))
        count, total = 0, 0
        for (of, kind), (accounts, balance) in sorted(sums.items()):
            if of is commodity:
                table.add([say(f"account.{kind}"), unit, accounts, decimal(balance, commodity), balance])
                count, total = count + accounts, total + balance
        table.add([say("export.total"), unit, count, decimal(total, commodity), total])


def _commodity_key(commodity: Commodity) -> str:
    return f"commodity.{commodity.lower()}"


def _plain(cell: Cell) -> str | int:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="microseconds")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, str) and cell.startswith(FORMULA_STARTS):
        return f"'{cell}"
    return cell
