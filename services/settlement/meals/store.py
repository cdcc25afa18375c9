"""Meals in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from pointsbank.domain.meals import Diet, Meal, Mode
from pointsbank.platform.database import UnitOfWork
from services.settlement.meals.views import FeedbackInfo, MealOrderInfo, StandingInfo, StandingMealInfo

STANDING = """
SELECT id, member_id, asked_by, item, mode, diet, weekdays, first, until, asked_at, ended_at
  FROM bank.standing_orders WHERE community_id = $1
"""


async def insert_meal_order(uow: UnitOfWork, order: MealOrderInfo) -> None:
    """Insert how a redemption's meal is wanted."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.meal_orders (community_id, redemption_id, mode, dish, point, diet, big_grid,
                                      small_grid, building, walk)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        uow.community_id,
        order.redemption_id,
        order.mode.value,
        order.dish,
        order.point,
        order.diet.value if order.diet else None,
        order.big_grid,
        order.small_grid,
        order.building,
        order.walk,
    )


async def meal_order(uow: UnitOfWork, redemption_id: UUID) -> MealOrderInfo | None:
    """Return how a redemption's meal is wanted, or None when nothing was said."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        "SELECT redemption_id, mode, dish, point, diet, big_grid, small_grid, building, walk"
        " FROM bank.meal_orders WHERE community_id = $1 AND redemption_id = $2",
        uow.community_id,
        redemption_id,
    )
    if row is None:
        return None
    return MealOrderInfo(
        **{**row, "mode": Mode(row["mode"]), "diet": Diet(row["diet"]) if row["diet"] else None}
    )


async def unread_delivery_days(uow: UnitOfWork, days: Sequence[date]) -> list[tuple[date, Meal]]:
    """Return the meals of ``days`` that something is to be brought of and whose runs have not been read."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT d.day, m.meal
          FROM (SELECT DISTINCT r.business_date AS day
                  FROM bank.meal_orders o
                  JOIN bank.redemptions r ON r.community_id = o.community_id AND r.id = o.redemption_id
                 WHERE o.community_id = $1 AND o.mode = 'delivery' AND r.state = 'accepted'
                   AND r.business_date = ANY ($2::date[])) d
         CROSS JOIN unnest($3::text[]) AS m(meal)
         WHERE NOT EXISTS (SELECT FROM bank.meal_plans p
                            WHERE p.community_id = $1 AND p.business_date = d.day AND p.meal = m.meal)
         ORDER BY d.day, m.meal
        """,
        uow.community_id,
        days,
        [meal.value for meal in Meal],
    )
    return [(row["day"], Meal(row["meal"])) for row in rows]


async def insert_plan(uow: UnitOfWork, day: date, meal: Meal) -> bool:
    """Note that a meal's runs are read; False when they were before."""
    connection = await uow.connection()
    status: str = await connection.execute(
        "INSERT INTO bank.meal_plans (community_id, business_date, meal, read_at)"
        " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        uow.community_id,
        day,
        meal.value,
        uow.clock.now(),
    )
    return status.endswith(" 1")


async def insert_run(
    uow: UnitOfWork, run_id: UUID, day: date, meal: Meal, *, number: int, portions: int, request_id: UUID
) -> None:
    """Insert a run with its help request."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.meal_runs (community_id, run_id, business_date, meal, number, portions,
                                    help_request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        uow.community_id,
        run_id,
        day,
        meal.value,
        number,
        portions,
        request_id,
    )


async def members_of(uow: UnitOfWork, redemption_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return whose those redemptions are."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT id, member_id FROM bank.redemptions WHERE community_id = $1 AND id = ANY ($2::uuid[])",
        uow.community_id,
        redemption_ids,
    )
    return {row["id"]: row["member_id"] for row in rows}


async def save_score(uow: UnitOfWork, redemption_id: UUID, score: int, *, given_by: UUID) -> None:
    """Write how a meal was liked; the last word stands."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.meal_feedback (community_id, redemption_id, given_by, score, changed_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (community_id, redemption_id)
        DO UPDATE SET score = excluded.score, given_by = excluded.given_by, changed_at = excluded.changed_at
        """,
        uow.community_id,
        redemption_id,
        given_by,
        score,
        uow.clock.now(),
    )


async def save_complaint(uow: UnitOfWork, redemption_id: UUID, words: str, *, given_by: UUID) -> bool:
    """Write a complaint; False when one about this meal stands already."""
    connection = await uow.connection()
    status: str = await connection.execute(
        """
        INSERT INTO bank.meal_feedback AS f (community_id, redemption_id, given_by, complaint, complained_at,
                                             changed_at)
        VALUES ($1, $2, $3, $4, $5, $5)
        ON CONFLICT (community_id, redemption_id)
        DO UPDATE SET complaint = excluded.complaint, complained_at = excluded.complained_at,
                      given_by = excluded.given_by, changed_at = excluded.changed_at
         WHERE f.complaint IS NULL
        """,
        uow.community_id,
        redemption_id,
        given_by,
        words,
        uow.clock.now(),
    )
    return status.endswith(" 1")


async def save_answer(
    uow: UnitOfWork,
    redemption_id: UUID,
    *,
    answer_by: date,
    answer: str | None,
    upheld: bool | None,
) -> None:
    """Write what the canteen says of a complaint."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.meal_feedback SET answer_by = $3, answer = $4, upheld = $5, changed_at = $6
         WHERE community_id = $1 AND redemption_id = $2 AND complaint IS NOT NULL
        """,
        uow.community_id,
        redemption_id,
        answer_by,
        answer,
        upheld,
        uow.clock.now(),
    )


async def feedback(uow: UnitOfWork, redemption_id: UUID) -> FeedbackInfo | None:
    """Return what was said of a meal, or None."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        "SELECT redemption_id, score, complaint, complained_at, answer_by, answer, upheld"
        " FROM bank.meal_feedback WHERE community_id = $1 AND redemption_id = $2",
        uow.community_id,
        redemption_id,
    )
    return FeedbackInfo(**row) if row else None


async def unanswered(uow: UnitOfWork, limit: int) -> list[UUID]:
    """Return the redemptions whose complaints wait for an answer, the oldest first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT redemption_id FROM bank.meal_feedback"
        " WHERE community_id = $1 AND complaint IS NOT NULL AND answer IS NULL"
        " ORDER BY complained_at LIMIT $2",
        uow.community_id,
        limit,
    )
    return [row["redemption_id"] for row in rows]


async def insert_standing(uow: UnitOfWork, order: StandingInfo) -> None:
    """Insert a standing order."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.standing_orders (community_id, id, member_id, asked_by, item, mode, diet, weekdays,
                                          first, until, asked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        uow.community_id,
        order.id,
        order.member_id,
        order.asked_by,
        order.item,
        order.mode.value,
        order.diet.value if order.diet else None,
        sum(1 << day for day in order.weekdays),
        order.first,
        order.until,
        order.asked_at,
    )


async def standing(uow: UnitOfWork, standing_id: UUID, *, lock: bool = False) -> StandingInfo | None:
    """Return one standing order with its days, locked when asked for, or None."""
    connection = await uow.connection()
    query = f"{STANDING} AND id = $2{' FOR UPDATE' if lock else ''}"
    row = await connection.fetchrow(query, uow.community_id, standing_id)
    return (await _infos(uow, [row]))[0] if row else None


async def standing_of(uow: UnitOfWork, member_id: UUID, limit: int) -> list[StandingInfo]:
    """Return a member's standing orders with their days, the latest first."""
    connection = await uow.connection()
    query = f"{STANDING} AND member_id = $2 ORDER BY asked_at DESC, id LIMIT $3"
    return await _infos(uow, await connection.fetch(query, uow.community_id, member_id, limit))


async def standing_now(uow: UnitOfWork, today: date) -> list[StandingInfo]:
    """Return the standing orders that have not ended, in order of id."""
    connection = await uow.connection()
    query = f"{STANDING} AND ended_at IS NULL AND until >= $2 ORDER BY id"
    return await _infos(uow, await connection.fetch(query, uow.community_id, today))


async def end_standing(uow: UnitOfWork, standing_id: UUID) -> None:
    """Note that a standing order has ended."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.standing_orders SET ended_at = $3 WHERE community_id = $1 AND id = $2",
        uow.community_id,
        standing_id,
        uow.clock.now(),
    )


async def save_day(
    uow: UnitOfWork,
    standing_id: UUID,
    day: date,
    *,
    redemption_id: UUID | None = None,
    problem: str | None = None,
) -> None:
    """Write what became of a day of a standing order; with neither, it is skipped."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.standing_meals (community_id, standing_id, business_date, redemption_id, problem,
                                         changed_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (community_id, standing_id, business_date)
        DO UPDATE SET redemption_id = excluded.redemption_id, problem = excluded.problem,
                      changed_at = excluded.changed_at
        """,
        uow.community_id,
        standing_id,
        day,
        redemption_id,
        problem,
        uow.clock.now(),
    )


async def with_problems(uow: UnitOfWork, today: date, limit: int) -> list[tuple[UUID, date, str]]:
    """Return days to come that could not be ordered, soonest first: (member, day, why)."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT o.member_id, m.business_date,
               coalesce(m.problem, r.reason) AS problem
          FROM bank.standing_meals m
          JOIN bank.standing_orders o ON o.community_id = m.community_id AND o.id = m.standing_id
          LEFT JOIN bank.redemptions r ON r.community_id = m.community_id AND r.id = m.redemption_id
         WHERE m.community_id = $1 AND m.business_date >= $2 AND o.ended_at IS NULL
           AND (m.problem IS NOT NULL OR r.state = 'refused')
         ORDER BY m.business_date, o.member_id LIMIT $3
        """,
        uow.community_id,
        today,
        limit,
    )
    return [(row["member_id"], row["business_date"], row["problem"]) for row in rows]


async def _infos(uow: UnitOfWork, rows: Sequence[Any]) -> list[StandingInfo]:
    connection = await uow.connection()
    found = await connection.fetch(
        """
        SELECT m.standing_id, m.business_date, m.redemption_id,
               coalesce(m.problem, CASE WHEN r.state = 'refused' THEN coalesce(r.reason, 'refused') END)
                   AS problem
          FROM bank.standing_meals m
          LEFT JOIN bank.redemptions r ON r.community_id = m.community_id AND r.id = m.redemption_id
         WHERE m.community_id = $1 AND m.standing_id = ANY ($2::uuid[])
         ORDER BY m.business_date DESC
        """,
        uow.community_id,
        [row["id"] for row in rows],
    )
    days: dict[UUID, list[StandingMealInfo]] = {}
    for each in found:
        days.setdefault(each["standing_id"], []).append(
            StandingMealInfo(each["business_date"], each["redemption_id"], each["problem"])
        )
    return [
        StandingInfo(
            id=row["id"],
            member_id=row["member_id"],
            asked_by=row["asked_by"],
            item=row["item"],
            mode=Mode(row["mode"]),
            diet=Diet(row["diet"]) if row["diet"] else None,
            weekdays=tuple(day for day in range(7) if row["weekdays"] >> day & 1),
            first=row["first"],
            until=row["until"],
            asked_at=row["asked_at"],
            ended_at=row["ended_at"],
            meals=tuple(days.get(row["id"], ())),
        )
        for row in rows
    ]
