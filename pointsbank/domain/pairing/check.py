"""The check of a plan: whether it keeps every hard rule and is worth what it says.

Shares nothing with the engine: it asks :mod:`pointsbank.domain.pairing.rules` and
:mod:`pointsbank.domain.pairing.value` of every visit, one by one. Every plan that is returned has passed it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from pointsbank.domain.pairing.instance import Instance, Request, Volunteer
from pointsbank.domain.pairing.plan import Plan, PlannedVisit
from pointsbank.domain.pairing.rules import blocked_at, blocked_person, collide
from pointsbank.domain.pairing.value import further, value


@dataclass(frozen=True, slots=True)
class PlanFault:
    """What is wrong with a plan. what: a stable word; where: of which request or volunteer."""

    what: str
    where: str


class PlanUnsound(Exception):
    """A plan broke a rule: it must not be used."""

    def __init__(self, faults: tuple[PlanFault, ...]) -> None:
        super().__init__(", ".join(f"{fault.what} {fault.where}" for fault in faults[:10]))
        self.faults = faults


def require_sound(instance: Instance, plan: Plan) -> None:
    """Check a plan. Raises PlanUnsound."""
    faults = tuple(faults_of(instance, plan))
    if faults:
        raise PlanUnsound(faults)


def faults_of(instance: Instance, plan: Plan) -> Iterable[PlanFault]:
    """Yield all that is wrong with a plan."""
    requests = {request.id: request for request in instance.requests}
    volunteers = {volunteer.id: volunteer for volunteer in instance.volunteers}
    told = [visit.request for visit in plan.visits] + [unpaired.request for unpaired in plan.unpaired]
    known = [visit for visit in plan.visits if visit.request in requests and visit.volunteer in volunteers]
    for visit in plan.visits:
        if visit.request not in requests or visit.volunteer not in volunteers:
            yield PlanFault("unknown", visit.request)
    for missing in requests.keys() ^ set(told):
        yield PlanFault("not_told", missing)
    of_request, of_volunteer = defaultdict(list), defaultdict(list)
    for visit in known:
        of_request[visit.request].append(visit)
        of_volunteer[visit.volunteer].append(visit)
        yield from _alone(instance, requests[visit.request], volunteers[visit.volunteer], visit)
    for unpaired in plan.unpaired:
        if unpaired.request in of_request:
            yield PlanFault("served_and_not", unpaired.request)
    for request_id, visits in of_request.items():
        yield from _together(requests[request_id], visits)
    for volunteer_id, visits in of_volunteer.items():
        yield from _apart(instance, requests, volunteers[volunteer_id], visits)
    worth = sum(visit.value for visit in known)
    worth -= sum(further(instance.weights, len(visits)) for visits in of_volunteer.values())
    if worth != plan.worth:
        yield PlanFault("worth", f"{plan.worth} is {worth}")
    if plan.bound < plan.worth:
        yield PlanFault("bound", f"{plan.bound} below {plan.worth}")


def _alone(
    instance: Instance, request: Request, volunteer: Volunteer, visit: PlannedVisit
) -> Iterable[PlanFault]:
    if visit.start not in request.starts:
        yield PlanFault("start", request.id)
    reason = blocked_person(request, volunteer) or blocked_at(instance, request, volunteer, visit.start)
    if reason is not None:
        yield PlanFault(reason, request.id)
    if visit.value != value(instance, request, volunteer, visit.start):
        yield PlanFault("value", request.id)
    if visit.value != sum(visit.terms.values()):
        yield PlanFault("terms", request.id)


def _together(request: Request, visits: list[PlannedVisit]) -> Iterable[PlanFault]:
    if len(visits) != request.carers or len({visit.volunteer for visit in visits}) != request.carers:
        yield PlanFault("carers", request.id)
    if len({visit.start for visit in visits}) > 1:
        yield PlanFault("starts_apart", request.id)


def _apart(
    instance: Instance, requests: dict[str, Request], volunteer: Volunteer, visits: list[PlannedVisit]
) -> Iterable[PlanFault]:
    for one, other in combinations(visits, 2):
        this, that = requests[one.request], requests[other.request]
        if collide(
            instance,
            (one.start, this.minutes, this.blocks, this.spot),
            (other.start, that.minutes, that.blocks, that.spot),
        ):
            yield PlanFault("double_booked", volunteer.id)
    for cap in volunteer.caps:
        used = sum(requests[each.request].load for each in visits if cap.start <= each.start < cap.end)
        if used > cap.minutes:
            yield PlanFault("cap", volunteer.id)
