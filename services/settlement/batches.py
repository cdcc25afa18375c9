"""Settlement batches: what was captured at a partner for a day, frozen, and settled by one journal entry.

Every captured redemption is in exactly one batch. What is captured after its day was frozen goes into the
day's next batch; a batch itself never changes. A refund is a line below zero in the next batch after it was
booked, with the day of the meal kept. Each batch is a commit of its own, so that a great day's freezing
keeps nobody waiting for the journal. Two people sign a batch, then it is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from pointsbank.domain import settlement
from pointsbank.domain.decision import SecondPersonNeeded
from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.domain.settlement import BatchState, LineKind, SettledLine
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.ids import uuid7
from services.ledger import service as ledger
from services.people import service as people
from services.settlement import batch_store
from services.settlement.views import BatchInfo, BatchLine, BatchStanding, PartnerInfo

BATCH_LINES_MAX = 1_000
"""Lines of one batch; a day with more has several. The journal's one lock is held while they are written."""

PAGE_MAX = 200
REFERENCE_LENGTH_MAX = 60


async def freeze_batches(database: Database, community_id: int, through: date) -> list[BatchInfo]:
    """Freeze what was captured up to the local day ``through`` and is in no batch yet, compared or not.

    For a caller that has compared the books itself; the worker freezes what it has compared
    (:func:`services.settlement.settling.settle_day`). Run again, it finds nothing to freeze. Returns the new
    batches in order of day and partner.
    """
    async with database.unit_of_work(community_id) as uow:
        unsettled = await batch_store.unsettled_days(uow, through)
    return [
        batch
        for partner, day in unsettled
        for batch in await freeze_day(database, community_id, partner, day)
    ]


async def freeze_day(
    database: Database,
    community_id: int,
    partner: PartnerInfo,
    day: date,
    *,
    among: Sequence[UUID] | None = None,
) -> list[BatchInfo]:
    """Freeze a partner's captures of a local day that are in no batch yet; return the new batches.

    among: of these redemptions only, None for all. Each batch is a commit: cut off, it goes on another time.
    """
    frozen: list[BatchInfo] = []
    last: tuple[UUID, LineKind] | None = None
    while True:
        async with database.unit_of_work(community_id) as uow:
            await batch_store.lock_freezing(uow)
            lines = await batch_store.unsettled_lines(
                uow, partner.id, day, among=among, after=last, limit=BATCH_LINES_MAX
            )
            if lines:
                frozen.append(await _freeze(uow, partner, day, lines))
        if len(lines) < BATCH_LINES_MAX:
            return frozen
        last = lines[-1].place


async def _freeze(uow: UnitOfWork, partner: PartnerInfo, day: date, lines: list[SettledLine]) -> BatchInfo:
    batch_id, partner_id, now = uuid7(), partner.id, uow.clock.now()
    sequence = await batch_store.next_sequence(uow, partner_id, day)
    sums, content_hash = settlement.totals(lines), settlement.content_hash(lines)
    entry = settlement.settlement_entry(
        batch=batch_id,
        partner=partner_id,
        business_date=day,
        sequence=sequence,
        sums=sums,
        policy_version=(await ledger.policy_on(uow, day)).version,
        at=now,
    )
    number = None if entry is None else (await ledger.post(uow, entry)).number
    await batch_store.insert_batch(
        uow,
        batch_id=batch_id,
        partner_id=partner_id,
        business_date=day,
        sequence=sequence,
        lines=lines,
        sums=sums,
        content_hash=content_hash,
        entry_number=number,
    )
    return BatchInfo(
        id=batch_id,
        partner=partner.code,
        business_date=day,
        sequence=sequence,
        frozen_at=now,
        lines=sums.lines,
        milli_points=sums.milli_points,
        fen=sums.fen,
        subsidy_fen=sums.subsidy_fen,
        cash_fen=sums.cash_fen,
        content_hash=content_hash,
        entry_number=number,
    )


async def batches(uow: UnitOfWork, *, after: UUID | None = None, limit: int = 50) -> list[BatchInfo]:
    """Return the batches, the newest first. after: the last id of the page before."""
    return await batch_store.batches(uow, before=after, limit=max(1, min(limit, PAGE_MAX)))


async def batch(uow: UnitOfWork, batch_id: UUID) -> BatchInfo:
    """Return one batch. Raises NotFound."""
    for found in await batch_store.batches(uow, batch_id=batch_id, limit=1):
        return found
    raise NotFound(what="settlement_batch")


async def batch_lines(
    uow: UnitOfWork, batch_id: UUID, *, after: UUID | None = None, limit: int = 50
) -> list[BatchLine]:
    """Return a batch's lines by place, of ``limit`` redemptions. after: the last one of the page before."""
    await batch(uow, batch_id)
    return await batch_store.batch_lines(uow, batch_id, after=after, limit=max(1, min(limit, PAGE_MAX)))


async def standings(uow: UnitOfWork, batch_ids: Sequence[UUID]) -> dict[UUID, BatchStanding]:
    """Return who has signed each batch, and how it was paid."""
    signed = await batch_store.signatures(uow, batch_ids)
    paid = await batch_store.payments(uow, batch_ids)
    return {
        batch_id: BatchStanding(
            tuple(each for each in signed if each.batch_id == batch_id), paid.get(batch_id)
        )
        for batch_id in batch_ids
    }


async def sign(uow: UnitOfWork, actor: Actor, batch_id: UUID) -> BatchStanding:
    """Sign a batch, by a coordinator or an auditor; the second who does approves it.

    Raises NotAllowed, NotFound, SecondPersonNeeded (signed by oneself before), WrongState (approved already).
    """
    actor.require(*READERS, action="sign_batch")
    await batch_store.lock_batch(uow, batch_id)
    await batch(uow, batch_id)
    standing = (await standings(uow, [batch_id]))[batch_id]
    if standing.state is not BatchState.FROZEN:
        raise WrongState(what="settlement_batch", state=standing.state, action="sign")
    if any(each.signed_by == actor.person_id for each in standing.signatures):
        raise SecondPersonNeeded
    await batch_store.insert_signature(uow, batch_id, actor.person_id)
    return (await standings(uow, [batch_id]))[batch_id]


async def note_paid(
    uow: UnitOfWork, actor: Actor, batch_id: UUID, *, reference: str, paid_on: date
) -> BatchStanding:
    """Note that an approved batch was paid: the bank's reference and the local day, by a coordinator.

    The same said again is answered as it stands. Raises NotAllowed, NotFound, InvalidValue, WrongState (not
    approved; paid otherwise).
    """
    actor.require(Role.COORDINATOR, action="note_paid")
    reference = reference.strip()
    if not 0 < len(reference) <= REFERENCE_LENGTH_MAX:
        raise InvalidValue(field="reference", rule=f"between_1_and_{REFERENCE_LENGTH_MAX}_characters")
    await batch_store.lock_batch(uow, batch_id)
    frozen = await batch(uow, batch_id)
    today = await people.local_today(uow)
    if not frozen.business_date <= paid_on <= today:
        raise InvalidValue(field="paid_on", rule="after_the_day_and_not_in_the_future")
    standing = (await standings(uow, [batch_id]))[batch_id]
    if standing.payment is not None and (standing.payment.reference, standing.payment.paid_on) == (
        reference,
        paid_on,
    ):
        return standing
    if standing.state is not BatchState.APPROVED:
        raise WrongState(what="settlement_batch", state=standing.state, action="pay")
    await batch_store.insert_payment(
        uow, batch_id, reference=reference, paid_on=paid_on, noted_by=actor.person_id
    )
    return (await standings(uow, [batch_id]))[batch_id]
