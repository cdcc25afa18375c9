"""Work of the care room that the worker does from time to time. Every job may run twice."""

from __future__ import annotations

from pointsbank.platform.database import UnitOfWork
from services.care import service


async def expire_requests(uow: UnitOfWork) -> int:
    """Expire requests that can no longer begin and have no volunteer, and return how many."""
    return await service.expire_requests(uow)


async def escalate_waiting(uow: UnitOfWork) -> int:
    """Raise requests that wait too long, once each, and return how many."""
    return await service.escalate_waiting(uow)


async def make_requests(uow: UnitOfWork) -> int:
    """Make the requests of series that stand some days ahead, each once, and return how many."""
    return await service.make_requests(uow)
