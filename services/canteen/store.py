"""What the canteen has left: so many of each dish a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct
from sqlalchemy import Update, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.database import UnitOfWork
from services.canteen import menu_store, portion_store
from services.canteen.menu_store import ONE_POINT, ONE_POINT_NAME
from services.canteen.rules import Meal, MealDetails, closes_at, sum_of
from services.canteen.tables import TABLES, days, menu
from services.partnerkit.redemption import Item, Order, Reason
from services.partnerkit.store import PartnerStore, execute

DAY_CAPACITY_MAX = 100_000
MODES = frozenset({"dine_in", "delivery"})


class Terms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Terms of one dish: when it is served, how many a day, eaten there or brought home."""

    meal: Meal
    day_capacity: int
    dine_in: bool = True
    delivery: bool = True


FIRST_MENU: tuple[tuple[Item, Terms], ...] = (
    (Item("lunch_set", "午餐套餐", 10_000, 1_200, True), Terms(meal=Meal.LUNCH, day_capacity=400)),
    (Item("soft_lunch", "软食午餐", 10_000, 1_200, True), Terms(meal=Meal.LUNCH, day_capacity=100)),
    (Item("dinner_set", "晚餐套餐", 10_000, 1_200, True), Terms(meal=Meal.DINNER, day_capacity=200)),
)
"""The dishes a new community begins with, at 10 points and 12 yuan."""


class CanteenSupply:
    """Dishes by the day; the row of a dish's day is the lock its orders queue for."""

    async def bootstrap(self, uow: UnitOfWork) -> None:
        """Begin with FIRST_MENU, served at one point."""
        await menu_store.save_point(uow, ONE_POINT, ONE_POINT_NAME)
        for item, terms in FIRST_MENU:
            await PartnerStore(TABLES).save_item(uow, item)
            await self.set_terms(uow, item.code, terms)

    async def remaining(self, uow: UnitOfWork, business_date: date) -> dict[str, int]:
        """Return by dish how many are left on a day."""
        found = await execute(
            uow.session,
            select(menu.c.item, func.coalesce(days.c.capacity - days.c.taken, menu.c.day_capacity))
            .select_from(
                menu.outerjoin(
                    days,
                    (days.c.community_id == menu.c.community_id)
                    & (days.c.item == menu.c.item)
                    & (days.c.business_date == business_date),
                )
            )
            .where(menu.c.community_id == uow.community_id),
        )
        return {row[0]: row[1] for row in found}

    async def take(self, uow: UnitOfWork, order: Order) -> Reason | None:
        """Take portions of the day; CLOSED when the dish is not served as asked, SOLD_OUT when too few."""
        found = await execute(
            uow.session,
            select(menu).where(menu.c.community_id == uow.community_id, menu.c.item == order.item),
        )
        terms = found.mappings().one_or_none()
        if terms is None or (order.mode is not None and not (order.mode in MODES and terms[order.mode])):
            return Reason.CLOSED
        details: MealDetails | None = order.details
        if details is not None and details.shares is not None and sum_of(details.shares) != order.fen:
            raise InvalidValue(field="details.shares", rule="sum_to_the_price")
        if details is not None and await self._is_late(uow, order, Meal(terms["meal"])):
            return Reason.LATE
        await execute(
            uow.session,
            insert(days)
            .values(
                community_id=uow.community_id,
                item=order.item,
                business_date=order.business_date,
                capacity=terms["day_capacity"],
                taken=0,
            )
            .on_conflict_do_nothing(),
        )
        if details is None or details.dish is None:
            return None if await self._take_day(uow, order) else Reason.SOLD_OUT
        # The day, then the sitting, then the dish: everybody takes them in this order. A savepoint, for what
        # is refused must have taken nothing.
        held = await uow.session.begin_nested()
        refused = (
            await portion_store.take_dish(uow, order, details, terms["meal"])
            if await self._take_day(uow, order)
            else Reason.SOLD_OUT
        )
        await (held.rollback() if refused else held.commit())
        return refused

    async def _is_late(self, uow: UnitOfWork, order: Order, meal: Meal) -> bool:
        community = await PartnerStore(TABLES).community(uow)
        assert community is not None, "orders are taken for communities that are served"
        closes = closes_at(await menu_store.rules(uow), meal, order.business_date, community.timezone)
        return uow.clock.now() >= closes

    async def _take_day(self, uow: UnitOfWork, order: Order) -> bool:
        taken = await execute(
            uow.session,
            self._day(uow, order)
            .where(days.c.taken + order.quantity <= days.c.capacity)
            .values(taken=days.c.taken + order.quantity),
        )
        return taken.rowcount == 1

    async def give_back(self, uow: UnitOfWork, order: Order) -> None:
        """Free the order's portions."""
        await execute(uow.session, self._day(uow, order).values(taken=days.c.taken - order.quantity))
        if order.details is not None and order.details.dish is not None:
            await portion_store.give_back_dish(uow, order, order.details)

    async def lock(self, uow: UnitOfWork, orders: Sequence[Order]) -> None:
        """Lock the days, then the sittings, then the menu lines of several orders, each in order of key."""
        keys = {(order.item, order.business_date) for order in orders}
        await execute(
            uow.session,
            select(days.c.item)
            .where(
                days.c.community_id == uow.community_id,
                tuple_(days.c.item, days.c.business_date).in_(sorted(keys)),
            )
            .order_by(days.c.item, days.c.business_date)
            .with_for_update(),
        )
        await portion_store.lock_dishes(uow, orders)

    async def set_terms(self, uow: UnitOfWork, code: str, terms: Terms) -> None:
        """Set a dish's terms; days already begun never fall below what was taken. Raises InvalidValue."""
        if not 0 <= terms.day_capacity <= DAY_CAPACITY_MAX:
            raise InvalidValue(field="terms.day_capacity", rule=f"expected 0 to {DAY_CAPACITY_MAX}")
        if not (terms.dine_in or terms.delivery):
            raise InvalidValue(field="terms.dine_in", rule="expected dine_in or delivery")
        values = {
            "community_id": uow.community_id,
            "item": code,
            "meal": terms.meal,
            "day_capacity": terms.day_capacity,
            "dine_in": terms.dine_in,
            "delivery": terms.delivery,
        }
        await execute(
            uow.session,
            insert(menu)
            .values(values)
            .on_conflict_do_update(index_elements=["community_id", "item"], set_=values),
        )
        await execute(
            uow.session,
            update(days)
            .where(days.c.community_id == uow.community_id, days.c.item == code)
            .values(capacity=func.greatest(days.c.taken, terms.day_capacity)),
        )

    def _day(self, uow: UnitOfWork, order: Order) -> Update:
        return update(days).where(
            days.c.community_id == uow.community_id,
            days.c.item == order.item,
            days.c.business_date == order.business_date,
        )
