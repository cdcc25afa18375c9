"""Settlement batches: what was captured at a partner for a day, frozen, and settled by one journal entry.

Every captured redemption is in exactly one batch. What is captured after its day was frozen goes into the
day's next batch; a batch itself never changes. Each batch is a commit of its own, so that a great day's
freezing keeps nobody waiting for the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from pointsbank.domain import settlement
from pointsbank.domain.errors import NotFound
from pointsbank.domain.settlement import Line
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.ids import uuid7
from services.ledger import service as ledger
from services.settlement import batch_store
from services.settlement.views import BatchInfo, BatchLine, PartnerInfo

BATCH_LINES_MAX = 1_000
"""Lines of one batch; a day with more has several. The journal's one lock is held while they are written."""

PAGE_MAX = 200


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
    last: UUID | None = None
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
        last = lines[-1].redemption


async def _freeze(uow: UnitOfWork, partner: PartnerInfo, day: date, lines: list[Line]) -> BatchInfo:
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
        partner=partner.code,
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
