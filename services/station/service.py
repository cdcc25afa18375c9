"""Visits to the station: counted by need, day and night, without asking who comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.partnerkit.service import BACK_MAX
from services.partnerkit.store import Community
from services.station import store
from services.station.store import Visit
from services.station.tables import Need

SUMMARY_DAYS_MAX = 366


@dataclass(eq=False)
class VisitDiffers(DomainError):
    """This client_id was used before for another count."""

    code = "visit_differs"
    client_id: UUID


@dataclass(frozen=True, slots=True)
class VisitsSummary:
    """People by need in all, and by day and need."""

    total: int
    needs: dict[Need, int]
    days: list[tuple[date, Need, int]]


@dataclass(frozen=True, slots=True)
class CountedVisit:
    """What a counter at the door reports."""

    client_id: UUID
    need: Need
    at: datetime
    count: int


async def record_visits(uow: UnitOfWork, community: Community, counted: Sequence[CountedVisit]) -> int:
    """Record counts, all or none, each once; return how many were not known yet.

    Raises InvalidValue, VisitDiffers.
    """
    now = uow.clock.now()
    asked: dict[UUID, Visit] = {}
    for index, each in enumerate(counted):
        if each.at > now:
            raise InvalidValue(field=f"visits[{index}].at", rule="in_the_future")
        if each.at < now - BACK_MAX:
            raise InvalidValue(field=f"visits[{index}].at", rule="plausible_date")
        if each.client_id in asked:
            raise InvalidValue(field=f"visits[{index}].client_id", rule="repeated")
        day = local_date(each.at, community.timezone)
        asked[each.client_id] = Visit(each.client_id, each.need, each.at, day, each.count)
    new = await store.add_visits(uow, list(asked.values()))
    for kept in await store.visits_by_id(uow, list(asked)):
        if kept != asked[kept.client_id]:
            raise VisitDiffers(client_id=kept.client_id)
    return new


async def summarise_visits(uow: UnitOfWork, first: date, last: date) -> VisitsSummary:
    """Return people by need over business days ``first`` to ``last``, both included. Raises InvalidValue."""
    if not 0 <= (last - first).days < SUMMARY_DAYS_MAX:
        raise InvalidValue(field="to", rule=f"expected from to from + {SUMMARY_DAYS_MAX - 1} days")
    days = await store.visit_counts(uow, first, last)
    needs = dict.fromkeys(Need, 0)
    for _, need, count in days:
        needs[need] += count
    return VisitsSummary(total=sum(needs.values()), needs=needs, days=days)
