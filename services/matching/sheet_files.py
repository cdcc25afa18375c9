"""Requests and volunteers of a pairing in tables (CSV, XLSX): each row becomes what JSON would say of it.

Known columns stand in ``REQUEST_COLUMNS`` and ``VOLUNTEER_COLUMNS``; several values of a cell are parted by
、 , or ;. Times are local: a date and a time, or a time of the row's ``day``. Raises SheetUnreadable, and
InvalidValue by the same paths as ``pointsbank.domain.pairing.form``, which :func:`place_of` turns into a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.cells import parse_day, parse_moment, parse_time, parse_yes, plain
from pointsbank.platform.sheets import Column, Sheet, SheetRow

REQUEST_COLUMNS = (
    Column("id", ("求助单", "id", "request", "编号", "单号"), required=True),
    Column("minutes", ("分钟", "minutes", "时长", "分钟数"), required=True),
    Column("start", ("开始", "start", "开始时间")),
    Column("earliest", ("最早", "earliest", "最早开始")),
    Column("latest", ("最晚", "latest", "最晚开始")),
    Column("step", ("间隔", "step")),
    Column("slot", ("时段", "slot")),
    Column("day", ("日期", "day", "date")),
    Column("preferred", ("最好", "preferred", "希望时间")),
    Column("elder", ("长者", "elder", "老人")),
    Column("grid", ("小网格", "grid", "small_grid", "网格")),
    Column("east", ("东", "east", "东向米")),
    Column("north", ("北", "north", "北向米")),
    Column("urgency", ("紧急", "urgency", "紧急程度")),
    Column("waited", ("已等", "waited", "已等分钟")),
    Column("carers", ("人数", "carers", "志愿者人数")),
    Column("kind", ("服务类型", "kind", "类型")),
    Column("skills", ("技能", "skills", "skill")),
    Column("gender", ("性别", "gender", "希望性别")),
    Column("gender_hard", ("性别必须", "gender_hard", "必须同性别")),
    Column("language", ("语言", "language", "方言")),
    Column("same_carer", ("同一人", "same_carer", "原志愿者")),
    Column("excluded", ("不派", "excluded", "排除")),
)
VOLUNTEER_COLUMNS = (
    Column("id", ("志愿者", "id", "volunteer", "编号"), required=True),
    Column("free", ("空闲", "free", "空闲时间"), required=True),
    Column("day", ("日期", "day", "date")),
    Column("grid", ("小网格", "grid", "small_grid", "网格")),
    Column("east", ("东", "east", "东向米")),
    Column("north", ("北", "north", "北向米")),
    Column("grids", ("服务网格", "grids", "愿去网格")),
    Column("cap", ("上限", "cap", "分钟上限")),
    Column("skills", ("技能", "skills", "skill")),
    Column("gender", ("性别", "gender")),
    Column("languages", ("语言", "languages", "language", "方言")),
    Column("recent", ("近期分钟", "recent")),
    Column("visits", ("服务次数", "visits")),
    Column("reliability", ("守约", "reliability", "守约千分")),
)

SLOT_WORDS = {
    word: slot
    for slot, words in {
        "morning": ("上午", "早上"),
        "noon": ("中午",),
        "afternoon": ("下午",),
        "evening": ("晚上", "傍晚"),
    }.items()
    for word in words
}
UTC = ZoneInfo("UTC")
PARTING = re.compile(r"\s*[、,，;；\n]\s*")
FROM_TO = re.compile(
    r"(?P<begin>.+?)\s*(?:[-–—~～至到]|\bto\b)\s*(?P<end>(?:\d{4}-\d\d-\d\d[ T])?\d{1,2}:\d\d)"
)

Document = dict[str, Any]
Cell = Callable[[str, str, str], Any]
"""Reads a cell: its text, its path, the row's day (empty if it has none)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was read. documents: one a row; rows: their numbers; sheet: knows the headers."""

    documents: list[Document]
    rows: list[int]
    sheet: Sheet


def read_requests(path: Path) -> Table:
    """Read a table of requests."""
    return _read(path, REQUEST_COLUMNS, "requests")


def read_volunteers(path: Path) -> Table:
    """Read a table of volunteers."""
    return _read(path, VOLUNTEER_COLUMNS, "volunteers")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a table a fault is: the row as a spreadsheet counts, and the column by the file's own name."""

    path: Path
    row: int
    column: str


class InvalidCell(Exception):
    """A cell breaks a rule."""

    def __init__(self, place: Place, rule: str) -> None:
        super().__init__(f"{place.path}, row {place.row}, {place.column}: {rule}")
        self.place = place
        self.rule = rule


def place_of(field: str, tables: dict[str, Table]) -> Place | None:
    """Return the cell that a path such as ``requests[3].starts`` means; None if it is not in a table.

    tables: by ``requests`` and ``volunteers``.
    """
    match = re.match(r"(requests|volunteers)\[(\d+)\]\.?(\w*)", field)
    if match is None or match[1] not in tables:
        return None
    table, column = tables[match[1]], match[3]
    column = {"starts": "start", "spot": "grid", "home": "grid", "caps": "cap"}.get(column, column)
    return Place(table.sheet.path, table.rows[int(match[2])], table.sheet.header_of(column))


def _read(path: Path, columns: tuple[Column, ...], name: str) -> Table:
    sheet = Sheet(path, columns)
    table = Table([], [], sheet)
    for row in sheet.rows():
        at = f"{name}[{len(table.rows)}]"
        table.rows.append(row.number)
        try:
            table.documents.append(_document(row, at, free_day=name == "volunteers"))
        except InvalidValue as error:
            place = place_of(error.field, {name: table})
            assert place is not None
            raise InvalidCell(place, error.rule) from None
    return table


def _document(row: SheetRow, path: str, *, free_day: bool) -> Document:
    day_cell = row.cells.get("day", "")
    day = _day(day_cell, f"{path}.day") if day_cell else ""
    found: Document = {}
    for name, cell in row.cells.items():
        if not cell or name == "day":
            continue
        found[name] = CELLS[name](plain(cell), f"{path}.{name}", day) if name in CELLS else cell
    if "cap" in found:
        found["caps"] = [{"minutes": found.pop("cap")}]
    if day and not free_day and "slot" in found:
        found["day"] = day
    return found


def _day(cell: str, path: str) -> str:
    day = parse_day(cell)
    if day is None:
        raise InvalidValue(field=path, rule="day")
    return day.isoformat()


def _whole(cell: str, path: str, _day: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise InvalidValue(field=path, rule="whole_number") from None


def _moment(cell: str, path: str, day: str) -> str | int:
    """Read a date and time, a time of the row's day or of the first day, or minutes."""
    if cell.isascii() and cell.isdigit():
        return int(cell)
    span = parse_time(cell)
    if span is not None:
        hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
        if not day:
            return f"{hours}:{minutes:02}"
        return (datetime.fromisoformat(day) + span).isoformat()
    found = parse_moment(cell, UTC)
    if found is None:
        raise InvalidValue(field=path, rule="local_moment")
    return found.replace(tzinfo=None).isoformat()


def _listed(cell: str, _path: str, _day: str) -> list[str]:
    return [each for each in PARTING.split(cell) if each]


def _numbers(cell: str, path: str, day: str) -> list[int]:
    return [_whole(each, path, day) for each in _listed(cell, path, day)]


def _yes(cell: str, path: str, _day: str) -> bool:
    found = parse_yes(cell)
    if found is None:
        raise InvalidValue(field=path, rule="true_or_false")
    return found


def _free(cell: str, path: str, day: str) -> list[list[str | int]]:
    """Read ``2026-03-02 08:00-12:00``, several parted; an end without a date is on its start's day."""
    found: list[list[str | int]] = []
    for each in _listed(cell, path, day):
        match = FROM_TO.fullmatch(each)
        if match is None:
            raise InvalidValue(field=path, rule="local_moment")
        begin = _moment(match["begin"], path, day)
        started = begin.partition("T")[0] if isinstance(begin, str) and "T" in begin else day
        found.append([begin, _moment(match["end"], path, started)])
    return found


def _slot(cell: str, _path: str, _day: str) -> str:
    return SLOT_WORDS.get(cell, cell)


CELLS: dict[str, Cell] = {
    **dict.fromkeys(
        (
            "minutes",
            "step",
            "grid",
            "east",
            "north",
            "urgency",
            "waited",
            "carers",
            "cap",
            "recent",
            "visits",
        ),
        _whole,
    ),
    "reliability": _whole,
    **dict.fromkeys(("start", "earliest", "latest", "preferred"), _moment),
    **dict.fromkeys(("skills", "excluded", "languages"), _listed),
    **dict.fromkeys(("gender_hard", "same_carer"), _yes),
    "grids": _numbers,
    "free": _free,
    "slot": _slot,
}
"""How cells are read that are no plain text."""
