"""The station's own signed routes: visits."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import get, post
from msgspec import Meta, Struct, field

from services.partnerkit.http import PlainRequest, desk, read_body, read_query
from services.partnerkit.wire import BULK_MAX, Asked, Count, IntakeAnswer, Moment, OfCommunity
from services.station import service
from services.station.service import CountedVisit
from services.station.tables import Need


class VisitLine(Asked, frozen=True, kw_only=True):
    """One count: so many people, for one need, at one moment."""

    client_id: UUID
    need: Need
    at: Moment
    count: Count = 1

    def counted(self) -> CountedVisit:
        """Return the count it tells of."""
        moment: datetime = self.at
        return CountedVisit(self.client_id, self.need, moment, self.count)


class AddVisit(VisitLine, frozen=True, kw_only=True):
    """Body of ``POST /visits``."""

    community_id: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class AddVisits(OfCommunity, frozen=True, kw_only=True):
    """Body of ``POST /visits/bulk``."""

    visits: Annotated[list[VisitLine], Meta(min_length=1, max_length=BULK_MAX)]


class OfSummary(OfCommunity, frozen=True, kw_only=True):
    """Query of ``GET /visits/summary``: business days, both included."""

    first: date = field(name="from")
    last: date = field(name="to")


class DayCount(Struct, frozen=True):
    """People of one day and need."""

    date: date
    need: Need
    count: int


class SummaryAnswer(Struct, frozen=True):
    """People in all, by need, and by day and need."""

    total: int
    needs: dict[str, int]
    days: list[DayCount]


@post("/visits", status_code=200)
async def add_visit(request: PlainRequest) -> IntakeAnswer:
    """Count people who came in; the same client_id again counts nothing."""
    at, body = desk(request), await read_body(request, AddVisit)
    async with at.database.unit_of_work(body.community_id) as uow:
        community = await at.service.community(uow)
        return IntakeAnswer(1, await service.record_visits(uow, community, [body.counted()]))


@post("/visits/bulk", status_code=200)
async def add_visits(request: PlainRequest) -> IntakeAnswer:
    """Count many at once, all or none."""
    at, body = desk(request), await read_body(request, AddVisits)
    async with at.database.unit_of_work(body.community_id) as uow:
        community = await at.service.community(uow)
        counted = [line.counted() for line in body.visits]
        return IntakeAnswer(len(counted), await service.record_visits(uow, community, counted))


@get("/visits/summary")
async def summary(request: PlainRequest) -> SummaryAnswer:
    """Tell how many came, for what."""
    at, query = desk(request), read_query(request, OfSummary)
    async with at.database.unit_of_work(query.community_id) as uow:
        await at.service.community(uow)
        told = await service.summarise_visits(uow, query.first, query.last)
    return SummaryAnswer(
        total=told.total,
        needs={need.value: count for need, count in told.needs.items()},
        days=[DayCount(*day) for day in told.days],
    )
