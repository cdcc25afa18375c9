"""HiGHS, as this engine asks it: the relaxation with its prices, and whole plans within a gap.

One thread, a fixed seed and limits that are counted, never timed: the same model gives the same answer.
Time is kept outside, by who may end the process (:mod:`services.matching.engine.processes`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from services.matching.engine.arrays import Bools, Floats, Ints
from services.matching.engine.parts import Part
from services.matching.engine.rows import Rows

SEED = 1
WHOLE = 1e-6
"""How far from a whole number a value may lie and count as whole."""

Told = Callable[[Ints], None]
"""Is told every better plan as it is found: chosen columns, ascending."""


class SolverFailed(RuntimeError):
    """HiGHS ended without an answer; what it said is the message."""


@dataclass(frozen=True, slots=True)
class Relaxed:
    """The relaxation's optimum. value: by column, 0 to 1; prices: by row."""

    value: Floats
    prices: Floats

    @property
    def whole(self) -> bool:
        """Whether it is a plan already."""
        return bool((np.abs(self.value - np.rint(self.value)) < WHOLE).all())


def relaxed(part: Part, rows: Rows) -> Relaxed:
    """Solve the relaxation of a part. Raises SolverFailed."""
    model = _model(part, rows, np.ones(len(part), np.bool_))
    solver = _solver()
    _passed(solver.passModel(model))
    _run(solver)
    found = solver.getSolution()
    prices = np.asarray(found.row_dual, np.float64)
    return Relaxed(np.asarray(found.col_value, np.float64)[: len(part)], prices)


def whole(
    part: Part,
    rows: Rows,
    kept: Bools,
    *,
    start: Ints,
    gap: float,
    told: Told | None = None,
    improvements: int | None = None,
) -> Ints:
    """Return the best whole plan over the columns that are ``kept``, within ``gap`` of its own bound.

    start: a plan to begin with. told: is told every better plan. improvements: stop after so many of them.
    Raises SolverFailed.
    """
    model = _model(part, rows, kept, whole=True)
    solver = _solver(mip_rel_gap=gap)
    if improvements is not None:
        solver.setOptionValue("mip_max_improving_sols", improvements)
    _passed(solver.passModel(model))
    columns = np.flatnonzero(kept)
    solver.setSolution(_first(part, rows, kept, start))
    if told is not None:
        heard = told
        solver.cbMipImprovingSolution += lambda event: heard(_chosen(event.data_out.mip_solution, columns))
    _run(solver)
    return _chosen(solver.getSolution().col_value, columns)


def _chosen(values: Any, columns: Ints) -> Ints:
    picked = np.asarray(values, np.float64)[: len(columns)] > 0.5
    return columns[picked]


def _solver(**options: float) -> highspy.Highs:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    for name, value in {"threads": 1, "random_seed": SEED, **options}.items():
        solver.setOptionValue(name, value)
    return solver


def _passed(status: highspy.HighsStatus) -> None:
    if status == highspy.HighsStatus.kError:
        raise SolverFailed("the model was refused")


def _run(solver: highspy.Highs) -> None:
    solver.run()
    status = solver.getModelStatus()
    if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kSolutionLimit):
        raise SolverFailed(solver.modelStatusToString(status))


def _model(part: Part, rows: Rows, kept: Bools, *, whole: bool = False) -> highspy.HighsLp:
    """Return a part's model over some columns, all choices and all rests."""
    number = _numbers(rows, kept)
    count = int(number.max()) + 1
    used = number[rows.column] >= 0
    model = highspy.HighsLp()
    model.num_col_ = count
    model.num_row_ = len(rows)
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_ = np.concatenate(
        [part.value[kept], np.zeros(rows.choices), np.full(rows.rests, -part.further)]
    ).astype(np.float64)
    model.col_lower_ = np.zeros(count)
    model.col_upper_ = np.concatenate([np.ones(count - rows.rests), np.full(rows.rests, highspy.kHighsInf)])
    model.row_upper_ = rows.right.astype(np.float64)
    model.row_lower_ = np.where(rows.equal, rows.right.astype(np.float64), -highspy.kHighsInf)
    counts = np.add.reduceat(np.append(used, False), rows.start[:-1]) if len(rows) else np.zeros(0)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.num_col_ = count
    model.a_matrix_.num_row_ = len(rows)
    model.a_matrix_.start_ = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    model.a_matrix_.index_ = number[rows.column[used]].astype(np.int32)
    model.a_matrix_.value_ = rows.coefficient[used].astype(np.float64)
    if whole:
        kind = [highspy.HighsVarType.kInteger] * (count - rows.rests)
        model.integrality_ = kind + [highspy.HighsVarType.kContinuous] * rows.rests
    return model


def _numbers(rows: Rows, kept: Bools) -> Ints:
    """Return, by column of the rows, its number in the model; -1 where it is left out."""
    all_kept = np.concatenate([kept, np.ones(rows.choices + rows.rests, np.bool_)])
    return np.where(all_kept, np.cumsum(all_kept) - 1, -1)


def _first(part: Part, rows: Rows, kept: Bools, plan: Ints) -> highspy.HighsSolution:
    """Return a plan as values of the model's columns, choices and rests reckoned from it."""
    chosen = np.zeros(len(part) + rows.choices + rows.rests)
    chosen[plan] = 1
    row = np.repeat(np.arange(len(rows)), np.diff(rows.start))
    paired = np.flatnonzero(rows.equal)
    real = rows.column < len(part)
    sums = np.bincount(
        row[real], weights=rows.coefficient[real] * chosen[rows.column[real]], minlength=len(rows)
    )
    chosen[len(part) : len(part) + rows.choices] = sums[paired] > 0
    chosen[len(part) + rows.choices :] = np.maximum(sums[rows.rest_row] - 1, 0)
    solution = highspy.HighsSolution()
    solution.col_value = chosen[np.concatenate([kept, np.ones(rows.choices + rows.rests, np.bool_)])].tolist()
    return solution
