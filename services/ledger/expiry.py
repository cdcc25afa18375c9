"""Points whose day has passed leave their owner: one entry for each member and sweep.

Until the sweep has run, a moment after midnight, points of yesterday can still be spent; the sweep then finds
them gone. What comes back later from a hold or a reversal comes back with its old day and goes with the next
sweep. Each member's expiry is decided and posted under the ledger's lock, so nothing can be spent in between.
"""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID, uuid5

import structlog

from pointsbank.domain.giving import expiry_entry
from pointsbank.domain.lots import LotsBroken
from pointsbank.domain.points import MilliPoints
from pointsbank.platform.database import Database, UnitOfWork
from services.ledger import lot_store, lots, service
from services.ledger.proof import audit_store
from services.ledger.views import Recorded
from services.people import service as people

log = structlog.get_logger(__name__)

RUN_NAMESPACE = UUID("b6a0b1f5-6a0e-5d1f-9a57-0d6f3c1e7a42")
DAY = timedelta(days=1)


def run_id(community_id: int, day: date) -> UUID:
    """Return the id that the expiry entries of a local day cite as their source."""
    return uuid5(RUN_NAMESPACE, f"{community_id}:{day.isoformat()}")


async def expire_member(uow: UnitOfWork, member: UUID, today: date) -> Recorded | None:
    """Take what expired before local ``today`` from a member, in the caller's unit of work.

    member: a pseudonym. Returns None when nothing was due. Takes the ledger's lock.
    """
    await lots.lock(uow)
    found = await lots.fold(uow, member)
    due = found.due(today)
    if not due:
        return None
    policy = await service.policy_on(uow, today)
    entry = expiry_entry(
        run_id(uow.community_id, today),
        MilliPoints(due),
        member=member,
        day=today,
        through=found.last_number,
        policy_version=policy.version,
        occurred_at=uow.clock.now(),
    )
    return await service.post(uow, entry)


async def expire_lots(database: Database, community_id: int) -> int:
    """Expire every lot whose day has passed; return how many members lost some.

    Each member is a unit of work. How far it has run is noted once all are done: after a crash the same
    members are looked at again, and nothing more is found to take. A member whose lines do not add up is
    left and told of, and so is the note.
    """
    async with database.unit_of_work(community_id) as uow:
        today = await people.local_today(uow)
        head = int((await audit_store.head(uow))["entry_number"])
        swept_day, swept_entry = await lot_store.swept_through(uow)
        through = max(today - DAY, swept_day)
        if (through, head) == (swept_day, swept_entry):
            return 0
        members = await lot_store.members_with_old_lots(
            uow, through, after_day=swept_day, after_entry=swept_entry, through_entry=head
        )
    expired, broken = 0, 0
    for member in members:
        try:
            async with database.unit_of_work(community_id) as uow:
                expired += await expire_member(uow, member, today) is not None
        except LotsBroken:
            broken += 1
    if broken:
        log.error("lots_broken", community=community_id, members=broken)
        return expired
    async with database.unit_of_work(community_id) as uow:
        await lot_store.save_swept(uow, through, head)
    return expired
