"""Taking a request of one's own accord, before anybody is sent.

A volunteer takes a place that nobody has been offered yet: compare and set on the request, against pairing
runs and other takers; the volunteer's row is locked against their own other promises, and what is still
missed the database refuses (one standing offer a place, no two visits of one volunteer at a time). Who takes
the second place of a request for two comes when the first does, and lives elsewhere.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from pointsbank.domain.availability import grids_near
from pointsbank.domain.backfill import Barred
from pointsbank.domain.errors import NotFound, WrongState
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.offer import CannotTake, OfferState
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.domain.visit_rules import BarKind
from pointsbank.platform.database import UnitOfWork
from services.care import pairing as care_pairing
from services.care import service as care
from services.care.service import RequestInfo, VisitInfo
from services.matching import availability_store, store
from services.matching.candidates import best_start, candidate, places_left, why_not
from services.matching.frame import frame_for
from services.matching.offers import offer_of
from services.matching.planning import instance_of
from services.matching.views import Takeable
from services.matching.wanted import Places, is_missing, places_of
from services.people import service as people

LOOKED_AT_MAX = 200
"""Open requests of a volunteer's grids that are looked at, the most urgent and soonest."""


async def takeable(uow: UnitOfWork, volunteer_id: UUID, *, limit: int = 20) -> list[Takeable]:
    """Return the open requests a volunteer could take, by the rules of pairing; what suits best first.

    For callers that have decided who may. Raises NotFound.
    """
    person = await people.person(uow, volunteer_id)
    if Role.VOLUNTEER not in person.roles or person.small_grid is None:
        return []
    named = (await availability_store.grids(uow, [volunteer_id])).get(volunteer_id)
    serves = named or grids_near(person.small_grid, await people.grid_plan(uow))
    found = await care_pairing.open_ahead(uow, serves, limit=LOOKED_AT_MAX)
    now = uow.clock.now()
    left = await places_of(uow, [request for request in found if request.carers > 1])
    requests = {
        str(request.id): request
        for request in found
        if request.id not in left or is_missing(left[request.id], now)
    }
    if not requests:
        return []
    frame = await frame_for(uow, list(requests.values()), now=now)
    homes = await people.homes_of(uow, [volunteer_id])
    instance = await instance_of(uow, frame, list(requests.values()), list(homes.values()), places=left)
    if not instance.volunteers:
        return []
    (volunteer,) = instance.volunteers
    possible = []
    for asked in instance.requests:
        start = best_start(instance, asked, volunteer)
        if start is None:
            continue
        request = requests[asked.id]
        told = candidate(instance, asked, volunteer, start, request=request, name=person.name)
        ends = told.start + timedelta(minutes=request.minutes)
        possible.append(Takeable(request, told.start, ends, told.distance, told.value))
    possible.sort(key=lambda each: (-each.value, each.starts_at, each.request.id))
    return possible[: max(1, min(limit, LOOKED_AT_MAX))]


async def take(
    uow: UnitOfWork, actor: Actor, request_id: UUID, *, volunteer_id: UUID | None = None
) -> VisitInfo:
    """Take a free place of a request: the visit is planned. Of all who try for it at once, one succeeds.

    volunteer_id: yourself unless named; a coordinator may take for a volunteer who says so by phone.
    Raises NotFound, NotAllowed, WrongState (it was offered, taken or cancelled meanwhile), CannotTake (what
    stands in the way), Barred, OverlappingVisit (the unit of work can then only be given up).
    """
    taker = volunteer_id or actor.person_id
    actor.require_self_or(taker, *STAFF, action="take_request")
    request, places = await _locked(uow, request_id)
    await people.lock_people(uow, [taker])
    person = await people.person(uow, taker)
    if Role.VOLUNTEER not in person.roles or person.small_grid is None:
        raise NotFound(what="volunteer")
    frame = await frame_for(uow, [request], now=uow.clock.now())
    homes = await people.homes_of(uow, [taker])
    instance = await instance_of(uow, frame, [request], list(homes.values()), places={request.id: places})
    if not instance.volunteers:
        barred = await care.barred(uow, [taker], BarKind.SERVICE)
        raise Barred(bar=BarKind.SERVICE, until=barred[taker])
    (asked,), (volunteer,) = instance.requests, instance.volunteers
    start = best_start(instance, asked, volunteer)
    if start is None:
        raise CannotTake(blocked=why_not(instance, asked, volunteer))
    told = candidate(instance, asked, volunteer, start, request=request, name=person.name)
    offer = offer_of(request, told, until=told.start, carer=places.free[0])
    if request.state is RequestState.OPEN:
        await care.mark_offered(uow, request.id)
    await store.insert_offers(uow, None, [offer])
    await store.answer(uow, offer.id, OfferState.ACCEPTED, uow.clock.now())
    return await care.plan_visit(uow, request.id, taker, starts_at=told.start)


async def _locked(uow: UnitOfWork, request_id: UUID) -> tuple[RequestInfo, Places]:
    """Lock a request of which a place can be taken. Raises NotFound, WrongState."""
    await care.lock_request(uow, request_id)
    request = (await care.requests_by_id(uow, [request_id]))[request_id]
    free = request.state is RequestState.OPEN or (
        request.state is RequestState.OFFERED and request.carers > 1
    )
    places = await places_left(uow, request)
    if not free or places.missing < 1:
        raise WrongState(what="help_request", state=request.state, action="take")
    if not is_missing(places, uow.clock.now()) or request.latest_start <= uow.clock.now():
        raise WrongState(what="help_request", state=RequestState.EXPIRED, action="take")
    return request, places
