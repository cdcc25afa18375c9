"""Settling days: compare with a partner's statement, then freeze what was compared."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import groupby

import structlog

from pointsbank.platform import outbox
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database, UnitOfWork
from services.people import service as people
from services.settlement import batch_store, batches, comparison_store, reconciliation, service
from services.settlement.client import PartnerRefused, Partners, PartnerUnavailable
from services.settlement.views import PartnerInfo, SettledDay

log = structlog.get_logger(__name__)

LOOK_BACK_DAYS = 7
"""Ended days that are compared until both sides agree, whether anything was captured or not."""


async def settle_day(database: Database, partners: Partners, community_id: int, day: date) -> SettledDay:
    """Compare a local day with every partner's statement and freeze the captures that were compared.

    The day may be today: what is captured later, or while a statement is read, goes into the day's next
    batch. A partner whose statement cannot be had is paid when it can.
    """
    async with database.unit_of_work(community_id) as uow:
        everyone = await service.partners(uow)
    settled = SettledDay([], [], [])
    for partner in everyone:
        await _settle(database, partners, community_id, partner, day, settled)
    return settled


async def settle_ended_days(database: Database, partners: Partners, community_id: int) -> list[SettledDay]:
    """Settle, partner by partner, the ended days that are not agreed on yet; return each day's outcome.

    Those are the days with captures in no batch, however old, and of the last ``LOOK_BACK_DAYS`` those that
    were not compared since they were over or have open differences. One that goes wrong stops no other.
    """
    async with database.unit_of_work(community_id) as uow:
        wanted = await _wanted(uow)
    days: list[SettledDay] = []
    for day, pairs in groupby(wanted, key=lambda pair: pair[0]):
        settled = SettledDay([], [], [])
        for _, partner in pairs:
            try:
                await _settle(database, partners, community_id, partner, day, settled)
            except Exception as error:
                log.error("day_not_settled", partner=partner.code, day=str(day), exc_info=error)
        days.append(settled)
    return days


async def _wanted(uow: UnitOfWork) -> list[tuple[date, PartnerInfo]]:
    """Return the ended days to settle, each with a partner, in order of day and the partner's code."""
    timezone = (await people.community(uow)).timezone
    yesterday = local_date(uow.clock.now(), timezone) - timedelta(days=1)
    first = yesterday - timedelta(days=LOOK_BACK_DAYS - 1)
    wanted = {
        (day, partner.code): partner for partner, day in await batch_store.unsettled_days(uow, yesterday)
    }
    compared = await comparison_store.compared_days(uow, first, yesterday)
    differing = await comparison_store.differing_days(uow, first, yesterday)
    for partner in await service.partners(uow):
        for day in (first + timedelta(days=ahead) for ahead in range(LOOK_BACK_DAYS)):
            at = compared.get((partner.id, day))
            agreed = at is not None and at >= service.day_end(day, timezone)
            if not agreed or (partner.id, day) in differing:
                wanted[day, partner.code] = partner
    return [(day, partner) for (day, _), partner in sorted(wanted.items(), key=lambda item: item[0])]


async def _settle(
    database: Database,
    partners: Partners,
    community_id: int,
    partner: PartnerInfo,
    day: date,
    settled: SettledDay,
) -> None:
    """Settle a day with one partner and add what came of it to ``settled``."""
    try:
        compared = await reconciliation.compare_day(database, partners[partner.code], community_id, day)
    except (PartnerUnavailable, PartnerRefused) as error:
        settled.unreachable.append(partner.code)
        log.warning("statement_not_had", partner=partner.code, day=str(day), error=outbox.describe(error))
        return
    settled.reconciliations.append(compared.outcome)
    # Only what was compared is paid: the rest, however it came, is compared first another time.
    frozen = await batches.freeze_day(database, community_id, partner, day, among=compared.captures)
    settled.batches.extend(frozen)
