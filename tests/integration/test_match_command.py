"""``pointsbank match``: from files alone to pairs, reasons and bound, and the same again."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from api.cli import main

SAMPLES = Path(__file__).parents[1] / "samples"
TABLES = (SAMPLES / "match-requests.csv", "--volunteers", SAMPLES / "match-volunteers.csv")


def match(*given: str | Path, language: str = "en") -> tuple[int, str]:
    """Run ``pointsbank match …`` where no database could be found; return how it ended and what it said."""
    environment = {"LANG": "C.UTF-8", "POINTSBANK_DATA": "/nowhere", "PATH": "/nowhere"}
    result = CliRunner().invoke(
        main, ["match", *map(str, given), "--language", language], env=environment, catch_exceptions=False
    )
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored run of the sample tables."""
    path = tmp_path_factory.mktemp("match") / "run.json"
    assert match(*TABLES, "--format", "json", "--out", path)[0] == 0
    return path


def test_tables_are_paired_and_every_pair_has_its_reason() -> None:
    code, said = match(*TABLES)
    assert code == 0, said
    assert "6 of 7 requests are served" in said
    assert "no plan is worth more than 10,328" in said
    folded = " ".join(said.replace("│", " ").split())
    for told in (
        "a first turn for a newcomer (+60)",
        "next best is V01, 210 less",
        "who goes to Q04 instead",
    ):
        assert told in folded
    assert "4 do not serve that grid" in said


def test_tables_of_chinese_spreadsheets_are_read_and_told_of_in_chinese(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_bytes(Path(TABLES[0]).read_text().encode("gb18030"))
    code, said = match(path, *TABLES[1:], language="zh_Hant_HK")
    assert code == 0, said
    assert "新人先得一次機會" in said
    assert "4 人不去那個網格" in said


def test_a_run_holds_objective_bound_gap_and_reasons_and_is_the_same_again(run: Path) -> None:
    document = json.loads(run.read_bytes())
    assert document["summary"] == {"objective": 10_328, "bound": 10_328, "gap": 0.0, "asked": 7, "served": 6}
    assert document["plan"]["unpaired"][0]["blocked"] == {"too_far": 4}
    code, said = match("--replay", run)
    assert code == 0, said
    assert said.startswith("the same again, byte for byte")


def changed(run: Path, into: Path, *place: str | int, value: Any) -> Path:
    document: Any = json.loads(run.read_bytes())
    inner = document
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    into.write_text(json.dumps(document))
    return into


def test_a_plan_that_was_altered_is_found_out(run: Path, tmp_path: Path) -> None:
    code, said = match(
        "--replay", changed(run, tmp_path / "a.json", "plan", "visits", 0, "volunteer", value="V02")
    )
    assert code == 1
    assert "another one" in said


def test_a_plan_of_another_instance_is_refused(run: Path, tmp_path: Path) -> None:
    code, said = match("--replay", changed(run, tmp_path / "a.json", "instance", "volunteers", value=[]))
    assert code == 1
    assert "not of its instance" in said


def test_a_spreadsheet_has_a_row_for_each_visit_and_each_who_waits() -> None:
    code, said = match(*TABLES, "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(said.lstrip("\ufeff"))))
    assert [row["request"] for row in rows] == ["Q01", "Q02", "Q03", "Q04", "Q05", "Q06", "Q06", "Q07"]
    assert rows[0]["when"] == "2026-03-02 09:00"
    assert rows[-1]["volunteer"] == ""
    assert rows[-1]["blocked"] == "4 do not serve that grid"


def test_one_json_document_is_enough() -> None:
    code, said = match(SAMPLES / "match.json", "--format", "json")
    assert code == 0, said
    plan = json.loads(said)["plan"]
    assert {visit["request"]: visit["volunteer"] for visit in plan["visits"]} == {"Q1": "V2", "Q2": "V1"}
    assert plan["unpaired"][0]["request"] == "Q3"
    assert set(plan["unpaired"][0]["blocked"]) == {"oneself", "excluded", "too_far"}


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ("A,60,yesterday,\n", "row 2, column start: must be minutes, 09:00 or a local date"),
        ("A,60,09:00,1\n\nB,0,09:00,1\n", "row 4, column minutes: must be at least 1"),
        ("A,60,09:00,99\n", "row 2, column grid: must be a known grid"),
        ("A,an hour,09:00,\n", "row 2, column minutes: must be a whole number"),
        ("A,60,,\n", "row 2, column start: is missing"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(rows: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_text(f"id,minutes,start,grid\n{rows}")
    code, said = match(path, *TABLES[1:])
    assert code == 1
    assert place in said


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"requests": [', "line 1, column 15"),
        (
            '{"requests": [{"id": "A", "minutes": 1.5}], "volunteers": []}',
            "requests[0].minutes must be a whole",
        ),
        ('{"requests": []}', "volunteers is missing"),
        ("[" * 100_000, "not well-formed"),
    ],
)
def test_a_wrong_document_is_named_by_its_path(text: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    code, said = match(path)
    assert code == 1
    assert place in said


def test_nothing_to_pair_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text('{"requests": [], "volunteers": []}')
    assert match(path) == (
        0,
        "0 of 0 requests are served\nworth 0; no plan is worth more than 0; at most 0.000% below the best\n",
    )


def test_a_published_assignment_problem_is_told_in_profit() -> None:
    code, said = match("--assignment", SAMPLES / "gap-c515-1.txt", "--maximise")
    assert code == 0, said
    assert "15 of 15 jobs are placed" in said
    assert "profit 336" in said


def test_an_assignment_is_told_to_programs_and_says_what_cannot_be_placed(tmp_path: Path) -> None:
    path = tmp_path / "gap.json"
    path.write_text('{"costs": [[1, 2, 3]], "weights": [[2, 2, 2]], "capacities": [5]}')
    code, said = match("--assignment", path, "--format", "json")
    assert code == 0, said
    answer = json.loads(said)
    assert (answer["agents"], answer["cost"], answer["placed"]) == ([0, 0, None], 3, 2)
    assert "no assignment can place all: at most 2" in match("--assignment", path)[1]


def test_one_thing_at_a_time() -> None:
    assert match()[0] == 2
    assert match(SAMPLES / "match.json", "--assignment", SAMPLES / "gap-c515-1.txt")[0] == 2
