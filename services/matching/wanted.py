"""What of help requests pairing is told: when and where, what is still missing, who must not be sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pointsbank.domain.pairing.instance import Request, Spot
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.care import pairing as care_pairing
from services.care import service as care
from services.care.service import RequestInfo
from services.matching import store
from services.matching.frame import Frame, Wishes, wishes_of
from services.matching.store import OfferRow
from services.people import service as people

START_EVERY = 15
"""Minutes between the starts that a window is tried at."""

NOTICE = 60
"""Minutes between the run and a start in a window: whoever is asked must be able to answer, and to come."""


@dataclass(frozen=True, slots=True)
class Places:
    """What of a request is still to be paired. missing: carers; at: when, if another carer is to come then.

    coming: the volunteers with an offer that stands or was accepted. free: the numbers of the places they
    leave. apart: those who live with one of them, and are not sent too.
    """

    missing: int
    at: datetime | None = None
    coming: frozenset[UUID] = frozenset()
    free: tuple[int, ...] = (1,)
    apart: frozenset[UUID] = frozenset()


async def places_of(
    uow: UnitOfWork, requests: Sequence[RequestInfo], movable: Collection[UUID] = ()
) -> dict[UUID, Places]:
    """Return what is to be paired of each request. movable: those whose unanswered offers may move."""
    standing: dict[UUID, list[OfferRow]] = defaultdict(list)
    for offer in await store.standing_for(uow, [request.id for request in requests]):
        if offer["help_request_id"] not in movable:
            standing[offer["help_request_id"]].append(offer)
    together = {each.id for each in requests if each.carers > 1}
    coming = {offer["volunteer_id"] for each in together for offer in standing[each]}
    households = await people.households(uow, sorted(coming)) if coming else {}
    return {request.id: _places(request, standing[request.id], households) for request in requests}


def _places(
    request: RequestInfo, standing: Sequence[OfferRow], households: Mapping[UUID, frozenset[UUID]]
) -> Places:
    taken = {offer["carer"] for offer in standing}
    coming = frozenset(offer["volunteer_id"] for offer in standing)
    return Places(
        missing=request.carers - len(standing),
        at=standing[0]["starts_at"] if standing else None,
        coming=coming,
        free=tuple(carer for carer in range(1, request.carers + 1) if carer not in taken),
        apart=frozenset[UUID]().union(*(households.get(each, frozenset()) for each in coming)),
    )


def is_missing(places: Places, now: datetime) -> bool:
    """Tell whether somebody is missing who could still come."""
    return places.missing > 0 and (places.at is None or places.at > now)


Kept = Mapping[UUID, Mapping[str, int]]
"""By request, the start at which a volunteer is expected, of offers that may move but should rather stay."""


async def wanted_of(
    uow: UnitOfWork,
    frame: Frame,
    requests: Sequence[RequestInfo],
    *,
    volunteers: Sequence[UUID] | None = None,
    kept: Kept | None = None,
    places: Mapping[UUID, Places] | None = None,
) -> tuple[Request, ...]:
    """Return what pairing is told of these requests.

    volunteers: those who are asked about, where they are few; None: all. places: what is to be paired of each
    request; None: all that it asks for.
    """
    elders = sorted({request.elder_id for request in requests})
    known = await care_pairing.visits_between(uow, elders, volunteers)
    barred = await _excluded(uow, requests, elders, volunteers)
    buildings = await people.buildings_by_id(uow, {request.building_id for request in requests})
    found = []
    for request in requests:
        building = buildings[request.building_id]
        found.append(
            _request(
                frame,
                request,
                Spot(request.small_grid, building.east_m, building.north_m),
                known.get(request.elder_id, {}),
                barred[request.id],
                (kept or {}).get(request.id, {}),
                (places or {}).get(request.id) or Places(request.carers),
            )
        )
    return tuple(found)


async def _excluded(
    uow: UnitOfWork,
    requests: Sequence[RequestInfo],
    elders: Sequence[UUID],
    volunteers: Sequence[UUID] | None,
) -> dict[UUID, frozenset[UUID]]:
    """Return, by request, the volunteers who must not be sent: here all join who know of any.

    Those it was offered to before, whom the elder will not have or lives with, and where either of the two
    has said not again.
    """
    asked = await store.asked_before(uow, [request.id for request in requests])
    apart = await care.kept_apart(uow, elders, volunteers)
    return {request.id: asked.get(request.id, frozenset()) | apart[request.elder_id] for request in requests}


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
        carers=max(1, places.missing),
        kind=request.kind,
        skills=frozenset({skill} if skill else ()),
        gender=wishes.gender,
        gender_hard=wishes.gender_hard,
        language=wishes.language,
        same_carer=wishes.same_carer,
        excluded=frozenset(str(each) for each in (*barred, *places.coming, *places.apart)),
        known={str(volunteer): visits for volunteer, visits in known.items()},
        promised=kept,
        counts=counts if counts != wishes.minutes else None,
    )


def _starts(frame: Frame, wishes: Wishes) -> tuple[int, ...]:
    """Return when a visit may begin: every quarter of an hour of what was asked, with notice if it can be."""
    first, last = frame.minute(wishes.earliest_start), frame.minute(wishes.latest_start)
    soonest = frame.minute(frame.now) + NOTICE
    return tuple(each for each in range(first, last + 1, START_EVERY) if each >= soonest) or (last,)
