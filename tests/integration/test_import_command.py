"""``pointsbank import``: what the command says, asks and writes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.cli import main
from api.cli.import_words import WORDS, reason
from pointsbank.domain.refusal import Refusal
from pointsbank.platform.database import Database
from services.founding import found_community
from tests.imports import SAMPLES, SERVICE_HEADER, write_csv
from tests.integration.test_import_service import REFUSED as REFUSED_SERVICE
from tests.worlds import small_world


@dataclass(frozen=True, slots=True)
class Said:
    """How the command ended and what it printed."""

    code: int
    output: str


async def command(app_url: str, *arguments: str | Path) -> Said:
    """Run ``pointsbank import`` against the test's database, without a terminal."""
    given = ["import", *map(str, arguments)]
    environment = {"POINTSBANK_APP_DATABASE_URL": app_url, "LANG": "C.UTF-8", "COLUMNS": "200"}
    result = await asyncio.to_thread(CliRunner().invoke, main, given, env=environment)
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return Said(result.exit_code, result.output)


async def count(database: Database, table: str) -> int:
    """How many rows a table of the bank has."""
    async with database.unit_of_work(1) as uow:
        return int(await (await uow.connection()).fetchval(f"SELECT count(*) FROM bank.{table}"))


def numbers(said: Said) -> list[list[str]]:
    """The reports' lines as words."""
    words = [line.strip("│ ").split("│") for line in said.output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line] for line in words]


async def test_a_roster_and_its_service_are_imported_by_two_commands(
    database: Database, app_url: str
) -> None:
    people = await command(app_url, "people", SAMPLES / "roster.csv", "--yes")
    assert (people.code, await count(database, "people")) == (0, 5), people.output
    served = await command(app_url, "service", SAMPLES / "service-gb18030.csv", "--yes")
    assert (served.code, await count(database, "visits")) == (0, 5), served.output
    rest = [["already there", "0"], ["refused", "0"]]
    assert numbers(served) == [["to import", "5"], *rest, ["imported", "5"], *rest]
    again = await command(app_url, "service", SAMPLES / "service.csv", "--yes")
    assert numbers(again) == [["to import", "0"], ["already there", "5"], ["refused", "0"]]


async def test_without_a_terminal_and_without_yes_nothing_is_written(
    database: Database, app_url: str
) -> None:
    said = await command(app_url, "people", SAMPLES / "roster.csv")
    assert (said.code, await count(database, "people")) == (0, 0)
    assert "nothing was written: say --yes to import" in said.output


async def test_a_dry_run_writes_only_the_refused_rows_with_reasons_in_the_language_asked_for(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    await small_world(database)
    path = write_csv(tmp_path / "served.csv", SERVICE_HEADER, [record for record, _, _ in REFUSED_SERVICE])
    said = await command(app_url, "service", path, "--dry-run", "--yes", "--language", "zh")
    assert (said.code, await count(database, "visits")) == (1, 0), said.output
    lines = (tmp_path / "served.csv.refused.csv").read_text("utf-8-sig").splitlines()
    assert lines[0] == "志愿者,长者,服务类型,开始,结束,确认人,行号,栏,原因"
    assert lines[1].endswith(",2,结束,end_before_start: 结束时间不晚于开始时间")
    assert len(lines) == len(REFUSED_SERVICE) + 1


async def test_every_refusal_has_words_in_both_languages() -> None:
    facts = dict.fromkeys(("day", "kind", "from", "to", "row", "minutes", "cap", "role", "grid"), "7")
    for code in WORDS:
        word = "at_most_7_characters" if code == "at_most" else code
        for language in ("zh", "en"):
            assert reason(Refusal("x", word, facts), language).startswith(f"{word}: ")
    for _, _, code in REFUSED_SERVICE:
        assert code in WORDS


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("姓名\n测试甲\n".encode(), "has no header row with the columns 志愿者/volunteer, 长者/elder"),
        (b"\xff\xfe\x00", "is neither UTF-8 nor GB18030"),
    ],
)
async def test_a_file_that_is_no_table_gets_one_line_and_no_server_is_asked(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    said = await command("postgresql://nobody@127.0.0.1:1/none", "service", tmp_path / "bad.csv", "--yes")
    assert said.code == 1
    assert said.output.startswith("Error: ")
    assert complaint in said.output
    assert said.output.count("\n") == 1


async def test_a_csv_broken_in_its_last_line_writes_nothing(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    await found_community(database, community_id=1, code="test", name="测试社区")
    rows = "".join(f"测试{number}\n" for number in range(3000))
    (tmp_path / "list.csv").write_text("姓名\n" + rows + '"测试', encoding="utf-8")
    said = await command(app_url, "people", tmp_path / "list.csv", "--yes")
    assert said.code == 1
    assert "line 3002: not a well-formed CSV" in said.output
    assert await count(database, "people") == 0


async def test_the_community_is_named_by_its_code_when_there_are_two(
    database: Database, app_url: str
) -> None:
    for community_id in (1, 2):
        await found_community(database, community_id=community_id, code=f"c{community_id}", name="测试社区")
    unnamed = await command(app_url, "people", SAMPLES / "roster.csv", "--yes")
    assert (unnamed.code, unnamed.output) == (1, "Error: --community CODE is needed, one of: c1, c2\n")
    wrong = await command(app_url, "people", SAMPLES / "roster.csv", "--yes", "--community", "c3")
    assert wrong.output == "Error: --community c3: there is no such community (there is: c1, c2)\n"
    named = await command(app_url, "people", SAMPLES / "roster.csv", "--yes", "--community", "c2")
    assert (named.code, await count(database, "people")) == (0, 0), named.output
    async with database.unit_of_work(2) as uow:
        assert await (await uow.connection()).fetchval("SELECT count(*) FROM bank.people") == 5


async def test_a_database_that_is_away_gets_one_line() -> None:
    said = await command("postgresql://nobody@127.0.0.1:1/none", "people", SAMPLES / "roster.csv", "--yes")
    assert said.code == 1
    assert "Traceback" not in said.output
    assert said.output.startswith("Error: ")
