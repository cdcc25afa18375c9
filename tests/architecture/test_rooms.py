"""The rooms of the house: who may import whom, and who knows SQL."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CAPABILITIES = (
    "people",
    "ledger",
    "care",
    "matching",
    "settlement",
    "audit",
    "partnerkit",
    "canteen",
    "station",
)
SQL_LIBRARIES = {"sqlalchemy", "sqlmodel", "asyncpg"}
SQL = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\S+\s+(\w+\s+)?SET|DELETE\s+FROM)\b", re.DOTALL)


def modules() -> Iterator[Path]:
    for capability in CAPABILITIES:
        for path in (ROOT / "services" / capability).rglob("*.py"):
            if "migrations" not in path.parts:
                yield path


def knows_sql(path: Path) -> bool:
    """Whether a module may: tables, stores, and the tests of nothing else."""
    return path.stem == "tables" or path.stem == "store" or path.stem.endswith("_store")


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", sorted(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_stores_and_tables_know_sql(path: Path) -> None:
    if knows_sql(path):
        return
    tree = ast.parse(path.read_text())
    # What is imported for annotations only never runs.
    for node in ast.walk(tree):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        libraries = {name.split(".")[0] for name in names} & SQL_LIBRARIES
        assert not libraries, f"{path.name} imports {libraries}: put the query into a store"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not SQL.search(node.value), f"{path.name}:{node.lineno} holds SQL: put it into a store"


def test_a_capability_takes_from_another_only_its_services_and_views() -> None:
    hidden = re.compile(r"services\.(\w+)\.(?:\w+\.)?(\w*store|tables)\b")
    for path in modules():
        own = path.relative_to(ROOT / "services").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            for full in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                match = hidden.match(full)
                if match and match[1] != own and match[1] != "partnerkit":
                    pytest.fail(f"{path.relative_to(ROOT)} reaches into {full}")


def test_the_api_and_the_seeds_never_touch_a_store() -> None:
    for room in ("api", "seeds"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("services."):
                    named = {node.module.split(".")[-1], *(alias.name for alias in node.names)}
                    stores = {name for name in named if name.endswith("store") or name == "tables"}
                    assert not stores, f"{path.relative_to(ROOT)} imports {stores}"


def test_every_room_of_the_top_level_is_agreed() -> None:
    agreed = {"pyproject.toml", "pointsbank", "services", "api", "seeds", "tests", "README.md"}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout: nothing tells which files belong to the project")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= agreed
