"""Who pays for a meal: residents' hardship and household, the frozen split of each meal, and what went back."""

from importlib.resources import files

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MEALS = "'breakfast', 'lunch', 'dinner'"
PAYERS = "'city', 'district', 'town', 'community', 'points', 'cash'"
STANDING = "subsidised_meal IS NOT NULL AND state NOT IN ('refused', 'cancelled', 'lapsed')"
PARTS = (
    "CASE kind WHEN 'capture' THEN subsidy_fen >= 0 AND cash_fen >= 0"
    " AND subsidy_fen + cash_fen <= fen"
    " ELSE subsidy_fen <= 0 AND cash_fen <= 0 AND subsidy_fen + cash_fen >= fen END"
)
FUNCTIONS = ("require_refund_of_share", "require_frozen_meal", "require_meal_sum")


def _to(table: str, columns: list[str], target: str, key: list[str]) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["community_id", *columns],
        [f"bank.{target}.{name}" for name in ("community_id", *key)],
        name=op.f(
            f"fk_{table}_community_id_{columns[0]}"
            if len(columns) == 1
            else f"fk_{table}_community_id_redemption_id_payer"
        ),
    )


def upgrade() -> None:
    op.create_table(
        "person_standings",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("hardship", sa.String(length=40), nullable=True),
        sa.Column("household", sa.String(length=9), nullable=True),
        sa.Column("set_by", sa.Uuid(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "hardship IN ('destitute', 'minimum_living', 'low_income', 'entitled', 'bereaved')",
            name=op.f("ck_person_standings_hardship"),
        ),
        sa.CheckConstraint(
            "household ~ '^[1-9][0-9]{3}([0-9]{2}([0-9]{3})?)?$'", name=op.f("ck_person_standings_household")
        ),
        sa.CheckConstraint("person_id <> set_by", name=op.f("ck_person_standings_not_for_oneself")),
        _to("person_standings", ["person_id"], "people", ["id"]),
        _to("person_standings", ["set_by"], "people", ["id"]),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_person_standings")),
        schema="bank",
    )
    op.create_index(
        "ix_person_standings_person",
        "person_standings",
        ["community_id", "person_id", "effective_from"],
        schema="bank",
    )
    op.add_column(
        "redemptions", sa.Column("subsidised_meal", sa.String(length=40), nullable=True), schema="bank"
    )
    op.create_check_constraint(
        op.f("ck_redemptions_subsidised_meal"), "redemptions", f"subsidised_meal IN ({MEALS})", schema="bank"
    )
    op.create_index(
        "uq_redemptions_subsidised_meal",
        "redemptions",
        ["community_id", "member_id", "business_date", "subsidised_meal"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text(STANDING),
    )
    op.create_table(
        "meals",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("meal", sa.String(length=40), nullable=False),
        sa.Column("tier", sa.String(length=40), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"meal IN ({MEALS})", name=op.f("ck_meals_meal")),
        _to("meals", ["redemption_id"], "redemptions", ["id"]),
        _to("meals", ["policy_version"], "policy_versions", ["version"]),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_meals")),
        schema="bank",
    )
    op.create_table(
        "meal_shares",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("payer", sa.String(length=20), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.String(length=9), nullable=True),
        sa.CheckConstraint("fen > 0", name=op.f("ck_meal_shares_fen")),
        sa.CheckConstraint(f"payer IN ({PAYERS})", name=op.f("ck_meal_shares_payer")),
        _to("meal_shares", ["redemption_id"], "meals", ["redemption_id"]),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", "payer", name=op.f("pk_meal_shares")),
        schema="bank",
    )
    op.create_table(
        "meal_refunds",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payer", sa.String(length=20), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("left_fen", sa.BigInteger(), nullable=False),
        sa.Column("recorded_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("fen > 0 AND left_fen >= 0", name=op.f("ck_meal_refunds_fen")),
        _to("meal_refunds", ["redemption_id", "payer"], "meal_shares", ["redemption_id", "payer"]),
        sa.PrimaryKeyConstraint("community_id", "id", "payer", name=op.f("pk_meal_refunds")),
        schema="bank",
    )
    op.create_index(
        "ix_meal_refunds_meal", "meal_refunds", ["community_id", "redemption_id", "payer"], schema="bank"
    )
    op.create_index("ix_meal_refunds_day", "meal_refunds", ["community_id", "recorded_on"], schema="bank")
    for table in ("settlement_batches", "settlement_lines"):
        for column in ("subsidy_fen", "cash_fen"):
            zero = sa.Column(column, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
            op.add_column(table, zero, schema="bank")
            op.alter_column(table, column, server_default=None, schema="bank")
    op.create_check_constraint(op.f("ck_settlement_lines_parts"), "settlement_lines", PARTS, schema="bank")
    _entry_of_batches("fen = cash_fen")
    # A script of several statements, which prepared statements (SQLAlchemy's way) cannot carry.
    script = (files("services.migrations") / "sql" / "meal_shares_16.sql").read_text()
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(script))


def _entry_of_batches(no_money: str) -> None:
    """Say when a batch has no entry: where neither points nor money come to anything."""
    name = op.f("ck_settlement_batches_entry")
    op.drop_constraint(name, "settlement_batches", schema="bank")
    op.create_check_constraint(
        name,
        "settlement_batches",
        f"(entry_number IS NULL) = (milli_points = 0 AND {no_money})",
        schema="bank",
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER require_frozen_meal ON bank.redemptions")
    op.execute("DROP TRIGGER require_settled_parts ON bank.settlement_lines")
    op.execute("DROP TRIGGER require_batch_parts ON bank.settlement_batches")
    _entry_of_batches("fen = 0")
    op.drop_constraint(op.f("ck_settlement_lines_parts"), "settlement_lines", schema="bank")
    for table in ("settlement_batches", "settlement_lines"):
        for column in ("subsidy_fen", "cash_fen"):
            op.drop_column(table, column, schema="bank")
    op.execute("DROP FUNCTION bank.require_settled_parts, bank.require_batch_parts")
    op.execute("DROP FUNCTION bank.settled_parts")
    for table in ("meal_refunds", "meal_shares", "meals"):
        op.drop_table(table, schema="bank")
    op.drop_index("uq_redemptions_subsidised_meal", table_name="redemptions", schema="bank")
    op.drop_constraint(op.f("ck_redemptions_subsidised_meal"), "redemptions", schema="bank")
    op.drop_column("redemptions", "subsidised_meal", schema="bank")
    op.drop_table("person_standings", schema="bank")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION bank.{function}")
