"""The canteen's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        sa.schema.CreateSequence(sa.Sequence("reference_numbers", schema="canteen", data_type=sa.BigInteger))
    )
    op.create_table(
        "communities",
        sa.Column("community_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("community_id", name=op.f("pk_communities")),
        schema="canteen",
    )
    op.create_table(
        "nonces",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", "nonce", name=op.f("pk_nonces")),
        schema="canteen",
    )
    op.create_index("ix_nonces_seen_at", "nonces", ["seen_at"], unique=False, schema="canteen")
    op.create_table(
        "items",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("milli_points", sa.BigInteger(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("available", sa.Boolean(), nullable=False),
        sa.CheckConstraint("milli_points >= 0 AND fen >= 0", name=op.f("ck_items_price")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["canteen.communities.community_id"], name=op.f("fk_items_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "code", name=op.f("pk_items")),
        schema="canteen",
    )
    op.create_table(
        "redemptions",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("partner_reference", sa.String(length=40), nullable=False),
        sa.Column("item", sa.String(length=60), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("milli_points", sa.BigInteger(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("voucher", sa.String(length=12), nullable=True),
        sa.Column("mode", sa.String(length=20), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fulfilled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'accepted') = (closed_at IS NULL)", name=op.f("ck_redemptions_closed")),
        sa.CheckConstraint(
            "(status = 'fulfilled') = (fulfilled_at IS NOT NULL)", name=op.f("ck_redemptions_fulfilled")
        ),
        sa.CheckConstraint(
            "(status = 'refused') = (reason IS NOT NULL)", name=op.f("ck_redemptions_refused")
        ),
        sa.CheckConstraint(
            "reason IN ('sold_out', 'unknown_item', 'closed', 'price_differs')",
            name=op.f("ck_redemptions_reason"),
        ),
        sa.CheckConstraint(
            "status IN ('accepted', 'refused', 'fulfilled', 'cancelled', 'lapsed')",
            name=op.f("ck_redemptions_status"),
        ),
        sa.CheckConstraint(
            "quantity > 0 AND milli_points >= 0 AND fen >= 0", name=op.f("ck_redemptions_amounts")
        ),
        sa.ForeignKeyConstraint(
            ["community_id"], ["canteen.communities.community_id"], name=op.f("fk_redemptions_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_redemptions")),
        sa.UniqueConstraint(
            "community_id", "partner_reference", name=op.f("uq_redemptions_community_id_partner_reference")
        ),
        schema="canteen",
    )
    op.create_index(
        "ix_redemptions_statement",
        "redemptions",
        ["community_id", "business_date", "partner_reference"],
        unique=False,
        schema="canteen",
        postgresql_where=sa.text("status = 'fulfilled'"),
    )
    op.create_index(
        "uq_redemptions_open_voucher",
        "redemptions",
        ["community_id", "business_date", "voucher"],
        unique=True,
        schema="canteen",
        postgresql_where=sa.text("status = 'accepted'"),
    )
    op.create_table(
        "days",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("item", sa.String(length=60), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.CheckConstraint("taken >= 0 AND taken <= capacity", name=op.f("ck_days_taken")),
        sa.ForeignKeyConstraint(
            ["community_id", "item"],
            ["canteen.items.community_id", "canteen.items.code"],
            name=op.f("fk_days_community_id_item"),
        ),
        sa.PrimaryKeyConstraint("community_id", "item", "business_date", name=op.f("pk_days")),
        schema="canteen",
    )
    op.create_table(
        "events",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fulfilled_quantity", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(length=100), nullable=True),
        sa.CheckConstraint(
            "type IN ('accepted', 'refused', 'fulfilled', 'cancelled', 'lapsed')", name=op.f("ck_events_type")
        ),
        sa.CheckConstraint("tries >= 0 AND fulfilled_quantity >= 0", name=op.f("ck_events_numbers")),
        sa.ForeignKeyConstraint(
            ["community_id", "redemption_id"],
            ["canteen.redemptions.community_id", "canteen.redemptions.redemption_id"],
            name=op.f("fk_events_community_id_redemption_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "event_id", name=op.f("pk_events")),
        schema="canteen",
    )
    op.create_index(
        "ix_events_due",
        "events",
        ["community_id", "next_try_at"],
        unique=False,
        schema="canteen",
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "menu",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("item", sa.String(length=60), nullable=False),
        sa.Column("meal", sa.String(length=20), nullable=False),
        sa.Column("day_capacity", sa.Integer(), nullable=False),
        sa.Column("dine_in", sa.Boolean(), nullable=False),
        sa.Column("delivery", sa.Boolean(), nullable=False),
        sa.CheckConstraint("meal IN ('lunch', 'dinner')", name=op.f("ck_menu_meal")),
        sa.CheckConstraint("day_capacity >= 0", name=op.f("ck_menu_day_capacity")),
        sa.CheckConstraint("dine_in OR delivery", name=op.f("ck_menu_served_somehow")),
        sa.ForeignKeyConstraint(
            ["community_id", "item"],
            ["canteen.items.community_id", "canteen.items.code"],
            name=op.f("fk_menu_community_id_item"),
        ),
        sa.PrimaryKeyConstraint("community_id", "item", name=op.f("pk_menu")),
        schema="canteen",
    )


def downgrade() -> None:
    op.drop_table("menu", schema="canteen")
    op.drop_index(
        "ix_events_due",
        table_name="events",
        schema="canteen",
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.drop_table("events", schema="canteen")
    op.drop_table("days", schema="canteen")
    op.drop_index(
        "uq_redemptions_open_voucher",
        table_name="redemptions",
        schema="canteen",
        postgresql_where=sa.text("status = 'accepted'"),
    )
    op.drop_index(
        "ix_redemptions_statement",
        table_name="redemptions",
        schema="canteen",
        postgresql_where=sa.text("status = 'fulfilled'"),
    )
    op.drop_table("redemptions", schema="canteen")
    op.drop_table("items", schema="canteen")
    op.drop_index("ix_nonces_seen_at", table_name="nonces", schema="canteen")
    op.drop_table("nonces", schema="canteen")
    op.drop_table("communities", schema="canteen")
    op.execute(sa.schema.DropSequence(sa.Sequence("reference_numbers", schema="canteen")))
