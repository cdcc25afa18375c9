"""What the station has in stock, and how many came for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from uuid import UUID

from msgspec import Struct
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.database import UnitOfWork
from services.partnerkit.redemption import Item, Order, Reason
from services.partnerkit.store import PartnerStore, execute
from services.station.tables import TABLES, Need, stocks, visits

STOCK_MAX = 1_000_000


class Terms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Terms of one pack: how many are in stock now."""

    stock: int


FIRST_PACKS: tuple[tuple[Item, Terms], ...] = (
    (Item("water_rest_pack", "饮水休息包", 2_000, 300, True), Terms(stock=2_000)),
    (Item("cooling_pack", "清凉包", 2_000, 300, True), Terms(stock=1_000)),
)
"""The packs a new community begins with, at 2 points and 3 yuan."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Some people came in for one need. client_id: chosen by who counted, so that a repeat counts once."""

    client_id: UUID
    need: Need
    at: datetime
    business_date: date
    count: int


class StationSupply:
    """Packs in stock; the pack's row is the lock its orders queue for."""

    async def bootstrap(self, uow: UnitOfWork) -> None:
        """Begin with FIRST_PACKS."""
        for item, terms in FIRST_PACKS:
            await PartnerStore(TABLES).save_item(uow, item)
            await self.set_terms(uow, item.code, terms)

    async def remaining(self, uow: UnitOfWork, business_date: date) -> dict[str, int]:  # noqa: ARG002
        """Return by pack how many are in stock, whatever the day."""
        found = await execute(
            uow.session,
            select(stocks.c.item, stocks.c.remaining).where(stocks.c.community_id == uow.community_id),
        )
        return {row[0]: row[1] for row in found}

    async def take(self, uow: UnitOfWork, order: Order) -> Reason | None:
        """Take packs from stock; CLOSED for a delivery (the station has none), SOLD_OUT when too few."""
        if order.mode is not None:
            return Reason.CLOSED
        taken = await execute(
            uow.session,
            update(stocks)
            .where(
                stocks.c.community_id == uow.community_id,
                stocks.c.item == order.item,
                stocks.c.remaining >= order.quantity,
            )
            .values(remaining=stocks.c.remaining - order.quantity),
        )
        return None if taken.rowcount else Reason.SOLD_OUT

    async def give_back(self, uow: UnitOfWork, order: Order) -> None:
        """Put the order's packs back."""
        await execute(
            uow.session,
            update(stocks)
            .where(stocks.c.community_id == uow.community_id, stocks.c.item == order.item)
            .values(remaining=stocks.c.remaining + order.quantity),
        )

    async def lock(self, uow: UnitOfWork, orders: Sequence[Order]) -> None:
        """Lock the stocks of several orders in order of item."""
        await execute(
            uow.session,
            select(stocks.c.item)
            .where(
                stocks.c.community_id == uow.community_id, stocks.c.item.in_({order.item for order in orders})
            )
            .order_by(stocks.c.item)
            .with_for_update(),
        )

    async def set_terms(self, uow: UnitOfWork, code: str, terms: Terms) -> None:
        """Set a pack's stock as it was counted. Raises InvalidValue."""
        if not 0 <= terms.stock <= STOCK_MAX:
            raise InvalidValue(field="terms.stock", rule=f"expected 0 to {STOCK_MAX}")
        values = {"community_id": uow.community_id, "item": code, "remaining": terms.stock}
        await execute(
            uow.session,
            insert(stocks)
            .values(values)
            .on_conflict_do_update(index_elements=["community_id", "item"], set_=values),
        )


async def add_visits(uow: UnitOfWork, added: Sequence[Visit]) -> int:
    """Insert visits; those whose client_id is there already are left out. Return how many were new."""
    ids = [visit.client_id for visit in added]
    known = {visit.client_id for visit in await visits_by_id(uow, ids)}
    rows = [{"community_id": uow.community_id, **asdict(visit)} for visit in added]
    await execute(uow.session, insert(visits).on_conflict_do_nothing(), rows)
    return len(set(ids) - known)


async def visits_by_id(uow: UnitOfWork, client_ids: Sequence[UUID]) -> list[Visit]:
    """Return those visits that exist."""
    found = await execute(
        uow.session,
        select(visits).where(visits.c.community_id == uow.community_id, visits.c.client_id.in_(client_ids)),
    )
    return [
        Visit(row["client_id"], Need(row["need"]), row["at"], row["business_date"], row["count"])
        for row in found.mappings()
    ]


async def visit_counts(uow: UnitOfWork, first: date, last: date) -> list[tuple[date, Need, int]]:
    """Return people by day and need over business days ``first`` to ``last``, both included."""
    found = await execute(
        uow.session,
        select(visits.c.business_date, visits.c.need, func.sum(visits.c.count))
        .where(
            visits.c.community_id == uow.community_id,
            visits.c.business_date >= first,
            visits.c.business_date <= last,
        )
        .group_by(visits.c.business_date, visits.c.need)
        .order_by(visits.c.business_date, visits.c.need),
    )
    return [(row[0], Need(row[1]), int(row[2])) for row in found]
