"""The journal as others read it: Beancount's own check, hledger's grammar, tables."""

from __future__ import annotations

import asyncio
import csv
import re
import subprocess
import sys
import unicodedata
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from beancount import loader
from beancount.core import data, realization

from pointsbank.domain.accounts import Commodity
from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.exchange.exports import Format, file_name
from services.ledger.exchange.names import COMMODITY_NAMES, account_name
from services.ledger.exchange.sheets import LINE_COLUMNS, _plain, write_xlsx
from services.ledger.exchange.source import Books, Part, decimal, read_books
from tests.journals import exported, varied_journal
from tests.ledgers import bare_ledger

BEAN_CHECK = Path(sys.executable).parent / "bean-check"


def bean_check(path: Path) -> subprocess.CompletedProcess[str]:
    """Run the real bean-check on a file."""
    return subprocess.run([BEAN_CHECK, path], capture_output=True, text=True, check=False)


def ours(books: Books) -> dict[tuple[str, str], Decimal]:
    """The balance of every account by (name, commodity) as the ledger has it."""
    return {
        (account_name(account.code), COMMODITY_NAMES[account.code.commodity]): decimal(
            account.balance, account.code.commodity
        )
        for account in books.accounts.values()
    }


async def test_bean_check_passes_and_beancount_computes_the_balances_we_keep(
    database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.beancount"
    books = await exported(database, Format.BEANCOUNT, path)
    checked = await asyncio.to_thread(bean_check, path)
    assert (checked.returncode, checked.stderr) == (0, "")
    entries, errors, _ = await asyncio.to_thread(loader.load_file, str(path))
    assert errors == []
    transactions = [entry for entry in entries if isinstance(entry, data.Transaction)]
    assert [int(entry.meta["number"]) for entry in transactions] == list(range(1, books.entries + 1))
    assert sum(isinstance(entry, data.Balance) for entry in entries) == len(books.accounts)
    root = realization.realize(entries)
    theirs = {}
    for name, commodity in ours(books):
        account = realization.get(root, name)
        theirs[name, commodity] = account.balance.get_currency_units(commodity).number
    assert theirs == ours(books)
    assert len([amount for amount in theirs.values() if amount]) > 10


async def test_beancount_keeps_what_an_entry_says_as_metadata(database: Database, tmp_path: Path) -> None:
    await varied_journal(database)
    path = tmp_path / "books.beancount"
    await exported(database, Format.BEANCOUNT, path)
    entries, _, _ = await asyncio.to_thread(loader.load_file, str(path))
    transactions = {
        int(entry.meta["number"]): entry for entry in entries if isinstance(entry, data.Transaction)
    }
    async with database.unit_of_work(1) as uow:
        for info in await service.entries(uow, limit=200):
            meta = transactions[info.number].meta
            assert meta["source"] == f"{info.source_kind} {info.source_id}"
            assert int(meta["policy"]) == info.policy_version
            assert meta["occurred_at"] == info.occurred_at.isoformat(timespec="microseconds")
            assert meta["recorded_at"] == info.recorded_at.isoformat(timespec="microseconds")
            assert meta.get("reverses") == (None if info.reverses is None else Decimal(info.reverses))
            assert transactions[info.number].narration == info.kind
            expires = {posting.meta.get("expires_on") for posting in transactions[info.number].postings}
            assert expires - {None} == {leg.expires_on for leg in info.legs} - {None}


@pytest.mark.parametrize("which", ["posting", "balance"])
async def test_bean_check_refuses_a_milli_point_more_or_less(
    database: Database, tmp_path: Path, which: str
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.beancount"
    await exported(database, Format.BEANCOUNT, path)
    pattern = {
        "posting": r"(  Assets:Member:Available:X\w+  \d+\.\d\d)(\d)( POINT)",
        "balance": r"( balance .*\.\d\d)(\d)( ~ 0 POINT)",
    }
    text = path.read_text()
    path.write_text(re.sub(pattern[which], lambda m: f"{m[1]}{(int(m[2]) + 1) % 10}{m[3]}", text, count=1))
    assert path.read_text() != text
    assert (await asyncio.to_thread(bean_check, path)).returncode != 0


async def test_an_empty_journal_is_a_valid_ledger_too(database: Database, tmp_path: Path) -> None:
    await bare_ledger(database)
    path = tmp_path / "books.beancount"
    await exported(database, Format.BEANCOUNT, path)
    assert (await asyncio.to_thread(bean_check, path)).returncode == 0
    for format_ in Format:
        await exported(database, format_, tmp_path / f"books.{format_}")


AMOUNT = r"-?\d+(?:\.\d+)? (?:POINT|MINUTE|CNY)"
NAME = r"(?:Assets|Equity|Expenses)(?::[A-Z][A-Za-z0-9]*)*"
HLEDGER = {
    "blank": re.compile(r""),
    "comment": re.compile(r"; .*"),
    "decimal_mark": re.compile(r"decimal-mark \."),
    "commodity": re.compile(r"commodity 1000\.(0*) ([A-Z]+)"),
    "account": re.compile(rf"account ({NAME})  ; [a-z]+:\w+"),
    "transaction": re.compile(r"(\d{4}-\d\d-\d\d) \* (?:\((\d+)\) )?([a-z]+)"),
    "tag": re.compile(r"    ; ([a-z_]+):([^,]+)"),
    "posting": re.compile(
        rf"    ({NAME})  ({AMOUNT})(?: = ({AMOUNT}))?(?:  ; expires_on:\d{{4}}-\d\d-\d\d)?"
    ),
}


async def test_hledgers_grammar_reads_it_and_every_assertion_holds(
    database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.journal"
    books = await exported(database, Format.HLEDGER, path)
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    declared, commodities, numbers, asserted = set(), {}, [], {}
    moved: dict[str, Decimal] = {}
    last = date.min
    for line in [*path.read_text().splitlines(), ""]:
        kind, match = next((kind, m) for kind, rule in HLEDGER.items() if (m := rule.fullmatch(line)))
        if kind == "commodity":
            commodities[match[2]] = len(match[1])
        elif kind == "account":
            declared.add(match[1])
        elif kind == "transaction":
            assert date.fromisoformat(match[1]) >= last
            last = date.fromisoformat(match[1])
            numbers += [int(match[2])] if match[2] else []
        elif kind == "tag":
            assert match[1] not in {"date", "date2", "type"}
        elif kind == "posting":
            amount, commodity = match[2].split()
            assert match[1] in declared
            assert -Decimal(amount).as_tuple().exponent == commodities[commodity]
            sums[match[1], commodity] += Decimal(amount)
            moved[commodity] = moved.get(commodity, Decimal(0)) + Decimal(amount)
            if match[3]:
                asserted[match[1], commodity] = Decimal(match[3].split()[0])
                assert sums[match[1], commodity] == asserted[match[1], commodity]
        elif kind == "blank":
            assert not any(moved.values())
            moved = {}
    assert numbers == list(range(1, books.entries + 1))
    assert asserted == ours(books)


async def test_the_csv_adds_up_to_the_journals_balances(database: Database, tmp_path: Path) -> None:
    await varied_journal(database)
    path = tmp_path / "books.csv"
    books = await exported(database, Format.CSV, path)
    assert path.read_bytes().startswith("\ufeff".encode())
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [f"export.column.{column}" for column in LINE_COLUMNS]
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        cell = {name.removeprefix("export.column."): value for name, value in row.items()}
        units = int(cell["amount_units"])
        sums[cell["credit"], cell["credit_owner"], cell["commodity"]] -= units  # type: ignore[index]
        sums[cell["debit"], cell["debit_owner"], cell["commodity"]] += units  # type: ignore[index]
        commodity = Commodity(cell["commodity"].removeprefix("commodity.").upper())
        assert Decimal(cell["amount"]) == decimal(units, commodity)
    assert sums == {
        (f"account.{a.code.kind}", str(a.code.owner), f"commodity.{a.code.commodity.lower()}"): a.balance
        for a in books.accounts.values()
    }


async def test_the_workbook_says_the_same_as_the_journal(database: Database, tmp_path: Path) -> None:
    await varied_journal(database)
    path = tmp_path / "books.xlsx"
    books = await exported(database, Format.XLSX, path)
    book = openpyxl.load_workbook(path, read_only=True)
    notes, journal, accounts, trial = (list(sheet.values) for sheet in book.worksheets)
    assert ("export.note.head", books.head.hex()) in notes
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in journal[1:]:
        cell = dict(zip(LINE_COLUMNS, row, strict=True))
        sums[cell["credit"], cell["credit_owner"], cell["commodity"]] -= cell["amount_units"]
        sums[cell["debit"], cell["debit_owner"], cell["commodity"]] += cell["amount_units"]
    assert sums == {(row[1], row[2], row[3]): row[5] for row in accounts[1:]}
    kinds: dict[tuple[str, str], int] = defaultdict(int)
    for row in accounts[1:]:
        kinds[row[1], row[3]] += row[5]
    assert kinds == {(row[0], row[1]): row[4] for row in trial[1:] if row[0] != "export.total"}
    totals = [row for row in trial[1:] if row[0] == "export.total"]
    assert [row[4] for row in totals] == [0, 0, 0]
    assert sum(row[2] for row in totals) == len(books.accounts) == len(accounts) - 1
    assert journal[-1][0] == books.entries


async def test_a_table_longer_than_a_sheet_goes_on_in_the_next(database: Database, tmp_path: Path) -> None:
    await varied_journal(database)
    path = tmp_path / "books.xlsx"
    async with database.unit_of_work(1, snapshot=True) as uow:
        books = await read_books(uow, Part())
        with path.open("wb") as file:
            await write_xlsx(uow, books, lambda _done, _all: None, lambda key: key, file, rows_max=20)
    book = openpyxl.load_workbook(path, read_only=True)
    sheets = [sheet for sheet in book.worksheets if sheet.title.startswith("export.sheet.journal")]
    assert len(sheets) > 2
    lines = [(row[0], row[1]) for sheet in sheets for row in list(sheet.values)[1:]]
    assert lines == sorted(set(lines))
    assert lines[-1][0] == books.entries
    assert all(len(list(sheet.values)) <= 20 for sheet in book.worksheets[1:])


def test_a_text_that_looks_like_a_formula_is_no_formula_in_csv() -> None:
    assert [_plain(text) for text in ("=1+1", "+1", "-1", "@x", "\tx", "\n=1", "\rx", "ok")] == [
        "'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\n=1", "'\rx", "ok",
    ]  # fmt: skip
    for sign in "=+-@":
        wide = chr(ord(sign) + 0xFEE0)
        assert unicodedata.normalize("NFKC", wide) == sign
        assert _plain(f"{wide}1") == f"'{wide}1"
    assert _plain(-1) == -1


async def test_nothing_in_the_workbook_is_a_formula(database: Database, tmp_path: Path) -> None:
    await varied_journal(database)
    path = tmp_path / "books.xlsx"
    with path.open("wb") as file:
        async with database.unit_of_work(1, snapshot=True) as uow:
            books = await read_books(uow, Part())
            await write_xlsx(uow, books, lambda _done, _all: None, lambda key: f"={key}", file)
    book = openpyxl.load_workbook(path, read_only=True)
    kinds = {cell.data_type for sheet in book.worksheets for row in sheet.rows for cell in row}
    assert "f" not in kinds


async def test_a_table_can_be_of_a_part_by_number_or_by_day(database: Database, tmp_path: Path) -> None:
    await varied_journal(database)
    path = tmp_path / "books.csv"

    async def numbers(part: Part) -> list[int]:
        await exported(database, Format.CSV, path, part=part)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return sorted({int(row[0]) for row in list(csv.reader(file))[1:]})

    assert await numbers(Part(first=5, last=9)) == [5, 6, 7, 8, 9]
    async with database.unit_of_work(1) as uow:
        today = uow.clock.now().date()
        entries = (await service.entries(uow, limit=1, newest_first=True))[0].number
    assert await numbers(Part(from_=today.replace(year=2020))) == list(range(1, entries + 1))
    assert await numbers(Part(to=today.replace(year=2020))) == []
    with pytest.raises(InvalidValue):
        await numbers(Part(first=9, last=5))


@pytest.mark.parametrize("format_", [Format.BEANCOUNT, Format.HLEDGER, Format.JSONL])
async def test_what_needs_the_beginning_takes_the_whole_journal_only(
    database: Database, tmp_path: Path, format_: Format
) -> None:
    await bare_ledger(database)
    with pytest.raises(InvalidValue, match="whole_journal_only"):
        await exported(database, format_, tmp_path / "part", part=Part(first=2))


async def test_a_files_name_says_whose_and_how_far_and_nothing_of_a_person(
    database: Database, tmp_path: Path
) -> None:
    await varied_journal(database)
    books = await exported(database, Format.HLEDGER, tmp_path / "books.journal")
    named = file_name(Format.HLEDGER, books.community.code, books.entries)
    assert named == f"pointsbank-test-1-{books.entries}.journal"
