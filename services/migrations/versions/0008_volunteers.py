"""What volunteers say of themselves, where buildings stand, and offers that name their time."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NEW = ("hours_exceptions", "volunteer_limits", "served_grids", "spoken_languages")


def _of_person(table: str, column: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.ForeignKeyConstraint(
            ["community_id", column],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f(f"fk_{table}_community_id_{column}"),
        )
    ]


def upgrade() -> None:
    op.add_column("buildings", sa.Column("east_m", sa.Integer(), nullable=True), schema="bank")
    op.add_column("buildings", sa.Column("north_m", sa.Integer(), nullable=True), schema="bank")
    op.create_check_constraint(
        op.f("ck_buildings_metres"),
        "buildings",
        "(east_m IS NULL) = (north_m IS NULL) AND east_m BETWEEN -50000 AND 50000 "
        "AND north_m BETWEEN -50000 AND 50000",
        schema="bank",
    )
    op.create_table(
        "hours_exceptions",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("volunteer_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("to_minute", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "0 <= from_minute AND from_minute < 1440 AND from_minute < to_minute "
            "AND to_minute <= from_minute + 1440",
            name=op.f("ck_hours_exceptions_minutes"),
        ),
        sa.CheckConstraint("kind IN ('away', 'free')", name=op.f("ck_hours_exceptions_kind")),
        *_of_person("hours_exceptions", "volunteer_id"),
        sa.PrimaryKeyConstraint(
            "community_id", "volunteer_id", "day", "kind", "from_minute", name=op.f("pk_hours_exceptions")
        ),
        schema="bank",
    )
    op.create_table(
        "volunteer_limits",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("volunteer_id", sa.Uuid(), nullable=False),
        sa.Column("day_minutes", sa.Integer(), nullable=True),
        sa.Column("week_minutes", sa.Integer(), nullable=True),
        sa.CheckConstraint("day_minutes BETWEEN 1 AND 1440", name=op.f("ck_volunteer_limits_day_minutes")),
        sa.CheckConstraint("week_minutes BETWEEN 1 AND 10080", name=op.f("ck_volunteer_limits_week_minutes")),
        *_of_person("volunteer_limits", "volunteer_id"),
        sa.PrimaryKeyConstraint("community_id", "volunteer_id", name=op.f("pk_volunteer_limits")),
        schema="bank",
    )
    op.create_table(
        "served_grids",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("volunteer_id", sa.Uuid(), nullable=False),
        sa.Column("small_grid", sa.Integer(), nullable=False),
        *_of_person("served_grids", "volunteer_id"),
        sa.ForeignKeyConstraint(
            ["community_id", "small_grid"],
            ["bank.small_grids.community_id", "bank.small_grids.number"],
            name=op.f("fk_served_grids_community_id_small_grid"),
        ),
        sa.PrimaryKeyConstraint("community_id", "volunteer_id", "small_grid", name=op.f("pk_served_grids")),
        schema="bank",
    )
    op.create_table(
        "spoken_languages",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=False),
        sa.CheckConstraint(
            "language ~ '^[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}$'", name=op.f("ck_spoken_languages_language")
        ),
        *_of_person("spoken_languages", "person_id"),
        sa.PrimaryKeyConstraint("community_id", "person_id", "language", name=op.f("pk_spoken_languages")),
        schema="bank",
    )
    for name, column in (
        ("proof", sa.String(length=200)),
        ("verified_by", sa.Uuid()),
        ("verified_at", sa.DateTime(timezone=True)),
        ("valid_until", sa.Date()),
    ):
        op.add_column("volunteer_skills", sa.Column(name, column, nullable=True), schema="bank")
    for name, condition in (
        ("verified", "(verified_by IS NULL) = (verified_at IS NULL)"),
        ("verified_by_proof", "verified_at IS NULL OR proof IS NOT NULL"),
        ("not_verified_by_oneself", "verified_by <> volunteer_id"),
    ):
        op.create_check_constraint(
            op.f(f"ck_volunteer_skills_{name}"), "volunteer_skills", condition, schema="bank"
        )
    op.create_foreign_key(
        op.f("fk_volunteer_skills_community_id_verified_by"),
        "volunteer_skills",
        "people",
        ["community_id", "verified_by"],
        ["community_id", "id"],
        source_schema="bank",
        referent_schema="bank",
    )
    for column in ("starts_at", "ends_at"):
        op.add_column("offers", sa.Column(column, sa.DateTime(timezone=True), nullable=True), schema="bank")
    op.execute(
        "UPDATE bank.offers o SET starts_at = r.starts_at, ends_at = r.ends_at FROM bank.help_requests r "
        "WHERE r.community_id = o.community_id AND r.id = o.help_request_id"
    )
    for column in ("starts_at", "ends_at"):
        op.alter_column("offers", column, nullable=False, schema="bank")
    op.create_check_constraint(op.f("ck_offers_period"), "offers", "ends_at > starts_at", schema="bank")
    for table in NEW:
        op.execute(f"ALTER TABLE bank.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_community ON bank.{table} TO pointsbank_app "
            "USING (community_id = current_setting('pointsbank.community_id')::integer)"
        )
        op.execute(f"GRANT SELECT, INSERT, DELETE ON bank.{table} TO pointsbank_app")
    op.execute(
        "GRANT UPDATE (proof, verified_by, verified_at, valid_until) ON bank.volunteer_skills "
        "TO pointsbank_app"
    )


def downgrade() -> None:
    op.execute(
        "REVOKE UPDATE (proof, verified_by, verified_at, valid_until) ON bank.volunteer_skills "
        "FROM pointsbank_app"
    )
    op.drop_constraint(op.f("ck_offers_period"), "offers", schema="bank")
    for column in ("ends_at", "starts_at"):
        op.drop_column("offers", column, schema="bank")
    op.drop_constraint(
        op.f("fk_volunteer_skills_community_id_verified_by"), "volunteer_skills", schema="bank"
    )
    for name in ("verified", "verified_by_proof", "not_verified_by_oneself"):
        op.drop_constraint(op.f(f"ck_volunteer_skills_{name}"), "volunteer_skills", schema="bank")
    for column in ("valid_until", "verified_at", "verified_by", "proof"):
        op.drop_column("volunteer_skills", column, schema="bank")
    for table in reversed(NEW):
        op.drop_table(table, schema="bank")
    op.drop_constraint(op.f("ck_buildings_metres"), "buildings", schema="bank")
    op.drop_column("buildings", "north_m", schema="bank")
    op.drop_column("buildings", "east_m", schema="bank")
