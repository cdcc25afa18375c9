"""Generalised assignment: agrees with brute force, with another solver and with what is published."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.pairing.check import PlanUnsound
from pointsbank.domain.pairing.plan import How
from services.matching.assignment import (
    EXACT,
    Assignment,
    Problem,
    assign,
    read_or_library,
    read_problem,
    require_sound,
)
from services.matching.engine.processes import PartProcesses

SAMPLES = Path(__file__).parents[1] / "samples"
SECONDS = 20.0


@pytest.fixture(scope="module")
def processes() -> Iterator[PartProcesses]:
    with PartProcesses(2, module=EXACT) as processes:
        yield processes


def by_hand(problem: Problem) -> tuple[int, int]:
    """Return, of all assignments, how many jobs the best places and what it costs."""
    sign = 1 if problem.maximise else -1
    found = []
    for agents in product([None, *range(len(problem.capacities))], repeat=problem.jobs):
        used = [0] * len(problem.capacities)
        gain = placed = 0
        for job, agent in enumerate(agents):
            if agent is not None:
                used[agent] += problem.weights[agent][job]
                gain += sign * problem.costs[agent][job]
                placed += 1
        if all(each <= capacity for each, capacity in zip(used, problem.capacities, strict=True)):
            found.append((placed if problem.every else 0, gain, placed))
    _, gain, placed = max(found)
    return placed, sign * gain


def small(chance: random.Random) -> Problem:
    agents, jobs = chance.randint(1, 3), chance.randint(1, 6)
    table = [[chance.randint(-5, 20) for _ in range(jobs)] for _ in range(agents)]
    weights = [[chance.randint(0, 9) for _ in range(jobs)] for _ in range(agents)]
    return Problem(
        tuple(map(tuple, table)),
        tuple(map(tuple, weights)),
        tuple(chance.randint(0, 15) for _ in range(agents)),
        maximise=chance.random() < 0.5,
        every=chance.random() < 0.7,
    )


def test_small_problems_are_solved_as_well_as_by_trying_everything(processes: PartProcesses) -> None:
    chance = random.Random(7)
    for _ in range(120):
        problem = small(chance)
        answer = assign(problem, processes, seconds=SECONDS)
        placed, cost = by_hand(problem)
        assert answer.cost == cost, problem
        if problem.every:
            assert answer.placed == placed, problem
            assert placed <= answer.most
        assert (answer.bound >= cost) if problem.maximise else (answer.bound <= cost), problem


def standard(kind: str, agents: int, jobs: int, seed: int) -> Problem:
    """Return a generated problem of the types a to e that the literature uses.

    Chu and Beasley, A genetic algorithm for the generalised assignment problem, Computers & Operations
    Research 24 (1997), section 5; type e: Laguna, Kelly, González-Velarde and Glover, Tabu search for the
    multilevel generalized assignment problem, European Journal of Operational Research 82 (1995).
    """
    chance = random.Random(f"{kind}{seed}")
    rows = range(agents), range(jobs)
    if kind in "abc":
        weights = [[chance.randint(5, 25) for _ in rows[1]] for _ in rows[0]]
        costs = [[chance.randint(10, 50) for _ in rows[1]] for _ in rows[0]]
    elif kind == "d":
        weights = [[chance.randint(1, 100) for _ in rows[1]] for _ in rows[0]]
        costs = [[111 - weight + chance.randint(-10, 10) for weight in row] for row in weights]
    else:
        weights = [[round(1 - 10 * math.log(1 - chance.random())) for _ in rows[1]] for _ in rows[0]]
        costs = [[round(1_000 / weight - 10 * chance.random()) for weight in row] for row in weights]
    capacities = [sum(row) * 8 // (10 * agents) for row in weights]
    if kind in "ab":
        cheapest = [min(rows[0], key=lambda agent: costs[agent][job]) for job in rows[1]]
        most = max(sum(weights[i][j] for j in rows[1] if cheapest[j] == i) for i in rows[0])
        shared = int(9 * jobs / agents + 0.4 * most)
        capacities = [shared if kind == "a" else shared * 7 // 10] * agents
    return Problem(tuple(map(tuple, costs)), tuple(map(tuple, weights)), tuple(capacities))


def otherwise(problem: Problem) -> int:
    """Return the least cost by scipy's solver, on the plain model."""
    agents, jobs = len(problem.capacities), problem.jobs
    once = np.tile(np.eye(jobs), agents)
    loads = np.zeros((agents, agents * jobs))
    for agent, row in enumerate(problem.weights):
        loads[agent, agent * jobs : (agent + 1) * jobs] = row
    found = milp(
        np.array(problem.costs).ravel(),
        integrality=1,
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(once, 1, 1), LinearConstraint(loads, -np.inf, problem.capacities)],
        options={"mip_rel_gap": 0},
    )
    return round(found.fun)


@pytest.mark.parametrize("kind", list("abcde"))
def test_the_standard_types_cost_what_another_solver_says(kind: str, processes: PartProcesses) -> None:
    problem = standard(kind, 4, 15, seed=1)
    answer = assign(problem, processes, seconds=SECONDS)
    assert answer.placed == problem.jobs
    assert answer.cost == otherwise(problem)
    assert answer.bound <= answer.cost
    assert answer.gap < 0.15


def test_a_published_problem_has_its_published_optimum(processes: PartProcesses) -> None:
    """c515-1 of OR-Library's gap1 (Cattrysse, Salomon and Van Wassenhove, EJOR 72, 1994): at most 336."""
    (problem,) = read_or_library((SAMPLES / "gap-c515-1.txt").read_text(), maximise=True)
    answer = assign(problem, processes, seconds=SECONDS)
    assert (answer.cost, answer.placed) == (336, 15)
    assert 336 <= answer.bound <= 345


def test_what_cannot_all_be_placed_says_so(processes: PartProcesses) -> None:
    answer = assign(Problem(((1, 2, 3),), ((2, 2, 2),), (5,)), processes, seconds=SECONDS)
    assert (answer.placed, answer.cost, answer.most) == (2, 3, 2)


def test_a_job_that_fits_nowhere_is_left(processes: PartProcesses) -> None:
    assert assign(Problem(((1,),), ((2,),), (1,)), processes, seconds=SECONDS).agents == (None,)


def test_the_check_refuses_an_overfull_agent_a_wrong_cost_and_a_bound_that_is_none() -> None:
    problem = Problem(((1, 2),), ((2, 2),), (3,))
    sound = Assignment((0, None), 1, 1, 1, How.RELAXED)
    require_sound(problem, sound)
    for wrong in (replace(sound, agents=(0, 0), cost=3), replace(sound, cost=2), replace(sound, bound=2)):
        with pytest.raises(PlanUnsound):
            require_sound(problem, wrong)


@pytest.mark.parametrize(
    ("document", "field", "rule"),
    [
        ({"costs": [[1, 2]], "weights": [[1]], "capacities": [1]}, "weights", "same_length"),
        ({"costs": [[1], [2, 3]], "weights": [[1], [1]], "capacities": [1, 1]}, "costs", "same_length"),
        ({"costs": [[1.5]], "weights": [[1]], "capacities": [1]}, "costs[0][0]", "whole_number"),
        ({"costs": [[1]], "weights": [[-1]], "capacities": [1]}, "weights[0][0]", "not_negative"),
        ({"costs": [[1]], "weights": [[1]], "capacities": [1], "min": True}, "min", "unknown_field"),
        ({"weights": [[1]], "capacities": [1]}, "costs", "missing"),
    ],
)
def test_a_wrong_document_is_refused_by_its_path(document: object, field: str, rule: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_problem(document)
    assert (refused.value.field, refused.value.rule) == (field, rule)


@pytest.mark.parametrize("text", ["", "1", "2 2 1 1", "1 2 x", "2 1 1 1 1 1", "0 0", "1 1 1 1 -1"])
def test_a_wrong_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        read_or_library(text)
