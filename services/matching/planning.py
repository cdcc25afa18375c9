"""What a pairing run is given, from the database: requests, volunteers, what stands already.

A fixed number of queries, whatever the number of volunteers; all that decides is in
:mod:`pointsbank.domain.pairing`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pointsbank.domain.availability import Limits, Skill, grids_near
from pointsbank.domain.free_hours import FreeHour, HoursException, free_periods
from pointsbank.domain.help_request import RequestState
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
from services.matching import availability_store, store
from services.matching.frame import DAY, Capped, Frame, Wishes, frame_for, wishes_of
from services.matching.store import OfferRow
from services.people import service as people
from services.people.service import BuildingInfo, PersonInfo

START_EVERY = 15
"""Minutes between the starts that a window is tried at."""

NOTICE = 60
"""Minutes between the run and a start in a window: whoever is asked must be able to answer, and to come."""

LATELY = timedelta(days=28)
"""The service that counts as load: of four weeks."""


async def excluded(uow: UnitOfWork, requests: Sequence[RequestInfo]) -> dict[UUID, frozenset[UUID]]:
    """Return, by request, the volunteers who must not be sent: here all join who know of any.

    Those it was offered to before, whom the elder will not have or lives with, and where either of the two
    has said not again.
    """
    elders = sorted({request.elder_id for request in requests})
    asked = await store.asked_before(uow, [request.id for request in requests])
    apart = await care.kept_apart(uow, elders)
    return {request.id: asked.get(request.id, frozenset()) | apart[request.elder_id] for request in requests}


@dataclass(frozen=True, slots=True)
class Places:
    """What of a request is still to be paired. missing: carers; at: when, if another carer is to come then.

    coming: the volunteers with an offer that stands or was accepted.
    """

    missing: int
    at: datetime | None = None
    coming: frozenset[UUID] = frozenset()


async def places_of(
    uow: UnitOfWork, requests: Sequence[RequestInfo], movable: Collection[UUID] = ()
) -> dict[UUID, Places]:
    """Return what is to be paired of each request. movable: those whose unanswered offers may move."""
    standing: dict[UUID, list[OfferRow]] = defaultdict(list)
    for offer in await store.standing_for(uow, [request.id for request in requests]):
        if offer["help_request_id"] not in movable:
            standing[offer["help_request_id"]].append(offer)
    return {
        request.id: Places(
            missing=wishes_of(request).carers - len(standing[request.id]),
            at=standing[request.id][0]["starts_at"] if standing[request.id] else None,
            coming=frozenset(offer["volunteer_id"] for offer in standing[request.id]),
        )
        for request in requests
    }


async def planning_input(
    uow: UnitOfWork, requests: Sequence[RequestInfo], *, now: datetime, movable: Collection[UUID] = ()
) -> Instance:
    """Return all that a run may know to pair these requests with the community's volunteers.

    movable: requests whose unanswered offers may move. For callers that have decided who may. Raises
    NotFound, UnknownServiceKind.
    """
    frame = await frame_for(uow, requests, now=now)
    volunteers = await people.people_with_role(uow, Role.VOLUNTEER)
    return await instance_of(uow, frame, requests, volunteers, movable=movable)


async def instance_of(
    uow: UnitOfWork,
    frame: Frame,
    requests: Sequence[RequestInfo],
    volunteers: Sequence[PersonInfo],
    *,
    movable: Collection[UUID] = (),
    places: Mapping[UUID, Places] | None = None,
) -> Instance:
    """Return the instance of these requests and those of the volunteers who live in a known grid.

    movable: requests whose unanswered offers may move; all others keep their volunteers busy. places: what is
    to be paired of each request; None: all that it asks for.
    """
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
    planned = set(movable)
    standing = [
        _Standing(
            offer,
            offered[offer["help_request_id"]].kind,
            _spot_of(offered[offer["help_request_id"]], elders, buildings),
        )
        for offer in offers
        if offer["help_request_id"] not in planned and _waits(offered.get(offer["help_request_id"]))
    ]
    kept: dict[UUID, dict[str, int]] = defaultdict(dict)
    for offer in offers:
        if offer["help_request_id"] in planned:
            kept[offer["help_request_id"]][str(offer["volunteer_id"])] = frame.minute(offer["starts_at"])
    asked = tuple(
        _request(
            frame,
            request,
            _spot_of(request, elders, buildings),
            known,
            barred,
            kept[request.id],
            (places or {}).get(request.id) or Places(wishes_of(request).carers),
        )
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
        now=frame.minute(frame.now),
    )


def _waits(request: RequestInfo | None) -> bool:
    """Tell whether an offer of a request still keeps its volunteer: not when it was called off or is over."""
    return request is not None and request.state in {RequestState.OPEN, RequestState.OFFERED}


@dataclass(frozen=True, slots=True)
class _Standing:
    """An offer that waits for its answer, what it is of, and where it would be."""

    offer: OfferRow
    kind: str
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
    places: Places,
) -> Request:
    wishes = wishes_of(request)
    starts = _starts(frame, wishes) if places.at is None else (frame.minute(places.at),)
    day = local_date(request.starts_at, frame.timezone)
    skill = frame.policies.for_kind(request.kind, day).kind(request.kind).skill
    counts = frame.counted(request.kind, wishes.minutes)
    return Request(
        id=str(request.id),
        elder=str(request.elder_id),
        spot=spot,
        minutes=wishes.minutes,
        starts=starts,
        preferred=min(max(frame.minute(request.starts_at), starts[0]), starts[-1]),
        blocks=wishes.minutes,
        urgency=request.urgency,
        waited=max(0, (frame.now - request.asked_at) // timedelta(minutes=1)),
        carers=places.missing,
        kind=request.kind,
        skills=frozenset({skill} if skill else ()),
        gender=wishes.gender,
        gender_hard=wishes.gender_hard,
        language=wishes.language,
        same_carer=wishes.same_carer,
        excluded=frozenset(str(each) for each in (*barred, *places.coming)),
        known={str(volunteer): visits for volunteer, visits in known.items()},
        promised=kept,
        counts=counts if counts != wishes.minutes else None,
    )


def _starts(frame: Frame, wishes: Wishes) -> tuple[int, ...]:
    """Return when a visit may begin: every quarter of an hour of what was asked, with notice if it can be."""
    first, last = frame.minute(wishes.earliest_start), frame.minute(wishes.latest_start)
    soonest = frame.minute(frame.now) + NOTICE
    return tuple(each for each in range(first, last + 1, START_EVERY) if each >= soonest) or (last,)


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
    given = [(each.start, each.kind, each.minutes) for each in commitments]
    given += [
        (
            each.offer["starts_at"],
            each.kind,
            (each.offer["ends_at"] - each.offer["starts_at"]) // timedelta(minutes=1),
        )
        for each in standing
    ]
    counted = [(frame.minute(start), frame.counted(kind, minutes)) for start, kind, minutes in given]
    a_day, a_week = limits.under(frame.rules)
    caps = []
    for span in spans:
        used = sum(minutes for at, minutes in counted if span.start <= at < span.end)
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
