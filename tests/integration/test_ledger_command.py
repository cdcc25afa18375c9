"""``pointsbank ledger``: what the command writes, and how it ends."""

from __future__ import annotations

import asyncio
import json
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.cli import main
from pointsbank.platform.database import Database
from services.ledger.exchange.exports import Format
from services.ledger.proof import seals
from tests.journals import fill, varied_journal
from tests.ledgers import bare_ledger


@dataclass(frozen=True, slots=True)
class Said:
    """How the command ended and what it printed."""

    code: int
    output: str
    error: str


async def command(app_url: str, data: Path, *arguments: str | Path) -> Said:
    """Run ``pointsbank ledger`` against a database, without a terminal."""
    given = ["ledger", *map(str, arguments), "--data", str(data)]
    environment = {"POINTSBANK_APP_DATABASE_URL": app_url, "COLUMNS": "200"}
    result = await asyncio.to_thread(CliRunner().invoke, main, given, env=environment)
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return Said(result.exit_code, result.stdout, result.stderr)


async def test_the_journal_goes_out_by_one_command_and_in_by_another(
    database: Database, app_url: str, other_app_url: str, tmp_path: Path
) -> None:
    await varied_journal(database)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    here, there = tmp_path / "here", tmp_path / "there"
    async with database.unit_of_work(1) as uow:
        line = await seals.seal_head(uow, seals.load_key(tmp_path))
    seals.append_seal(seals.seals_file(here, 1), line)
    out = await command(app_url, here, "export", "--format", "jsonl", "-o", first)
    assert out.code == 0, out.error
    header = json.loads(first.read_text().splitlines()[0])
    assert f"test-1: {header['entries']} entries, head {header['head']}" in out.error
    assert header["seals"] == [json.loads(line)]
    into = await command(other_app_url, there, "import", first)
    assert (into.code, into.output) == (
        0,
        f"test-1: {header['entries']} entries, head {header['head']}\n",
    ), into.error
    assert len(seals.read_seals(seals.seals_file(there, 1))) == 1
    again = await command(other_app_url, there, "import", first)
    assert f"{header['entries']} entries ({header['entries']} were there)" in again.output
    assert len(seals.read_seals(seals.seals_file(there, 1))) == 1
    await command(other_app_url, there, "export", "--format", "jsonl", "-o", second)
    assert first.read_text().splitlines()[1:] == second.read_text().splitlines()[1:]


async def test_the_file_is_for_its_owner_only_and_takes_the_place_of_the_last(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.xlsx"
    path.write_text("yesterday's")
    said = await command(app_url, tmp_path, "export", "--format", "xlsx", "-o", path, "--language", "en")
    assert said.code == 0, said.error
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"PK")
    assert list(tmp_path.glob(".books*")) == []


async def test_an_export_that_fails_leaves_the_last_file_and_nothing_beside_it(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.beancount"
    path.write_text("yesterday's")
    said = await command(app_url, tmp_path, "export", "--format", "beancount", "-o", path, "--from", "2")
    assert said.code == 1
    assert "this format takes the whole journal" in said.error
    assert path.read_text() == "yesterday's"
    assert list(tmp_path.iterdir()) == [path]


async def test_text_goes_to_standard_output_and_what_is_said_of_it_does_not(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    await varied_journal(database)
    said = await command(
        app_url, tmp_path, "export", "--format", "csv", "-o", "-", "--from", "3", "--to", "4"
    )
    assert said.code == 0, said.error
    assert said.output.startswith("\ufeff分录号,行,种类")
    assert {line.split(",")[0] for line in said.output.splitlines()[1:]} == {"3", "4"}
    assert "entries 3 to 4" in said.error
    refused = await command(app_url, tmp_path, "export", "--format", "xlsx", "-o", "-")
    assert refused.code == 2


@pytest.mark.parametrize("asked", ["0", "-1", "yesterday", "2026-02-30", "1.5"])
async def test_a_bound_that_is_no_number_and_no_day_is_refused(
    database: Database, app_url: str, tmp_path: Path, asked: str
) -> None:
    said = await command(app_url, tmp_path, "export", "--format", "csv", "-o", "-", f"--from={asked}")
    assert said.code == 2
    assert "neither an entry's number nor a day" in said.error


async def test_which_community_is_asked_for_when_there_are_several(
    database: Database, app_url: str, tmp_path: Path
) -> None:
    nobody = await command(app_url, tmp_path, "export", "--format", "csv", "-o", "-")
    assert (nobody.code, "there is: none" in nobody.error) == (1, True)
    for community_id in (1, 2):
        await bare_ledger(database, community_id)
    await fill(database, 2, community_id=2)
    several = await command(app_url, tmp_path, "export", "--format", "csv", "-o", "-")
    assert (several.code, "test-1, test-2" in several.error) == (1, True)
    one = await command(app_url, tmp_path, "export", "--format", "csv", "-o", "-", "--community", "test-2")
    assert (one.code, len(one.output.splitlines())) == (0, 5)


async def test_a_damaged_file_is_told_by_its_line_and_entry(
    database: Database, app_url: str, other_app_url: str, tmp_path: Path
) -> None:
    await varied_journal(database)
    path = tmp_path / "books.jsonl"
    await command(app_url, tmp_path, "export", "--format", Format.JSONL, "-o", path)
    lines = path.read_text().splitlines(keepends=True)
    line = json.loads(lines[-2])
    lines[-2] = lines[-2].replace(f'"amount":{line["amount"]},', f'"amount":{line["amount"] + 1},')
    path.write_text("".join(lines))
    said = await command(other_app_url, tmp_path, "import", path)
    assert said.code == 1
    assert f"line {len(lines) - 1}: the entry was altered" in said.error
    assert f"(entry {line['number']})" in said.error
    missing = await command(other_app_url, tmp_path, "import", tmp_path / "nothing.jsonl")
    assert (missing.code, "No such file" in missing.error) == (1, True)
