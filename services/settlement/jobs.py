"""What the worker does for settlement. Every handler may run twice and may be killed at any line.

A handler never holds a transaction open while a partner is asked: it reads, asks, then does the effect and
marks its intent done in one commit, which it shares with others that come at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from pointsbank.domain.redemption import ENDED, PartnerWord, RedemptionState
from pointsbank.platform import outbox
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.gathered import Gathered
from pointsbank.platform.outbox import Handler, Intent
from services.ledger import holds as ledger_holds
from services.people import service as people
from services.settlement import events, refunds, service, store
from services.settlement.circuits import Circuits
from services.settlement.client import (
    OrderAnswer,
    PartnerClient,
    PartnerRefused,
    Partners,
    PartnerUnavailable,
)
from services.settlement.views import RedemptionInfo

log = structlog.get_logger(__name__)

NOT_FOUND = "not_found"
ALREADY_FULFILLED = "already_fulfilled"

SILENT_AFTER = timedelta(minutes=1)
SILENT_AT_MOST = timedelta(minutes=15)
ASKED_AT_ONCE = 50
LAPSED_AT_ONCE = 200
"""Overdue holds that are read at a time; a round goes through all of them."""


@dataclass(frozen=True, slots=True)
class _Tools:
    """What handlers work with: the database, the partners behind their circuits, commits that are shared."""

    database: Database
    partners: Partners
    circuits: Circuits
    gathered: Gathered


def handlers(
    database: Database, partners: Partners, gathered: Gathered | None = None
) -> Mapping[str, Handler]:
    """Return the handlers of settlement's intents, by topic.

    gathered: what shares their commits, where the caller wants to wait for its end.
    """
    tools = _Tools(database, partners, Circuits(database, partners), gathered or gathering(database))

    async def request(intent: Intent) -> None:
        await _request(tools, intent)

    async def cancel(intent: Intent) -> None:
        await _cancel(tools, intent)

    async def present(intent: Intent) -> None:
        await _present(tools, intent)

    def heard(word: PartnerWord) -> Handler:
        async def handle(intent: Intent) -> None:
            async def act(uow: UnitOfWork) -> None:
                known = await service.known_redemption(uow, intent.subject_id)
                # Whose word it is was looked at when the event was taken.
                if word is PartnerWord.CANCELLED:
                    await _taken_back(uow, known)
                else:
                    await service.hear(uow, known.id, word, said_by=known.partner_id)

            await tools.gathered.do(intent, act)

        return handle

    return {
        service.REQUEST: request,
        service.CANCEL: cancel,
        service.INTRODUCE: present,
        **{topic: heard(word) for word, topic in service.HEARD.items()},
    }


async def _taken_back(uow: UnitOfWork, known: RedemptionInfo) -> None:
    """Do what a cancellation says, which may be about what was handed over before and told just now.

    The hand-over is heard first, in whichever order the two are worked off: else a meal that the partner's
    books have would not be in ours. What was handed over is given back by a refund that people decide.
    """
    said_by = known.partner_id
    served = PartnerWord.FULFILLED
    if await store.told_at(uow, known.id, partner_id=said_by, word=served) is not None:
        known = await service.hear(uow, known.id, served, said_by=said_by)
    if known.state is RedemptionState.FULFILLED:
        outcome = await store.told_outcome(uow, known.id, partner_id=said_by, word=PartnerWord.CANCELLED)
        await refunds.propose_for_partner(uow, known.id, outcome)
    else:
        await service.hear(uow, known.id, PartnerWord.CANCELLED, said_by=said_by)


def gathering(database: Database) -> Gathered:
    """Return what lets the effects on many redemptions share a commit."""

    async def lock(uow: UnitOfWork, redemptions: Sequence[UUID]) -> None:
        # Redemption before hold before journal, as everywhere: else two batches, or a batch and a member who
        # calls an order off, would wait for each other.
        await store.lock_redemptions(uow, redemptions)
        await ledger_holds.lock_holds(uow, redemptions)

    return Gathered(database, lock)


async def _request(tools: _Tools, intent: Intent) -> None:
    wanted: RedemptionInfo | None = None

    async def begin(uow: UnitOfWork) -> None:
        nonlocal wanted
        wanted = await service.begin_request(uow, intent.subject_id)
        if wanted is None:
            await outbox.done(uow, intent)

    await tools.gathered.do(intent, begin, last=False)
    if wanted is None:
        return
    order = wanted

    async def place(client: PartnerClient) -> OrderAnswer:
        try:
            return await client.place(intent.community_id, order)
        except PartnerRefused as refused:
            if refused.code != NOT_FOUND:
                raise
            await introduce(tools.database, tools.partners, intent.community_id, order.partner)
            return await client.place(intent.community_id, order)

    try:
        answer = await tools.circuits.ask(intent.community_id, order.partner_id, order.partner, place)
    except PartnerRefused as refused:
        if refused.code == NOT_FOUND:
            raise PartnerUnavailable(order.partner, "does not know the community") from None
        # The partner took nothing: the order itself is not to its liking, and asking again will not help.
        answer = OrderAnswer(order.id, PartnerWord.REFUSED, reason=refused.code)
    await tools.gathered.do(intent, lambda uow: _hear(uow, answer, said_by=order.partner_id))


async def _cancel(tools: _Tools, intent: Intent) -> None:
    async with tools.database.unit_of_work(intent.community_id) as uow:
        held = await service.known_redemption(uow, intent.subject_id)
        if held.state in (RedemptionState.FULFILLED, RedemptionState.REFUSED):
            await outbox.done(uow, intent)
            return
    try:
        answer = await tools.circuits.ask(
            intent.community_id,
            held.partner_id,
            held.partner,
            lambda client: client.cancel(intent.community_id, held.id),
        )
    except PartnerRefused as refused:
        if refused.code == ALREADY_FULFILLED:
            answer = OrderAnswer(held.id, PartnerWord.FULFILLED)
        elif refused.code == NOT_FOUND:  # it never came to know of the order
            answer = OrderAnswer(held.id, PartnerWord.CANCELLED)
        else:  # it has decided, and asking again will not help
            log.warning("cancellation_refused", redemption=str(held.id), error=refused.code)
            await tools.gathered.do(intent, lambda uow: service.cancellation_refused(uow, held.id))
            return
    await tools.gathered.do(intent, lambda uow: _hear(uow, answer, said_by=held.partner_id))


async def _present(tools: _Tools, intent: Intent) -> None:
    async with tools.database.unit_of_work(intent.community_id) as uow:
        code = next(each.code for each in await service.partners(uow) if each.id == intent.subject_id)
    await tools.circuits.ask(
        intent.community_id,
        intent.subject_id,
        code,
        lambda _: introduce(tools.database, tools.partners, intent.community_id, code),
    )
    async with tools.database.unit_of_work(intent.community_id) as uow:
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
    circuits = Circuits(database, partners)
    away: set[str] = set()
    for redemption_id in silent:
        async with database.unit_of_work(community_id) as uow:
            held = await service.known_redemption(uow, redemption_id)
        if held.state in ENDED or held.partner in away:
            continue
        try:
            answer = await circuits.ask(
                community_id,
                held.partner_id,
                held.partner,
                lambda client, asked=redemption_id: client.order(community_id, asked),  # type: ignore[misc]
            )
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
