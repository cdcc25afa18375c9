"""One part solved: the plan, what it is worth, and the bound that no plan can exceed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pointsbank.domain.pairing.plan import How
from services.matching.engine import solver
from services.matching.engine.arrays import Bools, Ints
from services.matching.engine.greedy import greedy, worth
from services.matching.engine.large import is_large, priced
from services.matching.engine.parts import Part
from services.matching.engine.prices import SCALE, Bound, bound_by
from services.matching.engine.rows import rows_of

GAP = 1e-4
"""How far below its bound a plan may stay before the search goes on."""

MIDDLE = 50_000
"""Columns above which prices are tried first, so that a search cut short has a bound worth telling."""

LOOKS_A_START = 150
"""How often columns are looked at for ejection, for each start of each request, once prices lead the way."""


@dataclass(frozen=True, slots=True)
class Solved:
    """A part's plan. plan: chosen columns, ascending; bound: proved; told: answers told until this one."""

    plan: Ints
    worth: int
    bound: int
    how: How
    told: int


Tell = Callable[[Solved], None]


def solve(part: Part, *, tell: Tell | None = None, stop_after: int | None = None, gap: float = GAP) -> Solved:
    """Return a part's best plan.

    tell: is told every better answer as it is found, the first at once. stop_after: return the answer of that
    number: the same part tells the same answers, so one that was cut short is made again by its number. gap:
    how far below its bound the plan may stay.
    Raises SolverFailed.
    """
    return _Search(part, tell, stop_after, gap).run()


class _Enough(Exception):
    """As many answers were told as were asked for."""


class _Search:
    """A search under way: the best answer so far, and how many were told."""

    def __init__(self, part: Part, tell: Tell | None, stop_after: int | None, gap: float) -> None:
        self.part = part
        self._gap = gap
        self._tell = tell
        self._stop_after = stop_after
        self.best = first_answer(part)

    @property
    def _looks(self) -> int:
        """How often ejection may look, for each request: more where a request has more starts."""
        span = int(self.part.start.max()) + 1
        starts = len(np.unique(self.part.request * span + self.part.start))
        return LOOKS_A_START * starts // len(self.part.requests)

    def run(self) -> Solved:
        """Return the best answer."""
        try:
            self._told()
            if self.best.how is How.RELAXED:
                return self.best
            if len(self.part) > MIDDLE or is_large(self.part):
                self._price()
            if not is_large(self.part):
                self._relax_and_search()
        except _Enough:
            pass
        return self.best

    def _price(self) -> None:
        found = priced(self.part, self.best.worth)
        plan = greedy(self.part, found.hint, looks=self._looks)
        self._heard(plan, found.bound, How.PRICED)

    def _relax_and_search(self) -> None:
        part, rows = self.part, rows_of(self.part)
        relaxation = solver.relaxed(part, rows)
        bound = bound_by(part, rows, relaxation.prices)
        self._heard(greedy(part, relaxation.value, looks=self._looks), bound.bound, How.RELAXED)
        if self.best.worth >= self.best.bound - self.best.bound * self._gap:
            return
        kept = worthwhile(bound, self.best.worth)
        kept[self.best.plan] = True
        plan = solver.whole(
            part,
            rows,
            kept,
            start=self.best.plan,
            gap=self._gap,
            told=lambda found: self._heard(found, bound.bound, How.STOPPED, searching=True),
            improvements=None if self._stop_after is None else self._stop_after - self.best.told,
        )
        if self._stop_after is None or self.best.told < self._stop_after:
            self._settle(plan)

    def _heard(self, plan: Ints, bound: int, how: How, *, searching: bool = False) -> None:
        if self._stop_after is not None and self.best.told >= self._stop_after:
            return  # the solver ends a little after it was told to: what comes then was not told before
        reached = worth(self.part, plan)
        if reached <= self.best.worth:
            plan, reached = self.best.plan, self.best.worth
        self.best = Solved(plan, reached, min(self.best.bound, bound), how, self.best.told + 1)
        # The search cannot be left from within: it counts for itself when to end.
        self._told(leave=not searching)

    def _told(self, *, leave: bool = True) -> None:
        if self._tell is not None:
            self._tell(self.best)
        if leave and self._stop_after is not None and self.best.told >= self._stop_after:
            raise _Enough

    def _settle(self, plan: Ints) -> None:
        reached = worth(self.part, plan)
        if reached <= self.best.worth:
            plan, reached = self.best.plan, self.best.worth
        self.best = Solved(plan, reached, self.best.bound, How.SEARCHED, self.best.told)


def first_answer(part: Part) -> Solved:
    """Return a part's answer by greed and ejection: where it reaches the plain bound, there is no better."""
    plan, bound = greedy(part), plain_bound(part)
    reached = worth(part, plan)
    return Solved(plan, reached, bound, How.RELAXED if reached == bound else How.GREEDY, 1)


def plain_bound(part: Part) -> int:
    """Return a bound that needs no solver: every request by whoever is worth most."""
    most = np.zeros(len(part.requests), np.int64)
    np.maximum.at(most, part.request, part.value)
    return int((most * part.carers).sum())


def worthwhile(bound: Bound, known: int) -> Bools:
    """Return which columns a plan worth more than ``known`` could hold.

    With a column whose rest is negative no plan is worth more than the bound less what is missing: columns
    that cannot beat the known plan are left out, and the best plan stays among those kept.
    """
    return bound.scaled + np.minimum(bound.rest, 0) >= (known + 1) * SCALE
