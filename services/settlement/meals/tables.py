"""Meals: how they are wanted, delivery runs as help requests, what is said of them, standing orders."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from pointsbank.domain.meals import Diet, Meal, Mode
from pointsbank.platform.tables import BankTable, belongs_to, in_community, moment, one_of, word

PLACE = (
    "(mode = 'delivery') = (building IS NOT NULL) AND (building IS NULL) = (big_grid IS NULL) "
    "AND (building IS NULL) = (small_grid IS NULL) AND (building IS NULL) = (walk IS NULL)"
)


class MealOrder(BankTable, table=True):
    """How the meal of a redemption is wanted. The place is as it was when it was ordered."""

    __tablename__ = "meal_orders"
    __table_args__ = (
        belongs_to("redemptions", "redemption_id"),
        one_of("mode", Mode),
        one_of("diet", Diet),
        CheckConstraint(PLACE, name="place"),
    )
    community_id: int = Field(primary_key=True)
    redemption_id: UUID = Field(primary_key=True)
    mode: str = word()
    dish: str | None = word(60, default=None, nullable=True)
    point: str | None = word(60, default=None, nullable=True)
    diet: str | None = word(default=None, nullable=True)
    big_grid: int | None = Field(default=None)
    small_grid: int | None = Field(default=None)
    building: str | None = word(60, default=None, nullable=True)
    walk: int | None = Field(default=None)


class MealPlan(BankTable, table=True):
    """A meal whose delivery runs have been read from the canteen; they do not change."""

    __tablename__ = "meal_plans"
    __table_args__ = (in_community(), one_of("meal", Meal))
    community_id: int = Field(primary_key=True)
    business_date: date = Field(primary_key=True)
    meal: str = word(primary_key=True)
    read_at: datetime = moment()


class MealRun(BankTable, table=True):
    """A delivery run and its one help request."""

    __tablename__ = "meal_runs"
    __table_args__ = (
        belongs_to("meal_plans", "business_date", "meal", key=("business_date", "meal")),
        belongs_to("help_requests", "help_request_id"),
        UniqueConstraint("community_id", "help_request_id"),
        CheckConstraint("number > 0 AND portions > 0", name="numbers"),
    )
    community_id: int = Field(primary_key=True)
    run_id: UUID = Field(primary_key=True)
    business_date: date
    meal: str = word()
    number: int
    portions: int
    help_request_id: UUID


class MealFeedback(BankTable, table=True):
    """How a meal was liked, and a complaint with its answer."""

    __tablename__ = "meal_feedback"
    __table_args__ = (
        belongs_to("redemptions", "redemption_id"),
        belongs_to("people", "given_by"),
        CheckConstraint("score BETWEEN 1 AND 3", name="score"),
        CheckConstraint(
            "(complaint IS NULL) = (complained_at IS NULL) AND (answer IS NULL) = (upheld IS NULL) "
            "AND (complaint IS NOT NULL OR answer IS NULL)",
            name="complaint",
        ),
        Index(
            "ix_meal_feedback_unanswered",
            "community_id",
            "complained_at",
            postgresql_where=text("complaint IS NOT NULL AND answer IS NULL"),
        ),
    )
    community_id: int = Field(primary_key=True)
    redemption_id: UUID = Field(primary_key=True)
    given_by: UUID
    score: int | None = Field(default=None)
    complaint: str | None = word(500, default=None, nullable=True)
    complained_at: datetime | None = moment(nullable=True, default=None)
    answer_by: date | None = Field(default=None)
    answer: str | None = word(500, default=None, nullable=True)
    upheld: bool | None = Field(default=None)
    changed_at: datetime = moment()


class StandingOrder(BankTable, table=True):
    """The same meal again and again. weekdays: bits, Monday the lowest."""

    __tablename__ = "standing_orders"
    __table_args__ = (
        belongs_to("people", "member_id"),
        belongs_to("people", "asked_by"),
        one_of("mode", Mode),
        one_of("diet", Diet),
        CheckConstraint("weekdays BETWEEN 1 AND 127", name="weekdays"),
        CheckConstraint("until >= first", name="until"),
        Index("ix_standing_orders_member", "community_id", "member_id", "asked_at"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    member_id: UUID
    asked_by: UUID
    item: str = word(60)
    mode: str = word()
    diet: str | None = word(default=None, nullable=True)
    weekdays: int
    first: date
    until: date
    asked_at: datetime = moment()
    ended_at: datetime | None = moment(nullable=True, default=None)


class StandingMeal(BankTable, table=True):
    """One day of a standing order: ordered, not yet possible (``problem``), or skipped (neither)."""

    __tablename__ = "standing_meals"
    __table_args__ = (
        belongs_to("standing_orders", "standing_id"),
        belongs_to("redemptions", "redemption_id"),
        CheckConstraint("redemption_id IS NULL OR problem IS NULL", name="one"),
        Index(
            "uq_standing_meals_redemption",
            "community_id",
            "redemption_id",
            unique=True,
            postgresql_where=text("redemption_id IS NOT NULL"),
        ),
    )
    community_id: int = Field(primary_key=True)
    standing_id: UUID = Field(primary_key=True)
    business_date: date = Field(primary_key=True)
    redemption_id: UUID | None = Field(default=None)
    problem: str | None = word(60, default=None, nullable=True)
    changed_at: datetime = moment()
