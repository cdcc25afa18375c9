"""Reconciliation: a day's captures against the partner's own statement, line by line.

Each difference is named once and stays open until a person resolves it with a reason; nothing is resolved
by itself. One that a later comparison no longer sees is shown as ``vanished``, which is a reason to give.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

import structlog

from pointsbank.domain import settlement
from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.redemption import PartnerWord
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.settlement import Line
from pointsbank.platform.database import Database, UnitOfWork
from services.settlement import batch_store, service
from services.settlement.client import PartnerClient
from services.settlement.views import DifferenceInfo, ReconciliationInfo

log = structlog.get_logger(__name__)

PAGE_MAX = 200
RESOLUTION_LENGTH_MAX = 500


async def reconcile_day(
    database: Database, client: PartnerClient, community_id: int, business_date: date
) -> ReconciliationInfo:
    """Compare what was captured for a day with the partner's statement, and keep every difference.

    The statement is news too: an order it lists that is still under way here is captured first. No
    transaction is open while the partner is asked. Raises PartnerUnavailable, PartnerRefused, NotFound.
    """
    began = database.clock.now()
    statement = await client.statement(community_id, business_date)
    there = sorted(
        (Line(each.redemption_id, MilliPoints(each.milli_points), Fen(each.fen)) for each in statement),
        key=lambda line: line.redemption,
    )
    listed = [line.redemption for line in there]
    await _capture_listed(database, community_id, client.partner, listed)
    async with database.unit_of_work(community_id) as uow:
        partner = await service.partner(uow, client.partner)
        # What was captured while the statement was on its way is the next comparison's.
        here = await batch_store.captured_lines(uow, partner.id, business_date, until=began, or_in=listed)
        found = {(each.redemption, each.kind): each for each in settlement.reconcile(here, there)}
        reconciliation_id = await batch_store.insert_reconciliation(
            uow,
            partner.id,
            business_date,
            lines_here=len(here),
            lines_there=len(there),
            differences=found,
        )
        (info,) = await batch_store.reconciliations(uow, reconciliation_id=reconciliation_id, limit=1)
    if info.differences:
        log.warning("books_differ", partner=info.partner, day=str(business_date), count=info.differences)
    return info


async def _capture_listed(database: Database, community_id: int, code: str, listed: list[UUID]) -> None:
    async with database.unit_of_work(community_id) as uow:
        partner = await service.partner(uow, code)
        under_way = await batch_store.still_open(uow, partner.id, listed)
    for redemption_id in under_way:
        async with database.unit_of_work(community_id) as uow:
            await service.hear(uow, redemption_id, PartnerWord.FULFILLED)


async def resolve_difference(uow: UnitOfWork, actor: Actor, difference_id: UUID, text: str) -> DifferenceInfo:
    """Close a difference with the reason in ``text``, by a coordinator.

    Raises NotAllowed, InvalidValue, NotFound, WrongState (resolved before).
    """
    actor.require(Role.COORDINATOR, action="resolve_difference")
    text = text.strip()
    if not text:
        raise InvalidValue(field="resolution", rule="not_blank")
    if len(text) > RESOLUTION_LENGTH_MAX:
        raise InvalidValue(field="resolution", rule=f"at_most_{RESOLUTION_LENGTH_MAX}_characters")
    await difference(uow, difference_id)
    if not await batch_store.resolve(uow, difference_id, resolved_by=actor.person_id, resolution=text):
        raise WrongState(what="reconciliation_difference", state="resolved", action="resolve")
    return await difference(uow, difference_id)


async def difference(uow: UnitOfWork, difference_id: UUID) -> DifferenceInfo:
    """Return one difference. Raises NotFound."""
    for found in await batch_store.differences(uow, difference_id=difference_id, limit=1):
        return found
    raise NotFound(what="reconciliation_difference")


async def differences(
    uow: UnitOfWork, *, only_open: bool = False, after: UUID | None = None, limit: int = 50
) -> list[DifferenceInfo]:
    """Return the differences, the newest first. after: the last id of the page before."""
    return await batch_store.differences(
        uow, only_open=only_open, before=after, limit=max(1, min(limit, PAGE_MAX))
    )


async def reconciliations(
    uow: UnitOfWork, *, after: UUID | None = None, limit: int = 50
) -> list[ReconciliationInfo]:
    """Return the comparisons, the newest first. after: the last id of the page before."""
    return await batch_store.reconciliations(uow, before=after, limit=max(1, min(limit, PAGE_MAX)))


async def latest(uow: UnitOfWork, partner: str, business_date: date) -> ReconciliationInfo | None:
    """Return the last comparison of a partner's day, or None. Raises NotFound for an unknown partner."""
    partner_id = (await service.partner(uow, partner)).id
    for found in await batch_store.reconciliations(uow, partner_id=partner_id, day=business_date, limit=1):
        return found
    return None
