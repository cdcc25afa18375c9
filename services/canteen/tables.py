"""The canteen's tables: those of every partner, the menu, and how many of each dish are left a day."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
)

from services.partnerkit.tables import CODE_LENGTH, one_of, partner_tables

SCHEMA = "canteen"


class Meal(StrEnum):
    """When a dish is served."""

    LUNCH = "lunch"
    DINNER = "dinner"


TABLES = partner_tables(SCHEMA)

menu = Table(
    "menu",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("item", String(CODE_LENGTH), nullable=False),
    Column("meal", String(20), nullable=False),
    Column("day_capacity", Integer, nullable=False),
    Column("dine_in", Boolean, nullable=False),
    Column("delivery", Boolean, nullable=False),
    PrimaryKeyConstraint("community_id", "item"),
    TABLES.of_item(),
    CheckConstraint(one_of("meal", Meal), name="meal"),
    CheckConstraint("day_capacity >= 0", name="day_capacity"),
    CheckConstraint("dine_in OR delivery", name="served_somehow"),
)

days = Table(
    "days",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("item", String(CODE_LENGTH), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
    PrimaryKeyConstraint("community_id", "item", "business_date"),
    TABLES.of_item(),
    CheckConstraint("taken >= 0 AND taken <= capacity", name="taken"),
)
