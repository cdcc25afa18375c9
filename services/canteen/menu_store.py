"""Rows of rules, serving points, dishes and menus, and the portions that orders take of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import Table, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from pointsbank.platform.database import UnitOfWork
from services.canteen.rules import Allergen, Meal, Rules, Tag
from services.canteen.tables import dish_photos, dishes, lines, menu, points, rule_books, sittings
from services.partnerkit.store import execute

ONE_POINT, ONE_POINT_NAME = "main", "长者饭堂"
"""The serving point a community begins with, and an order's that names none."""


@dataclass(frozen=True, slots=True)
class Dish:
    """A dish. item: the set it is sold as, which has the price and the meal."""

    code: str
    name: str
    item: str
    allergens: tuple[Allergen, ...] = ()
    tags: tuple[Tag, ...] = ()
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """A dish on a day's menu at a point: how many of it, and how many in the whole sitting, are left."""

    business_date: date
    meal: Meal
    point: str
    dish: Dish
    capacity: int
    left: int
    sitting_capacity: int
    sitting_left: int
    photo: bool

    @property
    def orderable(self) -> int:
        """How many can still be ordered."""
        return min(self.left, self.sitting_left)


async def rules(uow: UnitOfWork) -> Rules:
    """Return the community's rules."""
    found = await execute(
        uow.session, select(rule_books.c.document).where(rule_books.c.community_id == uow.community_id)
    )
    document = found.scalar_one_or_none()
    return Rules() if document is None else msgspec.convert(document, Rules)


async def save_rules(uow: UnitOfWork, changed: Rules) -> None:
    """Write the community's rules."""
    values = {"document": msgspec.to_builtins(changed), "changed_at": uow.clock.now()}
    await execute(
        uow.session,
        insert(rule_books)
        .values(community_id=uow.community_id, **values)
        .on_conflict_do_update(index_elements=["community_id"], set_=values),
    )


async def save_point(uow: UnitOfWork, code: str, name: str) -> None:
    """Insert or rename a serving point."""
    await execute(
        uow.session,
        insert(points)
        .values(community_id=uow.community_id, code=code, name=name)
        .on_conflict_do_update(index_elements=["community_id", "code"], set_={"name": name}),
    )


async def serving_points(uow: UnitOfWork) -> dict[str, str]:
    """Return the names of the serving points by code, the first one first."""
    found = await execute(
        uow.session,
        select(points.c.code, points.c.name)
        .where(points.c.community_id == uow.community_id)
        .order_by(points.c.code != ONE_POINT, points.c.code),
    )
    return {row[0]: row[1] for row in found}


async def meals(uow: UnitOfWork) -> dict[str, Meal]:
    """Return when each set is served, by its code."""
    found = await execute(
        uow.session, select(menu.c.item, menu.c.meal).where(menu.c.community_id == uow.community_id)
    )
    return {row[0]: Meal(row[1]) for row in found}


async def save_dish(uow: UnitOfWork, dish: Dish) -> None:
    """Insert or change a dish."""
    values = {"community_id": uow.community_id, **asdict(dish)}
    await execute(
        uow.session,
        insert(dishes)
        .values(values)
        .on_conflict_do_update(index_elements=["community_id", "code"], set_=values),
    )


async def all_dishes(uow: UnitOfWork) -> list[Dish]:
    """Return the community's dishes in order of set and code."""
    found = await execute(
        uow.session,
        select(dishes)
        .where(dishes.c.community_id == uow.community_id)
        .order_by(dishes.c.item, dishes.c.code),
    )
    return [_dish(row) for row in found.mappings()]


async def save_photo(uow: UnitOfWork, dish: str, media_type: str, content: bytes) -> None:
    """Insert or change a dish's photo."""
    values = {"media_type": media_type, "content": content}
    await execute(
        uow.session,
        insert(dish_photos)
        .values(community_id=uow.community_id, dish=dish, **values)
        .on_conflict_do_update(index_elements=["community_id", "dish"], set_=values),
    )


async def photo(uow: UnitOfWork, dish: str) -> tuple[str, bytes] | None:
    """Return a dish's photo as media type and bytes, or None."""
    found = await execute(
        uow.session,
        select(dish_photos.c.media_type, dish_photos.c.content).where(
            dish_photos.c.community_id == uow.community_id, dish_photos.c.dish == dish
        ),
    )
    row = found.one_or_none()
    return (row[0], row[1]) if row else None


async def set_menu(
    uow: UnitOfWork, day: date, meal: Meal, point: str, *, capacity: int, portions: Sequence[tuple[str, int]]
) -> None:
    """Write what is served at a sitting. A dish that is not named is served no more; what was ordered stays.

    portions: (dish, how many). No capacity falls below what was taken.
    """
    at = {"community_id": uow.community_id, "business_date": day, "meal": meal.value, "point": point}
    await execute(
        uow.session,
        insert(sittings)
        .values(**at, capacity=capacity, taken=0)
        .on_conflict_do_update(
            index_elements=list(at), set_={"capacity": func.greatest(sittings.c.taken, capacity)}
        ),
    )
    named = dict(portions)
    standing = await execute(
        uow.session, select(lines.c.dish).where(*equal(lines, at)).order_by(lines.c.dish).with_for_update()
    )
    for dish in sorted({*named, *standing.scalars()}):
        many = named.get(dish, 0)
        await execute(
            uow.session,
            insert(lines)
            .values(**at, dish=dish, capacity=many, taken=0)
            .on_conflict_do_update(
                index_elements=[*at, "dish"], set_={"capacity": func.greatest(lines.c.taken, many)}
            ),
        )


async def served(uow: UnitOfWork, first: date, last: date) -> list[Served]:
    """Return what is on the menus of days ``first`` to ``last``, in order of day, meal, point, dish."""
    found = await execute(
        uow.session,
        select(
            lines.c.business_date,
            lines.c.meal,
            lines.c.point,
            lines.c.capacity,
            (lines.c.capacity - lines.c.taken).label("left"),
            sittings.c.capacity.label("sitting_capacity"),
            (sittings.c.capacity - sittings.c.taken).label("sitting_left"),
            dish_photos.c.media_type.is_not(None).label("photo"),
            *(dishes.c[name] for name in Dish.__slots__),
        )
        .select_from(
            lines.join(
                sittings,
                (sittings.c.community_id == lines.c.community_id)
                & (sittings.c.business_date == lines.c.business_date)
                & (sittings.c.meal == lines.c.meal)
                & (sittings.c.point == lines.c.point),
            )
            .join(dishes, (dishes.c.community_id == lines.c.community_id) & (dishes.c.code == lines.c.dish))
            .outerjoin(
                dish_photos,
                (dish_photos.c.community_id == lines.c.community_id) & (dish_photos.c.dish == lines.c.dish),
            )
        )
        .where(
            lines.c.community_id == uow.community_id,
            lines.c.business_date.between(first, last),
            lines.c.capacity > 0,
        )
        .order_by(lines.c.business_date, lines.c.meal.desc(), lines.c.point, lines.c.dish),
    )
    return [
        Served(
            row["business_date"],
            Meal(row["meal"]),
            row["point"],
            _dish(row),
            row["capacity"],
            row["left"],
            row["sitting_capacity"],
            row["sitting_left"],
            row["photo"],
        )
        for row in found.mappings()
    ]


async def copy_days(uow: UnitOfWork, first: date, to: date, *, days: int) -> int:
    """Copy the menus of ``days`` days from ``first`` to as many from ``to``; return how many lines are new.

    A sitting that has a menu already keeps it.
    """
    ahead = timedelta(days=(to - first).days)
    window = first, first + timedelta(days=days - 1)
    added = await execute(
        uow.session,
        insert(sittings)
        .from_select(
            ["community_id", "business_date", "meal", "point", "capacity", "taken"],
            select(
                sittings.c.community_id,
                sittings.c.business_date + ahead.days,
                sittings.c.meal,
                sittings.c.point,
                sittings.c.capacity,
                literal(0),
            ).where(sittings.c.community_id == uow.community_id, sittings.c.business_date.between(*window)),
        )
        .on_conflict_do_nothing()
        .returning(sittings.c.business_date, sittings.c.meal, sittings.c.point),
    )
    new = [(row[0] - ahead, row[1], row[2]) for row in added]
    if not new:
        return 0
    copied = await execute(
        uow.session,
        insert(lines).from_select(
            ["community_id", "business_date", "meal", "point", "dish", "capacity", "taken"],
            select(
                lines.c.community_id,
                lines.c.business_date + ahead.days,
                lines.c.meal,
                lines.c.point,
                lines.c.dish,
                lines.c.capacity,
                literal(0),
            )
            .select_from(
                lines.join(
                    dishes, (dishes.c.community_id == lines.c.community_id) & (dishes.c.code == lines.c.dish)
                )
            )
            .where(
                lines.c.community_id == uow.community_id,
                tuple_(lines.c.business_date, lines.c.meal, lines.c.point).in_(new),
                lines.c.capacity > 0,
                dishes.c.retired.is_(False),
            ),
        ),
    )
    return copied.rowcount


def equal(table: Table, key: dict[str, Any]) -> list[Any]:
    """Return the conditions that the named columns have the given values."""
    return [table.c[name] == value for name, value in key.items()]


def _dish(row: Any) -> Dish:
    return Dish(
        row["code"],
        row["name"],
        row["item"],
        tuple(Allergen(each) for each in row["allergens"]),
        tuple(Tag(each) for each in row["tags"]),
        row["retired"],
    )
