"""What the care room tells whoever pairs: commitments, service so far, who came before, what is open."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pointsbank.platform.database import UnitOfWork
from services.care import pairing_store
from services.care.requests import requests_by_id
from services.care.views import RequestInfo

VISITS_COUNTED_MAX = 20
"""Visits that are counted of one volunteer: who has made so many is no newcomer, however many more."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """A visit planned or made. stands: the volunteer still has to be there.

    minutes: as made, else as planned. small_grid, east_m, north_m: where, as far as it is known.
    """

    volunteer_id: UUID
    kind: str
    start: datetime
    end: datetime
    stands: bool
    minutes: int
    small_grid: int | None
    east_m: int | None
    north_m: int | None


@dataclass(frozen=True, slots=True)
class ServiceSoFar:
    """Minutes served lately, and visits ever made, at most ``VISITS_COUNTED_MAX``."""

    minutes: int = 0
    visits: int = 0


async def commitments(
    uow: UnitOfWork, volunteer_ids: Collection[UUID], start: datetime, end: datetime
) -> list[Commitment]:
    """Return the volunteers' visits, planned, under way, done or confirmed, that touch [start, end)."""
    rows = await pairing_store.commitments(uow, volunteer_ids, start, end)
    return [Commitment(**row) for row in rows]


async def service_so_far(
    uow: UnitOfWork, volunteer_ids: Collection[UUID], since: datetime
) -> dict[UUID, ServiceSoFar]:
    """Return what the volunteers have served since a moment, and how often ever."""
    rows = await pairing_store.service_so_far(uow, volunteer_ids, since, VISITS_COUNTED_MAX)
    return {row["volunteer_id"]: ServiceSoFar(row["minutes"], row["visits"]) for row in rows}


async def visits_between(
    uow: UnitOfWork, elder_ids: Collection[UUID], volunteer_ids: Collection[UUID] | None = None
) -> dict[UUID, dict[UUID, int]]:
    """Return, by elder, the volunteers whose visits were confirmed and how many they were.

    volunteer_ids: of these only; None: of all.
    """
    known: dict[UUID, dict[UUID, int]] = {}
    for row in await pairing_store.visits_between(uow, elder_ids, volunteer_ids):
        known.setdefault(row["elder_id"], {})[row["volunteer_id"]] = row["visits"]
    return known


async def open_ahead(uow: UnitOfWork, small_grids: Collection[int], *, limit: int) -> list[RequestInfo]:
    """Return open requests in these grids that lie ahead, most urgent and soonest first.

    Those for two carers that are offered in part are among them. For callers that have decided who may see
    them.
    """
    ids = await pairing_store.open_ahead(uow, small_grids, uow.clock.now(), limit)
    found = await requests_by_id(uow, ids)
    return [found[each] for each in ids]
