"""Who could take one request now, best first: by index and rules, without a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
from services.matching.frame import Frame, frame_for, moment_of
from services.matching.planning import joined
from services.matching.told import told_of
from services.matching.wanted import Places, places_of, wanted_of
from services.people import service as people
from services.people.service import HomeInfo

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


@dataclass(frozen=True, slots=True)
class Judged:
    """Volunteers who may be able to take a request, as pairing knows them and the request."""

    request: RequestInfo
    instance: Instance
    homes: Mapping[UUID, HomeInfo]

    @property
    def wanted(self) -> Request:
        """What pairing is told of the request."""
        return self.instance.requests[0]

    def candidates(self, start: int | None = None) -> list[Candidate]:
        """Return all who can take the request, best first. start: at that only; None: at each one's best."""
        starts = (
            (each, best_start(self.instance, self.wanted, each) if start is None else self._at(each, start))
            for each in self.instance.volunteers
        )
        return _best_first([self._candidate(each, at) for each, at in starts if at is not None])

    def start_together(self, carers: int) -> int | None:
        """Return the start at which most of ``carers`` can come, of such the one that is worth most."""
        values: dict[int, list[int]] = defaultdict(list)
        for volunteer in self.instance.volunteers:
            for start in self.wanted.starts:
                if self._at(volunteer, start) is not None:
                    worth = sum(terms(self.instance, self.wanted, volunteer, start).values())
                    values[start].append(worth)
        best = {start: sorted(told, reverse=True)[:carers] for start, told in values.items()}
        return max(best, key=lambda start: (len(best[start]), sum(best[start]), -start), default=None)

    def _at(self, volunteer: Volunteer, start: int) -> int | None:
        if blocked_person(self.wanted, volunteer) is not None:
            return None
        return start if blocked_at(self.instance, self.wanted, volunteer, start) is None else None

    def _candidate(self, volunteer: Volunteer, start: int) -> Candidate:
        name = self.homes[UUID(volunteer.id)].name
        return candidate(self.instance, self.wanted, volunteer, start, request=self.request, name=name)


async def candidates_for(uow: UnitOfWork, request_id: UUID, limit: int = 10) -> list[Candidate]:
    """Return the volunteers who could take a request now, best first, at most ``limit``.

    Of a request for two carers one of whom is to come: who could be the other. For callers that have decided
    who may. Raises NotFound.
    """
    request = (await care.requests_by_id(uow, [request_id])).get(request_id)
    if request is None:
        raise NotFound(what="help_request")
    places = await places_left(uow, request)
    frame = await frame_for(uow, [request], now=uow.clock.now())
    judged = await judge(uow, frame, request, places)
    return judged.candidates()[: max(1, min(limit, CANDIDATES_MAX))]


async def places_left(uow: UnitOfWork, request: RequestInfo) -> Places:
    """Return what is to be paired of a request. One for one carer is told whole, whoever it is offered to."""
    return Places(1) if request.carers == 1 else (await places_of(uow, [request]))[request.id]


async def judge(uow: UnitOfWork, frame: Frame, request: RequestInfo, places: Places) -> Judged:
    """Return those who may be able to take a request, to be judged by the domain's rules and worth."""
    homes = await people.homes_of(uow, await _possible(uow, frame, request, places))
    wanted = await wanted_of(uow, frame, [request], volunteers=list(homes), places={request.id: places})
    return await judge_these(uow, frame, request, wanted, homes)


async def judge_these(
    uow: UnitOfWork,
    frame: Frame,
    request: RequestInfo,
    wanted: tuple[Request, ...],
    homes: Mapping[UUID, HomeInfo],
) -> Judged:
    """Return a request, known already, with volunteers as they are now."""
    told = await told_of(uow, frame, list(homes.values()))
    return Judged(request, joined(frame, wanted, told.volunteers), homes)


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
    return Candidate(
        volunteer_id=UUID(volunteer.id),
        name=name,
        start=moment_of(datetime.fromisoformat(instance.origin), request, start),
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


async def _possible(uow: UnitOfWork, frame: Frame, request: RequestInfo, places: Places) -> list[UUID]:
    first, last = places.at or request.earliest_start, places.at or request.latest_start
    today = frame.policies.for_kind(request.kind, frame.days[0])
    skill = today.kind(request.kind).skill
    return await candidate_store.possible_volunteers(
        uow,
        request.id,
        small_grid=request.small_grid,
        near_grids=grids_near(request.small_grid, frame.grids),
        windows=_windows(frame, first, last),
        earliest_start=first,
        latest_start=last,
        minutes=request.minutes,
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


def _best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda each: (-each.value, each.start, each.volunteer_id))
