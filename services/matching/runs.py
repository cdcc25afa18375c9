"""Pairing runs: what waits is planned at one go, checked again, and put to volunteers as offers.

A run is two units of work, with the thinking between them and outside of both: what waits is read and frozen,
the engine thinks while no transaction is open and nothing is locked, and what it decided is published by
compare and set: a request that changed meanwhile, or a volunteer who is no longer free, is left to the next
run. Runs of one community do not think at once: a run claims the community by an advisory lock of a database
session of its own, which the server lets go the moment that session ends, so that the claim lapses when the
process dies, and after ``CLAIM_SECONDS`` when it only hangs. A run whose claim has lapsed can do no harm: it
publishes by compare and set like any other.
"""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pointsbank.domain.errors import NotFound
from pointsbank.domain.pairing.form import canonical, read_instance, written_instance
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan, RunInputForgotten, Unpaired
from pointsbank.domain.pairing.plan_form import read_plan, written_plan
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.care.service import RequestInfo
from services.ledger.policy_book import policy_book
from services.matching import store
from services.matching.engine.processes import PartProcesses
from services.matching.engine.run import plan as plan_of
from services.matching.frame import Frame, frame_for
from services.matching.planning import instance_of
from services.matching.publishing import Publication, standing_by_request
from services.matching.store import OfferRow
from services.matching.views import PairingRunInfo, RunDetail, RunReasons
from services.matching.wanted import Places, is_missing, places_of
from services.people import service as people

RUN_REQUESTS_MAX = 2_000
"""Requests one run takes on: the most urgent and soonest, and those that wait longest. The rest wait for the
next, and the run says how many they are.
"""

ENGINE = "prices-and-search"
SECONDS = 8.0
"""What a run is given to think: then the best plan known is taken.

Below what is waited for a lock, so that a run can wait for the one before it.
"""

CLAIM_SECONDS = 60
"""How long a claim outlasts a process that hangs: far longer than a run is given to think."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run has read. instance: all that its engine may know; left_out: requests beyond its most."""

    frame: Frame
    wanted: Mapping[UUID, RequestInfo]
    places: Mapping[UUID, Places]
    standing: Mapping[UUID, Sequence[OfferRow]]
    movable: frozenset[UUID]
    instance: Instance
    left_out: int


@dataclass(frozen=True, slots=True)
class Thought:
    """What a run has read and its engine has decided; waiting, plan: None where nothing waits."""

    waiting: Waiting | None
    plan: Plan | None

    async def publish(self, uow: UnitOfWork, *, record_fruitless: bool = True) -> PairingRunInfo:
        """Offer each request to those chosen, where everything still is as it was, and record the run.

        A run that found nothing waiting is not recorded, nor, unless ``record_fruitless``, one that pairs
        nothing.
        """
        waiting, plan = self.waiting, self.plan
        if waiting is None or plan is None:
            return PairingRunInfo(uuid7(), ENGINE, uow.clock.now(), 0, 0, {}, 0, 0, 0, 0)
        run = _info(plan, waiting)
        if not (plan.visits or record_fruitless):
            return run
        given, decided = packed(written_instance(waiting.instance)), packed(written_plan(plan))
        await store.insert_run(uow, run, given=given, decided=decided)
        publication = Publication(
            uow,
            waiting.frame,
            run.id,
            waiting.wanted,
            waiting.places,
            waiting.standing,
            set(waiting.movable),
        )
        await publication.publish(plan)
        return run


@asynccontextmanager
async def thought(
    database: Database, community_id: int, *, replan: bool = False, seconds: float = SECONDS
) -> AsyncIterator[Thought]:
    """Read what waits in a community and think about it, to be published before this ends.

    replan: offers that nobody has answered may move to others, at the cost of ``weights.keep``; accepted ones
    never do. Whoever declined a request or let an offer of it lapse is not asked again. For callers that have
    decided who may. Raises WrongState where another run of the community goes on for long.
    """
    async with _claimed(database, community_id):
        async with database.unit_of_work(community_id) as uow:
            waiting = await _read(uow, replan=replan)
        yield Thought(waiting, await _plan(waiting, seconds))


async def pair(database: Database, community_id: int, *, record_fruitless: bool = True) -> PairingRunInfo:
    """Pair what waits in a community with volunteers, and offer each request to those chosen.

    As :func:`thought` and :meth:`Thought.publish` say.
    """
    async with (
        thought(database, community_id) as decided,
        database.unit_of_work(community_id) as uow,
    ):
        return await decided.publish(uow, record_fruitless=record_fruitless)


async def run_pairing(uow: UnitOfWork, *, replan: bool = False, seconds: float = SECONDS) -> PairingRunInfo:
    """Pair what waits, all in one unit of work: for who builds a world in which nobody else waits.

    Its transaction is open while the engine thinks; else as :func:`pair`.
    """
    await store.take_turn(uow)
    waiting = await _read(uow, replan=replan)
    return await Thought(waiting, await _plan(waiting, seconds)).publish(uow)


@asynccontextmanager
async def _claimed(database: Database, community_id: int) -> AsyncIterator[None]:
    """Keep other runs of a community waiting, without a transaction. Raises WrongState if that takes long."""
    session = database.dedicated()
    try:
        await store.claim_turn(session, community_id, seconds=CLAIM_SECONDS)
        yield
    finally:
        await session.close()


async def _read(uow: UnitOfWork, *, replan: bool) -> Waiting | None:
    """Return what a run may think about; None: nothing waits."""
    now = uow.clock.now()
    found = await care.requests_to_pair(uow, offered=replan, limit=RUN_REQUESTS_MAX)
    left_out = 0
    if len(found) == RUN_REQUESTS_MAX:
        left_out = await care.count_to_pair(uow, offered=replan) - len(found)
    standing = await standing_by_request(uow, found)
    movable = frozenset(each.id for each in found if replan and _unanswered(standing[each.id]))
    places = await places_of(uow, found, movable)
    wanted = [each for each in found if is_missing(places[each.id], now)]
    if not wanted:
        return None
    frame = await frame_for(uow, wanted, now=now)
    volunteers = await people.homes_with_role(uow, Role.VOLUNTEER)
    instance = await instance_of(uow, frame, wanted, volunteers, movable=movable, places=places)
    return Waiting(frame, {each.id: each for each in wanted}, places, standing, movable, instance, left_out)


async def _plan(waiting: Waiting | None, seconds: float) -> Plan | None:
    if waiting is None:
        return None
    # Thinking takes processor time that other tasks of this process must not wait for.
    return await asyncio.to_thread(_think, waiting.instance, seconds)


async def pairing_runs(uow: UnitOfWork, *, limit: int = 20) -> list[PairingRunInfo]:
    """Return the latest pairing runs, newest first."""
    return await store.runs(uow, max(1, min(limit, 200)))


async def run_detail(uow: UnitOfWork, actor: Actor, run_id: UUID) -> RunDetail:
    """Return a run with all it was given and decided, to explain it in full or run it again.

    Raises NotAllowed, NotFound (also: one of before these were stored), RunInputForgotten.
    """
    actor.require(*READERS, action="view_pairing")
    found = await store.run_documents(uow, run_id)
    if found is None:
        raise NotFound(what="pairing_run")
    info, given, decided = found
    if given is None:
        raise RunInputForgotten(run=run_id)
    return RunDetail(info, read_instance(_unpacked(given)), read_plan(_unpacked(decided)))


async def run_reasons(uow: UnitOfWork, actor: Actor, run_id: UUID) -> RunReasons:
    """Return a run with what it decided and why, also when what it was given is no longer kept.

    Raises NotAllowed, NotFound (also: one of before these were stored).
    """
    actor.require(*READERS, action="view_pairing")
    found = await store.run_documents(uow, run_id)
    if found is None:
        raise NotFound(what="pairing_run")
    info, given, decided = found
    return RunReasons(info, given is not None, read_plan(_unpacked(decided)))


async def forget_inputs(uow: UnitOfWork) -> int:
    """Drop what runs were given when the policy's days are over, and return of how many runs."""
    timezone = (await people.community(uow)).timezone
    now = uow.clock.now()
    try:
        rules = (await policy_book(uow)).on(local_date(now, timezone)).volunteers
    except NotFound:
        return 0  # a community without a policy yet
    return await store.forget_inputs(uow, now - timedelta(days=rules.run_input_days))


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


def _info(plan: Plan, waiting: Waiting) -> PairingRunInfo:
    return PairingRunInfo(
        id=uuid7(),
        engine=ENGINE,
        ran_at=waiting.frame.now,
        paired=len({visit.request for visit in plan.visits}),
        unpaired=len(plan.unpaired),
        blocked={UUID(unpaired.request): _kept_away(unpaired) for unpaired in plan.unpaired},
        worth=plan.worth,
        bound=plan.bound,
        kept=plan.kept,
        moved=plan.moved,
        left_out=waiting.left_out,
    )


def _kept_away(unpaired: Unpaired) -> Mapping[Blocked, int]:
    """Return what kept volunteers away; whom the run itself sends elsewhere are promised, as others are."""
    promised = unpaired.blocked.get(Blocked.ALREADY_PROMISED, 0) + unpaired.needed_elsewhere
    return {**unpaired.blocked, **({Blocked.ALREADY_PROMISED: promised} if promised else {})}
