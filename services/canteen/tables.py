"""The canteen's tables: those of every partner, dishes and menus, delivery runs, what became of meals."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.canteen.rules import Allergen, Diet, Meal, MealDetails, Outcome, Tag
from services.partnerkit.redemption import Reason
from services.partnerkit.tables import CODE_LENGTH, NAME_LENGTH, one_of, partner_tables

SCHEMA = "canteen"
LABEL_LENGTH = 60
TEXT_LENGTH = 500

PLACE = "big_grid IS NULL", "small_grid IS NULL", "building IS NULL", "walk IS NULL"

TABLES = partner_tables(
    SCHEMA,
    reasons=tuple(Reason),
    details=MealDetails,
    of_orders=(
        Column("point", String(CODE_LENGTH)),
        Column("dish", String(CODE_LENGTH)),
        Column("diet", String(20)),
        Column("big_grid", Integer),
        Column("small_grid", Integer),
        Column("building", String(LABEL_LENGTH)),
        Column("walk", Integer),
        Column("shares", String(TEXT_LENGTH)),
        CheckConstraint(one_of("diet", Diet), name="diet"),
        CheckConstraint(
            f"({PLACE[0]}) = ({PLACE[1]}) AND ({PLACE[1]}) = ({PLACE[2]}) AND ({PLACE[2]}) = ({PLACE[3]})",
            name="place",
        ),
    ),
    of_events=(Column("outcome", String(20)), CheckConstraint(one_of("outcome", Outcome), name="outcome")),
)

ORDER = [f"{SCHEMA}.redemptions.community_id", f"{SCHEMA}.redemptions.redemption_id"]


def _of_order() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["community_id", "redemption_id"], ORDER)


def _among(column: str, words: type[Tag] | type[Allergen]) -> str:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return f"{column} <@ ARRAY[{listed}]::varchar[]"


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

rule_books = Table(
    "rule_books",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("community_id"),
    TABLES.in_community(),
)

points = Table(
    "points",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("code", String(CODE_LENGTH), nullable=False),
    Column("name", String(NAME_LENGTH), nullable=False),
    PrimaryKeyConstraint("community_id", "code"),
    TABLES.in_community(),
)

dishes = Table(
    "dishes",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("code", String(CODE_LENGTH), nullable=False),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("item", String(CODE_LENGTH), nullable=False),
    Column("allergens", ARRAY(String(20)), nullable=False),
    Column("tags", ARRAY(String(20)), nullable=False),
    Column("retired", Boolean, nullable=False),
    PrimaryKeyConstraint("community_id", "code"),
    TABLES.of_item(),
    CheckConstraint(_among("allergens", Allergen), name="allergens"),
    CheckConstraint(_among("tags", Tag), name="tags"),
)

DISH = [f"{SCHEMA}.dishes.community_id", f"{SCHEMA}.dishes.code"]

dish_photos = Table(
    "dish_photos",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("dish", String(CODE_LENGTH), nullable=False),
    Column("media_type", String(20), nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("community_id", "dish"),
    ForeignKeyConstraint(["community_id", "dish"], DISH),
    CheckConstraint("media_type IN ('image/jpeg', 'image/png', 'image/webp')", name="media_type"),
    CheckConstraint("length(content) <= 400000", name="size"),
)

sittings = Table(
    "sittings",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("meal", String(20), nullable=False),
    Column("point", String(CODE_LENGTH), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
    PrimaryKeyConstraint("community_id", "business_date", "meal", "point"),
    ForeignKeyConstraint(
        ["community_id", "point"], [f"{SCHEMA}.points.community_id", f"{SCHEMA}.points.code"]
    ),
    CheckConstraint(one_of("meal", Meal), name="meal"),
    CheckConstraint("taken >= 0 AND taken <= capacity", name="taken"),
)

SITTING = [f"{SCHEMA}.sittings.{name}" for name in ("community_id", "business_date", "meal", "point")]

lines = Table(
    "menu_lines",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("meal", String(20), nullable=False),
    Column("point", String(CODE_LENGTH), nullable=False),
    Column("dish", String(CODE_LENGTH), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
    PrimaryKeyConstraint("community_id", "business_date", "meal", "point", "dish"),
    ForeignKeyConstraint(["community_id", "business_date", "meal", "point"], SITTING),
    ForeignKeyConstraint(["community_id", "dish"], DISH),
    CheckConstraint("taken >= 0 AND taken <= capacity", name="taken"),
)

run_plans = Table(
    "run_plans",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("meal", String(20), nullable=False),
    Column("planned_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("community_id", "business_date", "meal"),
    TABLES.in_community(),
    CheckConstraint(one_of("meal", Meal), name="meal"),
)

runs = Table(
    "runs",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("run_id", Uuid, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("meal", String(20), nullable=False),
    Column("point", String(CODE_LENGTH), nullable=False),
    Column("number", Integer, nullable=False),
    PrimaryKeyConstraint("community_id", "run_id"),
    UniqueConstraint("community_id", "business_date", "meal", "number"),
    ForeignKeyConstraint(
        ["community_id", "business_date", "meal"],
        [f"{SCHEMA}.run_plans.{name}" for name in ("community_id", "business_date", "meal")],
    ),
    CheckConstraint("number > 0", name="number"),
)

run_stops = Table(
    "run_stops",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("redemption_id", Uuid, nullable=False),
    Column("run_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    PrimaryKeyConstraint("community_id", "redemption_id"),
    UniqueConstraint("community_id", "run_id", "position"),
    ForeignKeyConstraint(
        ["community_id", "run_id"], [f"{SCHEMA}.runs.community_id", f"{SCHEMA}.runs.run_id"]
    ),
    _of_order(),
)

outcomes = Table(
    "outcomes",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("redemption_id", Uuid, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("dish", String(CODE_LENGTH)),
    Column("refunded", Boolean, nullable=False),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("community_id", "redemption_id"),
    _of_order(),
    CheckConstraint(one_of("outcome", Outcome), name="outcome"),
    CheckConstraint("(outcome = 'substituted') = (dish IS NOT NULL)", name="substitute"),
)

ratings = Table(
    "ratings",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("redemption_id", Uuid, nullable=False),
    Column("score", Integer, nullable=False),
    Column("rated_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("community_id", "redemption_id"),
    _of_order(),
    CheckConstraint("score BETWEEN 1 AND 3", name="score"),
)

complaints = Table(
    "complaints",
    TABLES.metadata,
    Column("community_id", Integer, nullable=False),
    Column("redemption_id", Uuid, nullable=False),
    Column("words", String(TEXT_LENGTH), nullable=False),
    Column("filed_at", DateTime(timezone=True), nullable=False),
    Column("answer_by", Date, nullable=False),
    Column("answer", String(TEXT_LENGTH)),
    Column("upheld", Boolean),
    Column("answered_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("community_id", "redemption_id"),
    _of_order(),
    CheckConstraint(
        "(answer IS NULL) = (answered_at IS NULL) AND (answer IS NULL) = (upheld IS NULL)", name="answered"
    ),
    Index("ix_complaints_filed", "community_id", "answer_by"),
)
