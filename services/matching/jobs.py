"""Work of the matching room that the worker does from time to time. Every job may run twice."""

from __future__ import annotations

from pointsbank.platform.database import Database, UnitOfWork
from services.matching import service


async def pair_open_requests(database: Database, community_id: int) -> int:
    """Pair what waits, and return how many requests were offered; a run without a pair is not recorded."""
    return (await service.pair(database, community_id, record_fruitless=False)).paired


async def forget_inputs(uow: UnitOfWork) -> int:
    """Drop what old pairing runs were given, and return of how many."""
    return await service.forget_inputs(uow)


async def part_offers(uow: UnitOfWork) -> int:
    """Put aside offers to volunteers who are kept apart from their elder since, and return how many."""
    return await service.part_offers(uow)


async def lapse_offers(uow: UnitOfWork) -> int:
    """Let unanswered offers lapse, and return how many did."""
    return await service.lapse_offers(uow)
