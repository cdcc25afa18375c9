"""What a pairing run is given, from the database: requests, volunteers, what stands already.

A fixed number of queries, whatever the number of volunteers; all that decides is in
:mod:`pointsbank.domain.pairing`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from pointsbank.domain.availability import Limits, Skill, VolunteerRules, grids_near
from pointsbank.domain.free_hours import FreeHour, HoursException, free_periods
from pointsbank.domain.grid import GridPlan
from pointsbank.domain.pairing.instance import (
    Cap,
    Instance,
    Promise,
    Request,
    Spot,
    Stretch,
    Volunteer,
    scarce_skills,
)
from pointsbank.domain.resident import Gender
from pointsbank.domain.roles import Role
from pointsbank.domain.visit_rules import BarKind
from pointsbank.platform.clock import local_date, local_day
from pointsbank.platform.database import UnitOfWork
from services.care import pairing as care_pairing
from services.care import service as care
from services.care.pairing import Commitment, ServiceSoFar
from services.care.service import RequestInfo
from services.ledger.policy_book import PolicyBook, policy_book
from services.matching import availability_store, store
from services.matching.store import OfferRow
from services.people import service as people
from services.people.service import BuildingInfo, PersonInfo

START_EVERY = 15
"""Minutes between the starts that a window is tried at."""

LATELY = timedelta(days=28)
"""The service that counts as load: of four weeks."""

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wishes:
    """When and by whom a request may be served. A slot is a window: it serves more, and a time is agreed.

    gender: ``female`` or ``male``. building_id: where it is; None: where the elder lives.
    """

    earliest_start: datetime
    latest_start: datetime
    minutes: int
    gender: str | None
    gender_hard: bool
    language: str | None
    same_carer: bool
    carers: int
    building_id: UUID | None


def wishes_of(request: RequestInfo) -> Wishes:
    """Return what a request says of its time and its carer."""
    return Wishes(
        earliest_start=request.earliest_start,
        latest_start=request.latest_start,
        minutes=request.minutes,
        gender=request.gender_wanted,
        gender_hard=request.gender_hard,
        language=request.language_wanted,
        same_carer=request.same_carer,
        carers=request.carers,
        building_id=request.building_id,
    )


async def excluded(uow: UnitOfWork, requests: Sequence[RequestInfo]) -> dict[UUID, frozenset[UUID]]:
    """Return, by request, the volunteers who must not be sent: here all join who know of any.

    Those it was offered to before, whom the elder will not have or lives with, and where either of the two
    has said not again.
    """
    elders = sorted({request.elder_id for request in requests})
    asked = await store.asked_before(uow, [request.id for request in requests])
    never = await care.excluded_volunteers(uow, elders)
    apart: dict[UUID, set[UUID]] = defaultdict(set)
    for (elder, volunteer), history in (await care.pair_history(uow, elders)).items():
        if history.again_elder is False or history.again_volunteer is False:
            apart[elder].add(volunteer)
    return {
        request.id: asked.get(request.id, frozenset())
        | never.get(request.elder_id, frozenset())
        | apart.get(request.elder_id, frozenset())
        for request in requests
    }


@dataclass(frozen=True, slots=True)
class Capped:
    """A local day or week, of which only so much may be served; minutes from the origin."""

    start: int
    end: int
    is_week: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """The time that a plan is made in. origin: minute 0, a local midnight, in UTC; days: those touched."""

    timezone: str
    origin: datetime
    days: tuple[date, ...]
    now: datetime
    grids: GridPlan
    policies: PolicyBook

    @property
    def zone(self) -> ZoneInfo:
        """The community's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def today(self) -> date:
        """The local day it is now."""
        return local_date(self.now, self.timezone)

    @property
    def rules(self) -> VolunteerRules:
        """Today's rules for volunteers."""
        return self.policies.on(self.today).volunteers

    @property
    def weeks(self) -> tuple[date, ...]:
        """The Mondays of the weeks touched."""
        return tuple(sorted({day - timedelta(days=day.weekday()) for day in self.days}))

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Return the first moment of the first week touched, and the first after the last."""
        return (
            local_day(self.weeks[0], self.timezone)[0],
            local_day(self.weeks[-1] + timedelta(days=6), self.timezone)[1],
        )

    @property
    def capped(self) -> tuple[Capped, ...]:
        """The days touched, then the weeks."""
        stretches = [(day, DAY, False) for day in self.days]
        stretches += [(monday, timedelta(days=7), True) for monday in self.weeks]
        return tuple(
            Capped(
                self.minute(local_day(first, self.timezone)[0]),
                self.minute(local_day(first + length, self.timezone)[0]),
                is_week,
            )
            for first, length, is_week in stretches
        )

    def minute(self, at: datetime) -> int:
        """Return the whole minutes from the origin to a moment."""
        return (at - self.origin) // timedelta(minutes=1)


async def frame_for(uow: UnitOfWork, requests: Sequence[RequestInfo], *, now: datetime) -> Frame:
    """Return the frame in which requests are planned. Raises NotFound."""
    timezone = (await people.community(uow)).timezone
    days: set[date] = set()
    for request in requests:
        wishes = wishes_of(request)
        day = local_date(wishes.earliest_start, timezone)
        last = local_date(wishes.latest_start + timedelta(minutes=wishes.minutes), timezone)
        while day <= last:
            days.add(day)
            day += DAY
    touched = tuple(sorted(days or {local_date(now, timezone)}))
    return Frame(
        timezone=timezone,
        origin=local_day(touched[0], timezone)[0],
        days=touched,
        now=now,
        grids=await people.grid_plan(uow),
        policies=await policy_book(uow),
    )


async def planning_input(uow: UnitOfWork, requests: Sequence[RequestInfo], *, now: datetime) -> Instance:
    """Return all that a run may know to pair these requests with the community's volunteers.

    For callers that have decided who may. Raises NotFound, UnknownServiceKind.
    """
    frame = await frame_for(uow, requests, now=now)
    return await instance_of(uow, frame, requests, await people.people_with_role(uow, Role.VOLUNTEER))


async def instance_of(
    uow: UnitOfWork, frame: Frame, requests: Sequence[RequestInfo], volunteers: Sequence[PersonInfo]
) -> Instance:
    """Return the instance of these requests and those of the volunteers who live in a known grid."""
    barred = await care.barred(uow, [person.id for person in volunteers], BarKind.SERVICE)
    housed = [person for person in volunteers if person.small_grid is not None and person.id not in barred]
    offers = await store.standing_of_many(uow, [person.id for person in housed], frame.now)
    offered = await care.requests_by_id(uow, sorted({offer["help_request_id"] for offer in offers}))
    elders = await people.people_by_id(
        uow, sorted({request.elder_id for request in (*requests, *offered.values())})
    )
    placed = {wishes_of(request).building_id for request in (*requests, *offered.values())}
    placed |= {person.building_id for person in (*housed, *elders.values())}
    buildings = await people.buildings_by_id(uow, [each for each in placed if each is not None])
    planned = {request.id for request in requests}
    standing = [
        _Standing(offer, _spot_of(offered[offer["help_request_id"]], elders, buildings))
        for offer in offers
        if offer["help_request_id"] not in planned and offer["help_request_id"] in offered
    ]
    kept: dict[UUID, dict[str, int]] = defaultdict(dict)
    for offer in offers:
        if offer["help_request_id"] in planned:
            kept[offer["help_request_id"]][str(offer["volunteer_id"])] = frame.minute(offer["starts_at"])
    asked = tuple(
        _request(frame, request, _spot_of(request, elders, buildings), known, barred, kept[request.id])
        for request, known, barred in await _with_history(uow, requests)
    )
    told = await _told(uow, frame, housed, standing)
    spans = frame.capped
    free = tuple(_volunteer(frame, person, told, buildings, spans) for person in housed)
    weights = frame.policies.on(frame.today).pairing
    return Instance(
        origin=frame.origin.isoformat(),
        grids=frame.grids,
        weights=weights,
        requests=asked,
        volunteers=free,
        scarce=scarce_skills(asked, free, each=weights.scarce_each) if len(asked) > 1 else frozenset(),
    )


@dataclass(frozen=True, slots=True)
class _Standing:
    """An offer that waits for its answer, and where it would be."""

    offer: OfferRow
    spot: Spot


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of all volunteers, by volunteer where it is anybody's own."""

    hours: Mapping[UUID, Sequence[FreeHour]]
    exceptions: Mapping[UUID, Sequence[HoursException]]
    skills: Mapping[UUID, Sequence[Skill]]
    limits: Mapping[UUID, Limits]
    grids: Mapping[UUID, frozenset[int]]
    languages: Mapping[UUID, frozenset[str]]
    commitments: Mapping[UUID, Sequence[Commitment]]
    service: Mapping[UUID, ServiceSoFar]
    standing: Mapping[UUID, Sequence[_Standing]]
    reliability: Mapping[UUID, int]


async def _with_history(
    uow: UnitOfWork, requests: Sequence[RequestInfo]
) -> list[tuple[RequestInfo, Mapping[UUID, int], frozenset[UUID]]]:
    """Return each request with who came to its elder before, and who must not be sent."""
    known = await care_pairing.visits_between(uow, {request.elder_id for request in requests})
    barred = await excluded(uow, requests)
    return [
        (request, known.get(request.elder_id, {}), barred.get(request.id, frozenset()))
        for request in requests
    ]


async def _told(
    uow: UnitOfWork, frame: Frame, volunteers: Sequence[PersonInfo], standing: Sequence[_Standing]
) -> _Told:
    ids = [person.id for person in volunteers]
    commitments: dict[UUID, list[Commitment]] = defaultdict(list)
    for each in await care_pairing.commitments(uow, ids, frame.span[0] - DAY, frame.span[1] + DAY):
        commitments[each.volunteer_id].append(each)
    offers: dict[UUID, list[_Standing]] = defaultdict(list)
    for waiting in standing:
        offers[waiting.offer["volunteer_id"]].append(waiting)
    return _Told(
        hours=await availability_store.free_hours(uow, ids),
        exceptions=await availability_store.exceptions(uow, ids, frame.days[0] - DAY, frame.days[-1]),
        skills=await availability_store.skills(uow, ids),
        limits=await availability_store.limits(uow, ids),
        grids=await availability_store.grids(uow, ids),
        languages=await people.languages_of(uow, ids),
        commitments=commitments,
        service=await care_pairing.service_so_far(uow, ids, frame.now - LATELY),
        standing=offers,
        reliability=await care.reliability(uow, ids),
    )


def _request(
    frame: Frame,
    request: RequestInfo,
    spot: Spot,
    known: Mapping[UUID, int],
    barred: Collection[UUID],
    kept: Mapping[str, int],
) -> Request:
    wishes = wishes_of(request)
    first, last = frame.minute(wishes.earliest_start), frame.minute(wishes.latest_start)
    day = local_date(request.starts_at, frame.timezone)
    skill = frame.policies.for_kind(request.kind, day).kind(request.kind).skill
    return Request(
        id=str(request.id),
        elder=str(request.elder_id),
        spot=spot,
        minutes=wishes.minutes,
        starts=tuple(range(first, last + 1, START_EVERY)),
        preferred=min(max(frame.minute(request.starts_at), first), last),
        blocks=wishes.minutes,
        urgency=request.urgency,
        waited=max(0, (frame.now - request.asked_at) // timedelta(minutes=1)),
        carers=wishes.carers,
        kind=request.kind,
        skills=frozenset({skill} if skill else ()),
        gender=wishes.gender,
        gender_hard=wishes.gender_hard,
        language=wishes.language,
        same_carer=wishes.same_carer,
        excluded=frozenset(str(each) for each in barred),
        known={str(volunteer): visits for volunteer, visits in known.items()},
        promised=kept,
    )


def _volunteer(
    frame: Frame,
    person: PersonInfo,
    told: _Told,
    buildings: Mapping[UUID, BuildingInfo],
    spans: Sequence[Capped],
) -> Volunteer:
    home = _spot(person.small_grid or 0, person.building_id, buildings)
    service = told.service.get(person.id, ServiceSoFar())
    periods = free_periods(
        told.hours.get(person.id, ()), frame.days, frame.timezone, told.exceptions.get(person.id, ())
    )
    return Volunteer(
        id=str(person.id),
        home=home,
        grids=told.grids.get(person.id) or grids_near(home.grid, frame.grids),
        free=tuple(Stretch(frame.minute(period.start), frame.minute(period.end)) for period in periods),
        busy=_busy(frame, home, told.commitments.get(person.id, ()), told.standing.get(person.id, ())),
        caps=_caps(
            frame,
            spans,
            told.limits.get(person.id, Limits()),
            told.commitments.get(person.id, ()),
            told.standing.get(person.id, ()),
        ),
        skills=_skills(frame, told.skills.get(person.id, ())),
        gender=None if person.gender is Gender.UNKNOWN else person.gender.value,
        languages=told.languages.get(person.id, frozenset()),
        recent=service.minutes,
        visits=service.visits,
        reliability=told.reliability.get(person.id, 1_000),
    )


def _skills(frame: Frame, skills: Sequence[Skill]) -> dict[str, int | None]:
    """Return the skills that count on the first day, each with the minute at which its last day ends."""
    rules = frame.rules
    return {
        skill.code: None
        if skill.valid_until is None
        else frame.minute(local_day(skill.valid_until, frame.timezone)[1])
        for skill in skills
        if skill.counts(rules, frame.days[0])
    }


def _busy(
    frame: Frame, home: Spot, commitments: Sequence[Commitment], standing: Sequence[_Standing]
) -> tuple[Promise, ...]:
    visits = [
        Promise(
            frame.minute(each.start),
            frame.minute(each.end),
            home if each.small_grid is None else Spot(each.small_grid, each.east_m, each.north_m),
        )
        for each in commitments
        if each.stands
    ]
    offers = [
        Promise(frame.minute(each.offer["starts_at"]), frame.minute(each.offer["ends_at"]), each.spot)
        for each in standing
    ]
    return tuple(sorted((*visits, *offers), key=lambda promise: (promise.start, promise.end)))


def _caps(
    frame: Frame,
    spans: Sequence[Capped],
    limits: Limits,
    commitments: Sequence[Commitment],
    standing: Sequence[_Standing],
) -> tuple[Cap, ...]:
    """Return what may still be added to each day and week touched: all but what is served or promised."""
    given = [(frame.minute(each.start), each.minutes) for each in commitments]
    given += [
        (
            frame.minute(each.offer["starts_at"]),
            (each.offer["ends_at"] - each.offer["starts_at"]) // timedelta(minutes=1),
        )
        for each in standing
    ]
    a_day, a_week = limits.under(frame.rules)
    caps = []
    for span in spans:
        used = sum(minutes for at, minutes in given if span.start <= at < span.end)
        most = a_week if span.is_week else a_day
        caps.append(Cap(span.start, span.end, max(0, most - used)))
    return tuple(caps)


def _spot_of(
    request: RequestInfo, elders: Mapping[UUID, PersonInfo], buildings: Mapping[UUID, BuildingInfo]
) -> Spot:
    building_id = wishes_of(request).building_id or elders[request.elder_id].building_id
    return _spot(request.small_grid, building_id, buildings)


def _spot(grid: int, building_id: UUID | None, buildings: Mapping[UUID, BuildingInfo]) -> Spot:
    building = buildings.get(building_id) if building_id is not None else None
    return Spot(grid) if building is None else Spot(grid, building.east_m, building.north_m)
