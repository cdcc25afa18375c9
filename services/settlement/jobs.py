"""What the worker does for settlement. Every handler may run twice and may be killed at any line.

A handler never holds a transaction open while a partner is asked: it reads, asks, then does the effect and
marks its intent done in one commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from pointsbank.domain.redemption import ENDED, PartnerWord, RedemptionState
from pointsbank.platform import outbox
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.outbox import Handler, Intent
from services.ledger import holds as ledger_holds
from services.people import service as people
from services.settlement import events, service, store
from services.settlement.client import OrderAnswer, PartnerRefused, Partners, PartnerUnavailable

log = structlog.get_logger(__name__)

NOT_FOUND = "not_found"
ALREADY_FULFILLED = "already_fulfilled"

SILENT_AFTER = timedelta(minutes=1)
SILENT_AT_MOST = timedelta(minutes=15)
ASKED_AT_ONCE = 50
LAPSED_AT_ONCE = 200
"""Overdue holds that are read at a time; a round goes through all of them."""


def handlers(database: Database, partners: Partners) -> Mapping[str, Handler]:
    """Return the handlers of settlement's intents, by topic."""

    async def request(intent: Intent) -> None:
        await _request(database, partners, intent)

    async def cancel(intent: Intent) -> None:
        await _cancel(database, partners, intent)

    async def introduce(intent: Intent) -> None:
        await _introduce(database, partners, intent)

    def heard(word: PartnerWord) -> Handler:
        async def act(intent: Intent) -> None:
            async with database.unit_of_work(intent.community_id) as uow:
                known = await service.known_redemption(uow, intent.subject_id)
                # Whose word it is was looked at when the event was taken.
                await service.hear(uow, known.id, word, said_by=known.partner_id)
                await outbox.done(uow, intent)

        return act

    return {
        service.REQUEST: request,
        service.CANCEL: cancel,
        service.INTRODUCE: introduce,
        **{topic: heard(word) for word, topic in service.HEARD.items()},
    }


async def _request(database: Database, partners: Partners, intent: Intent) -> None:
    async with database.unit_of_work(intent.community_id) as uow:
        wanted = await service.begin_request(uow, intent.subject_id)
        if wanted is None:
            await outbox.done(uow, intent)
            return
    client = partners[wanted.partner]
    try:
        try:
            answer = await client.place(intent.community_id, wanted)
        except PartnerRefused as refused:
            if refused.code != NOT_FOUND:
                raise
            await introduce(database, partners, intent.community_id, wanted.partner)
            answer = await client.place(intent.community_id, wanted)
    except PartnerRefused as refused:
        if refused.code == NOT_FOUND:
            raise PartnerUnavailable(wanted.partner, "does not know the community") from None
        # The partner took nothing: the order itself is not to its liking, and asking again will not help.
        answer = OrderAnswer(wanted.id, PartnerWord.REFUSED, reason=refused.code)
    async with database.unit_of_work(intent.community_id) as uow:
        await _hear(uow, answer, said_by=wanted.partner_id)
        await outbox.done(uow, intent)


async def _cancel(database: Database, partners: Partners, intent: Intent) -> None:
    async with database.unit_of_work(intent.community_id) as uow:
        held = await service.known_redemption(uow, intent.subject_id)
        if held.state in (RedemptionState.FULFILLED, RedemptionState.REFUSED):
            await outbox.done(uow, intent)
            return
    client = partners[held.partner]
    try:
        answer = await client.cancel(intent.community_id, held.id)
    except PartnerRefused as refused:
        if refused.code == ALREADY_FULFILLED:
            answer = OrderAnswer(held.id, PartnerWord.FULFILLED)
        elif refused.code == NOT_FOUND:  # it never came to know of the order
            answer = OrderAnswer(held.id, PartnerWord.CANCELLED)
        else:  # it has decided, and asking again will not help
            log.warning("cancellation_refused", redemption=str(held.id), error=refused.code)
            async with database.unit_of_work(intent.community_id) as uow:
                await service.cancellation_refused(uow, held.id)
                await outbox.done(uow, intent)
            return
    async with database.unit_of_work(intent.community_id) as uow:
        await _hear(uow, answer, said_by=held.partner_id)
        await outbox.done(uow, intent)


async def _introduce(database: Database, partners: Partners, intent: Intent) -> None:
    async with database.unit_of_work(intent.community_id) as uow:
        code = next(each.code for each in await service.partners(uow) if each.id == intent.subject_id)
    await introduce(database, partners, intent.community_id, code)
    async with database.unit_of_work(intent.community_id) as uow:
        await outbox.done(uow, intent)


async def introduce(database: Database, partners: Partners, community_id: int, partner: str) -> None:
    """Have a partner serve the community. Raises PartnerUnavailable, PartnerRefused."""
    async with database.unit_of_work(community_id) as uow:
        community = await people.community(uow)
    await partners[partner].introduce(
        community_id, code=community.code, name=community.name, timezone=community.timezone
    )


async def lapse_overdue(database: Database, community_id: int) -> int:
    """End redemptions whose hold has expired, page by page; return how many.

    One that cannot be ended is passed over, so that it keeps nobody else's points.
    """
    ended = 0
    last: tuple[datetime, UUID] | None = None
    while True:
        async with database.unit_of_work(community_id) as uow:
            overdue = await ledger_holds.overdue_holds(uow, after=last, limit=LAPSED_AT_ONCE)
            known = await store.known_ids(uow, [hold_id for _, hold_id in overdue])
        for last in overdue:
            if last[1] in known:
                ended += await _lapse(database, community_id, last[1])
        if len(overdue) < LAPSED_AT_ONCE:
            return ended


async def _lapse(database: Database, community_id: int, redemption_id: UUID) -> bool:
    try:
        async with database.unit_of_work(community_id) as uow:
            return (await service.lapse(uow, redemption_id)).state in ENDED
    except Exception as error:
        log.error("lapse_failed", redemption=str(redemption_id), error=outbox.describe(error))
        return False


async def ask_after_silent(database: Database, partners: Partners, community_id: int) -> int:
    """Ask partners about accepted redemptions whose event has not come; return how many were asked about.

    Events are the rule and arrive within seconds; this finds what an event that was lost would have told.
    """
    async with database.unit_of_work(community_id) as uow:
        silent = await store.take_silent(uow, after=SILENT_AFTER, at_most=SILENT_AT_MOST, limit=ASKED_AT_ONCE)
    away: set[str] = set()
    for redemption_id in silent:
        async with database.unit_of_work(community_id) as uow:
            held = await service.known_redemption(uow, redemption_id)
        if held.state in ENDED or held.partner in away:
            continue
        try:
            answer = await partners[held.partner].order(community_id, redemption_id)
        except PartnerUnavailable as error:
            away.add(held.partner)  # the others at this partner wait for the next time
            log.info("partner_not_asked", partner=held.partner, error=outbox.describe(error))
            continue
        except PartnerRefused as error:
            log.warning("partner_knows_no_order", redemption=str(redemption_id), error=error.code)
            continue
        async with database.unit_of_work(community_id) as uow:
            await _hear(uow, answer, said_by=held.partner_id)
    return len(silent)


async def forget(uow: UnitOfWork) -> None:
    """Drop what need not be remembered any longer."""
    await events.forget_nonces(uow)


async def _hear(uow: UnitOfWork, answer: OrderAnswer, *, said_by: UUID) -> None:
    await service.hear(
        uow,
        answer.redemption_id,
        answer.status,
        said_by=said_by,
        reference=answer.partner_reference,
        reason=answer.reason,
        served=answer.fulfilled_quantity,
    )
