"""Exports of a community's journal, in the formats that others read. Give each a snapshot unit of work."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any, BinaryIO

from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.database import UnitOfWork
from services.ledger.exchange import beancount, hledger, jsonl, sheets
from services.ledger.exchange.sheets import Say
from services.ledger.exchange.source import Books, Part, Progress, read_books


class Format(StrEnum):
    """What a journal can be exported as."""

    BEANCOUNT = "beancount"
    HLEDGER = "hledger"
    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"


SUFFIXES: dict[Format, str] = {Format.HLEDGER: "journal"}
"""How a file's name ends, where not as the format is called."""

MEDIA_TYPES: dict[Format, str] = {
    Format.BEANCOUNT: "text/plain",
    Format.HLEDGER: "text/plain",
    Format.CSV: "text/csv",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.JSONL: "application/jsonl",
}

IN_PART = frozenset({Format.CSV, Format.XLSX})
"""Formats that a part makes sense in. The others carry balances or a chain, which begin at the beginning."""

WHOLE = Part()


async def export(
    uow: UnitOfWork,
    format_: Format,
    file: BinaryIO,
    *,
    say: Say,
    part: Part = WHOLE,
    seals: Sequence[dict[str, Any]] = (),
    progress: Progress = lambda _done, _all: None,
) -> Books:
    """Write the journal into ``file`` and return the books it was made from.

    say: words for the tables' headers and kinds. part: for the tables only. seals: the community's, as they
    stand in the file of seals. Memory grows with accounts, not with entries. Raises InvalidValue, NotFound.
    """
    if format_ not in IN_PART and not part.whole:
        raise InvalidValue(field="from", rule="whole_journal_only")
    books = await read_books(uow, part)
    if format_ is Format.XLSX:
        await sheets.write_xlsx(uow, books, progress, say, file)
        return books
    async for text in _text(uow, format_, books, say, seals, progress):
        file.write(text.encode())
    return books


def file_name(format_: Format, community_code: str, entries: int) -> str:
    """Return a name that says whose journal and how far, and nothing of any person."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", community_code).strip("-") or "journal"
    return f"pointsbank-{plain}-{entries}.{SUFFIXES.get(format_, format_.value)}"


def _text(
    uow: UnitOfWork,
    format_: Format,
    books: Books,
    say: Say,
    seals: Sequence[dict[str, Any]],
    progress: Progress,
) -> AsyncIterator[str]:
    match format_:
        case Format.BEANCOUNT:
            return beancount.write(uow, books, progress)
        case Format.HLEDGER:
            return hledger.write(uow, books, progress)
        case Format.CSV:
            return sheets.write_csv(uow, books, progress, say)
        case _:
            return jsonl.write(uow, books, progress, seals=seals)
