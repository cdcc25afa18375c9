"""Help requests that walk the whole chain: asked, paired, offered, accepted, visited, confirmed.

Each round is one unit of work, so that nobody (a worker that expires what is overdue by its own clock)
meets a request half-way through a day that is long past.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from uuid import UUID

from pointsbank.domain.help_request import RequestState
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import UnitOfWork
from seeds.geography import COMMUNITY_ID
from seeds.history import RequestSeed, WalkedVisit
from seeds.world import World
from services.care import service as care
from services.matching import service as matching
from services.matching.views import OfferInfo
from services.people import service as people

ASKED_BEFORE = timedelta(hours=15)
DECLINED_SHARE = 0.08


async def walk_requests(
    world: World, requests: Sequence[RequestSeed], *, unconfirmed: date | None = None
) -> list[WalkedVisit]:
    """Walk past requests, a round for each of their days, and return the visits that came of them.

    unconfirmed: the day whose visits still wait for confirmation. ``world.clock`` goes along.
    """
    walked: list[WalkedVisit] = []
    in_time = sorted(requests, key=lambda each: (each.starts_at, each.elder))
    for day, round_of_day in groupby(in_time, key=lambda each: each.starts_at.date()):
        rng = random.Random(f"walk:{world.seed}:{day}")
        todays = list(round_of_day)
        confirmed = day != unconfirmed
        async with world.past.unit_of_work(COMMUNITY_ID) as uow:
            asked = await ask_all(world, uow, todays, first_at=todays[0].starts_at - ASKED_BEFORE)
            agreed = await _answer_offers(world, uow, asked, rng)
            for actor, visit in sorted(agreed, key=lambda each: (each[1].planned_start, each[1].id)):
                walked.append(await _make_visit(world, uow, actor, visit, rng, confirmed=confirmed))
            begun = [each.latest_start for each in (await care.requests_by_id(uow, asked)).values()]
            world.clock.move_to(max(world.clock.now(), *begun))
            await care.expire_requests(uow)
    return walked


async def ask_all(
    world: World, uow: UnitOfWork, requests: Sequence[RequestSeed], *, first_at: datetime
) -> list[UUID]:
    """Ask for each of ``requests``, a few minutes apart from ``first_at`` on; return the requests' ids."""
    asked = []
    coordinator = await world.actor(uow, world.coordinators[0])
    for number, request in enumerate(requests):
        world.clock.move_to(first_at + timedelta(minutes=7 * number))
        elder = await world.actor(uow, request.elder)
        info = await care.ask(
            uow,
            coordinator if request.asked_by_proxy else elder,
            care.AskForHelp(
                elder_id=elder.person_id,
                kind=request.kind,
                starts_at=request.when,
                minutes=request.minutes,
                urgency=request.urgency,
                preferences=request.preferences,
                even_if_similar=True,  # chance may draw the same for an elder twice
            ),
        )
        asked.append(info.id)
    world.count("requests", len(asked))
    return asked


async def offer_all(world: World, uow: UnitOfWork, requests: Sequence[UUID]) -> list[tuple[Actor, OfferInfo]]:
    """Pair what is open now, and return the offers of ``requests`` that wait, with whom they were made to.

    In the order in which the requests were asked.
    """
    await matching.run_pairing(uow)
    standing = await matching.standing_offers(uow, requests)
    offers = [standing[each] for each in requests if each in standing]
    waiting = [offer for offer in offers if offer.request.state is RequestState.OFFERED]
    world.count("offers", len(waiting))
    return [(await people.actor_of(uow, offer.volunteer_id), offer) for offer in waiting]


async def _answer_offers(
    world: World, uow: UnitOfWork, asked: Sequence[UUID], rng: random.Random
) -> list[tuple[Actor, care.VisitInfo]]:
    """Let volunteers answer their offers; what is declined is offered once more, to somebody else."""
    agreed = []
    for _ in range(2):
        world.clock.move_to(world.clock.now() + timedelta(minutes=30))
        for actor, offer in await offer_all(world, uow, asked):
            if rng.random() < DECLINED_SHARE:
                await matching.decline_offer(uow, actor, offer.id)
            else:
                agreed.append((actor, await matching.accept_offer(uow, actor, offer.id)))
    return agreed


async def _make_visit(
    world: World, uow: UnitOfWork, actor: Actor, visit: care.VisitInfo, rng: random.Random, *, confirmed: bool
) -> WalkedVisit:
    """Check in on time, check out a little before the planned end, and have it confirmed."""
    planned = (visit.planned_end - visit.planned_start) // timedelta(minutes=1)
    minutes = max(10, round(planned * rng.uniform(0.8, 1.0)))
    world.clock.move_to(visit.planned_start)
    await care.check_in(uow, actor, visit.id)
    world.clock.move_to(visit.planned_start + timedelta(minutes=minutes))
    done = await care.check_out(uow, actor, visit.id)
    if confirmed:
        world.clock.move_to(world.clock.now() + timedelta(minutes=rng.randrange(5, 90)))
        elder = world.index[visit.elder_id]
        by_phone = world.people.residents[elder].phone is not None
        # Whoever has no phone is called on the neighbour's, and the coordinator notes it.
        confirmer = await world.actor(uow, elder if by_phone else world.coordinators[0])
        done = await care.confirm(uow, confirmer, visit.id)
    assert done.checked_in_at is not None, "it was checked in"
    assert done.checked_out_at is not None, "and out"
    world.count("visits" if confirmed else "visits_to_confirm", 1)
    return WalkedVisit(
        volunteer=world.index[visit.volunteer_id],
        elder=world.index[visit.elder_id],
        kind=visit.kind,
        started_at=done.checked_in_at,
        ended_at=done.checked_out_at,
        confirmed=confirmed,
    )
