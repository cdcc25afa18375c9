"""Meals: how they are wanted, delivery runs as help requests, what is said of them, standing orders."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

NEW = ("meal_orders", "meal_plans", "meal_runs", "meal_feedback", "standing_orders", "standing_meals")
MEALS = "meal IN ('lunch', 'dinner')"


def _redemption(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["community_id", "redemption_id"],
        ["bank.redemptions.community_id", "bank.redemptions.id"],
        name=op.f(f"fk_{table}_community_id_redemption_id"),
    )


def _person(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["community_id", column],
        ["bank.people.community_id", "bank.people.id"],
        name=op.f(f"fk_{table}_community_id_{column}"),
    )


def upgrade() -> None:
    op.add_column("partner_events", sa.Column("outcome", sa.String(length=40), nullable=True), schema="bank")
    op.create_table(
        "meal_orders",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.String(length=40), nullable=False),
        sa.Column("dish", sa.String(length=60), nullable=True),
        sa.Column("point", sa.String(length=60), nullable=True),
        sa.Column("diet", sa.String(length=40), nullable=True),
        sa.Column("big_grid", sa.Integer(), nullable=True),
        sa.Column("small_grid", sa.Integer(), nullable=True),
        sa.Column("building", sa.String(length=60), nullable=True),
        sa.Column("walk", sa.Integer(), nullable=True),
        sa.CheckConstraint("mode IN ('dine_in', 'delivery')", name=op.f("ck_meal_orders_mode")),
        sa.CheckConstraint(
            "diet IN ('low_salt', 'soft', 'diabetic', 'minced', 'no_pork', 'small_rice')",
            name=op.f("ck_meal_orders_diet"),
        ),
        sa.CheckConstraint(
            "(mode = 'delivery') = (building IS NOT NULL) AND (building IS NULL) = (big_grid IS NULL) "
            "AND (building IS NULL) = (small_grid IS NULL) AND (building IS NULL) = (walk IS NULL)",
            name=op.f("ck_meal_orders_place"),
        ),
        _redemption("meal_orders"),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_meal_orders")),
        schema="bank",
    )
    op.create_table(
        "meal_plans",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("meal", sa.String(length=40), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(MEALS, name=op.f("ck_meal_plans_meal")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_meal_plans_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "business_date", "meal", name=op.f("pk_meal_plans")),
        schema="bank",
    )
    op.create_table(
        "meal_runs",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("meal", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("portions", sa.Integer(), nullable=False),
        sa.Column("help_request_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("number > 0 AND portions > 0", name=op.f("ck_meal_runs_numbers")),
        sa.ForeignKeyConstraint(
            ["community_id", "business_date", "meal"],
            ["bank.meal_plans.community_id", "bank.meal_plans.business_date", "bank.meal_plans.meal"],
            name=op.f("fk_meal_runs_community_id_business_date_meal"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "help_request_id"],
            ["bank.help_requests.community_id", "bank.help_requests.id"],
            name=op.f("fk_meal_runs_community_id_help_request_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "run_id", name=op.f("pk_meal_runs")),
        sa.UniqueConstraint(
            "community_id", "help_request_id", name=op.f("uq_meal_runs_community_id_help_request_id")
        ),
        schema="bank",
    )
    op.create_table(
        "meal_feedback",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("given_by", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("complaint", sa.String(length=500), nullable=True),
        sa.Column("complained_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer_by", sa.Date(), nullable=True),
        sa.Column("answer", sa.String(length=500), nullable=True),
        sa.Column("upheld", sa.Boolean(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("score BETWEEN 1 AND 3", name=op.f("ck_meal_feedback_score")),
        sa.CheckConstraint(
            "(complaint IS NULL) = (complained_at IS NULL) AND (answer IS NULL) = (upheld IS NULL) "
            "AND (complaint IS NOT NULL OR answer IS NULL)",
            name=op.f("ck_meal_feedback_complaint"),
        ),
        _redemption("meal_feedback"),
        _person("meal_feedback", "given_by"),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_meal_feedback")),
        schema="bank",
    )
    op.create_index(
        "ix_meal_feedback_unanswered",
        "meal_feedback",
        ["community_id", "complained_at"],
        unique=False,
        schema="bank",
        postgresql_where=sa.text("complaint IS NOT NULL AND answer IS NULL"),
    )
    op.create_table(
        "standing_orders",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("item", sa.String(length=60), nullable=False),
        sa.Column("mode", sa.String(length=40), nullable=False),
        sa.Column("diet", sa.String(length=40), nullable=True),
        sa.Column("weekdays", sa.Integer(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("mode IN ('dine_in', 'delivery')", name=op.f("ck_standing_orders_mode")),
        sa.CheckConstraint(
            "diet IN ('low_salt', 'soft', 'diabetic', 'minced', 'no_pork', 'small_rice')",
            name=op.f("ck_standing_orders_diet"),
        ),
        sa.CheckConstraint("weekdays BETWEEN 1 AND 127", name=op.f("ck_standing_orders_weekdays")),
        sa.CheckConstraint("until >= first", name=op.f("ck_standing_orders_until")),
        _person("standing_orders", "member_id"),
        _person("standing_orders", "asked_by"),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_standing_orders")),
        schema="bank",
    )
    op.create_index(
        "ix_standing_orders_member",
        "standing_orders",
        ["community_id", "member_id", "asked_at"],
        unique=False,
        schema="bank",
    )
    op.create_table(
        "standing_meals",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("standing_id", sa.Uuid(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=True),
        sa.Column("problem", sa.String(length=60), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("redemption_id IS NULL OR problem IS NULL", name=op.f("ck_standing_meals_one")),
        sa.ForeignKeyConstraint(
            ["community_id", "standing_id"],
            ["bank.standing_orders.community_id", "bank.standing_orders.id"],
            name=op.f("fk_standing_meals_community_id_standing_id"),
        ),
        _redemption("standing_meals"),
        sa.PrimaryKeyConstraint(
            "community_id", "standing_id", "business_date", name=op.f("pk_standing_meals")
        ),
        schema="bank",
    )
    op.create_index(
        "uq_standing_meals_redemption",
        "standing_meals",
        ["community_id", "redemption_id"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("redemption_id IS NOT NULL"),
    )
    for table in NEW:
        op.execute(f"ALTER TABLE bank.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_community ON bank.{table} TO pointsbank_app "
            "USING (community_id = current_setting('pointsbank.community_id')::integer)"
        )
        op.execute(f"GRANT SELECT, INSERT ON bank.{table} TO pointsbank_app")
    op.execute(
        "GRANT UPDATE (given_by, score, complaint, complained_at, answer_by, answer, upheld, changed_at) "
        "ON bank.meal_feedback TO pointsbank_app"
    )
    op.execute("GRANT UPDATE (ended_at) ON bank.standing_orders TO pointsbank_app")
    op.execute("GRANT UPDATE (redemption_id, problem, changed_at) ON bank.standing_meals TO pointsbank_app")


def downgrade() -> None:
    for table in reversed(NEW):
        op.drop_table(table, schema="bank")
    op.drop_column("partner_events", "outcome", schema="bank")
