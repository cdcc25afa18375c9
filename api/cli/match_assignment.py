"""``pointsbank match --assignment``: generalised assignment problems, told in cost."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from api.cli.match_files import Files, is_json
from pointsbank.domain.pairing.form import canonical
from pointsbank.platform.sheets import encoding_of
from services.matching.assignment import EXACT, Assignment, Problem, assign, read_or_library, read_problem
from services.matching.engine.processes import PartProcesses

WIDTH = 100


def assigned(files: Files, file: Path, *, maximise: bool, seconds: float, form: str) -> bytes:
    """Return the answers to a file's problems in a form: ``text``, ``json`` or ``csv``."""
    with files.faults(file):
        if is_json(file):
            problems = [read_problem(files.json(file))]
        else:
            problems = read_or_library(file.read_text(encoding=encoding_of(file)), maximise=maximise)
        with PartProcesses(module=EXACT) as processes:
            answers = [assign(problem, processes, seconds=seconds) for problem in problems]
    told = list(zip(problems, answers, strict=True))
    if form == "json":
        documents = [document(answer) for _, answer in told]
        return canonical(documents[0] if len(documents) == 1 else documents) + b"\n"
    return _csv(told) if form == "csv" else _text(files, told).encode()


def document(answer: Assignment) -> dict[str, Any]:
    """Return an answer for programs; agents count from 0, null for a job that nobody does."""
    return {
        "agents": list(answer.agents),
        "cost": answer.cost,
        "bound": answer.bound,
        "gap": answer.gap,
        "how": answer.how.value,
        "placed": answer.placed,
        "most": answer.most,
    }


def _text(files: Files, told: list[tuple[Problem, Assignment]]) -> str:
    console = Console(file=io.StringIO(), width=WIDTH, highlight=False)
    for problem, answer in told:
        table = Table()
        for column in ("agent", "jobs", "used", "cost"):
            table.add_column(files.t(f"match.column.{column}"), overflow="fold")
        for agent, capacity in enumerate(problem.capacities):
            jobs = [job for job, each in enumerate(answer.agents) if each == agent]
            used = sum(problem.weights[agent][job] for job in jobs)
            cost = sum(problem.costs[agent][job] for job in jobs)
            table.add_row(
                str(agent + 1), " ".join(str(job + 1) for job in jobs), f"{used} / {capacity}", f"{cost:,}"
            )
        console.print(table)
        for line in _lines(files, problem, answer):
            console.print(line, markup=False, soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _lines(files: Files, problem: Problem, answer: Assignment) -> list[str]:
    lines = [files.t("match.assigned.done", placed=answer.placed, jobs=problem.jobs)]
    left = [str(job + 1) for job, agent in enumerate(answer.agents) if agent is None]
    if problem.every and left:
        lines.append(files.t("match.assigned.not_all", jobs=" ".join(left)))
        if answer.most < problem.jobs:
            lines.append(files.t("match.assigned.cannot", most=answer.most))
    key = "match.assigned.profit" if problem.maximise else "match.assigned.cost"
    facts = {"cost": f"{answer.cost:,}", "bound": f"{answer.bound:,}", "gap": f"{answer.gap:.3%}"}
    return [*lines, files.t(key, **facts), files.t(f"match.how.{answer.how}")]


def _csv(told: list[tuple[Problem, Assignment]]) -> bytes:
    """Return a row a job, counted from 1, the agent empty where nobody does it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["problem", "job", "agent", "cost", "weight"])
    for at, (problem, answer) in enumerate(told, start=1):
        for job, agent in enumerate(answer.agents):
            found = ["", "", ""]
            if agent is not None:
                found = [str(agent + 1), str(problem.costs[agent][job]), str(problem.weights[agent][job])]
            writer.writerow([at, job + 1, *found])
    return text.getvalue().encode()
