"""Work of the care room that the worker does from time to time. Every job may run twice."""

from __future__ import annotations

from pointsbank.platform.database import UnitOfWork
from services.care import service


async def expire_requests(uow: UnitOfWork) -> int:
    """Expire requests whose start has passed with no volunteer, and return how many."""
    return await service.expire_requests(uow)
