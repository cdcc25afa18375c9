"""Work of the matching room that the worker does from time to time. Every job may run twice."""

from __future__ import annotations

from pointsbank.platform.database import Database, UnitOfWork
from services.matching import service


async def pair_open_requests(database: Database, community_id: int) -> int:
    """Pair what waits, and return how many requests were offered; a run without a pair is not recorded."""
    return (await service.pair(database, community_id, record_fruitless=False)).paired


async def lapse_offers(uow: UnitOfWork) -> int:
    """Let unanswered offers lapse, and return how many did."""
    return await service.lapse_offers(uow)
