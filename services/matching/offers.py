"""Offers: a request put to one volunteer, answered, lapsed, and put to the next at once.

Locks are taken in one order: offer, then what the care room locks, the volunteer's person row last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pointsbank.domain.errors import NotFound, WrongState
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.offer import OfferState
from pointsbank.domain.pairing.instance import URGENCY_MAX
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.care.service import RequestInfo, VisitInfo
from services.matching import store
from services.matching.candidates import Candidate, Judged, judge, judge_these, places_left
from services.matching.frame import Frame, answer_by, frame_for
from services.matching.store import NewOffer
from services.matching.views import OfferInfo
from services.matching.wanted import Places, is_missing
from services.people import service as people

LAPSE_MAX = 500
CASCADE_MAX = 50
"""Lapsed requests one sweep puts to the next volunteer, most urgent first; the rest wait for the next run."""

TRIES_MAX = 5
"""Candidates a place is tried with: others may be promised elsewhere while they are looked at."""


async def offer_if_urgent(uow: UnitOfWork, request: RequestInfo) -> RequestInfo:
    """Offer a request to the best candidate at once if it is urgent, and return it as it then stands."""
    if request.urgency < URGENCY_MAX or not await offer_now(uow, request.id):
        return request
    return (await care.requests_by_id(uow, [request.id]))[request.id]


async def offer_now(uow: UnitOfWork, request_id: UUID) -> bool:
    """Offer every free place of a request to the best candidates, without a run; tell whether there is one.

    The two carers of one request are two people of two households, asked for the same start; where only one
    can come, the other's place stays free for the next who can. For callers that have decided who may.
    Raises NotFound.
    """
    await store.take_turn_at_promising(uow)
    state = (await care.lock_states(uow, [request_id])).get(request_id)
    if state is None:
        raise NotFound(what="help_request")
    if state not in (RequestState.OPEN, RequestState.OFFERED):
        return False
    request = (await care.requests_by_id(uow, [request_id]))[request_id]
    if state is RequestState.OFFERED and request.carers == 1:
        return False
    places, now = await places_left(uow, request), uow.clock.now()
    if not is_missing(places, now) or request.latest_start <= now:
        return False
    frame = await frame_for(uow, [request], now=now)
    chosen = await _choose(uow, await judge(uow, frame, request, places), frame, places)
    if not chosen:
        return False
    if state is RequestState.OPEN:
        await care.mark_offered(uow, request.id)
    await store.insert_offers(
        uow,
        None,
        [
            offer_of(request, each, until=min(answer_by(frame, request), each.start), carer=carer)
            for each, carer in zip(chosen, places.free, strict=False)
        ],
    )
    return True


async def _choose(uow: UnitOfWork, judged: Judged, frame: Frame, places: Places) -> list[Candidate]:
    """Return the best who are still free when they are locked, as many as are missing; fewer if there are."""
    start = judged.start_together(places.missing) if places.missing > 1 else None
    chosen: list[Candidate] = []
    apart: set[UUID] = set()
    for each in judged.candidates(start)[: TRIES_MAX * places.missing]:
        if len(chosen) == places.missing:
            break
        if each.volunteer_id in apart:
            continue
        free = await _still_free(uow, judged, frame, each.volunteer_id, start)
        if free is not None:
            chosen.append(free)
            if len(chosen) < places.missing:
                apart |= (await people.households(uow, [free.volunteer_id])).get(free.volunteer_id, set())
    return chosen


async def _still_free(
    uow: UnitOfWork, judged: Judged, frame: Frame, volunteer_id: UUID, start: int | None
) -> Candidate | None:
    """Lock a volunteer against other promises, and return them as a candidate if they still are one."""
    await people.lock_people(uow, [volunteer_id])
    homes = await people.homes_of(uow, [volunteer_id])
    again = await judge_these(uow, frame, judged.request, (judged.wanted,), homes)
    return next(iter(again.candidates(start)), None)


async def offers_of(uow: UnitOfWork, volunteer_id: UUID) -> list[OfferInfo]:
    """Return the offers a volunteer can answer now, soonest visit first."""
    found = [
        offer
        for offer in await _offers(uow, await store.standing_of(uow, volunteer_id, uow.clock.now()))
        if offer.request.state == RequestState.OFFERED
    ]
    return sorted(found, key=lambda offer: (offer.starts_at, offer.id))


async def standing_offers(uow: UnitOfWork, request_ids: Sequence[UUID]) -> dict[UUID, OfferInfo]:
    """Return the offer that stands or was accepted for each of the requests that has one."""
    offers = await _offers(uow, await store.standing_for(uow, request_ids))
    return {offer.request.id: offer for offer in offers}


async def accept_offer(uow: UnitOfWork, actor: Actor, offer_id: UUID) -> VisitInfo:
    """Accept an offer: exactly one who tries succeeds, and the visit is planned.

    By the volunteer, or a coordinator who is told by phone. Raises NotFound, NotAllowed, WrongState
    (answered before, expired, or the request was cancelled), OverlappingVisit.
    """
    offer = await _offer_for(uow, actor, offer_id, action="accept")
    await _answer(uow, offer_id, OfferState.ACCEPTED)
    return await care.plan_visit(
        uow, offer["help_request_id"], offer["volunteer_id"], starts_at=offer["starts_at"]
    )


async def decline_offer(uow: UnitOfWork, actor: Actor, offer_id: UUID) -> None:
    """Decline an offer: the request goes to the next candidate at once, or is open again if there is none.

    By the volunteer, or a coordinator who is told by phone. Raises NotFound, NotAllowed, WrongState.
    """
    await store.take_turn_at_promising(uow)
    offer = await _offer_for(uow, actor, offer_id, action="decline")
    await _answer(uow, offer_id, OfferState.DECLINED)
    await _reopen(uow, [offer["help_request_id"]])
    await offer_now(uow, offer["help_request_id"])


async def withdraw(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> None:
    """Take back an accepted offer before the agreed start: the visit is cancelled, the next candidate asked.

    By the volunteer or a coordinator. Raises NotFound, NotAllowed, WrongState.
    """
    await store.take_turn_at_promising(uow)
    visit = await care.cancel_visit(uow, actor, visit_id)
    if visit.help_request_id is not None:
        await store.take_back(uow, visit.help_request_id, visit.volunteer_id, uow.clock.now())
        await offer_now(uow, visit.help_request_id)


async def lapse_offers(uow: UnitOfWork) -> int:
    """Let unanswered offers lapse, put their requests to the next candidates, and return how many lapsed.

    Those without another candidate, and those beyond ``CASCADE_MAX``, are open again.
    """
    await store.take_turn_at_promising(uow)
    ids = await store.lapse(uow, uow.clock.now(), LAPSE_MAX)
    await _reopen(uow, ids)
    requests = (await care.requests_by_id(uow, ids)).values()
    waiting = [
        request
        for request in requests
        if request.state is RequestState.OPEN
        or (request.state is RequestState.OFFERED and request.carers > 1)
    ]
    waiting.sort(key=lambda request: (-request.urgency, request.starts_at, request.id))
    for request in waiting[:CASCADE_MAX]:
        await offer_now(uow, request.id)
    return len(ids)


async def part_offers(uow: UnitOfWork, elder_ids: Collection[UUID] | None = None) -> int:
    """Put aside offers to volunteers who are kept apart from their elder since, and return how many.

    elder_ids: whose requests; None: all. The requests go to the next candidates at once, or are open again.
    """
    await store.take_turn_at_promising(uow)
    offers = await store.standing_all(uow, elder_ids)
    apart = await care.kept_apart(uow, {elder for _, elder, _ in offers})
    banned = [offer_id for offer_id, elder, volunteer in offers if volunteer in apart[elder]]
    aside = sorted(await store.still_offered(uow, banned))
    await store.replace(uow, aside, uow.clock.now())
    requests = await store.requests_of(uow, aside)
    await _reopen(uow, requests)
    for request_id in requests:
        await offer_now(uow, request_id)
    return len(aside)


def offer_of(request: RequestInfo, candidate: Candidate, *, until: datetime, carer: int = 1) -> NewOffer:
    """Return the offer of a place of a request to a candidate."""
    return NewOffer(
        id=uuid7(),
        request_id=request.id,
        volunteer_id=candidate.volunteer_id,
        distance=candidate.distance,
        starts_at=candidate.start,
        ends_at=candidate.start + timedelta(minutes=request.minutes),
        expires_at=until,
        carer=carer,
    )


async def _reopen(uow: UnitOfWork, request_ids: Sequence[UUID]) -> int:
    """Open requests again that nobody is offered any more, and return how many.

    One for two carers, of whom one is still to come, stays offered: the other is looked for.
    """
    standing = {offer["help_request_id"] for offer in await store.standing_for(uow, request_ids)}
    return await care.reopen_offered(uow, [each for each in request_ids if each not in standing])


async def _offer_for(uow: UnitOfWork, actor: Actor, offer_id: UUID, *, action: str) -> store.OfferRow:
    offer = await store.offer(uow, offer_id)
    if offer is None:
        raise NotFound(what="offer")
    actor.require_self_or(offer["volunteer_id"], *STAFF, action=f"{action}_offer")
    return offer


async def _answer(uow: UnitOfWork, offer_id: UUID, state: OfferState) -> None:
    """Compare and set: of all who answer an offer at once, one finds it standing."""
    action = "accept" if state is OfferState.ACCEPTED else "decline"
    if await store.answer(uow, offer_id, state, uow.clock.now()):
        return
    offer = await store.offer(uow, offer_id)
    assert offer is not None
    found = OfferState.LAPSED if offer["state"] == OfferState.OFFERED else offer["state"]
    raise WrongState(what="offer", state=found, action=action)


async def _offers(uow: UnitOfWork, rows: Sequence[store.OfferRow]) -> list[OfferInfo]:
    requests = await care.requests_by_id(uow, [row["help_request_id"] for row in rows])
    return [
        OfferInfo(
            id=row["id"],
            volunteer_id=row["volunteer_id"],
            request=requests[row["help_request_id"]],
            distance=GridDistance(row["distance"]),
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            state=OfferState(row["state"]),
            offered_at=row["offered_at"],
            expires_at=row["expires_at"],
        )
        for row in rows
    ]
