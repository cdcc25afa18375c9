"""The engine against everything that could be tried, and its bound against the best there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings

from pointsbank.domain.pairing.check import require_sound
from pointsbank.domain.pairing.instance import Instance, Stretch
from pointsbank.domain.pairing.plan import How
from pointsbank.domain.pairing.value import value
from pointsbank.domain.pairing.weights import Weights
from services.matching.engine import solver
from services.matching.engine.columns import columns_of, field_of
from services.matching.engine.greedy import greedy, worth
from services.matching.engine.large import is_large, priced
from services.matching.engine.parts import parts_of
from services.matching.engine.prices import bound_by
from services.matching.engine.rows import point_rows, rows_of
from services.matching.engine.run import plan_by_greed, replay, told
from services.matching.engine.solving import plain_bound, solve
from tests.conftest import LONG
from tests.unit.pairing.days import GRIDS as DAY_GRIDS
from tests.unit.pairing.days import day
from tests.unit.pairing.instances import ORIGIN, best_worth, instances, possible

EXAMPLES = 10_000 if settings.get_current_profile_name() == LONG else 2_000

many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
some = settings(max_examples=EXAMPLES // 8, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(instances())
def test_the_plan_is_worth_what_the_best_of_all_plans_is_worth(instance: Instance) -> None:
    field = field_of(instance)
    columns = columns_of(field)
    parts = parts_of(field, columns)
    plan = told(instance, columns, parts, [solve(part) for part in parts])
    assert plan.worth == best_worth(instance)
    require_sound(instance, plan)


@some
@given(instances())
def test_no_claimed_bound_is_below_the_best_plan(instance: Instance) -> None:
    field = field_of(instance)
    parts = parts_of(field, columns_of(field))
    best = best_worth(instance)
    assert sum(plain_bound(part) for part in parts) >= best
    assert sum(priced(part, worth(part, greedy(part))).bound for part in parts) >= best
    relaxed = [(part, rows, solver.relaxed(part, rows)) for part in parts for rows in (rows_of(part),)]
    assert sum(bound_by(part, rows, found.prices).bound for part, rows, found in relaxed) >= best
    # Whatever the prices are, they prove something that holds.
    nonsense = np.random.default_rng(len(instance.requests)).normal(0, 500, 10_000)
    assert sum(bound_by(part, rows, nonsense[: len(rows)]).bound for part, rows, _ in relaxed) >= best
    for _, rows, found in relaxed:
        found.prices[rows.rest_row] += 300  # more than a rest costs: the bound would be endless
    assert sum(bound_by(part, rows, found.prices).bound for part, rows, found in relaxed) >= best


@some
@given(instances())
def test_columns_are_what_the_rules_allow_and_worth_what_the_page_says(instance: Instance) -> None:
    found = columns_of(field_of(instance))
    told_of = {
        (instance.requests[request].id, instance.volunteers[volunteer].id, start): worth_of
        for request, volunteer, start, worth_of in zip(
            found.request.tolist(),
            found.volunteer.tolist(),
            found.start.tolist(),
            found.value.tolist(),
            strict=True,
        )
    }
    assert told_of == {
        (request.id, volunteer.id, start): value(instance, request, volunteer, start)
        for request, volunteer, start in possible(instance)
    }


@some
@given(instances())
def test_greed_alone_gives_a_sound_plan(instance: Instance) -> None:
    plan = plan_by_greed(instance)
    assert {part.how for part in plan.parts} <= {How.GREEDY, How.RELAXED}
    assert plan.worth <= best_worth(instance) <= plan.bound


@some
@given(instances())
def test_a_run_cut_short_at_any_answer_replays_to_the_same_plan(instance: Instance) -> None:
    field = field_of(instance)
    columns = columns_of(field)
    parts = parts_of(field, columns)
    for cut in (1, 2, 3):
        answers = [replace(solve(part, stop_after=cut), how=How.STOPPED) for part in parts]
        plan = told(instance, columns, parts, answers)
        assert replay(instance, plan.parts) == plan


@some
@given(instances(carers=1))
def test_rows_by_points_in_time_leave_the_same_plans(instance: Instance) -> None:
    field = field_of(instance)
    for part in parts_of(field, columns_of(field)):
        rows, _ = point_rows(part)
        everything = np.ones(len(part), np.bool_)
        nothing = np.zeros(0, np.int64)
        by_points = solver.whole(part, rows, everything, start=nothing, gap=0.0)
        by_cliques = solver.whole(part, rows_of(part), everything, start=nothing, gap=0.0)
        assert worth(part, by_points) == worth(part, by_cliques)


def test_a_long_search_cut_short_at_any_answer_replays_to_the_same_plan() -> None:
    instance = day(seed=8, requests=60, volunteers=35, mode="window")  # told of more than it is asked for
    field = field_of(instance)
    columns = columns_of(field)
    parts = parts_of(field, columns)
    for cut in (2, 3, 4):
        answers = [replace(solve(part, stop_after=cut), how=How.STOPPED) for part in parts]
        assert max(answer.told for answer in answers) <= cut
        plan = told(instance, columns, parts, answers)
        assert replay(instance, plan.parts) == plan


def test_a_volunteer_whom_everybody_could_ask_is_priced_not_tabled() -> None:
    asked = day(requests=300, volunteers=1, mode="window", window=180).requests
    barber = replace(
        day(volunteers=1).volunteers[0],
        free=(Stretch(0, 1_440),),
        grids=frozenset(range(1, 17)),
        caps=(),
        skills={"escort": None, "haircut": None, "repair": None},
        gender="female",
    )
    instance = Instance(ORIGIN, DAY_GRIDS, Weights(), asked, (barber,))
    (part,) = parts_of(field := field_of(instance), columns_of(field))
    assert len(part) > 2_000
    assert is_large(part)
    answer = solve(part)
    assert answer.how is How.PRICED
    assert answer.worth <= answer.bound
