"""Rows of a partner's shared tables. The only place beside the tables that knows their SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, RowMapping, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import CursorResult
from sqlmodel.ext.asyncio.session import AsyncSession

from pointsbank.platform.database import Database, UnitOfWork
from services.partnerkit.redemption import Item, Order, Reason, Status
from services.partnerkit.tables import PartnerTables

LAPSE_ROWS = 200
"""Orders that lapse in one transaction."""

ORDER_FIELDS = tuple(field for field in Order.__slots__ if field not in {"details", "shares"})


async def execute(
    session: AsyncSession, statement: Executable, rows: Any = None
) -> CursorResult[*tuple[Any, ...]]:
    """Run a statement on plain tables inside the session's transaction."""
    return await (await session.connection()).execute(statement, rows)


@dataclass(frozen=True, slots=True)
class Community:
    """A community that the partner serves. timezone: IANA name."""

    community_id: int
    code: str
    name: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Redemption:
    """An order and what became of it."""

    order: Order
    status: Status
    reason: Reason | None
    partner_reference: str
    fulfilled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something the platform must be told. fulfilled_quantity: 0 unless handed over.

    outcome: how it came to this, in a word of the partner's; None for the ordinary way.
    """

    community_id: int
    event_id: UUID
    redemption_id: UUID
    type: Status
    occurred_at: datetime
    fulfilled_quantity: int
    tries: int = 0
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a statement. milli_points and fen as in its lines."""

    lines: int
    milli_points: int
    fen: int


class PartnerStore:
    """Reads and writes one partner's tables."""

    def __init__(self, tables: PartnerTables) -> None:
        self.tables = tables

    def _order_values(self, order: Order) -> dict[str, Any]:
        values: dict[str, Any] = {field: getattr(order, field) for field in ORDER_FIELDS}
        own = self.tables.details
        if own is not None:
            # Every row of one statement must have the same columns.
            values |= asdict(order.details) if order.details else {each.name: None for each in fields(own)}
        return values

    def _redemption(self, row: RowMapping) -> Redemption:
        own = self.tables.details
        said = {each.name: row[each.name] for each in fields(own)} if own is not None else {}
        told = own is not None and any(value is not None for value in said.values())
        return Redemption(
            order=Order(
                **{field: row[field] for field in ORDER_FIELDS}, details=own(**said) if own and told else None
            ),
            status=Status(row["status"]),
            reason=Reason(row["reason"]) if row["reason"] else None,
            partner_reference=row["partner_reference"],
            fulfilled_at=row["fulfilled_at"],
        )

    async def community(self, uow: UnitOfWork) -> Community | None:
        """Return the unit of work's community, or None when the partner does not serve it."""
        communities = self.tables.communities
        found = await execute(
            uow.session, select(communities).where(communities.c.community_id == uow.community_id)
        )
        row = found.mappings().one_or_none()
        return Community(**row) if row else None

    async def communities(self, database: Database) -> list[Community]:
        """Return every community the partner serves, in order of id."""
        communities = self.tables.communities
        async with database.session() as session:
            found = await execute(session, select(communities).order_by(communities.c.community_id))
            return [Community(**row) for row in found.mappings()]

    async def save_community(self, uow: UnitOfWork, community: Community) -> None:
        """Insert or change a community."""
        values = asdict(community)
        await execute(
            uow.session,
            insert(self.tables.communities)
            .values(values)
            .on_conflict_do_update(index_elements=["community_id"], set_=values),
        )

    async def items(self, uow: UnitOfWork) -> list[Item]:
        """Return the community's items in order of code."""
        items = self.tables.items
        found = await execute(
            uow.session, select(items).where(items.c.community_id == uow.community_id).order_by(items.c.code)
        )
        return [_item(row) for row in found.mappings()]

    async def item(self, uow: UnitOfWork, code: str) -> Item | None:
        """Return one item, or None."""
        items = self.tables.items
        found = await execute(
            uow.session, select(items).where(items.c.community_id == uow.community_id, items.c.code == code)
        )
        row = found.mappings().one_or_none()
        return _item(row) if row else None

    async def save_item(self, uow: UnitOfWork, item: Item) -> None:
        """Insert or change an item."""
        values = {"community_id": uow.community_id, **asdict(item)}
        await execute(
            uow.session,
            insert(self.tables.items)
            .values(values)
            .on_conflict_do_update(index_elements=["community_id", "code"], set_=values),
        )

    async def references(self, uow: UnitOfWork, count: int) -> list[int]:
        """Draw ``count`` reference numbers; none is given twice."""
        drawn = await execute(
            uow.session,
            select(self.tables.references.next_value()).select_from(func.generate_series(1, count)),
        )
        return list(drawn.scalars())

    async def add(self, uow: UnitOfWork, redemptions: Sequence[Redemption]) -> None:
        """Insert redemptions; one whose id (or open voucher) is there already is left out."""
        at = uow.clock.now()
        rows = [
            {
                "community_id": uow.community_id,
                **self._order_values(redemption.order),
                "partner_reference": redemption.partner_reference,
                "status": redemption.status,
                "reason": redemption.reason,
                "received_at": at,
                "fulfilled_at": redemption.fulfilled_at,
                "closed_at": None if redemption.status is Status.ACCEPTED else redemption.fulfilled_at or at,
            }
            for redemption in redemptions
        ]
        await execute(uow.session, insert(self.tables.redemptions).on_conflict_do_nothing(), rows)

    async def redemption(
        self, uow: UnitOfWork, redemption_id: UUID, *, lock: bool = False
    ) -> Redemption | None:
        """Return one redemption, locked until the commit when asked for, or None."""
        return next(iter(await self.redemptions(uow, [redemption_id], lock=lock)), None)

    async def redemptions(
        self, uow: UnitOfWork, redemption_ids: Sequence[UUID], *, lock: bool = False
    ) -> list[Redemption]:
        """Return those redemptions that exist, in order of id."""
        redemptions = self.tables.redemptions
        query = (
            select(redemptions)
            .where(
                redemptions.c.community_id == uow.community_id,
                redemptions.c.redemption_id.in_(redemption_ids),
            )
            .order_by(redemptions.c.redemption_id)
        )
        found = await execute(uow.session, query.with_for_update() if lock else query)
        return [self._redemption(row) for row in found.mappings()]

    async def open_by_voucher(self, uow: UnitOfWork, voucher: str, business_date: date) -> UUID | None:
        """Return the id of the accepted order of that day with ``voucher``, or None."""
        redemptions = self.tables.redemptions
        found = await execute(
            uow.session,
            select(redemptions.c.redemption_id).where(
                redemptions.c.community_id == uow.community_id,
                redemptions.c.business_date == business_date,
                redemptions.c.voucher == voucher,
                redemptions.c.status == Status.ACCEPTED,
            ),
        )
        return found.scalar_one_or_none()

    async def open_orders(
        self, uow: UnitOfWork, business_date: date, *, voucher: str | None, limit: int
    ) -> list[Redemption]:
        """Return the accepted orders of a day in order of voucher; ``voucher`` narrows to its beginning."""
        redemptions = self.tables.redemptions
        query = select(redemptions).where(
            redemptions.c.community_id == uow.community_id,
            redemptions.c.business_date == business_date,
            redemptions.c.status == Status.ACCEPTED,
        )
        if voucher:
            query = query.where(redemptions.c.voucher.startswith(voucher, autoescape=True))
        found = await execute(uow.session, query.order_by(redemptions.c.voucher).limit(limit))
        return [self._redemption(row) for row in found.mappings()]

    async def count_on(self, uow: UnitOfWork, business_date: date) -> Mapping[Status, int]:
        """Return how many orders of a day stand in each status."""
        redemptions = self.tables.redemptions
        found = await execute(
            uow.session,
            select(redemptions.c.status, func.count())
            .where(
                redemptions.c.community_id == uow.community_id, redemptions.c.business_date == business_date
            )
            .group_by(redemptions.c.status),
        )
        return {Status(row[0]): row[1] for row in found}

    async def overdue(self, uow: UnitOfWork, today: date) -> list[Redemption]:
        """Lock and return accepted orders of days before ``today``, LAPSE_ROWS at most."""
        redemptions = self.tables.redemptions
        found = await execute(
            uow.session,
            select(redemptions)
            .where(
                redemptions.c.community_id == uow.community_id,
                redemptions.c.status == Status.ACCEPTED,
                redemptions.c.business_date < today,
            )
            .order_by(redemptions.c.redemption_id)
            .limit(LAPSE_ROWS)
            .with_for_update(skip_locked=True),
        )
        return [self._redemption(row) for row in found.mappings()]

    async def close(
        self, uow: UnitOfWork, redemption_id: UUID, status: Status, *, reason: Reason | None = None
    ) -> None:
        """Take a locked redemption to a final ``status``; reason: only for REFUSED."""
        redemptions, at = self.tables.redemptions, uow.clock.now()
        await execute(
            uow.session,
            update(redemptions)
            .where(
                redemptions.c.community_id == uow.community_id,
                redemptions.c.redemption_id == redemption_id,
            )
            .values(
                status=status,
                reason=reason,
                closed_at=at,
                fulfilled_at=at if status is Status.FULFILLED else None,
            ),
        )

    async def statement(
        self, uow: UnitOfWork, business_date: date, *, after: str, limit: int
    ) -> list[Redemption]:
        """Return fulfilled orders of a day whose reference follows ``after``, ``limit`` at most."""
        redemptions = self.tables.redemptions
        found = await execute(
            uow.session,
            select(redemptions)
            .where(
                redemptions.c.community_id == uow.community_id,
                redemptions.c.business_date == business_date,
                redemptions.c.status == Status.FULFILLED,
                redemptions.c.partner_reference > after,
            )
            .order_by(redemptions.c.partner_reference)
            .limit(limit),
        )
        return [self._redemption(row) for row in found.mappings()]

    async def statement_totals(self, uow: UnitOfWork, business_date: date) -> Totals:
        """Return the sums over all fulfilled orders of a day."""
        redemptions = self.tables.redemptions
        found = await execute(
            uow.session,
            select(func.count(), func.sum(redemptions.c.milli_points), func.sum(redemptions.c.fen)).where(
                redemptions.c.community_id == uow.community_id,
                redemptions.c.business_date == business_date,
                redemptions.c.status == Status.FULFILLED,
            ),
        )
        row = found.one()
        return Totals(lines=row[0], milli_points=int(row[1] or 0), fen=int(row[2] or 0))

    async def add_event(self, uow: UnitOfWork, event: Event) -> None:
        """Keep an event until it is delivered."""
        events = self.tables.events
        values = {name: value for name, value in asdict(event).items() if name in events.c}
        await execute(uow.session, insert(events).values({**values, "next_try_at": uow.clock.now()}))

    async def claim_events(self, uow: UnitOfWork, *, limit: int, lease: timedelta) -> list[Event]:
        """Take due events, oldest first, and put their next try ``lease`` ahead in case this one dies."""
        events, at = self.tables.events, uow.clock.now()
        due = (
            select(events.c.event_id)
            .where(
                events.c.community_id == uow.community_id,
                events.c.delivered_at.is_(None),
                events.c.next_try_at <= at,
            )
            .order_by(events.c.event_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = await execute(
            uow.session,
            update(events)
            .where(events.c.community_id == uow.community_id, events.c.event_id.in_(due))
            .values(next_try_at=at + lease, tries=events.c.tries + 1)
            .returning(*(events.c[field] for field in Event.__slots__ if field in events.c)),
        )
        taken = [Event(**{**row, "type": Status(row["type"])}) for row in claimed.mappings()]
        return sorted(taken, key=lambda event: event.event_id)

    async def event_delivered(self, uow: UnitOfWork, event_id: UUID) -> None:
        """Record that the platform has taken an event."""
        await self._change_event(uow, event_id, delivered_at=uow.clock.now(), last_error=None)

    async def event_failed(self, uow: UnitOfWork, event_id: UUID, *, error: str, again_at: datetime) -> None:
        """Record why an event was not taken and when to try again."""
        await self._change_event(uow, event_id, next_try_at=again_at, last_error=error[:100])

    async def _change_event(self, uow: UnitOfWork, event_id: UUID, **values: Any) -> None:
        events = self.tables.events
        await execute(
            uow.session,
            update(events)
            .where(events.c.community_id == uow.community_id, events.c.event_id == event_id)
            .values(**values),
        )

    async def remember_nonce(self, database: Database, key: str, nonce: str) -> bool:
        """Return whether the nonce is new; it is remembered from now on."""
        async with database.session() as session:
            # A crash may forget the last nonces; every call they guard is idempotent, and a flush is dear.
            await execute(session, text("SET LOCAL synchronous_commit = off"))
            added = await execute(
                session,
                insert(self.tables.nonces)
                .values(key=key, nonce=nonce, seen_at=database.clock.now())
                .on_conflict_do_nothing(),
            )
            return added.rowcount == 1

    async def forget_nonces(self, database: Database, *, before: datetime) -> int:
        """Drop nonces seen before a moment; return how many."""
        async with database.session() as session:
            nonces = self.tables.nonces
            dropped = await execute(session, delete(nonces).where(nonces.c.seen_at < before))
            return dropped.rowcount

    async def revision(self, database: Database) -> str | None:
        """Return the schema's migration, which also proves that the database answers."""
        async with database.session() as session:
            found = await execute(
                session,
                select(text("version_num")).select_from(text(f"{self.tables.schema}.alembic_version")),
            )
            return found.scalar_one_or_none()


def _item(row: RowMapping) -> Item:
    return Item(**{field: row[field] for field in Item.__slots__})
