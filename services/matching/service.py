"""Who is free for what, pairing runs, and the offers they make.

Locks are taken in one order: offer, then what the care room locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.domain.free_hours import FreeHour, free_periods, require_free_hours
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.offer import OfferState
from pointsbank.domain.pairing import (
    FreeVolunteer,
    NearestFirst,
    OpenRequest,
    PairingEngine,
    Period,
)
from pointsbank.domain.policy import Policy
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.care.service import RequestInfo, VisitInfo
from services.ledger import service as ledger
from services.matching import store
from services.matching.store import NewOffer
from services.matching.views import OfferInfo, PairingRunInfo
from services.people import service as people

__all__ = [
    "FreeHour",
    "OfferInfo",
    "PairingRunInfo",
    "accept_offer",
    "add_free_hours_many",
    "add_skills_many",
    "decline_offer",
    "free_hours_of",
    "lapse_offers",
    "offers_of",
    "pairing_runs",
    "run_pairing",
    "set_free_hours",
    "set_skills",
    "skills_of",
    "standing_offers",
    "withdraw",
]

RUN_REQUESTS_MAX = 500
"""Requests one run takes on; the rest wait for the next."""

LAPSE_MAX = 500
SKILL_LENGTH_MAX = 40
SKILLS_MAX = 20


async def set_free_hours(uow: UnitOfWork, volunteer_id: UUID, hours: Sequence[FreeHour]) -> None:
    """Put a volunteer's week in place of the former. Raises NotFound, InvalidValue.

    For callers that have decided who may.
    """
    require_free_hours(hours)
    await _require_volunteers(uow, [volunteer_id])
    await store.delete_free_hours(uow, volunteer_id)
    await store.insert_free_hours(uow, {volunteer_id: hours})


async def add_free_hours_many(uow: UnitOfWork, weeks: Mapping[UUID, Sequence[FreeHour]]) -> None:
    """Give many volunteers who have none yet their weeks. Raises NotFound, InvalidValue."""
    for hours in weeks.values():
        require_free_hours(hours)
    await _require_volunteers(uow, list(weeks))
    await store.insert_free_hours(uow, weeks)


async def free_hours_of(uow: UnitOfWork, volunteer_id: UUID) -> list[FreeHour]:
    """Return a volunteer's week, Monday first."""
    return (await store.free_hours(uow, [volunteer_id])).get(volunteer_id, [])


async def set_skills(uow: UnitOfWork, volunteer_id: UUID, skills: Sequence[str]) -> None:
    """Put what a volunteer can do in place of the former. Raises NotFound, InvalidValue.

    For callers that have decided who may.
    """
    _require_skills(skills)
    await _require_volunteers(uow, [volunteer_id])
    await store.delete_skills(uow, volunteer_id)
    await store.insert_skills(uow, {volunteer_id: skills})


async def add_skills_many(uow: UnitOfWork, skills: Mapping[UUID, Sequence[str]]) -> None:
    """Note what many volunteers can do, beside what is known. Raises NotFound, InvalidValue."""
    for listed in skills.values():
        _require_skills(listed)
    await _require_volunteers(uow, list(skills))
    await store.insert_skills(uow, skills)


async def skills_of(uow: UnitOfWork, volunteer_id: UUID) -> list[str]:
    """Return what a volunteer can do, in alphabetical order."""
    return sorted((await store.skills(uow, [volunteer_id])).get(volunteer_id, frozenset()))


async def run_pairing(
    uow: UnitOfWork, engine: PairingEngine | None = None, *, record_fruitless: bool = True
) -> PairingRunInfo:
    """Pair open requests that lie ahead with volunteers, and offer each to the one chosen.

    engine: :class:`NearestFirst` unless given. Runs of one community take turns. Whoever declined a request
    or let an offer of it lapse is not asked again. A run that finds nothing waiting is not recorded,
    nor, unless ``record_fruitless``, one that pairs nothing. For callers that have decided who may.
    """
    engine = engine or NearestFirst()
    await store.take_turn(uow)
    requests = await care.lock_open_requests(uow, limit=RUN_REQUESTS_MAX)
    policies = await _policies(uow, requests)
    volunteers = await _free_volunteers(uow, requests)
    grids = await people.grid_plan(uow)
    asked = await store.asked_before(uow, [request.id for request in requests])
    never = await care.excluded_volunteers(uow, [request.elder_id for request in requests])
    wanted = [
        OpenRequest(
            id=request.id,
            elder=request.elder_id,
            small_grid=request.small_grid,
            period=Period(request.starts_at, request.ends_at),
            asked_at=request.asked_at,
            urgency=request.urgency,
            skill=policies[request.id].kind(request.kind).skill,
            excluded=asked.get(request.id, frozenset()) | never[request.elder_id],
        )
        for request in requests
    ]
    # Deciding takes processor time that other tasks of this process must not wait for.
    plan = await asyncio.to_thread(engine.plan, wanted, volunteers, grids)
    now = uow.clock.now()
    run = PairingRunInfo(
        id=uuid7(),
        engine=engine.name,
        ran_at=now,
        paired=len(plan.pairs),
        unpaired=len(plan.unpaired),
        blocked={unpaired.request: unpaired.blocked for unpaired in plan.unpaired},
    )
    if not wanted or not (plan.pairs or record_fruitless):
        return run
    await store.insert_run(uow, run)
    starts = {request.id: request.starts_at for request in requests}
    await store.insert_offers(
        uow,
        run.id,
        [
            NewOffer(
                id=uuid7(),
                request_id=pair.request,
                volunteer_id=pair.volunteer,
                distance=pair.distance,
                expires_at=min(
                    now + timedelta(minutes=policies[pair.request].offer_minutes), starts[pair.request]
                ),
            )
            for pair in plan.pairs
        ],
    )
    await care.mark_offered_many(uow, [pair.request for pair in plan.pairs])
    return run


async def pairing_runs(uow: UnitOfWork, *, limit: int = 20) -> list[PairingRunInfo]:
    """Return the latest pairing runs, newest first."""
    return await store.runs(uow, max(1, min(limit, 200)))


async def offers_of(uow: UnitOfWork, volunteer_id: UUID) -> list[OfferInfo]:
    """Return the offers a volunteer can answer now, soonest visit first."""
    found = [
        offer
        for offer in await _offers(uow, await store.standing_of(uow, volunteer_id, uow.clock.now()))
        if offer.request.state == RequestState.OFFERED
    ]
    return sorted(found, key=lambda offer: (offer.request.starts_at, offer.id))


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
    return await care.plan_visit(uow, offer["help_request_id"], offer["volunteer_id"])


async def decline_offer(uow: UnitOfWork, actor: Actor, offer_id: UUID) -> None:
    """Decline an offer: the request is open again, for others.

    By the volunteer, or a coordinator who is told by phone. Raises NotFound, NotAllowed, WrongState.
    """
    offer = await _offer_for(uow, actor, offer_id, action="decline")
    await _answer(uow, offer_id, OfferState.DECLINED)
    await care.reopen_offered(uow, [offer["help_request_id"]])


async def withdraw(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> None:
    """Take back an accepted offer before the visit: the visit is cancelled, the request open again.

    By the volunteer or a coordinator. Raises NotFound, NotAllowed, WrongState.
    """
    visit = await care.cancel_visit(uow, actor, visit_id)
    if visit.help_request_id is not None:
        await store.take_back(uow, visit.help_request_id, uow.clock.now())


async def lapse_offers(uow: UnitOfWork) -> int:
    """Let unanswered offers lapse, open their requests again, and return how many lapsed."""
    requests = await store.lapse(uow, uow.clock.now(), LAPSE_MAX)
    await care.reopen_offered(uow, requests)
    return len(requests)


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


async def _policies(uow: UnitOfWork, requests: Sequence[RequestInfo]) -> dict[UUID, Policy]:
    """Return, by request, the policy by which its kind is judged on the local day it starts."""
    timezone = (await people.community(uow)).timezone
    asked = {request.id: (request.kind, local_date(request.starts_at, timezone)) for request in requests}
    policies = {each: await ledger.policy_for_kind(uow, *each) for each in sorted(set(asked.values()))}
    return {request_id: policies[each] for request_id, each in asked.items()}


async def _free_volunteers(uow: UnitOfWork, requests: Sequence[RequestInfo]) -> list[FreeVolunteer]:
    """Return the volunteers with hours on the requests' days, and what they have promised there."""
    if not requests:
        return []
    timezone = (await people.community(uow)).timezone
    days: set[date] = set()
    for request in requests:
        days |= {local_date(request.starts_at, timezone), local_date(request.ends_at, timezone)}
    volunteers = [
        person for person in await people.people_with_role(uow, Role.VOLUNTEER) if person.small_grid
    ]
    ids = [person.id for person in volunteers]
    hours = await store.free_hours(uow, ids)
    skills = await store.skills(uow, ids)
    busy: dict[UUID, list[Period]] = {}
    start = min(request.starts_at for request in requests)
    end = max(request.ends_at for request in requests)
    for promise in await care.promises(uow, ids, start, end):
        busy.setdefault(promise.volunteer_id, []).append(Period(promise.start, promise.end))
    for offer in await _offers(uow, await store.standing_of_all(uow, uow.clock.now())):
        busy.setdefault(offer.volunteer_id, []).append(Period(offer.request.starts_at, offer.request.ends_at))
    return [
        FreeVolunteer(
            id=person.id,
            small_grid=person.small_grid or 0,
            free=free_periods(hours[person.id], days, timezone),
            busy=tuple(busy.get(person.id, ())),
            skills=skills.get(person.id, frozenset()),
        )
        for person in volunteers
        if person.id in hours
    ]


async def _offers(uow: UnitOfWork, rows: Sequence[store.OfferRow]) -> list[OfferInfo]:
    requests = await care.requests_by_id(uow, [row["help_request_id"] for row in rows])
    return [
        OfferInfo(
            id=row["id"],
            volunteer_id=row["volunteer_id"],
            request=requests[row["help_request_id"]],
            distance=GridDistance(row["distance"]),
            state=OfferState(row["state"]),
            offered_at=row["offered_at"],
            expires_at=row["expires_at"],
        )
        for row in rows
    ]


async def _require_volunteers(uow: UnitOfWork, ids: Sequence[UUID]) -> None:
    found = await people.people_by_id(uow, ids)
    if len(found) != len(set(ids)):
        raise NotFound(what="person")
    if any(Role.VOLUNTEER not in person.roles for person in found.values()):
        raise InvalidValue(field="volunteer_id", rule="volunteer")


def _require_skills(skills: Sequence[str]) -> None:
    if len(skills) > SKILLS_MAX:
        raise InvalidValue(field="skills", rule=f"at_most_{SKILLS_MAX}")
    for skill in skills:
        if not skill.strip() or len(skill) > SKILL_LENGTH_MAX:
            raise InvalidValue(field="skills", rule=f"1_to_{SKILL_LENGTH_MAX}_characters")
