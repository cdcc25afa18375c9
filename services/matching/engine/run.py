"""A run of the engine: an instance in, a checked plan with its reasons and bound out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsbank.domain.pairing.check import require_sound
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import How, PartOfPlan, Plan
from services.matching.engine.arrays import Ints
from services.matching.engine.columns import Columns, columns_of, field_of
from services.matching.engine.parts import Part, parts_of
from services.matching.engine.processes import PartProcesses
from services.matching.engine.reasons import Reasons
from services.matching.engine.solving import Solved, first_answer, solve

SECONDS = 60.0
"""What a run is given unless told otherwise."""

CUT_SHORT = frozenset({How.STOPPED, How.GREEDY})


def plan(instance: Instance, processes: PartProcesses, *, seconds: float = SECONDS) -> Plan:
    """Return the best plan found within ``seconds``, checked. Raises PlanUnsound: an error of the engine."""
    field = field_of(instance)
    columns = columns_of(field)
    parts = parts_of(field, columns)
    return told(instance, columns, parts, processes.solve(parts, seconds=seconds))


def plan_by_greed(instance: Instance) -> Plan:
    """Return the plan of greed and ejection alone, checked; needs no other process and no solver."""
    field = field_of(instance)
    columns = columns_of(field)
    parts = parts_of(field, columns)
    return told(instance, columns, parts, [first_answer(part) for part in parts])


def replay(instance: Instance, recipe: Sequence[PartOfPlan]) -> Plan:
    """Return the plan of a former run again, from what it was given and how its parts came about.

    Parts that were cut short are cut at the same answer. Raises ValueError if the parts are not those.
    """
    field = field_of(instance)
    columns = columns_of(field)
    parts = parts_of(field, columns)
    if [len(part) for part in parts] != [each.columns for each in recipe]:
        raise ValueError("the recipe is of another instance")
    return told(
        instance, columns, parts, [_again(part, each) for part, each in zip(parts, recipe, strict=True)]
    )


def _again(part: Part, recipe: PartOfPlan) -> Solved:
    if recipe.how not in CUT_SHORT:
        return solve(part)
    found = solve(part, stop_after=recipe.told)
    return Solved(found.plan, found.worth, found.bound, recipe.how, found.told)


def told(instance: Instance, columns: Columns, parts: Sequence[Part], answers: Sequence[Solved]) -> Plan:
    """Return the plan that the parts' answers make, with its reasons, checked. Raises PlanUnsound."""
    chosen = _whole(columns, parts, answers)
    reasons = Reasons(instance, columns, chosen)
    visits = reasons.visits()
    standing = {
        (request.id, volunteer): start
        for request in instance.requests
        for volunteer, start in request.promised.items()
    }
    kept = sum(standing.get((visit.request, visit.volunteer)) == visit.start for visit in visits)
    found = Plan(
        visits=visits,
        unpaired=reasons.unpaired(),
        worth=sum(answer.worth for answer in answers),
        bound=sum(answer.bound for answer in answers),
        kept=kept,
        moved=len(standing) - kept,
        parts=tuple(
            PartOfPlan(
                requests=len(part.requests),
                volunteers=len(part.volunteers),
                columns=len(part),
                worth=answer.worth,
                bound=answer.bound,
                how=answer.how,
                told=answer.told,
            )
            for part, answer in zip(parts, answers, strict=True)
        ),
    )
    require_sound(instance, found)
    return found


def _whole(columns: Columns, parts: Sequence[Part], answers: Sequence[Solved]) -> Ints:
    """Return the chosen columns of all parts, by their places in the whole, ascending."""
    if not parts:
        return np.zeros(0, np.int64)
    where: list[Ints] = []
    for part, answer in zip(parts, answers, strict=True):
        asked = part.requests[part.request[answer.plan]]
        who, start = part.volunteers[part.volunteer[answer.plan]], part.start[answer.plan]
        where.append(_places(columns, asked, who, start))
    return np.sort(np.concatenate(where))


def _places(columns: Columns, request: Ints, volunteer: Ints, start: Ints) -> Ints:
    """Return where visits stand among the columns, which are ordered by request, volunteer, start."""
    found: list[int] = []
    for asked, who, begin in zip(request.tolist(), volunteer.tolist(), start.tolist(), strict=True):
        low, high = np.searchsorted(columns.request, [asked, asked + 1])
        low, high = low + np.searchsorted(columns.volunteer[low:high], [who, who + 1])
        found.append(int(low + np.searchsorted(columns.start[low:high], begin)))
    return np.array(found, np.int64)
