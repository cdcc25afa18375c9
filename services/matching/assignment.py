"""Generalised assignment by the matching engine: jobs to agents of limited capacity, at the least cost.

Agent i does job j at ``costs[i][j]`` and spends ``weights[i][j]`` of ``capacities[i]``; each job goes to one
agent. The mapping: a job is a request, an agent a volunteer with one cap, and nothing collides in time
(minutes, blocks and walks are 0). Where every job must be done a pair is worth ``K − loss``: loss is what it
costs above the cheapest pair of all, and K is above all losses of any plan, so that one more job is always
worth more. Then what k jobs cost, and the least they could, follow from worth and bound exactly.

Documents: ``{"costs": [[…]], "weights": [[…]], "capacities": […], "maximise": false, "all": true}``, a row an
agent; or the text of OR-Library (Beasley, J. Operational Research Society 41 (1990);
people.brunel.ac.uk/~mastjjb/jeb/orlib/gapinfo.html): agents and jobs, costs row by row, weights row by row,
capacities; before several problems their number.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.pairing.check import PlanFault, PlanUnsound
from pointsbank.domain.pairing.fields import Fields, count, flag, items, number
from pointsbank.domain.pairing.plan import How
from services.matching.engine.arrays import Ground, Ints, Spread
from services.matching.engine.parts import Part
from services.matching.engine.processes import PartProcesses

EXACT = "services.matching.engine.exact_process"
"""The module to give :class:`PartProcesses`: the constant would hide a gap."""

Table = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """costs, weights: by agent and job. maximise: costs are profits. every: all jobs must be done."""

    costs: Table
    weights: Table
    capacities: tuple[int, ...]
    maximise: bool = False
    every: bool = True

    def __post_init__(self) -> None:
        if not self.costs or len({len(row) for row in self.costs}) != 1 or not self.costs[0]:
            raise InvalidValue(field="costs", rule="same_length")
        if [len(row) for row in self.weights] != [len(row) for row in self.costs]:
            raise InvalidValue(field="weights", rule="same_length")
        if len(self.capacities) != len(self.costs):
            raise InvalidValue(field="capacities", rule="same_length")

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return len(self.costs[0])


@dataclass(frozen=True, slots=True)
class Assignment:
    """An answer. agents: by job, who does it, None for nobody.

    bound: what as many jobs cost at least, or give at most. most: no plan places more jobs.
    """

    agents: tuple[int | None, ...]
    cost: int
    bound: int
    most: int
    how: How

    @property
    def placed(self) -> int:
        """How many jobs are done."""
        return sum(agent is not None for agent in self.agents)

    @property
    def gap(self) -> float:
        """How far cost and bound are apart at most, as a share of the bound."""
        return abs(self.cost - self.bound) / abs(self.bound) if self.bound else float(self.cost != self.bound)


def read_problem(document: object) -> Problem:
    """Return the problem of a JSON document. Raises InvalidValue, its field being the path."""
    given = Fields(document, "")
    problem = Problem(
        costs=given.take("costs", items(items(number))),
        weights=given.take("weights", items(items(count))),
        capacities=given.take("capacities", items(count)),
        maximise=given.take("maximise", flag, False),
        every=given.take("all", flag, True),
    )
    given.end()
    return problem


def read_or_library(text: str, *, maximise: bool = False) -> list[Problem]:
    """Return the problems of an OR-Library text. Raises InvalidValue naming the number that is wrong."""
    numbers: list[int] = []
    for line, words in enumerate(text.splitlines(), start=1):
        for word in words.split():
            if not word.lstrip("-").isascii() or not word.lstrip("-").isdigit() or len(word) > 10:
                raise InvalidValue(field=f"line {line}", rule="whole_number")
            numbers.append(int(word))
    if len(numbers) >= 2 and len(numbers) == _length(numbers[0], numbers[1]):
        return [_problem(numbers, maximise=maximise)]
    problems: list[Problem] = []
    rest = numbers[1:]
    while rest:
        problems.append(_problem(rest, maximise=maximise))
        rest = rest[_length(rest[0], rest[1]) :]
    if not problems or len(problems) != numbers[0]:
        raise InvalidValue(field="document", rule="count")
    return problems


def _length(agents: int, jobs: int) -> int:
    return 2 + 2 * agents * jobs + agents


def _problem(numbers: list[int], *, maximise: bool) -> Problem:
    if len(numbers) < 2 or min(numbers[:2]) < 1 or len(numbers) < _length(numbers[0], numbers[1]):
        raise InvalidValue(field="document", rule="count")
    agents, jobs = numbers[:2]
    rows = [tuple(numbers[2 + jobs * at : 2 + jobs * (at + 1)]) for at in range(2 * agents)]
    capacities = numbers[2 + 2 * agents * jobs : _length(agents, jobs)]
    if min(map(min, rows[agents:])) < 0 or min(capacities) < 0:
        raise InvalidValue(field="weights", rule="not_negative")
    return Problem(tuple(rows[:agents]), tuple(rows[agents:]), tuple(capacities), maximise=maximise)


def assign(problem: Problem, processes: PartProcesses, *, seconds: float) -> Assignment:
    """Return the best assignment found within ``seconds``, checked. processes: of the module ``EXACT``.

    Raises PlanUnsound (an error of the engine) and InvalidValue (sums too large to be exact).
    """
    sign = 1 if problem.maximise else -1
    gain = sign * np.array(problem.costs, np.int64)
    most = int(gain.max())
    constant = 1 + int((most - gain).max(axis=0).sum()) if problem.every else 0
    if constant * problem.jobs > 1 << 50 or abs(most) * problem.jobs > 1 << 50:
        raise InvalidValue(field="costs", rule="too_large")
    value = constant - (most - gain) if problem.every else gain
    part = _part(problem, value)
    if part is None:
        return Assignment((None,) * problem.jobs, 0, 0, 0, How.RELAXED)
    (found,) = processes.solve([part], seconds=seconds)
    agents: list[int | None] = [None] * problem.jobs
    for column in found.plan.tolist():
        job = int(part.requests[part.request[column]])
        if agents[job] is not None:
            raise PlanUnsound((PlanFault("served_twice", str(job)),))
        agents[job] = int(part.volunteers[part.volunteer[column]])
    placed = len(found.plan)
    rest = placed * (most - constant) if problem.every else 0
    answer = Assignment(
        agents=tuple(agents),
        cost=sign * (found.worth + rest),
        bound=sign * (found.bound + rest),
        most=min(problem.jobs, (found.bound + constant - 1) // constant) if problem.every else problem.jobs,
        how=found.how,
    )
    require_sound(problem, answer)
    return answer


def require_sound(problem: Problem, answer: Assignment) -> None:
    """Check an assignment against its problem alone. Raises PlanUnsound."""
    used: dict[int, int] = defaultdict(int)
    cost = 0
    for job, agent in enumerate(answer.agents):
        if agent is not None:
            used[agent] += problem.weights[agent][job]
            cost += problem.costs[agent][job]
    faults = [PlanFault("cap", str(agent)) for agent in used if used[agent] > problem.capacities[agent]]
    if cost != answer.cost:
        faults.append(PlanFault("worth", f"{answer.cost} is {cost}"))
    if (answer.cost > answer.bound) if problem.maximise else (answer.cost < answer.bound):
        faults.append(PlanFault("bound", f"{answer.bound} beyond {answer.cost}"))
    if faults:
        raise PlanUnsound(tuple(faults))


def _part(problem: Problem, value: Ints) -> Part | None:
    """Return the problem as a part of the engine; None where no pair is possible."""
    weights, capacities = np.array(problem.weights, np.int64), np.array(problem.capacities, np.int64)
    job, agent = np.nonzero(((weights <= capacities[:, None]) & (value > 0)).T)
    if not len(job):
        return None
    jobs, request = np.unique(job, return_inverse=True)
    agents, volunteer = np.unique(agent, return_inverse=True)
    nothing = np.zeros(len(jobs), np.int64)
    return Part(
        requests=jobs,
        volunteers=agents,
        request=request,
        volunteer=volunteer,
        start=np.zeros(len(job), np.int64),
        value=value[agent, job],
        load=weights[agent, job],
        carers=np.ones(len(jobs), np.int64),
        minutes=nothing,
        blocks=nothing,
        spot=nothing,
        caps=Spread(np.arange(len(agents) + 1)),
        cap_start=np.full(len(agents), -1),
        cap_end=np.ones(len(agents), np.int64),
        cap_load=capacities[agents],
        further=0,
        ground=_NOWHERE,
    )


_NOWHERE = Ground(
    grid=np.zeros(1, np.int64),
    east=np.zeros(1, np.int64),
    north=np.zeros(1, np.int64),
    placed=np.zeros(1, np.bool_),
    distance=np.zeros((1, 1), np.int64),
    walk=1,
    detour=0,
    walk_grid=np.zeros(4, np.int64),
)
"""One place: there is no way between any two visits."""
