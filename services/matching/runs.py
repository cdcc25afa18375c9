"""Pairing runs: what waits is planned at one go, checked again, and put to volunteers as offers.

Nothing is locked while the engine thinks. What it decided is published by compare and set: a request that
changed meanwhile, or a volunteer who is no longer free, is left to the next run.
"""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pointsbank.domain.errors import NotFound
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.pairing.form import canonical, read_instance, written_instance
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan, PlannedVisit, Unpaired
from pointsbank.domain.pairing.plan_form import read_plan, written_plan
from pointsbank.domain.pairing.rules import Blocked, blocked_at, blocked_person
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.care.service import RequestInfo
from services.matching import store
from services.matching.engine.processes import PartProcesses
from services.matching.engine.run import plan as plan_of
from services.matching.frame import Frame, frame_for, moment_of, wishes_of
from services.matching.planning import Places, instance_of, places_of
from services.matching.store import NewOffer, OfferRow
from services.matching.views import PairingRunInfo, RunDetail
from services.people import service as people
from services.people.service import PersonInfo

RUN_REQUESTS_MAX = 500
"""Requests one run takes on; the rest wait for the next."""

ENGINE = "prices-and-search"
SECONDS = 20.0
"""What a run is given to think: then the best plan known is taken."""


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
    standing = await _standing(uow, found)
    movable = {each.id for each in found if replan and _unanswered(standing[each.id])}
    places = await places_of(uow, found, movable)
    wanted = [each for each in found if places[each.id].missing > 0]
    if not wanted:
        return PairingRunInfo(uuid7(), ENGINE, now, 0, 0, {}, 0, 0, 0, 0)
    frame = await frame_for(uow, wanted, now=now)
    volunteers = await people.people_with_role(uow, Role.VOLUNTEER)
    instance = await instance_of(uow, frame, wanted, volunteers, movable=movable, places=places)
    # Thinking takes processor time that other tasks of this process must not wait for.
    plan = await asyncio.to_thread(_think, instance, seconds)
    run = _info(plan, now)
    if not (plan.visits or record_fruitless):
        return run
    given, decided = packed(written_instance(instance)), packed(written_plan(plan))
    await store.insert_run(uow, run, given=given, decided=decided)
    by_id = {each.id: each for each in wanted}
    await _Publication(uow, frame, run.id, by_id, places, standing, movable).publish(plan)
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


async def _standing(uow: UnitOfWork, requests: Sequence[RequestInfo]) -> Mapping[UUID, list[OfferRow]]:
    standing: dict[UUID, list[OfferRow]] = defaultdict(list)
    for offer in await store.standing_for(uow, [request.id for request in requests]):
        standing[offer["help_request_id"]].append(offer)
    return standing


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


@dataclass(frozen=True, slots=True)
class _Publication:
    """A plan on its way to become offers. Locks: offers, requests, people, in this order."""

    uow: UnitOfWork
    frame: Frame
    run_id: UUID
    wanted: Mapping[UUID, RequestInfo]
    places: Mapping[UUID, Places]
    standing: Mapping[UUID, Sequence[OfferRow]]
    movable: set[UUID]

    async def publish(self, plan: Plan) -> None:
        """Make offers of what is new in a plan, where everything still is as it was planned on."""
        uow = self.uow
        planned: dict[UUID, list[PlannedVisit]] = defaultdict(list)
        for visit in plan.visits:
            planned[UUID(visit.request)].append(visit)
        changed = {each for each in self.wanted if not self._as_offered(each, planned[each])}
        aside = [offer["id"] for each in changed & self.movable for offer in self.standing[each]]
        gone = set(aside) - await store.replace(uow, aside, uow.clock.now())
        states = await care.lock_states(uow, sorted(changed))
        now_standing = await _standing(uow, [self.wanted[each] for each in sorted(changed)])
        new = await self._still_free(
            {
                each: planned[each]
                for each in changed
                if planned[each] and self._unchanged(each, states.get(each), now_standing[each], gone)
            }
        )
        homes = await people.people_by_id(
            uow, sorted({UUID(visit.volunteer) for visits in new.values() for visit in visits})
        )
        offers = [offer for each in sorted(new) for offer in self._offers(each, new[each], homes)]
        await store.insert_offers(uow, self.run_id, offers)
        await care.mark_offered_many(uow, sorted(each for each in new if states[each] is RequestState.OPEN))
        await care.reopen_offered(uow, sorted((changed & self.movable) - new.keys()))

    def _as_offered(self, request: UUID, visits: Sequence[PlannedVisit]) -> bool:
        """Tell whether a plan keeps what is offered, or leaves a request as it is: without anybody."""
        offered = {
            (str(offer["volunteer_id"]), self.frame.minute(offer["starts_at"]))
            for offer in self.standing[request]
            if request in self.movable
        }
        return {(visit.volunteer, visit.start) for visit in visits} == offered

    def _unchanged(
        self, request: UUID, state: RequestState | None, offers: Sequence[OfferRow], gone: set[UUID]
    ) -> bool:
        if state not in {RequestState.OPEN, RequestState.OFFERED}:
            return False
        before = {offer["id"] for offer in self.standing[request]}
        if request in self.movable:
            return not before & gone and not offers
        return {offer["id"] for offer in offers} == before

    async def _still_free(
        self, new: Mapping[UUID, Sequence[PlannedVisit]]
    ) -> dict[UUID, Sequence[PlannedVisit]]:
        """Return those whose volunteers, locked now, could still come by all rules."""
        chosen = sorted({UUID(visit.volunteer) for visits in new.values() for visit in visits})
        await people.lock_people(self.uow, chosen)
        them = await people.people_by_id(self.uow, chosen)
        requests = [self.wanted[each] for each in sorted(new)]
        now = await instance_of(self.uow, self.frame, requests, list(them.values()), places=self.places)
        asked = {request.id: request for request in now.requests}
        free = {volunteer.id: volunteer for volunteer in now.volunteers}

        def stands(visit: PlannedVisit) -> bool:
            request, volunteer = asked[visit.request], free.get(visit.volunteer)
            return (
                volunteer is not None
                and blocked_person(request, volunteer) is None
                and blocked_at(now, request, volunteer, visit.start) is None
            )

        return {each: visits for each, visits in new.items() if all(stands(visit) for visit in visits)}

    def _offers(
        self, request_id: UUID, visits: Sequence[PlannedVisit], homes: Mapping[UUID, PersonInfo]
    ) -> list[NewOffer]:
        request = self.wanted[request_id]
        policy = self.frame.policies.for_kind(request.kind, self.frame.days[0])
        until = self.frame.now + timedelta(minutes=policy.offer_minutes)
        taken = {offer["carer"] for offer in self.standing[request_id] if request_id not in self.movable}
        free = [carer for carer in range(1, wishes_of(request).carers + 1) if carer not in taken]
        offers = []
        for visit, carer in zip(visits, free, strict=False):
            starts_at = moment_of(self.frame.origin, request, visit.start)
            home = homes[UUID(visit.volunteer)].small_grid
            assert home is not None, "who has no grid is in no plan"
            offers.append(
                NewOffer(
                    id=uuid7(),
                    request_id=request_id,
                    volunteer_id=UUID(visit.volunteer),
                    distance=self.frame.grids.distance(home, request.small_grid),
                    starts_at=starts_at,
                    ends_at=starts_at + timedelta(minutes=wishes_of(request).minutes),
                    expires_at=min(until, starts_at),
                    carer=carer,
                )
            )
        return offers
