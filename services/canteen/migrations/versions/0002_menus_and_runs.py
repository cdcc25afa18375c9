"""Dishes, weekly menus by serving point, delivery runs, and what became of meals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


REASONS = "sold_out", "unknown_item", "closed", "price_differs"


def _reasons(*reasons: str) -> None:
    op.drop_constraint(op.f("ck_redemptions_reason"), "redemptions", schema="canteen")
    listed = ", ".join(f"'{reason}'" for reason in reasons)
    op.create_check_constraint(
        op.f("ck_redemptions_reason"), "redemptions", f"reason IN ({listed})", schema="canteen"
    )


def upgrade() -> None:
    op.create_table(
        "points",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id"], ["canteen.communities.community_id"], name=op.f("fk_points_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "code", name=op.f("pk_points")),
        schema="canteen",
    )
    op.create_table(
        "rule_books",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id"], ["canteen.communities.community_id"], name=op.f("fk_rule_books_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", name=op.f("pk_rule_books")),
        schema="canteen",
    )
    op.create_table(
        "run_plans",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("meal", sa.String(length=20), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("meal IN ('lunch', 'dinner')", name=op.f("ck_run_plans_meal")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["canteen.communities.community_id"], name=op.f("fk_run_plans_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "business_date", "meal", name=op.f("pk_run_plans")),
        schema="canteen",
    )
    op.create_table(
        "complaints",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("words", sa.String(length=500), nullable=False),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer_by", sa.Date(), nullable=False),
        sa.Column("answer", sa.String(length=500), nullable=True),
        sa.Column("upheld", sa.Boolean(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(answer IS NULL) = (answered_at IS NULL) AND (answer IS NULL) = (upheld IS NULL)",
            name=op.f("ck_complaints_answered"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "redemption_id"],
            ["canteen.redemptions.community_id", "canteen.redemptions.redemption_id"],
            name=op.f("fk_complaints_community_id_redemption_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_complaints")),
        schema="canteen",
    )
    op.create_index(
        "ix_complaints_filed", "complaints", ["community_id", "answer_by"], unique=False, schema="canteen"
    )
    op.create_table(
        "dishes",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("item", sa.String(length=60), nullable=False),
        sa.Column("allergens", postgresql.ARRAY(sa.String(length=20)), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.String(length=20)), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "allergens <@ ARRAY['gluten', 'crustacean', 'fish', 'egg', 'peanut', 'soy', "
            "'milk', 'nut']::varchar[]",
            name=op.f("ck_dishes_allergens"),
        ),
        sa.CheckConstraint(
            "tags <@ ARRAY['low_salt', 'soft', 'diabetic']::varchar[]", name=op.f("ck_dishes_tags")
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "item"],
            ["canteen.items.community_id", "canteen.items.code"],
            name=op.f("fk_dishes_community_id_item"),
        ),
        sa.PrimaryKeyConstraint("community_id", "code", name=op.f("pk_dishes")),
        schema="canteen",
    )
    op.create_table(
        "outcomes",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("dish", sa.String(length=60), nullable=True),
        sa.Column("refunded", sa.Boolean(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(outcome = 'substituted') = (dish IS NOT NULL)", name=op.f("ck_outcomes_substitute")
        ),
        sa.CheckConstraint(
            "outcome IN ('not_home', 'refused_at_door', 'substituted', 'complained')",
            name=op.f("ck_outcomes_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "redemption_id"],
            ["canteen.redemptions.community_id", "canteen.redemptions.redemption_id"],
            name=op.f("fk_outcomes_community_id_redemption_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_outcomes")),
        schema="canteen",
    )
    op.create_table(
        "ratings",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("score BETWEEN 1 AND 3", name=op.f("ck_ratings_score")),
        sa.ForeignKeyConstraint(
            ["community_id", "redemption_id"],
            ["canteen.redemptions.community_id", "canteen.redemptions.redemption_id"],
            name=op.f("fk_ratings_community_id_redemption_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_ratings")),
        schema="canteen",
    )
    op.create_table(
        "runs",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("meal", sa.String(length=20), nullable=False),
        sa.Column("point", sa.String(length=60), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_runs_number")),
        sa.ForeignKeyConstraint(
            ["community_id", "business_date", "meal"],
            ["canteen.run_plans.community_id", "canteen.run_plans.business_date", "canteen.run_plans.meal"],
            name=op.f("fk_runs_community_id_business_date_meal"),
        ),
        sa.PrimaryKeyConstraint("community_id", "run_id", name=op.f("pk_runs")),
        sa.UniqueConstraint(
            "community_id",
            "business_date",
            "meal",
            "number",
            name=op.f("uq_runs_community_id_business_date_meal_number"),
        ),
        schema="canteen",
    )
    op.create_table(
        "sittings",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("meal", sa.String(length=20), nullable=False),
        sa.Column("point", sa.String(length=60), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.CheckConstraint("meal IN ('lunch', 'dinner')", name=op.f("ck_sittings_meal")),
        sa.CheckConstraint("taken >= 0 AND taken <= capacity", name=op.f("ck_sittings_taken")),
        sa.ForeignKeyConstraint(
            ["community_id", "point"],
            ["canteen.points.community_id", "canteen.points.code"],
            name=op.f("fk_sittings_community_id_point"),
        ),
        sa.PrimaryKeyConstraint("community_id", "business_date", "meal", "point", name=op.f("pk_sittings")),
        schema="canteen",
    )
    op.create_table(
        "dish_photos",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("dish", sa.String(length=60), nullable=False),
        sa.Column("media_type", sa.String(length=20), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "media_type IN ('image/jpeg', 'image/png', 'image/webp')", name=op.f("ck_dish_photos_media_type")
        ),
        sa.CheckConstraint("length(content) <= 400000", name=op.f("ck_dish_photos_size")),
        sa.ForeignKeyConstraint(
            ["community_id", "dish"],
            ["canteen.dishes.community_id", "canteen.dishes.code"],
            name=op.f("fk_dish_photos_community_id_dish"),
        ),
        sa.PrimaryKeyConstraint("community_id", "dish", name=op.f("pk_dish_photos")),
        schema="canteen",
    )
    op.create_table(
        "menu_lines",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("meal", sa.String(length=20), nullable=False),
        sa.Column("point", sa.String(length=60), nullable=False),
        sa.Column("dish", sa.String(length=60), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.CheckConstraint("taken >= 0 AND taken <= capacity", name=op.f("ck_menu_lines_taken")),
        sa.ForeignKeyConstraint(
            ["community_id", "business_date", "meal", "point"],
            [
                "canteen.sittings.community_id",
                "canteen.sittings.business_date",
                "canteen.sittings.meal",
                "canteen.sittings.point",
            ],
            name=op.f("fk_menu_lines_community_id_business_date_meal_point"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "dish"],
            ["canteen.dishes.community_id", "canteen.dishes.code"],
            name=op.f("fk_menu_lines_community_id_dish"),
        ),
        sa.PrimaryKeyConstraint(
            "community_id", "business_date", "meal", "point", "dish", name=op.f("pk_menu_lines")
        ),
        schema="canteen",
    )
    op.create_table(
        "run_stops",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id", "redemption_id"],
            ["canteen.redemptions.community_id", "canteen.redemptions.redemption_id"],
            name=op.f("fk_run_stops_community_id_redemption_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "run_id"],
            ["canteen.runs.community_id", "canteen.runs.run_id"],
            name=op.f("fk_run_stops_community_id_run_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_run_stops")),
        sa.UniqueConstraint(
            "community_id", "run_id", "position", name=op.f("uq_run_stops_community_id_run_id_position")
        ),
        schema="canteen",
    )
    op.add_column("events", sa.Column("outcome", sa.String(length=20), nullable=True), schema="canteen")
    op.add_column("redemptions", sa.Column("point", sa.String(length=60), nullable=True), schema="canteen")
    op.add_column("redemptions", sa.Column("dish", sa.String(length=60), nullable=True), schema="canteen")
    op.add_column("redemptions", sa.Column("diet", sa.String(length=20), nullable=True), schema="canteen")
    op.add_column("redemptions", sa.Column("big_grid", sa.Integer(), nullable=True), schema="canteen")
    op.add_column("redemptions", sa.Column("small_grid", sa.Integer(), nullable=True), schema="canteen")
    op.add_column("redemptions", sa.Column("building", sa.String(length=60), nullable=True), schema="canteen")
    op.add_column("redemptions", sa.Column("walk", sa.Integer(), nullable=True), schema="canteen")
    op.add_column("redemptions", sa.Column("shares", sa.String(length=500), nullable=True), schema="canteen")
    op.create_check_constraint(
        op.f("ck_redemptions_diet"),
        "redemptions",
        "diet IN ('low_salt', 'soft', 'diabetic', 'minced', 'no_pork', 'small_rice')",
        schema="canteen",
    )
    op.create_check_constraint(
        op.f("ck_redemptions_place"),
        "redemptions",
        "(big_grid IS NULL) = (small_grid IS NULL) AND (small_grid IS NULL) = (building IS NULL) "
        "AND (building IS NULL) = (walk IS NULL)",
        schema="canteen",
    )
    op.create_check_constraint(
        op.f("ck_events_outcome"),
        "events",
        "outcome IN ('not_home', 'refused_at_door', 'substituted', 'complained')",
        schema="canteen",
    )
    _reasons(*REASONS, "late", "not_on_menu")
    op.execute(
        "INSERT INTO canteen.points (community_id, code, name) "
        "SELECT community_id, 'main', '长者饭堂' FROM canteen.communities"
    )


def downgrade() -> None:
    # The earlier form has no such words, and none of the columns that follow.
    op.execute("UPDATE canteen.redemptions SET reason = 'closed' WHERE reason IN ('late', 'not_on_menu')")
    _reasons(*REASONS)
    op.drop_column("redemptions", "shares", schema="canteen")
    op.drop_column("redemptions", "walk", schema="canteen")
    op.drop_column("redemptions", "building", schema="canteen")
    op.drop_column("redemptions", "small_grid", schema="canteen")
    op.drop_column("redemptions", "big_grid", schema="canteen")
    op.drop_column("redemptions", "diet", schema="canteen")
    op.drop_column("redemptions", "dish", schema="canteen")
    op.drop_column("redemptions", "point", schema="canteen")
    op.drop_column("events", "outcome", schema="canteen")
    op.drop_table("run_stops", schema="canteen")
    op.drop_table("menu_lines", schema="canteen")
    op.drop_table("dish_photos", schema="canteen")
    op.drop_table("sittings", schema="canteen")
    op.drop_table("runs", schema="canteen")
    op.drop_table("ratings", schema="canteen")
    op.drop_table("outcomes", schema="canteen")
    op.drop_table("dishes", schema="canteen")
    op.drop_index("ix_complaints_filed", table_name="complaints", schema="canteen")
    op.drop_table("complaints", schema="canteen")
    op.drop_table("run_plans", schema="canteen")
    op.drop_table("rule_books", schema="canteen")
    op.drop_table("points", schema="canteen")
