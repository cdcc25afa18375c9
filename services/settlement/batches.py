"""Settlement batches: what was captured at a partner for a day, frozen, and settled by one journal entry.

Every captured redemption is in exactly one batch. What is captured after its day was frozen goes into the
day's next batch; a batch itself never changes.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pointsbank.domain import settlement
from pointsbank.domain.errors import NotFound
from pointsbank.domain.settlement import Line
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.ledger import service as ledger
from services.settlement import batch_store
from services.settlement.views import BatchInfo, BatchLine

BATCH_LINES_MAX = 5_000
"""Lines of one batch; a day with more has several, so that memory does not grow with a day."""

PAGE_MAX = 200


async def freeze_batches(uow: UnitOfWork, through: date) -> list[BatchInfo]:
    """Freeze what was captured up to the local day ``through`` and is in no batch yet.

    Run again, it finds nothing to freeze. Returns the new batches in order of day and partner.
    """
    await batch_store.lock_freezing(uow)
    frozen: list[BatchInfo] = []
    for partner_id, code, day in await batch_store.unsettled_days(uow, through):
        while lines := await batch_store.unsettled_lines(uow, partner_id, day, limit=BATCH_LINES_MAX):
            frozen.append(await _freeze(uow, partner_id, code, day, lines))
    return frozen


async def _freeze(uow: UnitOfWork, partner_id: UUID, code: str, day: date, lines: list[Line]) -> BatchInfo:
    batch_id, now = uuid7(), uow.clock.now()
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
    recorded = await ledger.post(uow, entry)
    await batch_store.insert_batch(
        uow,
        batch_id=batch_id,
        partner_id=partner_id,
        business_date=day,
        sequence=sequence,
        lines=lines,
        sums=sums,
        content_hash=content_hash,
        entry_number=recorded.number,
    )
    return BatchInfo(
        id=batch_id,
        partner=code,
        business_date=day,
        sequence=sequence,
        frozen_at=now,
        lines=sums.lines,
        milli_points=sums.milli_points,
        fen=sums.fen,
        content_hash=content_hash,
        entry_number=recorded.number,
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
    """Return a batch's lines in order of redemption. after: the last redemption of the page before."""
    await batch(uow, batch_id)
    return await batch_store.batch_lines(uow, batch_id, after=after, limit=max(1, min(limit, PAGE_MAX)))
