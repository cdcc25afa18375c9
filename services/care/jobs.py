"""Work of the care room that the worker does from time to time. Every job may run twice."""

from __future__ import annotations

from pointsbank.platform.database import UnitOfWork
from services.care import service, tending
from services.care.door import codes


async def expire_requests(uow: UnitOfWork) -> int:
    """Expire requests that can no longer begin and have no volunteer, and return how many."""
    return await service.expire_requests(uow)


async def escalate_waiting(uow: UnitOfWork) -> int:
    """Raise requests that wait too long, once each, and return how many."""
    return await service.escalate_waiting(uow)


async def make_requests(uow: UnitOfWork) -> int:
    """Make the requests of series that stand some days ahead, each once, and return how many."""
    return await service.make_requests(uow)


async def tend_visits(uow: UnitOfWork) -> int:
    """Mark no-shows and visits never checked out, and return how many visits were moved."""
    return await tending.tend_visits(uow)


async def part_kept_apart(uow: UnitOfWork) -> int:
    """Call off what two who are kept apart have agreed for later, and return how many visits."""
    return await tending.part_kept_apart(uow)


async def forget_codes(uow: UnitOfWork) -> None:
    """Drop the codes of former days."""
    await codes.forget_codes(uow)
