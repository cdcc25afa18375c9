"""A member's lots: what points they have, and until when."""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.lots import Lot, Lots
from pointsbank.platform.database import UnitOfWork
from services.ledger import lot_store


async def fold(uow: UnitOfWork, member: UUID) -> Lots:
    """Return a member's lots as they are now. member: their pseudonym.

    Reads the member's own lines, about 20 microseconds each. To decide by them, take the ledger's lock first
    (:func:`lock`).
    """
    return Lots.of(await lot_store.point_lines(uow, member))


async def lots_of(uow: UnitOfWork, member: UUID) -> list[Lot]:
    """Return a member's lots with something left, the first to be spent first."""
    return (await fold(uow, member)).lots()


async def lock(uow: UnitOfWork) -> int:
    """Keep everybody else from posting until this unit of work ends; return the last entry's number.

    For entries that are decided by balances or lots: what is read after this still holds when they are
    posted. Whatever else is to be locked comes before.
    """
    return await lot_store.lock_ledger(uow)
