"""What a partner does with orders: load, decide, save, announce."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.platform.clock import is_timezone, local_date
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.ids import uuid7
from pointsbank.platform.signing import WINDOW_SECONDS
from services.partnerkit import redemption as rules
from services.partnerkit.redemption import Item, Order, RedemptionDiffers, Status, VoucherTaken
from services.partnerkit.store import Community, Event, PartnerStore, Redemption, Totals
from services.partnerkit.supply import Supply

COUNTER_ORDERS_MAX = 200
"""Orders that one counter page shows; staff narrow by voucher beyond."""

BACK_MAX = timedelta(days=400)
"""How long ago something that is told for the first time may have been: a year, and time to write it up."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An item and how many are left today."""

    item: Item
    remaining: int


@dataclass(frozen=True, slots=True)
class PastOrder:
    """An order that was handed over before the platform knew of it."""

    order: Order
    fulfilled_at: datetime


@dataclass(frozen=True, slots=True)
class Intake:
    """How many past orders came in, and how many of them were not known yet."""

    received: int
    new: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A page of a day's handed-over orders, and the sums of the whole day."""

    lines: list[Redemption]
    next_after: str | None
    totals: Totals


@dataclass(frozen=True, slots=True)
class CounterDay:
    """What the counter sees of today."""

    community: Community
    today: date
    orders: list[Redemption]
    waiting: int
    done: int


class PartnerService:
    """One partner's orders. ``event_added`` is set after each commit that leaves an event to deliver."""

    def __init__(self, store: PartnerStore, supply: Supply, *, reference_prefix: str) -> None:
        self.store = store
        self.supply = supply
        self.reference_prefix = reference_prefix
        self.event_added = asyncio.Event()

    async def save_community(self, uow: UnitOfWork, community: Community) -> Community:
        """Serve a community, with the partner's first items when it has none. Raises InvalidValue."""
        if not is_timezone(community.timezone):
            raise InvalidValue(field="timezone", rule="expected an IANA time zone")
        await self.store.save_community(uow, community)
        if not await self.store.items(uow):
            await self.supply.bootstrap(uow)
        return community

    async def save_item(self, uow: UnitOfWork, item: Item, terms: Any) -> Offer:
        """Set an item's price and terms; orders accepted before keep theirs.

        Raises NotFound, InvalidValue.
        """
        community = await self.community(uow)
        await self.store.save_item(uow, item)
        await self.supply.set_terms(uow, item.code, terms)
        remaining = await self.supply.remaining(uow, self._today(uow, community))
        return Offer(item, remaining.get(item.code, 0))

    async def offers(self, uow: UnitOfWork) -> list[Offer]:
        """Return the items with what is left of each today. Raises NotFound for an unknown community."""
        community = await self.community(uow)
        remaining = await self.supply.remaining(uow, self._today(uow, community))
        return [Offer(item, remaining.get(item.code, 0)) for item in await self.store.items(uow)]

    async def place(self, uow: UnitOfWork, order: Order) -> Redemption:
        """Accept or refuse an order; asked again, answer what was decided then.

        Raises NotFound, RedemptionDiffers, VoucherTaken.
        """
        community = await self.community(uow)
        if known := await self.store.redemption(uow, order.redemption_id):
            return _same(known, order)
        item = await self.store.item(uow, order.item)
        reason = rules.refusal(order, item, now=uow.clock.now(), timezone=community.timezone)
        (number,) = await self.store.references(uow, 1)
        placed = Redemption(
            order=order,
            status=Status.REFUSED if reason else Status.ACCEPTED,
            reason=reason,
            partner_reference=self._reference(order.business_date, number),
            fulfilled_at=None,
        )
        await self.store.add(uow, [placed])
        kept = await self.store.redemption(uow, order.redemption_id)
        if kept is None:
            raise VoucherTaken(voucher=order.voucher or "")
        if kept.partner_reference != placed.partner_reference:
            return _same(kept, order)
        if kept.status is Status.ACCEPTED and (reason := await self.supply.take(uow, order)):
            await self.store.close(uow, order.redemption_id, Status.REFUSED, reason=reason)
        return await self._announced(uow, order.redemption_id)

    async def redemption(self, uow: UnitOfWork, redemption_id: UUID) -> Redemption:
        """Return an order as it stands. Raises NotFound."""
        found = await self.store.redemption(uow, redemption_id)
        if found is None:
            raise NotFound(what="redemption")
        return found

    async def fulfil(self, uow: UnitOfWork, redemption_id: UUID, *, outcome: str | None = None) -> Redemption:
        """Record that an order was handed over; a second time changes nothing.

        outcome: see :class:`Event`. Raises NotFound, WrongState.
        """
        held = await self.locked(uow, redemption_id)
        if not rules.fulfil(held.status):
            return held
        await self.store.close(uow, redemption_id, Status.FULFILLED)
        return await self._announced(uow, redemption_id, outcome=outcome)

    async def call_off(self, uow: UnitOfWork, redemption_id: UUID, *, outcome: str) -> Redemption:
        """Close an accepted order that was not taken, by the partner itself; its portions are gone.

        Raises NotFound, WrongState.
        """
        held = await self.locked(uow, redemption_id)
        if not rules.fulfil(held.status):
            raise WrongState(what="redemption", state=held.status, action="call_off")
        await self.store.close(uow, redemption_id, Status.CANCELLED)
        return await self._announced(uow, redemption_id, outcome=outcome)

    async def tell(self, uow: UnitOfWork, redemption_id: UUID, status: Status, *, outcome: str) -> None:
        """Tell the platform something more of an order that has ended. Raises NotFound."""
        await self._announced(uow, redemption_id, status=status, outcome=outcome)

    async def fulfil_voucher(self, uow: UnitOfWork, voucher: str) -> Redemption:
        """Hand over today's accepted order with ``voucher``. Raises NotFound, WrongState."""
        community = await self.community(uow)
        found = await self.store.open_by_voucher(uow, voucher, self._today(uow, community))
        if found is None:
            raise NotFound(what="voucher")
        return await self.fulfil(uow, found)

    async def cancel(self, uow: UnitOfWork, redemption_id: UUID) -> Redemption:
        """Cancel an order; one that will not be served anyway stays as it is.

        Raises NotFound, AlreadyFulfilled.
        """
        held = await self.locked(uow, redemption_id)
        if not rules.cancel(redemption_id, held.status):
            return held
        await self.store.close(uow, redemption_id, Status.CANCELLED)
        await self.supply.give_back(uow, held.order)
        return await self._announced(uow, redemption_id)

    async def lapse(self, uow: UnitOfWork) -> int:
        """Close accepted orders whose business day has ended; return how many were closed."""
        community = await self.community(uow)
        overdue = await self.store.overdue(uow, self._today(uow, community))
        await self.supply.lock(uow, [held.order for held in overdue])
        for held in overdue:
            await self.store.close(uow, held.order.redemption_id, Status.LAPSED)
            await self.supply.give_back(uow, held.order)
            await self._announced(uow, held.order.redemption_id)
        return len(overdue)

    async def take_in(self, uow: UnitOfWork, past: Sequence[PastOrder]) -> Intake:
        """Record orders that were handed over in the past: all of them, or none when one is wrong.

        They touch neither supplies nor events. Raises NotFound, InvalidValue, RedemptionDiffers.
        """
        community = await self.community(uow)
        items = {item.code for item in await self.store.items(uow)}
        now, today = uow.clock.now(), self._today(uow, community)
        asked: dict[UUID, PastOrder] = {}
        for index, each in enumerate(past):
            if each.order.redemption_id in asked:
                raise InvalidValue(field=f"redemptions[{index}].redemption_id", rule="repeated")
            if each.order.item not in items:
                raise InvalidValue(field=f"redemptions[{index}].item", rule="unknown_item")
            if each.order.business_date > today:
                raise InvalidValue(field=f"redemptions[{index}].business_date", rule="in_the_future")
            if each.order.business_date < today - BACK_MAX:
                raise InvalidValue(field=f"redemptions[{index}].business_date", rule="plausible_date")
            if each.fulfilled_at > now:
                raise InvalidValue(field=f"redemptions[{index}].fulfilled_at", rule="in_the_future")
            if each.fulfilled_at < now - BACK_MAX:
                raise InvalidValue(field=f"redemptions[{index}].fulfilled_at", rule="plausible_date")
            asked[each.order.redemption_id] = each
        drawn = await self.store.references(uow, len(past))
        rows = [
            Redemption(
                order=each.order,
                status=Status.FULFILLED,
                reason=None,
                partner_reference=self._reference(each.order.business_date, number),
                fulfilled_at=each.fulfilled_at,
            )
            for each, number in zip(past, drawn, strict=True)
        ]
        await self.store.add(uow, rows)
        kept = await self.store.redemptions(uow, list(asked))
        for redemption in kept:
            _same(redemption, asked[redemption.order.redemption_id].order)
            if redemption.fulfilled_at != asked[redemption.order.redemption_id].fulfilled_at:
                raise RedemptionDiffers(redemption_id=redemption.order.redemption_id, field="fulfilled_at")
        ours = {row.partner_reference for row in rows}
        return Intake(received=len(past), new=sum(each.partner_reference in ours for each in kept))

    async def statement(self, uow: UnitOfWork, business_date: date, *, after: str, limit: int) -> Statement:
        """Return the day's handed-over orders that follow reference ``after``. Raises NotFound."""
        await self.community(uow)
        lines = await self.store.statement(uow, business_date, after=after, limit=limit)
        return Statement(
            lines=lines,
            next_after=lines[-1].partner_reference if len(lines) == limit else None,
            totals=await self.store.statement_totals(uow, business_date),
        )

    async def counter_day(self, uow: UnitOfWork, *, voucher: str | None = None) -> CounterDay:
        """Return today's accepted orders, those whose voucher begins as given. Raises NotFound."""
        community = await self.community(uow)
        today = self._today(uow, community)
        counts = await self.store.count_on(uow, today)
        return CounterDay(
            community=community,
            today=today,
            orders=await self.store.open_orders(uow, today, voucher=voucher, limit=COUNTER_ORDERS_MAX),
            waiting=counts.get(Status.ACCEPTED, 0),
            done=counts.get(Status.FULFILLED, 0),
        )

    async def community(self, uow: UnitOfWork) -> Community:
        """Return the unit of work's community. Raises NotFound when the partner does not serve it."""
        community = await self.store.community(uow)
        if community is None:
            raise NotFound(what="community")
        return community

    async def communities(self, database: Database) -> list[Community]:
        """Return every community the partner serves, in order of id."""
        return await self.store.communities(database)

    async def schema_revision(self, database: Database) -> str | None:
        """Return the schema's migration, which also proves that the database answers."""
        return await self.store.revision(database)

    async def take_nonce(self, database: Database, key: str, nonce: str) -> bool:
        """Return whether a signed request is seen for the first time."""
        return await self.store.remember_nonce(database, key, nonce)

    async def forget_nonces(self, database: Database) -> int:
        """Drop the nonces whose signatures are refused by their age anyway; return how many."""
        # A signature may be made ahead of our clock by a window, and then stays good for one more.
        before = database.clock.now() - timedelta(seconds=3 * WINDOW_SECONDS)
        return await self.store.forget_nonces(database, before=before)

    def _reference(self, business_date: date, number: int) -> str:
        return f"{self.reference_prefix}{business_date:%Y%m%d}-{number:09d}"

    def _today(self, uow: UnitOfWork, community: Community) -> date:
        return local_date(uow.clock.now(), community.timezone)

    async def locked(self, uow: UnitOfWork, redemption_id: UUID) -> Redemption:
        """Return an order, locked until the commit. Raises NotFound."""
        held = await self.store.redemption(uow, redemption_id, lock=True)
        if held is None:
            raise NotFound(what="redemption")
        return held

    async def _announced(
        self,
        uow: UnitOfWork,
        redemption_id: UUID,
        *,
        status: Status | None = None,
        outcome: str | None = None,
    ) -> Redemption:
        now_is = await self.redemption(uow, redemption_id)
        told, at = status or now_is.status, uow.clock.now()
        await self.store.add_event(
            uow,
            Event(
                community_id=uow.community_id,
                event_id=uuid7(),
                redemption_id=redemption_id,
                type=told,
                occurred_at=at if status else now_is.fulfilled_at or at,
                fulfilled_quantity=now_is.order.quantity if told is Status.FULFILLED else 0,
                outcome=outcome,
            ),
        )

        async def wake() -> None:
            self.event_added.set()

        uow.after_commit(wake)
        return now_is


def _same(known: Redemption, asked: Order) -> Redemption:
    field = rules.difference(known.order, asked)
    if field is not None:
        raise RedemptionDiffers(redemption_id=asked.redemption_id, field=field)
    return known
