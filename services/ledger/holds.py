"""Holds: opened, then captured, voided or expired, once. Each step is one entry in the same unit of work.

Locks are taken in one order, hold before journal: lock a hold before posting anything else in a unit of
work that does both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pointsbank.domain.errors import WrongState
from pointsbank.domain.hold import Hold, HoldState
from pointsbank.domain.journal import Origin, SourceKind
from pointsbank.domain.points import MilliPoints
from pointsbank.platform.database import UnitOfWork
from services.ledger import hold_store, service
from services.ledger.views import Recorded


async def open_hold(uow: UnitOfWork, hold: Hold, origin: Origin) -> None:
    """Set the hold's points aside. Raises InsufficientPoints."""
    opened = await service.post(uow, hold.opening(origin, at=uow.clock.now()))
    await hold_store.insert(
        uow,
        hold,
        policy_version=origin.policy_version,
        source_id=origin.source_id,
        opened_by=opened.number,
    )


async def lock_hold(uow: UnitOfWork, hold_id: UUID) -> Hold:
    """Return a hold, locked until the unit of work ends. Raises NotFound."""
    return (await hold_store.lock(uow, hold_id))[0]


async def lock_holds(uow: UnitOfWork, ids: Sequence[UUID]) -> None:
    """Lock holds until the unit of work ends, in order of id: for who ends several."""
    await hold_store.lock_many(uow, ids)


async def capture_hold(
    uow: UnitOfWork, hold_id: UUID, *, amount: MilliPoints, actor: UUID, told_at: datetime | None = None
) -> Hold:
    """Pay ``amount`` milli-points to the partner and give the rest back.

    actor: pseudonym of who reported the fulfilment. told_at: when the report reached us, which is what the
    hold's expiry is held against; None for now. Raises NotFound, WrongState, HoldExpired.
    """
    hold, origin = await _locked(uow, hold_id, actor)
    captured, entry = hold.capture(amount, origin, at=uow.clock.now(), told_at=told_at)
    ended = await service.post(uow, entry)
    await hold_store.save(uow, captured, ended_by=ended.number)
    return captured


async def void_hold(uow: UnitOfWork, hold_id: UUID, *, actor: UUID) -> Hold:
    """Give everything back. Raises NotFound, WrongState."""
    hold, origin = await _locked(uow, hold_id, actor)
    voided, entry = hold.void(origin, at=uow.clock.now())
    ended = await service.post(uow, entry)
    await hold_store.save(uow, voided, ended_by=ended.number)
    return voided


async def expire_hold(uow: UnitOfWork, hold_id: UUID, *, actor: UUID) -> Hold:
    """Give everything back because the time has passed. Raises NotFound, WrongState, InvalidValue."""
    hold, origin = await _locked(uow, hold_id, actor)
    expired, entry = hold.expire(origin, at=uow.clock.now())
    ended = await service.post(uow, entry)
    await hold_store.save(uow, expired, ended_by=ended.number)
    return expired


async def refund_hold(uow: UnitOfWork, hold_id: UUID, *, amount: MilliPoints, actor: UUID) -> Recorded:
    """Give ``amount`` of what a hold paid back to the member, once, for a refund that was decided.

    Raises NotFound, WrongState (not captured, refunded before), InvalidValue.
    """
    hold = await lock_hold(uow, hold_id)
    ended_by = await hold_store.ended_by(uow, hold_id)
    if hold.state is not HoldState.CAPTURED or ended_by is None:
        raise WrongState(what="hold", state=hold.state, action="refund")
    return await service.refund(uow, ended_by, actor=actor, amount=amount)


async def overdue_holds(
    uow: UnitOfWork, *, after: tuple[datetime, UUID] | None = None, limit: int
) -> list[tuple[datetime, UUID]]:
    """Return (expired at, id) of open holds whose time has passed, the oldest first; nothing is locked.

    after: the last of the page before.
    """
    return await hold_store.overdue(uow, after=after, limit=limit)


async def record_opened_holds(
    uow: UnitOfWork, holds: Sequence[tuple[Hold, int, UUID, datetime, int]]
) -> None:
    """Store holds whose entries were posted in bulk: (hold, policy version, source, opened, entry) each."""
    await hold_store.insert_many(uow, holds)


async def record_ended_holds(uow: UnitOfWork, holds: Sequence[tuple[Hold, datetime, int]]) -> None:
    """Store how holds ended whose last entries were posted in bulk: (hold, ended, entry) each."""
    await hold_store.save_many(uow, holds)


async def _locked(uow: UnitOfWork, hold_id: UUID, actor: UUID) -> tuple[Hold, Origin]:
    hold, policy_version, source_id = await hold_store.lock(uow, hold_id)
    return hold, Origin(
        source_kind=SourceKind.REDEMPTION,
        source_id=source_id,
        actor=actor,
        subject=hold.member,
        policy_version=policy_version,
    )
