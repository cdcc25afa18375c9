"""Portions that orders take of sittings and dishes. Each takes the sitting first, then the dish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, tuple_, update

from pointsbank.platform.database import UnitOfWork
from services.canteen.menu_store import ONE_POINT, equal, meals
from services.canteen.rules import MealDetails
from services.canteen.tables import dishes, lines, sittings
from services.partnerkit.redemption import Order, Reason
from services.partnerkit.store import execute


async def take_dish(uow: UnitOfWork, order: Order, details: MealDetails, meal: str) -> Reason | None:
    """Take an order's portions of its sitting and its dish, or return why not (something may be taken)."""
    found = await execute(
        uow.session,
        select(dishes.c.item).where(dishes.c.community_id == uow.community_id, dishes.c.code == details.dish),
    )
    if found.scalar_one_or_none() != order.item:
        return Reason.NOT_ON_MENU
    at = _sitting(uow, order, details, meal)
    for table, key in ((sittings, at), (lines, {**at, "dish": details.dish})):
        standing = await execute(
            uow.session,
            select(table.c.capacity - table.c.taken, table.c.capacity)
            .where(*equal(table, key))
            .with_for_update(),
        )
        row = standing.one_or_none()
        if row is None or row[1] == 0:
            return Reason.NOT_ON_MENU
        if row[0] < order.quantity:
            return Reason.SOLD_OUT
        await execute(
            uow.session,
            update(table).where(*equal(table, key)).values(taken=table.c.taken + order.quantity),
        )
    return None


async def give_back_dish(uow: UnitOfWork, order: Order, details: MealDetails) -> None:
    """Free an order's portions of its sitting and its dish."""
    meal = (await meals(uow))[order.item]
    at = _sitting(uow, order, details, meal)
    for table, key in ((sittings, at), (lines, {**at, "dish": details.dish})):
        await execute(
            uow.session,
            update(table).where(*equal(table, key)).values(taken=table.c.taken - order.quantity),
        )


async def lock_dishes(uow: UnitOfWork, orders: Sequence[Order]) -> None:
    """Lock the sittings, then the menu lines, that several orders took of."""
    taken = [order for order in orders if order.details is not None and order.details.dish is not None]
    if not taken:
        return
    by_item = await meals(uow)
    keys = {
        (order.business_date, by_item[order.item], order.details.point or ONE_POINT, order.details.dish)
        for order in taken
    }
    of_sitting = sittings.c.business_date, sittings.c.meal, sittings.c.point
    of_line = lines.c.business_date, lines.c.meal, lines.c.point, lines.c.dish
    await execute(
        uow.session,
        select(sittings.c.taken)
        .where(
            sittings.c.community_id == uow.community_id,
            tuple_(*of_sitting).in_(sorted({key[:3] for key in keys})),
        )
        .order_by(*of_sitting)
        .with_for_update(),
    )
    await execute(
        uow.session,
        select(lines.c.taken)
        .where(lines.c.community_id == uow.community_id, tuple_(*of_line).in_(sorted(keys)))
        .order_by(*of_line)
        .with_for_update(),
    )


def _sitting(uow: UnitOfWork, order: Order, details: MealDetails, meal: str) -> dict[str, Any]:
    return {
        "community_id": uow.community_id,
        "business_date": order.business_date,
        "meal": meal,
        "point": details.point or ONE_POINT,
    }
