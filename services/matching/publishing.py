"""A plan on its way to become offers: what changed while the engine thought is left to the next run.

Locks are taken in one order: the turn at promising, offers, requests, people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pointsbank.domain.help_request import RequestState
from pointsbank.domain.pairing.instance import Instance, Request, Volunteer
from pointsbank.domain.pairing.plan import Plan, PlannedVisit
from pointsbank.domain.pairing.rules import blocked_at, blocked_person, collide
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.care.service import RequestInfo
from services.matching import store
from services.matching.frame import Frame, answer_by, moment_of, wishes_of
from services.matching.planning import instance_of
from services.matching.store import NewOffer, OfferRow
from services.matching.wanted import Places
from services.people import service as people
from services.people.service import HomeInfo

Planned = Mapping[UUID, Sequence[PlannedVisit]]
"""Visits by request."""


async def standing_by_request(
    uow: UnitOfWork, requests: Sequence[RequestInfo]
) -> Mapping[UUID, list[OfferRow]]:
    """Return the offers that stand or were accepted, by request."""
    standing: dict[UUID, list[OfferRow]] = defaultdict(list)
    for offer in await store.standing_for(uow, [request.id for request in requests]):
        standing[offer["help_request_id"]].append(offer)
    return standing


@dataclass(frozen=True, slots=True)
class Publication:
    """What a plan was made from. standing: the offers then; movable: requests whose offers may move."""

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
        await store.take_turn_at_promising(uow)
        moving = await self._unanswered(changed & self.movable)
        states = await care.lock_states(uow, sorted(changed))
        standing = await standing_by_request(uow, [self.wanted[each] for each in sorted(changed)])
        sound = {each for each in changed if self._unchanged(each, states.get(each), standing[each], moving)}
        aside = sorted(sound & moving)
        await store.replace(
            uow, [offer["id"] for each in aside for offer in self.standing[each]], uow.clock.now()
        )
        new = await self._still_possible({each: planned[each] for each in sorted(sound) if planned[each]})
        homes = await people.homes_of(
            uow, sorted({UUID(visit.volunteer) for visits in new.values() for visit in visits})
        )
        offers = [offer for each, visits in new.items() for offer in self._offers(each, visits, homes)]
        await store.insert_offers(uow, self.run_id, offers)
        await care.mark_offered_many(uow, [each for each in new if states[each] is RequestState.OPEN])
        await care.reopen_offered(uow, [each for each in aside if each not in new])

    def _as_offered(self, request: UUID, visits: Sequence[PlannedVisit]) -> bool:
        """Tell whether a plan keeps what is offered, or leaves a request as it is: without anybody."""
        offered = {
            (str(offer["volunteer_id"]), self.frame.minute(offer["starts_at"]))
            for offer in self.standing[request]
            if request in self.movable
        }
        return {(visit.volunteer, visit.start) for visit in visits} == offered

    async def _unanswered(self, requests: set[UUID]) -> set[UUID]:
        """Lock the offers of requests, and return those requests of which none was answered meanwhile."""
        ids = {each: {offer["id"] for offer in self.standing[each]} for each in requests}
        offered = await store.still_offered(self.uow, sorted(set().union(*ids.values())))
        return {each for each, offers in ids.items() if offers <= offered}

    def _unchanged(
        self, request: UUID, state: RequestState | None, offers: Sequence[OfferRow], moving: set[UUID]
    ) -> bool:
        if state not in {RequestState.OPEN, RequestState.OFFERED}:
            return False
        if request in self.movable and request not in moving:
            return False
        return {offer["id"] for offer in offers} == {offer["id"] for offer in self.standing[request]}

    async def _still_possible(self, new: Planned) -> dict[UUID, Sequence[PlannedVisit]]:
        """Return those that all rules still allow, their volunteers locked now; all carers or none.

        Of two of one household one is asked: the other's place stays free, for somebody else to be found.
        """
        chosen = sorted({UUID(visit.volunteer) for visits in new.values() for visit in visits})
        await people.lock_people(self.uow, chosen)
        them = await people.homes_of(self.uow, chosen)
        requests = [self.wanted[each] for each in new]
        fresh = await instance_of(self.uow, self.frame, requests, list(them.values()), places=self.places)
        promised = _Promised(fresh)
        now = self.uow.clock.now()
        households = await people.households(self.uow, chosen)
        return {
            each: _of_households_apart(visits, households)
            for each, visits in new.items()
            if all(moment_of(self.frame.origin, self.wanted[each], visit.start) > now for visit in visits)
            and promised.take(visits)
        }

    def _offers(
        self, request_id: UUID, visits: Sequence[PlannedVisit], homes: Mapping[UUID, HomeInfo]
    ) -> list[NewOffer]:
        request = self.wanted[request_id]
        until = answer_by(self.frame, request)
        taken = {offer["carer"] for offer in self.standing[request_id] if request_id not in self.movable}
        free = [carer for carer in range(1, wishes_of(request).carers + 1) if carer not in taken]
        offers = []
        for visit, carer in zip(visits, free, strict=False):
            starts_at = moment_of(self.frame.origin, request, visit.start)
            home = homes[UUID(visit.volunteer)].small_grid
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


def _of_households_apart(
    visits: Sequence[PlannedVisit], households: Mapping[UUID, frozenset[UUID]]
) -> list[PlannedVisit]:
    """Return visits of one request without those of who lives with somebody sent already."""
    sent: list[PlannedVisit] = []
    for visit in visits:
        together = households.get(UUID(visit.volunteer), frozenset())
        if not any(UUID(other.volunteer) in together for other in sent):
            sent.append(visit)
    return sent


class _Promised:
    """What volunteers would be promised by a publication, one request after another."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._requests = {request.id: request for request in instance.requests}
        self._volunteers = {volunteer.id: volunteer for volunteer in instance.volunteers}
        self._doing: dict[str, list[tuple[Request, int]]] = defaultdict(list)

    def take(self, visits: Sequence[PlannedVisit]) -> bool:
        """Promise the visits of one request if every volunteer can still make theirs; tell whether so."""
        if not all(self._fits(visit) for visit in visits):
            return False
        for visit in visits:
            self._doing[visit.volunteer].append((self._requests[visit.request], visit.start))
        return True

    def _fits(self, visit: PlannedVisit) -> bool:
        request, volunteer = self._requests[visit.request], self._volunteers.get(visit.volunteer)
        if volunteer is None or blocked_person(request, volunteer) is not None:
            return False
        if blocked_at(self._instance, request, volunteer, visit.start) is not None:
            return False
        if any(
            collide(
                self._instance,
                (visit.start, request.minutes, request.blocks, request.spot),
                (start, other.minutes, other.blocks, other.spot),
            )
            for other, start in self._doing[visit.volunteer]
        ):
            return False
        return self._within_caps(request, volunteer, visit.start)

    def _within_caps(self, request: Request, volunteer: Volunteer, start: int) -> bool:
        return all(
            request.load
            + sum(other.load for other, at in self._doing[volunteer.id] if cap.start <= at < cap.end)
            <= cap.minutes
            for cap in volunteer.caps
            if cap.start <= start < cap.end
        )
