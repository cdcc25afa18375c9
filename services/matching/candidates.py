"""Who could take one request now, best first: by index and rules, without a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pointsbank.domain.availability import grids_near
from pointsbank.domain.errors import NotFound
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.pairing.instance import Instance, Request, Volunteer
from pointsbank.domain.pairing.rules import Blocked, blocked, blocked_at, blocked_person
from pointsbank.domain.pairing.value import Term, terms
from pointsbank.platform.clock import local_day
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.service import RequestInfo
from services.matching import candidate_store
from services.matching.candidate_store import LocalWindow
from services.matching.planning import Frame, frame_for, instance_of, wishes_of
from services.people import service as people
from services.people.service import PersonInfo

CANDIDATES_MAX = 50
LAST_MINUTE = 24 * 60 - 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A volunteer who could take a request. start: the best they can; value: the sum of ``terms``."""

    volunteer_id: UUID
    name: str
    start: datetime
    distance: GridDistance
    value: int
    terms: Mapping[Term, int]


async def candidates_for(uow: UnitOfWork, request_id: UUID, limit: int = 10) -> list[Candidate]:
    """Return the volunteers who could take a request now, best first, at most ``limit``.

    For callers that have decided who may. Raises NotFound.
    """
    request = (await care.requests_by_id(uow, [request_id])).get(request_id)
    if request is None:
        raise NotFound(what="help_request")
    frame = await frame_for(uow, [request], now=uow.clock.now())
    return (await ranked(uow, frame, request))[: max(1, min(limit, CANDIDATES_MAX))]


async def ranked(uow: UnitOfWork, frame: Frame, request: RequestInfo) -> list[Candidate]:
    """Return all who could take a request, best first."""
    ids = await _possible(uow, frame, request)
    volunteers = await people.people_by_id(uow, ids)
    return _best_first(await judge(uow, frame, request, volunteers))


async def judge(
    uow: UnitOfWork, frame: Frame, request: RequestInfo, volunteers: Mapping[UUID, PersonInfo]
) -> list[Candidate]:
    """Return those of the volunteers who can take the request, by the domain's rules and worth."""
    instance = await instance_of(uow, frame, [request], list(volunteers.values()))
    (asked,) = instance.requests
    found = []
    for volunteer in instance.volunteers:
        start = best_start(instance, asked, volunteer)
        if start is not None:
            person = volunteers[UUID(volunteer.id)]
            found.append(candidate(instance, asked, volunteer, start, request=request, name=person.name))
    return found


def candidate(
    instance: Instance,
    asked: Request,
    volunteer: Volunteer,
    start: int,
    *,
    request: RequestInfo,
    name: str,
) -> Candidate:
    """Return a volunteer at a start as a candidate."""
    worth = terms(instance, asked, volunteer, start)
    first = wishes_of(request).earliest_start
    return Candidate(
        volunteer_id=UUID(volunteer.id),
        name=name,
        start=first + timedelta(minutes=start - asked.starts[0]),
        distance=instance.distance(volunteer.home, asked.spot),
        value=sum(worth.values()),
        terms=worth,
    )


def best_start(instance: Instance, request: Request, volunteer: Volunteer) -> int | None:
    """Return the start a volunteer can make that is nearest to the preferred; None: they can make none."""
    if blocked_person(request, volunteer) is not None:
        return None
    for start in sorted(request.starts, key=lambda each: (abs(each - request.preferred), each)):
        if blocked_at(instance, request, volunteer, start) is None:
            return start
    return None


def why_not(instance: Instance, request: Request, volunteer: Volunteer) -> Blocked:
    """Return what keeps a volunteer from a request that they can take at no start."""
    found = blocked(instance, request, volunteer)
    assert found is not None
    return found


async def _possible(uow: UnitOfWork, frame: Frame, request: RequestInfo) -> list[UUID]:
    wishes = wishes_of(request)
    today = frame.policies.for_kind(request.kind, frame.days[0])
    skill = today.kind(request.kind).skill
    return await candidate_store.possible_volunteers(
        uow,
        request.id,
        small_grid=request.small_grid,
        near_grids=grids_near(request.small_grid, frame.grids),
        windows=_windows(frame, wishes.earliest_start, wishes.latest_start),
        earliest_start=wishes.earliest_start,
        latest_start=wishes.latest_start,
        minutes=wishes.minutes,
        skill=skill,
        proven=skill in frame.rules.proven_skills,
    )


def _windows(frame: Frame, first: datetime, last: datetime) -> list[LocalWindow]:
    """Return where the starts from ``first`` to ``last`` lie on each local day."""
    windows = []
    for day in frame.days:
        begins, ends = local_day(day, frame.timezone)
        if first < ends and begins <= last:
            until = LAST_MINUTE if last >= ends else _wall_minute(frame, last)
            windows.append(LocalWindow(day, _wall_minute(frame, max(first, begins)), until))
    return windows


def _wall_minute(frame: Frame, at: datetime) -> int:
    local = at.astimezone(frame.zone)
    return local.hour * 60 + local.minute


def _best_first(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda each: (-each.value, each.start, each.volunteer_id))
