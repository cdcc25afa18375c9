"""The frozen split of a meal, and what went back of it. Rows are only ever added."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlmodel import Field

from pointsbank.domain.subsidy.payers import Meal, Payer
from pointsbank.platform.tables import SCHEMA, BankTable, belongs_to, bigint, moment, one_of, word


class FrozenMeal(BankTable, table=True):
    """What a redemption's split was decided by. Its shares sum to the redemption's price in fen."""

    __tablename__ = "meals"
    __table_args__ = (
        belongs_to("redemptions", "redemption_id"),
        belongs_to("policy_versions", "policy_version", key=("version",)),
        one_of("meal", Meal),
    )
    community_id: int = Field(primary_key=True)
    redemption_id: UUID = Field(primary_key=True)
    meal: str = word()
    tier: str | None = word(default=None, nullable=True)
    policy_version: int
    frozen_at: datetime = moment()


class MealShare(BankTable, table=True):
    """What one payer pays of a meal. place: which city, district or town it is."""

    __tablename__ = "meal_shares"
    __table_args__ = (
        belongs_to("meals", "redemption_id", key=("redemption_id",)),
        one_of("payer", Payer),
        CheckConstraint("fen > 0", name="fen"),
    )
    community_id: int = Field(primary_key=True)
    redemption_id: UUID = Field(primary_key=True)
    payer: str = word(20, primary_key=True)
    fen: int = bigint()
    place: str | None = word(9, default=None, nullable=True)


class MealRefund(BankTable, table=True):
    """What one payer gets back of a meal. left_fen: what is left of its share afterwards."""

    __tablename__ = "meal_refunds"
    __table_args__ = (
        ForeignKeyConstraint(
            ["community_id", "redemption_id", "payer"],
            [f"{SCHEMA}.meal_shares.{name}" for name in ("community_id", "redemption_id", "payer")],
        ),
        CheckConstraint("fen > 0 AND left_fen >= 0", name="fen"),
        Index("ix_meal_refunds_meal", "community_id", "redemption_id", "payer"),
        Index("ix_meal_refunds_day", "community_id", "recorded_on"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    payer: str = word(20, primary_key=True)
    redemption_id: UUID
    fen: int = bigint()
    left_fen: int = bigint()
    recorded_on: date
    recorded_at: datetime = moment()
