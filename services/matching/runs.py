"""Pairing runs: what waits is paired at one go, and each pair becomes an offer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from pointsbank.domain.availability import VolunteerRules
from pointsbank.domain.free_hours import free_periods
from pointsbank.domain.pairing import (
    FreeVolunteer,
    NearestFirst,
    OpenRequest,
    PairingEngine,
    Period,
)
from pointsbank.domain.policy import Policy
from pointsbank.domain.roles import Role
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.care.service import RequestInfo
from services.ledger import service as ledger
from services.matching import availability_store, store
from services.matching.store import NewOffer
from services.matching.views import PairingRunInfo
from services.people import service as people

RUN_REQUESTS_MAX = 500
"""Requests one run takes on; the rest wait for the next."""


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
    wanted = [
        OpenRequest(
            id=request.id,
            elder=request.elder_id,
            small_grid=request.small_grid,
            period=Period(request.starts_at, request.ends_at),
            asked_at=request.asked_at,
            urgency=request.urgency,
            skill=policies[request.id].kind(request.kind).skill,
            excluded=asked.get(request.id, frozenset()),
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
    asked_for = {request.id: request for request in requests}
    await store.insert_offers(
        uow,
        run.id,
        [
            NewOffer(
                id=uuid7(),
                request_id=pair.request,
                volunteer_id=pair.volunteer,
                distance=pair.distance,
                starts_at=asked_for[pair.request].starts_at,
                ends_at=asked_for[pair.request].ends_at,
                expires_at=min(
                    now + timedelta(minutes=policies[pair.request].offer_minutes),
                    asked_for[pair.request].starts_at,
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
    hours = await availability_store.free_hours(uow, ids)
    otherwise = await availability_store.exceptions(uow, ids, min(days) - timedelta(days=1), max(days))
    skills = await availability_store.skills(uow, ids)
    rules = await _rules(uow, timezone)
    busy: dict[UUID, list[Period]] = {}
    start = min(request.starts_at for request in requests)
    end = max(request.ends_at for request in requests)
    for promise in await care.promises(uow, ids, start, end):
        busy.setdefault(promise.volunteer_id, []).append(Period(promise.start, promise.end))
    for offer in await store.standing_of_many(uow, ids, uow.clock.now()):
        busy.setdefault(offer["volunteer_id"], []).append(Period(offer["starts_at"], offer["ends_at"]))
    return [
        FreeVolunteer(
            id=person.id,
            small_grid=person.small_grid or 0,
            free=free_periods(hours.get(person.id, ()), days, timezone, otherwise.get(person.id, ())),
            busy=tuple(busy.get(person.id, ())),
            skills=frozenset(
                each.code for each in skills.get(person.id, ()) if each.counts(rules, min(days))
            ),
        )
        for person in volunteers
        if person.id in hours or person.id in otherwise
    ]


async def _rules(uow: UnitOfWork, timezone: str) -> VolunteerRules:
    return (await ledger.policy_on(uow, local_date(uow.clock.now(), timezone))).volunteers
