"""``pointsbank match``: pair requests with volunteers from files, by itself: no database, no server."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from api.cli.match_assignment import assigned
from api.cli.match_files import Files
from api.cli.match_words import Telling, locale_of_environment
from api.cli.output import STDOUT, output_file
from pointsbank.domain.pairing.form import canonical, written_instance
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan
from pointsbank.domain.pairing.plan_form import written_plan
from pointsbank.platform.messages import LOCALES
from services.matching.engine.processes import PartProcesses
from services.matching.engine.run import SECONDS, plan, replay

WIDTH = 120
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=FILE, required=False)
@click.option("--volunteers", type=FILE, help="The table of volunteers, where FILE is one of requests.")
@click.option("--replay", "run", type=FILE, help="Run a stored run (--format json) again and compare.")
@click.option("--assignment", type=FILE, help="A generalised assignment problem instead, JSON or OR-Library.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=STDOUT, help="Where to (default: the terminal)."
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True
)
@click.option("--seconds", type=click.FloatRange(0.1, 86_400), default=SECONDS, show_default=True)
@click.option("--maximise", is_flag=True, help="Costs of an OR-Library assignment are profits.")
@click.option("--language", type=click.Choice(LOCALES), help="Of what is told (default: the terminal's).")
def match(
    file: Path | None,
    volunteers: Path | None,
    run: Path | None,
    assignment: Path | None,
    out: Path,
    form: str,
    seconds: float,
    maximise: bool,
    language: str | None,
) -> None:
    """Pair requests with volunteers: FILE is a JSON document, or a CSV or XLSX of requests."""
    if sum(each is not None for each in (file, run, assignment)) != 1:
        raise click.UsageError("one of FILE, --replay and --assignment is needed")
    files = Files(language or locale_of_environment())
    if run is not None:
        _replay(files, run)
    elif assignment is not None:
        _write(files, out, assigned(files, assignment, maximise=maximise, seconds=seconds, form=form))
    elif file is not None:
        instance = files.instance(file, volunteers)
        with PartProcesses() as processes:
            found = plan(instance, processes, seconds=seconds)
        _write(files, out, told(Telling(files.locale, instance, found), form))


def _write(files: Files, out: Path, text: bytes) -> None:
    with files.faults(out), output_file(out) as opened:
        opened.write(text)


def _replay(files: Files, run: Path) -> None:
    instance, found, document = files.run(run)
    try:
        with _printing_nothing():
            again = replay(instance, found.parts)
    except ValueError:
        raise click.ClickException(files.t("match.fault.other_run", file=run)) from None
    before, after = canonical(document), canonical(written_plan(again))
    if before != after:
        at = next(
            (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None
        )
        raise click.ClickException(
            files.t("match.replay.differs", at=min(len(before), len(after)) if at is None else at)
        )
    click.echo(files.t("match.replay.same", bytes=len(after)))


@contextmanager
def _printing_nothing() -> Iterator[None]:
    """Keep what the solver prints of itself out of our output."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def told(telling: Telling, form: str) -> bytes:
    """Return a plan as ``text`` for people, ``json`` (a run that can be replayed) or ``csv``."""
    if form == "json":
        return canonical(run_document(telling.instance, telling.plan)) + b"\n"
    return _table_text(telling).encode() if form == "text" else _csv(telling)


def run_document(instance: Instance, plan: Plan) -> dict[str, Any]:
    """Return a run as it is stored and replayed; ``summary`` is for readers and derived from the rest."""
    return {
        "summary": {
            "objective": plan.worth,
            "bound": plan.bound,
            "gap": plan.gap,
            "asked": len(instance.requests),
            "served": len(instance.requests) - len(plan.unpaired),
        },
        "instance": written_instance(instance),
        "plan": written_plan(plan),
    }


def _rows(telling: Telling) -> tuple[list[list[str]], list[list[str]]]:
    """Return who goes where, and who is left, with reasons."""
    paired = [
        [visit.request, telling.when(visit.start), visit.volunteer, str(visit.value), telling.why(visit)]
        for visit in telling.plan.visits
    ]
    unpaired = [
        [each.request, telling.blocked(each), telling.change(each.change)] for each in telling.plan.unpaired
    ]
    return paired, unpaired


PAIRED = ("request", "when", "volunteer", "worth", "why")
UNPAIRED = ("request", "blocked", "change")


def _table_text(telling: Telling) -> str:
    wide = sys.stdout.isatty()
    console = Console(file=io.StringIO(), width=Console().width if wide else WIDTH, highlight=False)
    for title, columns, rows in zip(
        ("match.title.paired", "match.title.unpaired"), (PAIRED, UNPAIRED), _rows(telling), strict=True
    ):
        if not rows:
            continue
        table = Table(title=telling.t(title), title_justify="left", show_lines=True)
        for column in columns:
            table.add_column(telling.t(f"match.column.{column}"), overflow="fold")
        for row in rows:
            table.add_row(*(_plain(cell) for cell in row))
        console.print(table)
    for line in telling.summary():
        console.print(line, markup=False, soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _plain(cell: str) -> str:
    """Return a cell that rich takes as it is."""
    return cell.replace("[", r"\[")


def _csv(telling: Telling) -> bytes:
    """Return a row a visit, then a row a request that nobody goes to; UTF-8 with a byte order mark."""
    paired, unpaired = _rows(telling)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*PAIRED, "blocked", "change"])
    writer.writerows([*row, "", ""] for row in paired)
    writer.writerows([request, "", "", "", "", *rest] for request, *rest in unpaired)
    return text.getvalue().encode("utf-8-sig")
