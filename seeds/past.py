"""The weeks of the past, one after another: walked requests, recorded visits, redemptions, settlement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta

from pointsbank.domain.visit import ConfirmationMethod
from seeds.geography import COMMUNITY_ID
from seeds.history import Past, RedemptionSeed, StationVisitSeed, VisitSeed, local
from seeds.partners import CANTEEN, STATION, Doors, StationDoor
from seeds.walk import walk_requests
from seeds.world import World, WorldFailed, content_key
from services.care.records import RECORDS_CHUNK, OutcomeKind, VisitRecord, record_visits
from services.settlement import batches, jobs, reconciliation, records
from services.settlement.client import Partners
from services.settlement.records import RedemptionRecord
from services.settlement.views import OutcomeKind as RedemptionOutcomeKind
from services.settlement.views import PastRedemption

CLOSING = 23 * 60 + 30
"""When a past week is booked: late on its last day."""

MORNING = 7 * 60
"""When it is settled: early on the day after."""


async def live_week(
    world: World, past: Past, days: Sequence[date], doors: Doors, *, waiting: int = 0
) -> None:
    """Write the week of ``days`` as if it were its last evening. Raises WorldFailed, PartnerUnavailable.

    waiting: so many requests more on the last day, none of whose visits is confirmed yet.
    """
    requests = past.requests(days, world.scale.requests_a_week)
    if waiting:
        requests += past.requests(days[-1:], waiting)
    walked = await walk_requests(world, requests, unconfirmed=days[-1] if waiting else None)
    week = past.week(days, walked)
    world.clock.move_to(local(days[-1], CLOSING))
    await _record_visits(world, week.visits)
    await _record_redemptions(world, week.redemptions, doors)


async def introduce(world: World, partners: Partners) -> None:
    """Have both partners serve the community now: their books are filled before a worker would do it."""
    for code in (CANTEEN, STATION):
        await jobs.introduce(world.now, partners, COMMUNITY_ID, code)


async def settle_week(world: World, days: Sequence[date], partners: Partners) -> None:
    """Compare each day with the partners' statements and freeze its batches, the morning after the last.

    Raises WorldFailed if the books differ, PartnerUnavailable.
    """
    morning = local(days[-1] + timedelta(days=1), MORNING)
    world.clock.move_to(min(morning, world.now.clock.now()))
    compared = await asyncio.gather(
        *(
            reconciliation.reconcile_day(world.past, partners[code], COMMUNITY_ID, day)
            for day in days
            for code in (CANTEEN, STATION)
        )
    )
    for each in compared:
        if each.differences:
            raise WorldFailed(f"{each.partner} {each.business_date}: {each.differences} differences")
    frozen = await batches.freeze_batches(world.past, COMMUNITY_ID, days[-1])
    world.count("reconciliations", len(compared))
    world.count("batches", len(frozen))


async def count_visitors(world: World, visits: Sequence[StationVisitSeed], station: StationDoor) -> None:
    """Tell the station of everybody it counted in the past."""
    await station.take_in([_visitor(each) for each in visits])
    world.count("station_visits", sum(each.count for each in visits))


async def _record_visits(world: World, visits: Sequence[VisitSeed]) -> None:
    for start in range(0, len(visits), RECORDS_CHUNK):
        chunk = [_visit_record(world, visit) for visit in visits[start : start + RECORDS_CHUNK]]
        async with world.past.unit_of_work(COMMUNITY_ID) as uow:
            for record, outcome in zip(chunk, await record_visits(uow, chunk), strict=True):
                if outcome.kind is not OutcomeKind.RECORDED:
                    raise WorldFailed(f"visit of {record.started_at}: {outcome.kind} {outcome.refusal}")
        world.count("visits", len(chunk))


def _visit_record(world: World, visit: VisitSeed) -> VisitRecord:
    if visit.confirmer == visit.elder:
        method = ConfirmationMethod.ELDER
    elif visit.confirmer in world.coordinators:
        method = ConfirmationMethod.COORDINATOR
    else:
        method = ConfirmationMethod.WITNESS
    return VisitRecord(
        volunteer_id=world.ids[visit.volunteer],
        elder_id=world.ids[visit.elder],
        kind=visit.kind,
        started_at=visit.started_at,
        ended_at=visit.ended_at,
        confirmer_id=world.ids[visit.confirmer],
        content_key=content_key("visit", world.seed, visit.volunteer, visit.elder, visit.started_at),
        method=method,
        confirmed_at=min(visit.ended_at + timedelta(hours=2), world.clock.now()),
    )


async def _record_redemptions(world: World, redemptions: Sequence[RedemptionSeed], doors: Doors) -> None:
    if not redemptions:
        return
    asked = [
        RedemptionRecord(
            member_id=world.ids[each.member],
            partner=each.partner,
            item=each.item,
            quantity=each.quantity,
            at=each.at,
        )
        for each in redemptions
    ]
    async with world.past.unit_of_work(COMMUNITY_ID) as uow:
        outcomes = await records.record_redemptions(uow, asked)
    past: dict[str, list[PastRedemption]] = {CANTEEN: [], STATION: []}
    for record, outcome in zip(asked, outcomes, strict=True):
        if outcome.kind is not RedemptionOutcomeKind.RECORDED or outcome.redemption is None:
            raise WorldFailed(f"redemption of {record.at}: {outcome.kind} {outcome.error}")
        past[record.partner].append(outcome.redemption)
    for code, served in past.items():
        if served:
            await doors.partners[code].take_in(COMMUNITY_ID, served)
    world.count("meals", len(past[CANTEEN]))
    world.count("packs", len(past[STATION]))


def _visitor(visit: StationVisitSeed) -> dict[str, object]:
    return {
        "client_id": str(visit.client_id),
        "need": visit.need,
        "at": visit.at.isoformat(),
        "count": visit.count,
    }
