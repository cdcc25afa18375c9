"""Reconciliation: a day's captures against the partner's own statement, line by line.

Each difference is named once and stays open until a person resolves it with a reason; nothing is resolved
by itself, and what was resolved stays as it was: other figures are another difference. One that a later
comparison no longer sees is shown as ``vanished``, which is a reason to give.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

import structlog

from pointsbank.domain import settlement
from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.redemption import PartnerWord
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.settlement import Line
from pointsbank.platform import outbox
from pointsbank.platform.database import Database, UnitOfWork
from services.people import service as people
from services.settlement import comparison_store, service
from services.settlement.client import PartnerClient
from services.settlement.views import ComparedDay, DifferenceInfo, PartnerInfo, ReconciliationInfo

log = structlog.get_logger(__name__)

PAGE_MAX = 200
RESOLUTION_LENGTH_MAX = 500


async def reconcile_day(
    database: Database, client: PartnerClient, community_id: int, business_date: date
) -> ReconciliationInfo:
    """Compare a day as :func:`compare_day` does, for who needs only the outcome."""
    return (await compare_day(database, client, community_id, business_date)).outcome


async def compare_day(
    database: Database, client: PartnerClient, community_id: int, business_date: date
) -> ComparedDay:
    """Compare what was captured for a day with the partner's statement, and keep every difference.

    The statement is news too: an order it lists that is still under way here is captured first. No
    transaction is open while the partner is asked. A difference that was resolved as it stands does not
    count; a comparison that found exactly what the last one did is not written again. Raises
    PartnerUnavailable, PartnerRefused, NotFound.
    """
    began = database.clock.now()
    statement = await client.statement(community_id, business_date)
    there = sorted(
        (Line(each.redemption_id, MilliPoints(each.milli_points), Fen(each.fen)) for each in statement),
        key=lambda line: line.redemption,
    )
    listed = [line.redemption for line in there]
    served = {each.redemption_id: each.quantity for each in statement}
    await _capture_listed(database, community_id, client.partner, served)
    async with database.unit_of_work(community_id) as uow:
        partner = await service.partner(uow, client.partner)
        # What was captured while the statement was on its way is the next comparison's.
        here = await comparison_store.captured_lines(
            uow, partner.id, business_date, until=began, or_in=listed
        )
        outcome = await _keep(uow, partner, business_date, here, there, began=began)
    if outcome.differences:
        log.warning(
            "books_differ", partner=outcome.partner, day=str(business_date), count=outcome.differences
        )
    return ComparedDay(outcome, [line.redemption for line in here])


async def _keep(
    uow: UnitOfWork, partner: PartnerInfo, day: date, here: list[Line], there: list[Line], *, began: datetime
) -> ReconciliationInfo:
    """Write what was found, unless the last comparison of the day has said all of it."""
    found = {(each.redemption, each.kind): each for each in settlement.reconcile(here, there)}
    known = await comparison_store.known_differences(uow, partner.id, day)
    answered = {each.difference for each in known if each.answered}
    unanswered = {each for each in found.values() if each not in answered}
    for last in await comparison_store.reconciliations(uow, partner_id=partner.id, day=day, limit=1):
        seen = {each.difference for each in known if each.open and each.reconciliation_id == last.id}
        over = service.day_end(day, (await people.community(uow)).timezone)
        if (
            (last.lines_here, last.lines_there, last.differences) == (len(here), len(there), len(unanswered))
            and seen == unanswered
            and (last.compared_at >= over or began < over)
        ):
            return last
    reconciliation_id = await comparison_store.insert_reconciliation(
        uow,
        partner.id,
        day,
        compared_at=began,
        lines_here=len(here),
        lines_there=len(there),
        differences=sorted(unanswered, key=lambda each: (each.redemption, each.kind)),
    )
    (kept,) = await comparison_store.reconciliations(uow, reconciliation_id=reconciliation_id, limit=1)
    return kept


async def _capture_listed(
    database: Database, community_id: int, code: str, listed: Mapping[UUID, int]
) -> None:
    """Capture what the partner lists as handed over and is still under way here. listed: how many, by id."""
    async with database.unit_of_work(community_id) as uow:
        partner = await service.partner(uow, code)
        under_way = await comparison_store.still_open(uow, partner.id, list(listed))
    for redemption_id in under_way:
        try:
            async with database.unit_of_work(community_id) as uow:
                await service.hear(
                    uow,
                    redemption_id,
                    PartnerWord.FULFILLED,
                    said_by=partner.id,
                    served=listed[redemption_id],
                )
        except Exception as error:  # the comparison goes on, and names it as a difference
            log.error("capture_failed", redemption=str(redemption_id), error=outbox.describe(error))


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
    if not await comparison_store.resolve(uow, difference_id, resolved_by=actor.person_id, resolution=text):
        raise WrongState(what="reconciliation_difference", state="resolved", action="resolve")
    return await difference(uow, difference_id)


async def difference(uow: UnitOfWork, difference_id: UUID) -> DifferenceInfo:
    """Return one difference. Raises NotFound."""
    for found in await comparison_store.differences(uow, difference_id=difference_id, limit=1):
        return found
    raise NotFound(what="reconciliation_difference")


async def differences(
    uow: UnitOfWork, *, only_open: bool = False, after: UUID | None = None, limit: int = 50
) -> list[DifferenceInfo]:
    """Return the differences, the newest first. after: the last id of the page before."""
    return await comparison_store.differences(
        uow, only_open=only_open, before=after, limit=max(1, min(limit, PAGE_MAX))
    )


async def reconciliations(
    uow: UnitOfWork, *, after: UUID | None = None, limit: int = 50
) -> list[ReconciliationInfo]:
    """Return the comparisons, the newest first. after: the last id of the page before."""
    return await comparison_store.reconciliations(uow, before=after, limit=max(1, min(limit, PAGE_MAX)))


async def latest(uow: UnitOfWork, partner: str, business_date: date) -> ReconciliationInfo | None:
    """Return the last comparison of a partner's day, or None. Raises NotFound for an unknown partner."""
    partner_id = (await service.partner(uow, partner)).id
    for found in await comparison_store.reconciliations(
        uow, partner_id=partner_id, day=business_date, limit=1
    ):
        return found
    return None
