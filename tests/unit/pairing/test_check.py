"""The check of a plan, rule by rule: what a wrong engine would return is refused; ours returns none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from pointsbank.domain.pairing.check import PlanFault, PlanUnsound, faults_of, require_sound
from pointsbank.domain.pairing.instance import Cap, Instance, Promise, Request, Spot, Stretch, Volunteer
from pointsbank.domain.pairing.plan import Change, Plan, PlannedVisit, Smallest, Unpaired
from pointsbank.domain.pairing.value import further, terms
from pointsbank.domain.pairing.weights import Weights
from services.matching.engine.run import plan_by_greed
from tests.unit.pairing.instances import GRIDS, ORIGIN

HERE, THERE = Spot(1, 0, 0), Spot(1, 1_300, 0)  # 26 minutes on foot

ASKED = Request(id="r", elder="e", spot=HERE, minutes=60, starts=(600,), preferred=600, blocks=60)
LATER = replace(ASKED, id="s", elder="f", starts=(660,), preferred=660)
ABLE = Volunteer(id="v", home=HERE, grids=frozenset({1}), free=(Stretch(540, 900),))

Made = tuple[tuple[Request, ...], tuple[Volunteer, ...]]


def instance_of(requests: tuple[Request, ...], volunteers: tuple[Volunteer, ...]) -> Instance:
    return Instance(ORIGIN, GRIDS, Weights(), requests, volunteers)


def plan_of(instance: Instance, visits: Mapping[tuple[str, str], int]) -> Plan:
    """Return a plan that says of itself that it is right."""
    requests = {request.id: request for request in instance.requests}
    volunteers = {volunteer.id: volunteer for volunteer in instance.volunteers}
    planned = []
    for (request, volunteer), start in visits.items():
        of = terms(instance, requests[request], volunteers[volunteer], start)
        planned.append(PlannedVisit(request, volunteer, start, sum(of.values()), of))
    often = [sum(volunteer == who for _, volunteer in visits) for who in volunteers]
    worth = sum(visit.value for visit in planned) - sum(further(instance.weights, count) for count in often)
    served = {request for request, _ in visits}
    unpaired = tuple(
        Unpaired(request, {}, 0, Change(Smallest.MORE_VOLUNTEERS))
        for request in requests
        if request not in served
    )
    return Plan(tuple(planned), unpaired, worth, worth, 0, 0, ())


BROKEN: dict[str, tuple[Made, dict[tuple[str, str], int]]] = {
    "oneself": (((replace(ASKED, elder="v"),), (ABLE,)), {("r", "v"): 600}),
    "excluded": (((replace(ASKED, excluded=frozenset({"v"})),), (ABLE,)), {("r", "v"): 600}),
    "too_far": (((ASKED,), (replace(ABLE, grids=frozenset({2})),)), {("r", "v"): 600}),
    "no_skill": (((replace(ASKED, skills=frozenset({"escort"})),), (ABLE,)), {("r", "v"): 600}),
    "no_skill until then": (
        ((replace(ASKED, skills=frozenset({"escort"})),), (replace(ABLE, skills={"escort": 659}),)),
        {("r", "v"): 600},
    ),
    "gender": (
        ((replace(ASKED, gender="female", gender_hard=True),), (replace(ABLE, gender="male"),)),
        {("r", "v"): 600},
    ),
    "not_free": (((ASKED,), (replace(ABLE, free=(Stretch(601, 900),)),)), {("r", "v"): 600}),
    "not_free to the end": (((ASKED,), (replace(ABLE, free=(Stretch(540, 659),)),)), {("r", "v"): 600}),
    "already_promised": (
        ((ASKED,), (replace(ABLE, busy=(Promise(659, 700, HERE),)),)),
        {("r", "v"): 600},
    ),
    "already_promised on the way": (
        ((ASKED,), (replace(ABLE, busy=(Promise(560, 575, THERE),)),)),
        {("r", "v"): 600},
    ),
    "cap": (((ASKED,), (replace(ABLE, caps=(Cap(0, 1_440, 59),)),)), {("r", "v"): 600}),
    "cap of two": (
        ((ASKED, LATER), (replace(ABLE, caps=(Cap(0, 1_440, 119),)),)),
        {("r", "v"): 600, ("s", "v"): 660},
    ),
    "double_booked": (
        ((ASKED, replace(LATER, starts=(630,))), (ABLE,)),
        {("r", "v"): 600, ("s", "v"): 630},
    ),
    "double_booked on the way": (
        ((ASKED, replace(LATER, spot=THERE)), (ABLE,)),
        {("r", "v"): 600, ("s", "v"): 660},
    ),
    "double_booked in a slot": (
        ((replace(ASKED, minutes=30, blocks=61), LATER), (ABLE,)),
        {("r", "v"): 600, ("s", "v"): 660},
    ),
    "carers": (((replace(ASKED, carers=2),), (ABLE,)), {("r", "v"): 600}),
    "carers of one": (((ASKED,), (ABLE, replace(ABLE, id="w"))), {("r", "v"): 600, ("r", "w"): 600}),
    "starts_apart": (
        ((replace(ASKED, carers=2, starts=(600, 615)),), (ABLE, replace(ABLE, id="w"))),
        {("r", "v"): 600, ("r", "w"): 615},
    ),
    "start": (((ASKED,), (ABLE,)), {("r", "v"): 615}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plan_that_breaks_a_rule_is_refused_by_its_name(name: str) -> None:
    made, visits = BROKEN[name]
    instance = instance_of(*made)
    with pytest.raises(PlanUnsound) as refused:
        require_sound(instance, plan_of(instance, visits))
    assert name.split(" ", maxsplit=1)[0] in {fault.what for fault in refused.value.faults}


@pytest.mark.parametrize("name", BROKEN)
def test_the_engine_does_not_return_what_breaks_a_rule(name: str) -> None:
    made, visits = BROKEN[name]
    found = plan_by_greed(instance_of(*made))
    assert {(visit.request, visit.volunteer): visit.start for visit in found.visits} != visits


@pytest.mark.parametrize(
    ("spoilt", "fault"),
    [
        (lambda plan: replace(plan, worth=plan.worth + 1, bound=plan.bound + 1), "worth"),
        (lambda plan: replace(plan, bound=plan.bound - 1), "bound"),
        (lambda plan: replace(plan, visits=()), "not_told"),
        (lambda plan: replace(plan, visits=(replace(plan.visits[0], volunteer="nobody"),)), "unknown"),
        (lambda plan: replace(plan, visits=(replace(plan.visits[0], value=1),)), "value"),
        (lambda plan: replace(plan, visits=(replace(plan.visits[0], terms={}),)), "terms"),
        (
            lambda plan: replace(plan, unpaired=(Unpaired("r", {}, 0, Change(Smallest.MORE_VOLUNTEERS)),)),
            "served_and_not",
        ),
    ],
)
def test_a_plan_that_says_what_is_not_so_is_refused(spoilt: Callable[[Plan], Plan], fault: str) -> None:
    instance = instance_of((ASKED,), (ABLE,))
    sound = plan_of(instance, {("r", "v"): 600})
    assert list(faults_of(instance, sound)) == []
    assert fault in {found.what for found in faults_of(instance, spoilt(sound))}


def test_a_visit_may_follow_another_as_soon_as_walking_allows() -> None:
    reached = replace(LATER, spot=THERE, starts=(686,), preferred=686)
    instance = instance_of((ASKED, reached), (ABLE,))
    assert {visit.request for visit in plan_by_greed(instance).visits} == {"r", "s"}
    assert PlanFault("double_booked", "v") not in faults_of(
        instance, plan_of(instance, {("r", "v"): 600, ("s", "v"): 686})
    )
