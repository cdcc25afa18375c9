"""Settling days: compare with each partner's statement, then freeze what was captured."""

from __future__ import annotations

from datetime import date, timedelta

import structlog

from pointsbank.platform import outbox
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database
from services.people import service as people
from services.settlement import batch_store, batches, reconciliation, service
from services.settlement.client import PartnerRefused, Partners, PartnerUnavailable
from services.settlement.views import ReconciliationInfo, SettledDay

log = structlog.get_logger(__name__)

LOOK_BACK_DAYS = 7
"""Ended days that are compared until both sides agree."""


async def settle_day(database: Database, partners: Partners, community_id: int, day: date) -> SettledDay:
    """Compare a local day with every partner's statement and freeze all captures up to it.

    The day may be today: what is captured later goes into the day's next batch. The comparison comes first,
    as it captures what the partner served and we had not heard of.
    """
    async with database.unit_of_work(community_id) as uow:
        codes = [partner.code for partner in await service.partners(uow)]
    compared: list[ReconciliationInfo] = []
    unreachable: list[str] = []
    for code in codes:
        try:
            compared.append(await reconciliation.reconcile_day(database, partners[code], community_id, day))
        except (PartnerUnavailable, PartnerRefused) as error:
            unreachable.append(code)
            log.warning("statement_not_had", partner=code, day=str(day), error=outbox.describe(error))
    async with database.unit_of_work(community_id) as uow:
        frozen = await batches.freeze_batches(uow, day)
    return SettledDay(frozen, compared, unreachable)


async def settle_ended_days(database: Database, partners: Partners, community_id: int) -> list[SettledDay]:
    """Settle the ended days of the last ``LOOK_BACK_DAYS`` that are not agreed on yet; freeze all before."""
    async with database.unit_of_work(community_id) as uow:
        timezone = (await people.community(uow)).timezone
        yesterday = local_date(uow.clock.now(), timezone) - timedelta(days=1)
        days = [yesterday - timedelta(days=back) for back in reversed(range(LOOK_BACK_DAYS))]
        codes = [partner.code for partner in await service.partners(uow)]
        unsettled = {day for _, _, day in await batch_store.unsettled_days(uow, yesterday)}
        wanted = []
        for day in days:
            over = service.day_end(day, timezone)
            seen = [await reconciliation.latest(uow, code, day) for code in codes]
            agreed = all(each and each.compared_at >= over and not each.differences for each in seen)
            if day in unsettled or not agreed:
                wanted.append(day)
        if unsettled and not wanted:
            wanted.append(yesterday)
    return [await settle_day(database, partners, community_id, day) for day in wanted]
