"""The station's tables: those of every partner, the packs in stock, and visits counted by need."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Uuid,
)

from services.partnerkit.tables import CODE_LENGTH, one_of, partner_tables

SCHEMA = "station"


class Need(StrEnum):
    """What somebody came in for."""

    REST = "rest"
    EMERGENCY = "emergency"
    COOLING = "cooling"
    WARMTH = "warmth"
    WATER = "water"
    MEAL = "meal"


TABLES = partner_tables(SCHEMA)

stocks = Table(
    "stocks",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("item", String(CODE_LENGTH), nullable=False),
    Column("remaining", Integer, nullable=False),
    PrimaryKeyConstraint("community_id", "item"),
    TABLES.of_item(),
    CheckConstraint("remaining >= 0", name="remaining"),
)

# Nobody signs in to rest: a row is how many came, when and for what, never who.
visits = Table(
    "visits",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("client_id", Uuid, nullable=False),
    Column("need", String(20), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("business_date", Date, nullable=False),
    Column("count", Integer, nullable=False),
    PrimaryKeyConstraint("community_id", "client_id"),
    TABLES.in_community(),
    CheckConstraint(one_of("need", Need), name="need"),
    CheckConstraint("count > 0", name="count"),
)
Index("ix_visits_day", visits.c.community_id, visits.c.business_date, visits.c.need)
