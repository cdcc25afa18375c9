"""``pointsbank audit anomalies`` and ``audit sample``: tables, JSON, and the worksheet to fill in."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import shlex
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner

from api.cli import main
from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.database import Database
from services.ledger import service as ledger
from services.people import service as people
from services.people.service import NewPerson
from tests.auditing import earned, neighbours, visited
from tests.worlds import World, small_world


async def command(app_url: str, *arguments: str | Path) -> tuple[int, str]:
    """Run ``pointsbank audit …`` against the test's database; return how it ended and what it said."""
    environment = {"POINTSBANK_APP_DATABASE_URL": app_url, "LANG": "C.UTF-8"}
    given = ["audit", *map(str, arguments)]
    result = await asyncio.to_thread(CliRunner().invoke, main, given, env=environment)
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return result.exit_code, result.output


@pytest.fixture
async def world(database: Database) -> World:
    """A world in which two people confirm each other, one of them on paper, and one pays herself."""
    world = await small_world(database)
    a, b = await neighbours(database, world, 2)
    day = datetime.now(UTC) - timedelta(days=2)
    await visited(database, world, a, b, b, start=day, minutes=90)
    await visited(database, world, b, a, a, start=day + timedelta(hours=3), method=ConfirmationMethod.RECORD)
    await earned(database, world, world.volunteer, 7_000, actor=world.volunteer)
    return world


async def test_a_table_for_each_question_names_members_by_number_only(world: World, app_url: str) -> None:
    code, said = await command(app_url, "anomalies", "--threshold-hours", "1")
    assert code == 0, said
    for number in range(1, 7):
        assert f"\n{number}. " in said
    assert "N001 → N002 → N001" in said or "N002 → N001 → N002" in said
    assert "T003" in said
    assert "测试" not in said
    assert "1540" not in said


async def test_the_same_is_told_as_json(world: World, app_url: str) -> None:
    code, said = await command(app_url, "anomalies", "--threshold-hours", "1", "--json")
    assert code == 0, said
    told = json.loads(said)
    assert told["entries"] == 3
    assert [each["milli_points"] for each in told["self_acted"]] == [7_000]
    assert [each["minutes"] for each in told["long_days"]] == [90]
    assert [each["milli_points"] for each in told["rings"]] == [1_000]
    assert told["members"][str(world.volunteer.ledger_ref)] == "T003"
    assert "测试丙" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("anomalies", "--from", "2020-01-01"), "within 400 days"),
        (("anomalies", "--from", "2026-03-02", "--to", "2026-03-01"), "until: after from"),
        (("anomalies", "--from", "0001-01-01", "--to", "0001-01-01"), "since: plausible date"),
        (("anomalies", "--to", "9999-12-31"), "until: plausible date"),
        (("sample", "--to", "0001-01-01", "--seed", "a", "-o", "sheet.csv"), "until: plausible date"),
        (("sample", "--entries", "1-99", "--seed", "a", "-o", "sheet.csv"), "entries: recorded entries"),
        (("sample", "--entries", "9", "--seed", "a", "-o", "sheet.csv"), "entries: entry range"),
        (("sample", "--entries", "1-2", "--to", "2026-03-01", "--seed", "a", "-o", "sheet.csv"), "--entries"),
        (("anomalies", "--community", "nowhere"), "--community nowhere: there is test-1"),
        (("sample", "--seed", "a", "-o", "sheet.pdf"), ".xlsx or .csv"),
        (("sample", "--seed", "a", "-o", "sheet.csv", "--with-names"), "--by"),
        (("sample", "--seed", "a", "-o", "sheet.csv", "--by", "X999"), "no such member"),
        (("sample", "--seed", "a", "-o", "sheet.csv", "--by", "T003", "--with-names"), "may not see names"),
    ],
)
async def test_what_cannot_be_done_is_said_in_one_line(
    world: World, app_url: str, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    given = [tmp_path / each if each.startswith("sheet") else each for each in arguments]
    code, output = await command(app_url, *given)
    assert code == 1
    assert said in output
    assert list(tmp_path.iterdir()) == []


async def test_a_worksheet_is_drawn_again_the_same_and_holds_numbers_only(
    world: World, app_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "sheet.xlsx"
    code, said = await command(app_url, "sample", "--seed", "灯笼", "--size", "2", "-o", path)
    assert code == 0, said
    assert "2 of 3 earning entries drawn from entries 1-3" in said
    book = openpyxl.load_workbook(path)
    front, rows = book.worksheets
    told = "\n".join(str(cell) for row in front.values for cell in row if cell is not None)
    assert "灯笼" in told
    assert "没有姓名和电话" in told
    assert (rows.page_setup.orientation, rows.page_setup.paperSize) == ("landscape", 9)
    header, *entries = list(rows.values)
    assert header[:4] == ("序", "分录号", "日期和时间", "服务")
    assert header[-5:] == ("问了谁", "真的来过？", "时长对吗？", "备注", "签名")
    assert all(entry[-5:] == (None,) * 5 for entry in entries)

    def first_ticket(number: int, tickets: int) -> str:
        return min(hashlib.sha256(f"灯笼:1:{number}:{t}".encode()).hexdigest() for t in range(1, tickets + 1))

    # In order of recording: the elder's word, a paper record, no visit at all.
    by_hand = sorted((1, 2, 3), key=lambda number: first_ticket(number, {1: 1, 2: 8, 3: 16}[number]))
    assert [entry[1] for entry in entries] == by_hand[:2]
    everything = "".join(str(cell) for sheet in book.worksheets for row in sheet.values for cell in row)
    assert "测试邻" not in everything
    assert "1540" not in everything


async def test_the_worksheet_names_the_command_that_draws_it_again_when_more_was_recorded(
    database: Database, world: World, app_url: str, tmp_path: Path
) -> None:
    first = tmp_path / "sheet.xlsx"
    drawn = ("sample", "--seed", "the 'seed' of today", "--size", "2", "--language", "en", "-o", first)
    code, said = await command(app_url, *drawn)
    assert code == 0, said
    front = dict(row[:2] for row in openpyxl.load_workbook(first).worksheets[0].values)
    assert "had not ended" in front["Entries"]
    assert "goes to entry 3" in front["Entries"]
    for _ in range(40):
        await earned(database, world, world.volunteer, 1_000, actor=world.coordinator)
    named = front["How to draw it again"].partition("server: ")[2]
    pointsbank, audit, *arguments = shlex.split(named)
    assert (pointsbank, audit) == ("pointsbank", "audit")
    again = tmp_path / "again.xlsx"
    code, said = await command(app_url, *arguments[:-1], again, "--language", "en")
    assert code == 0, said
    one, two = (list(openpyxl.load_workbook(path).worksheets[1].values) for path in (first, again))
    assert one == two
    later = dict(row[:2] for row in openpyxl.load_workbook(again).worksheets[0].values)
    assert "had not ended" not in later["Entries"]


async def test_a_drawn_entry_that_was_taken_back_is_marked_on_the_worksheet(
    database: Database, world: World, app_url: str, tmp_path: Path
) -> None:
    async with database.unit_of_work(1) as uow:
        await ledger.reverse(uow, 3, actor=world.coordinator.ledger_ref)
    path = tmp_path / "sheet.csv"
    code, said = await command(app_url, "sample", "--seed", "a", "--language", "en", "-o", path)
    assert code == 0, said
    rows = csv.DictReader(path.read_text("utf-8-sig").splitlines())
    assert {row["Entry"]: row["Points"].partition(" ")[2] for row in rows} == {
        "1": "",
        "2": "",
        "3": "(reversed by entry 4)",
    }


async def test_names_and_phones_stand_in_a_file_for_its_owner_only_where_the_auditor_asks(
    world: World, app_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "sheet.csv"
    code, said = await command(
        app_url, "sample", "--seed", "a", "-o", path, "--by", "T006", "--with-names", "--language", "en"
    )
    assert code == 0, said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    assert {row["Elder"] for row in rows} == {
        "N001 测试邻1 15400010001",
        "N002 测试邻2 15400010002",
        "none",
    }
    assert "测试" not in said


async def test_a_name_that_a_spreadsheet_would_compute_stays_a_name(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        (person_id,) = await people.add_people(
            uow, [NewPerson(name="测试戌", member_number="=1+1", building_id=world.elder.building_id)]
        )
        elder = await people.person(uow, person_id)
    await visited(database, world, world.volunteer, elder, elder, start=datetime.now(UTC) - timedelta(days=1))
    table, book = tmp_path / "a.csv", tmp_path / "a.xlsx"
    for path in (table, book):
        code, said = await command(app_url, "sample", "--seed", "a", "-o", path)
        assert code == 0, said
    (row,) = csv.DictReader(table.read_text("utf-8-sig").splitlines())
    assert row["长者"] == "'=1+1"
    cell = openpyxl.load_workbook(book).worksheets[1].cell(row=2, column=10)
    assert (cell.value, cell.data_type) == ("=1+1", "s")
