"""The worksheet of a drawn sample: printed, taken to the telephone or the door, and filled in by hand.

XLSX (A4 landscape, a page that says how it was drawn in front) and CSV, one row an entry. Members go by
number; names and phones stand in it only when it was made for somebody who may see them, and it says so.
"""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import xlsxwriter

from api.web.words import Words
from pointsbank.domain.points import format_points
from services.audit.views import Drawn, Named, Sample
from services.ledger.exchange.sheets import FORMULA_STARTS

A4 = 9
HEADER_HEIGHT, ROW_HEIGHT = 42, 46
"""Points; a row leaves room for handwriting."""

COLUMNS = (
    ("worksheet.place", 5),
    ("worksheet.number", 8),
    ("worksheet.when", 14),
    ("worksheet.service", 10),
    ("worksheet.minutes", 7),
    ("worksheet.points", 7),
    ("worksheet.method", 11),
    ("worksheet.strength", 6),
    ("worksheet.volunteer", 13),
    ("worksheet.elder", 15),
    ("worksheet.confirmer", 13),
    ("worksheet.spoken_to", 13),
    ("worksheet.took_place", 10),
    ("worksheet.minutes_right", 10),
    ("worksheet.remark", 22),
    ("worksheet.signature", 12),
)
"""Every column: its words, and its width in characters."""

BLANK = 5
"""The last columns are for the hand."""


@dataclass(frozen=True, slots=True)
class Worksheet:
    """A sample ready to be written down.

    code: the community's. called: how each person goes, by id and by pseudonym. by: who drew it, in their own
    words. with_names: whether names and phones stand in it.
    """

    sample: Sample
    community: str
    code: str
    called: Mapping[UUID, Named]
    by: str
    at: datetime
    with_names: bool


def as_csv(sheet: Worksheet, words: Words) -> bytes:
    """Return the rows as CSV in UTF-8 with a byte order mark."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([words.t(key) for key, _ in COLUMNS])
    for each in sheet.sample.drawn:
        row = [*_cells(sheet, each, words), *[""] * BLANK]
        writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def as_xlsx(sheet: Worksheet, words: Words) -> bytes:
    """Return the worksheet as a workbook: how it was drawn, and the rows to fill in."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True, "strings_to_formulas": False}) as book:
        book.set_properties(
            {"title": words.t("worksheet.title"), "created": sheet.at.replace(tzinfo=None, microsecond=0)}
        )
        _write_front(book, sheet, words)
        _write_rows(book, sheet, words)
    return made.getvalue()


def _write_front(book: Any, sheet: Worksheet, words: Words) -> None:
    page = book.add_worksheet(words.t("worksheet.front"))
    page.set_paper(A4)
    page.set_landscape()
    page.fit_to_pages(1, 1)
    page.hide_gridlines(2)
    page.set_column(0, 0, 26)
    page.set_column(1, 1, 96)
    title = book.add_format({"bold": True, "font_size": 18})
    name = book.add_format({"bold": True, "valign": "top", "bottom": 1, "text_wrap": True})
    told = book.add_format({"valign": "top", "bottom": 1, "text_wrap": True, "align": "left"})
    page.write_string(0, 0, words.t("worksheet.title"), title)
    for row, (label, value) in enumerate(_front(sheet, words), start=2):
        page.write_string(row, 0, label, name)
        page.write_string(row, 1, value, told)
        page.set_row(row, 18 * max(1, -(-_width(value) // 100)))


def _front(sheet: Worksheet, words: Words) -> list[tuple[str, str]]:
    drawn, period = sheet.sample, sheet.sample.period
    last = period.until - timedelta(microseconds=1)
    weights = words.t("worksheet.list").join(
        words.t("worksheet.weight", strength=strength, tickets=tickets)
        for strength, tickets in sorted(drawn.weights.items())
    )
    t = words.t
    return [
        (t("worksheet.community"), f"{sheet.community} ({drawn.community_id})"),
        (
            t("worksheet.period"),
            t("worksheet.period_told", first=f"{words.date_of(period.since)}", last=f"{words.date_of(last)}"),
        ),
        (t("worksheet.entries"), _entries(sheet, last, words)),
        (t("worksheet.seed"), drawn.seed),
        (t("worksheet.population"), words.whole(drawn.population)),
        (t("worksheet.size"), words.whole(len(drawn.drawn))),
        (t("worksheet.weights"), weights),
        (t("worksheet.tickets"), words.whole(drawn.tickets)),
        (t("worksheet.how"), t("worksheet.how_told")),
        (
            t("worksheet.check"),
            t("worksheet.check_told", example=f"{drawn.seed}:{drawn.community_id}:{period.through}:1"),
        ),
        (t("worksheet.again"), _again(sheet, words)),
        (t("worksheet.by"), sheet.by),
        (t("worksheet.at"), f"{words.date_of(sheet.at)} {words.clock(sheet.at)}"),
        (
            t("worksheet.people"),
            t("worksheet.people_named") if sheet.with_names else t("worksheet.people_numbered"),
        ),
        (t("worksheet.asking"), t("worksheet.asking_told")),
    ]


def _entries(sheet: Worksheet, last: datetime, words: Words) -> str:
    """Say which entries took part; of a period that has not ended, that it goes no further than now."""
    period = sheet.sample.period
    if period.through <= period.after:
        return words.t("worksheet.entries_none")
    told = words.t("worksheet.entries_told", first=period.after + 1, last=period.through)
    if sheet.at < last:
        told += words.t("worksheet.entries_open", last=period.through)
    return told


def _again(sheet: Worksheet, words: Words) -> str:
    """Say how the same is drawn again, also when more has been recorded since: the range, and a command."""
    drawn, period = sheet.sample, sheet.sample.period
    if period.through <= period.after:
        return words.t("worksheet.entries_none")
    entries = f"{period.after + 1}-{period.through}"
    named = ("--community", sheet.code, "--entries", entries, f"--seed={drawn.seed}", "--size")
    command = shlex.join(("pointsbank", "audit", "sample", *named, str(drawn.size), "-o", "again.xlsx"))
    return words.t("worksheet.again_told", entries=entries, command=command)


def _write_rows(book: Any, sheet: Worksheet, words: Words) -> None:
    page = book.add_worksheet(words.t("worksheet.rows"))
    page.set_paper(A4)
    page.set_landscape()
    page.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    page.fit_to_pages(1, 0)
    page.repeat_rows(0)
    page.freeze_panes(1, 2)
    page.set_footer(f"&L{_footer(sheet.sample.seed)}&R&P / &N")
    head = book.add_format(
        {"bold": True, "border": 1, "text_wrap": True, "valign": "vcenter", "bg_color": "#E1ECE3"}
    )
    cell = book.add_format({"border": 1, "text_wrap": True, "valign": "top", "align": "left"})
    page.set_row(0, HEADER_HEIGHT)
    for column, (key, width) in enumerate(COLUMNS):
        page.set_column(column, column, width)
        page.write_string(0, column, words.t(key), head)
    for row, each in enumerate(sheet.sample.drawn, start=1):
        page.set_row(row, ROW_HEIGHT)
        for column, value in enumerate(_cells(sheet, each, words)):
            if isinstance(value, str):
                page.write_string(row, column, value, cell)
            else:
                page.write_number(row, column, value, cell)
        for column in range(len(COLUMNS) - BLANK, len(COLUMNS)):
            page.write_blank(row, column, None, cell)


def _cells(sheet: Worksheet, each: Drawn, words: Words) -> Sequence[str | int]:
    """What stands in a row before the hand comes to it."""
    began, ended = each.checked_in_at, each.checked_out_at
    when = f"{words.date_of(each.occurred_at)}"
    if began is not None and ended is not None:
        when += f" {words.clock(began)}–{words.clock(ended)}"
    nobody = words.t("worksheet.nobody")
    return (
        each.place,
        each.number,
        when,
        nobody if each.kind is None else words.t(f"kind.{each.kind}"),
        each.minutes,
        _points(each, words),
        words.t("worksheet.no_visit") if each.method is None else words.t(f"method.{each.method}"),
        each.strength,
        _told(sheet, each.volunteer_id or each.volunteer_ref, nobody),
        _told(sheet, each.elder_id, nobody),
        _told(sheet, each.confirmer_id, nobody),
    )


def _points(each: Drawn, words: Words) -> str:
    points = format_points(each.milli_points)
    if each.reversed_by is None:
        return points
    return points + " " + words.t("worksheet.reversed_by", number=each.reversed_by)


def _told(sheet: Worksheet, person: UUID | None, nobody: str) -> str:
    called = sheet.called.get(person) if person is not None else None
    if called is None:
        return nobody
    return " ".join(part for part in (called.member_number, called.name, called.phone) if part)


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def _footer(seed: str) -> str:
    return seed.replace("&", "&&")


def _width(text: str) -> int:
    """How many columns a text takes: a Chinese character is as wide as two letters."""
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)
