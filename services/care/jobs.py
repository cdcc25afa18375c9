"""Work of the care room that the worker does from time to time. Every job may run twice."""

from __future__ import annotations

from pointsbank.platform.database import UnitOfWork
from services.care import service, tending
from services.care.door import codes


async def expire_requests(uow: UnitOfWork) -> int:
    """Expire requests whose start has passed with no volunteer, and return how many."""
    return await service.expire_requests(uow)


async def tend_visits(uow: UnitOfWork) -> int:
    """Mark no-shows and visits never checked out, and return how many visits were moved."""
    return await tending.tend_visits(uow)


async def forget_codes(uow: UnitOfWork) -> None:
    """Drop the codes of former days."""
    await codes.forget_codes(uow)
