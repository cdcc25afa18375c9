"""Rows of what the kitchen cooks, what is carried where, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.dialects.postgresql import insert

from pointsbank.platform.database import UnitOfWork
from services.canteen.menu_store import ONE_POINT
from services.canteen.rules import Meal, Mode, Outcome
from services.canteen.runs import Parcel
from services.canteen.tables import TABLES, dishes, menu, outcomes, run_plans, run_stops, runs
from services.partnerkit.redemption import Status
from services.partnerkit.store import execute

orders = TABLES.redemptions
TO_COOK = (Status.ACCEPTED, Status.FULFILLED)


@dataclass(frozen=True, slots=True)
class Count:
    """Portions of one dish (its set where none was chosen) for one diet. diet: None for as it comes."""

    point: str
    item: str
    dish: str | None
    diet: str | None
    dine_in: int
    delivery: int

    @property
    def portions(self) -> int:
        """All of them."""
        return self.dine_in + self.delivery


@dataclass(frozen=True, slots=True)
class Stop:
    """One order on a run. status: it may have been cancelled since the run was cut."""

    parcel: Parcel
    item: str
    dish: str | None
    diet: str | None
    status: Status
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Run:
    """One volunteer's round. number: within the day and meal."""

    run_id: UUID
    business_date: date
    meal: Meal
    point: str
    number: int
    planned_at: datetime
    stops: tuple[Stop, ...]

    @property
    def portions(self) -> int:
        """What is carried: orders that were cancelled are not."""
        return sum(
            stop.parcel.quantity for stop in self.stops if stop.status in TO_COOK or stop.outcome is not None
        )


async def counts(uow: UnitOfWork, day: date, meal: Meal, point: str | None) -> list[Count]:
    """Return the portions of a meal by point, dish and diet. point: None for all."""
    served_at = func.coalesce(orders.c.point, ONE_POINT)
    brought = orders.c.mode == Mode.DELIVERY.value
    query = (
        select(
            served_at,
            orders.c.item,
            orders.c.dish,
            orders.c.diet,
            func.coalesce(func.sum(orders.c.quantity).filter(brought.is_not(True)), 0),
            func.coalesce(func.sum(orders.c.quantity).filter(brought), 0),
        )
        .select_from(orders.join(menu, _same_item()))
        .where(
            orders.c.community_id == uow.community_id,
            orders.c.business_date == day,
            orders.c.status.in_(TO_COOK),
            menu.c.meal == meal.value,
        )
        .group_by(served_at, orders.c.item, orders.c.dish, orders.c.diet)
        .order_by(served_at, orders.c.item, orders.c.dish, orders.c.diet.nulls_first())
    )
    if point is not None:
        query = query.where(served_at == point)
    return [Count(*row) for row in await execute(uow.session, query)]


async def names(uow: UnitOfWork) -> dict[str, str]:
    """Return the names of sets and dishes by code; a dish's before a set's of the same code."""
    items = TABLES.items
    found = await execute(
        uow.session,
        select(items.c.code, items.c.name)
        .where(items.c.community_id == uow.community_id)
        .union_all(select(dishes.c.code, dishes.c.name).where(dishes.c.community_id == uow.community_id)),
    )
    return {row[0]: row[1] for row in found}


async def parcels(uow: UnitOfWork, day: date, meal: Meal) -> list[Parcel]:
    """Lock and return the accepted deliveries of a meal whose place is known."""
    found = await execute(
        uow.session,
        select(
            orders.c.redemption_id,
            func.coalesce(orders.c.point, ONE_POINT),
            orders.c.big_grid,
            orders.c.small_grid,
            orders.c.walk,
            orders.c.building,
            orders.c.voucher,
            orders.c.quantity,
        )
        .select_from(orders.join(menu, _same_item()))
        .where(
            orders.c.community_id == uow.community_id,
            orders.c.business_date == day,
            orders.c.status == Status.ACCEPTED.value,
            orders.c.mode == Mode.DELIVERY.value,
            orders.c.building.is_not(None),
            menu.c.meal == meal.value,
        )
        .order_by(orders.c.redemption_id)
        .with_for_update(of=orders),
    )
    return [Parcel(*row) for row in found]


async def begin_plan(uow: UnitOfWork, day: date, meal: Meal) -> bool:
    """Note that a meal's runs are cut now; False when they were before. The second waits for the first."""
    added = await execute(
        uow.session,
        insert(run_plans)
        .values(
            community_id=uow.community_id,
            business_date=day,
            meal=meal.value,
            planned_at=uow.clock.now(),
        )
        .on_conflict_do_nothing(),
    )
    return added.rowcount == 1


async def add_runs(
    uow: UnitOfWork, day: date, meal: Meal, cut: Sequence[tuple[UUID, Sequence[Parcel]]]
) -> None:
    """Insert runs, numbered in the order given, with their stops."""
    at = {"community_id": uow.community_id, "business_date": day, "meal": meal.value}
    rows = [
        {**at, "run_id": run_id, "point": stops[0].point, "number": number}
        for number, (run_id, stops) in enumerate(cut, start=1)
    ]
    if not rows:
        return
    await execute(uow.session, insert(runs), rows)
    await execute(
        uow.session,
        insert(run_stops),
        [
            {
                "community_id": uow.community_id,
                "run_id": run_id,
                "redemption_id": parcel.redemption_id,
                "position": position,
            }
            for run_id, stops in cut
            for position, parcel in enumerate(stops, start=1)
        ],
    )


async def runs_of(uow: UnitOfWork, day: date, meal: Meal) -> list[Run]:
    """Return a meal's runs in order of number, with their stops in walking order."""
    found = await execute(
        uow.session,
        select(
            runs.c.run_id,
            runs.c.point,
            runs.c.number,
            run_plans.c.planned_at,
            orders.c.redemption_id,
            orders.c.big_grid,
            orders.c.small_grid,
            orders.c.walk,
            orders.c.building,
            orders.c.voucher,
            orders.c.quantity,
            orders.c.item,
            orders.c.dish,
            orders.c.diet,
            orders.c.status,
            outcomes.c.outcome,
        )
        .select_from(
            runs.join(
                run_plans,
                and_(
                    run_plans.c.community_id == runs.c.community_id,
                    run_plans.c.business_date == runs.c.business_date,
                    run_plans.c.meal == runs.c.meal,
                ),
            )
            .join(
                run_stops,
                and_(run_stops.c.community_id == runs.c.community_id, run_stops.c.run_id == runs.c.run_id),
            )
            .join(
                orders,
                and_(
                    orders.c.community_id == run_stops.c.community_id,
                    orders.c.redemption_id == run_stops.c.redemption_id,
                ),
            )
            .outerjoin(
                outcomes,
                and_(
                    outcomes.c.community_id == orders.c.community_id,
                    outcomes.c.redemption_id == orders.c.redemption_id,
                ),
            )
        )
        .where(
            runs.c.community_id == uow.community_id,
            runs.c.business_date == day,
            runs.c.meal == meal.value,
        )
        .order_by(runs.c.number, run_stops.c.position),
    )
    told: dict[UUID, tuple[Any, list[Stop]]] = {}
    for row in found.mappings():
        stops = told.setdefault(row["run_id"], (row, []))[1]
        stops.append(
            Stop(
                Parcel(
                    row["redemption_id"],
                    row["point"],
                    row["big_grid"],
                    row["small_grid"],
                    row["walk"],
                    row["building"],
                    row["voucher"],
                    row["quantity"],
                ),
                row["item"],
                row["dish"],
                row["diet"],
                Status(row["status"]),
                Outcome(row["outcome"]) if row["outcome"] else None,
            )
        )
    return [
        Run(run_id, day, meal, row["point"], row["number"], row["planned_at"], tuple(stops))
        for run_id, (row, stops) in told.items()
    ]


async def note_outcome(
    uow: UnitOfWork, redemption_id: UUID, outcome: Outcome, *, refunded: bool, dish: str | None = None
) -> None:
    """Note how an order ended. dish: what was given instead, when substituted."""
    await execute(
        uow.session,
        insert(outcomes).values(
            community_id=uow.community_id,
            redemption_id=redemption_id,
            outcome=outcome.value,
            dish=dish,
            refunded=refunded,
            noted_at=uow.clock.now(),
        ),
    )


def _same_item() -> Any:
    return (menu.c.community_id == orders.c.community_id) & (menu.c.item == orders.c.item)
