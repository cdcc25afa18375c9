"""Pairing runs: what waits is planned at one go, checked again, and put to volunteers as offers.

No request and no person is locked while the engine thinks; runs of one community take turns. What it
decided is published by compare and set: a request that changed meanwhile, or a volunteer who is no longer
free, is left to the next run.
"""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pointsbank.domain.errors import NotFound
from pointsbank.domain.pairing.form import canonical, read_instance, written_instance
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan, Unpaired
from pointsbank.domain.pairing.plan_form import read_plan, written_plan
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.matching import store
from services.matching.engine.processes import PartProcesses
from services.matching.engine.run import plan as plan_of
from services.matching.frame import frame_for
from services.matching.planning import instance_of
from services.matching.publishing import Publication, standing_by_request
from services.matching.store import OfferRow
from services.matching.views import PairingRunInfo, RunDetail
from services.matching.wanted import is_missing, places_of
from services.people import service as people

RUN_REQUESTS_MAX = 2_000
"""Requests one run takes on; the rest wait for the next."""

ENGINE = "prices-and-search"
SECONDS = 8.0
"""What a run is given to think: then the best plan known is taken.

Below what is waited for a lock, so that a run can wait for the one before it.
"""


async def run_pairing(
    uow: UnitOfWork, *, replan: bool = False, record_fruitless: bool = True, seconds: float = SECONDS
) -> PairingRunInfo:
    """Pair what waits with volunteers, and offer each request to those chosen.

    replan: offers that nobody has answered may move to others, at the cost of ``weights.keep``; accepted ones
    never do. Runs of one community take turns. Whoever declined a request or let an offer of it lapse is not
    asked again. A run that finds nothing waiting is not recorded, nor, unless ``record_fruitless``, one that
    pairs nothing. For callers that have decided who may.
    """
    await store.take_turn(uow)
    now = uow.clock.now()
    found = await care.requests_to_pair(uow, offered=replan, limit=RUN_REQUESTS_MAX)
    standing = await standing_by_request(uow, found)
    movable = {each.id for each in found if replan and _unanswered(standing[each.id])}
    places = await places_of(uow, found, movable)
    wanted = [each for each in found if is_missing(places[each.id], now)]
    if not wanted:
        return PairingRunInfo(uuid7(), ENGINE, now, 0, 0, {}, 0, 0, 0, 0)
    frame = await frame_for(uow, wanted, now=now)
    volunteers = await people.homes_with_role(uow, Role.VOLUNTEER)
    instance = await instance_of(uow, frame, wanted, volunteers, movable=movable, places=places)
    # Thinking takes processor time that other tasks of this process must not wait for.
    plan = await asyncio.to_thread(_think, instance, seconds)
    run = _info(plan, now)
    if not (plan.visits or record_fruitless):
        return run
    given, decided = packed(written_instance(instance)), packed(written_plan(plan))
    await store.insert_run(uow, run, given=given, decided=decided)
    by_id = {each.id: each for each in wanted}
    await Publication(uow, frame, run.id, by_id, places, standing, movable).publish(plan)
    return run


async def pairing_runs(uow: UnitOfWork, *, limit: int = 20) -> list[PairingRunInfo]:
    """Return the latest pairing runs, newest first."""
    return await store.runs(uow, max(1, min(limit, 200)))


async def run_detail(uow: UnitOfWork, actor: Actor, run_id: UUID) -> RunDetail:
    """Return a run with all it was given and decided. Raises NotAllowed, NotFound (also: not kept)."""
    actor.require(*READERS, action="view_pairing")
    found = await store.run_documents(uow, run_id)
    if found is None:
        raise NotFound(what="pairing_run")
    info, given, decided = found
    return RunDetail(info, read_instance(_unpacked(given)), read_plan(_unpacked(decided)))


def packed(document: object) -> bytes:
    """Return a document as its one text, compressed: what is stored of a run, and compared in a replay."""
    return zlib.compress(canonical(document))


def _unpacked(text: bytes) -> object:
    return json.loads(zlib.decompress(text))


def _think(instance: Instance, seconds: float) -> Plan:
    with PartProcesses(os.cpu_count()) as processes:
        return plan_of(instance, processes, seconds=seconds)


def _unanswered(offers: Sequence[OfferRow]) -> bool:
    return bool(offers) and all(offer["state"] == "offered" for offer in offers)


def _info(plan: Plan, now: datetime) -> PairingRunInfo:
    return PairingRunInfo(
        id=uuid7(),
        engine=ENGINE,
        ran_at=now,
        paired=len({visit.request for visit in plan.visits}),
        unpaired=len(plan.unpaired),
        blocked={UUID(unpaired.request): _kept_away(unpaired) for unpaired in plan.unpaired},
        worth=plan.worth,
        bound=plan.bound,
        kept=plan.kept,
        moved=plan.moved,
    )


def _kept_away(unpaired: Unpaired) -> Mapping[Blocked, int]:
    """Return what kept volunteers away; whom the run itself sends elsewhere are promised, as others are."""
    promised = unpaired.blocked.get(Blocked.ALREADY_PROMISED, 0) + unpaired.needed_elsewhere
    return {**unpaired.blocked, **({Blocked.ALREADY_PROMISED: promised} if promised else {})}
