"""Refunds, corrections in batches, portions of an order, signatures and payments of a batch.

On the way back corrections have no place: a bank with refunds in its batches is not taken back.
"""

from importlib.resources import files

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MINIMUM = -(2**62)
FLOOR = "floor = CASE WHEN kind IN ({kinds}) THEN {minimum} ELSE 0 END"
BELOW_ZERO = ("issuance", "subsidy_fund")
ALSO = ("partner_earned", "partner_receivable")
BALANCE_OF = ("community_id", "account_id", "account_number", "commodity", "floor")
BALANCE_OF_NAME = "fk_balances_community_id_account_id_account_number_commodity_floor"


def _run_script(name: str) -> None:
    """Run a script of several statements, which prepared statements (SQLAlchemy's way) cannot carry."""
    script = (files("services.migrations") / "sql" / name).read_text()
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(script))


def _floors(kinds: tuple[str, ...], floor: int) -> None:
    """Give partners' accounts another floor, in both tables that say it."""
    op.execute("ALTER TABLE bank.accounts DISABLE TRIGGER refuse_change")
    op.drop_constraint(op.f(BALANCE_OF_NAME), "balances", schema="bank")
    op.drop_constraint(op.f("ck_accounts_floor"), "accounts", schema="bank")
    moved = ", ".join(f"'{kind}'" for kind in ALSO)
    op.execute(
        f"UPDATE bank.balances b SET floor = {floor} FROM bank.accounts a"
        f" WHERE a.community_id = b.community_id AND a.id = b.account_id AND a.kind IN ({moved})"
    )
    op.execute(f"UPDATE bank.accounts SET floor = {floor} WHERE kind IN ({moved})")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(
        op.f("ck_accounts_floor"), "accounts", FLOOR.format(kinds=listed, minimum=MINIMUM), schema="bank"
    )
    op.create_foreign_key(
        op.f(BALANCE_OF_NAME),
        "balances",
        "accounts",
        BALANCE_OF,
        ("community_id", "id", "number", "commodity", "floor"),
        source_schema="bank",
        referent_schema="bank",
    )
    op.execute("ALTER TABLE bank.accounts ENABLE TRIGGER refuse_change")


def upgrade() -> None:
    _floors((*BELOW_ZERO, *ALSO), MINIMUM)
    op.add_column("partner_events", sa.Column("quantity", sa.Integer(), nullable=True), schema="bank")
    op.add_column("redemptions", sa.Column("served", sa.Integer(), nullable=True), schema="bank")
    op.execute("ALTER TABLE bank.redemptions DISABLE TRIGGER refuse_second_ending")
    op.execute("UPDATE bank.redemptions SET served = quantity WHERE state = 'fulfilled'")
    op.execute("ALTER TABLE bank.redemptions ENABLE TRIGGER refuse_second_ending")
    op.create_check_constraint(
        op.f("ck_redemptions_served"),
        "redemptions",
        "(state = 'fulfilled') = (served IS NOT NULL) AND served BETWEEN 1 AND quantity",
        schema="bank",
    )
    op.create_table(
        "refunds",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("milli_points", sa.BigInteger(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("service_date", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=True),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("booked_on", sa.Date(), nullable=True),
        sa.Column("entry_number", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("milli_points > 0 AND fen >= 0", name=op.f("ck_refunds_amounts")),
        sa.CheckConstraint(
            "reason IN ('not_delivered', 'wrong_dish', 'bad_quality', 'charged_twice', 'mistake')",
            name=op.f("ck_refunds_reason"),
        ),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'refused')", name=op.f("ck_refunds_state")),
        sa.CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)",
            name=op.f("ck_refunds_decided"),
        ),
        sa.CheckConstraint(
            "decided_by <> proposed_by AND (state <> 'approved' OR proposed_by IS NOT NULL)",
            name=op.f("ck_refunds_two_people"),
        ),
        sa.CheckConstraint(
            "(state = 'approved') = (entry_number IS NOT NULL) AND (entry_number IS NULL) = (booked_on IS NULL)",
            name=op.f("ck_refunds_booked"),
        ),
        *(
            sa.ForeignKeyConstraint(
                ["community_id", column],
                [f"bank.{table}.community_id", f"bank.{table}.id"],
                name=op.f(f"fk_refunds_community_id_{column}"),
            )
            for column, table in (
                ("redemption_id", "redemptions"),
                ("partner_id", "partners"),
                ("proposed_by", "people"),
                ("decided_by", "people"),
            )
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_refunds")),
        sa.UniqueConstraint(
            "community_id", "entry_number", name=op.f("uq_refunds_community_id_entry_number")
        ),
        schema="bank",
    )
    op.create_index(
        "uq_refunds_standing",
        "refunds",
        ["community_id", "redemption_id"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("state <> 'refused'"),
    )
    op.create_index(
        "ix_refunds_booked", "refunds", ["community_id", "partner_id", "booked_on", "id"], schema="bank"
    )
    op.alter_column("settlement_batches", "entry_number", nullable=True, schema="bank")
    op.create_check_constraint(
        op.f("ck_settlement_batches_entry"),
        "settlement_batches",
        "(entry_number IS NULL) = (milli_points = 0 AND fen = 0)",
        schema="bank",
    )
    op.add_column(
        "settlement_lines",
        sa.Column("kind", sa.String(length=40), nullable=False, server_default=sa.text("'capture'")),
        schema="bank",
    )
    op.add_column("settlement_lines", sa.Column("service_date", sa.Date(), nullable=True), schema="bank")
    op.execute("ALTER TABLE bank.settlement_lines DISABLE TRIGGER refuse_change")
    op.execute(
        "UPDATE bank.settlement_lines l SET service_date = r.captured_on FROM bank.redemptions r"
        " WHERE r.community_id = l.community_id AND r.id = l.redemption_id"
    )
    op.execute("ALTER TABLE bank.settlement_lines ENABLE TRIGGER refuse_change")
    op.alter_column("settlement_lines", "service_date", nullable=False, schema="bank")
    op.alter_column("settlement_lines", "kind", server_default=None, schema="bank")
    op.create_check_constraint(
        op.f("ck_settlement_lines_kind"),
        "settlement_lines",
        "CASE kind WHEN 'capture' THEN milli_points > 0 AND fen >= 0"
        " WHEN 'correction' THEN milli_points < 0 AND fen <= 0 ELSE false END",
        schema="bank",
    )
    op.drop_constraint(op.f("pk_settlement_lines"), "settlement_lines", schema="bank")
    op.create_primary_key(
        op.f("pk_settlement_lines"),
        "settlement_lines",
        ["community_id", "redemption_id", "kind"],
        schema="bank",
    )
    op.create_table(
        "settlement_signatures",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("signed_by", sa.Uuid(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        *_of_batch("settlement_signatures", "signed_by"),
        sa.PrimaryKeyConstraint(
            "community_id", "batch_id", "signed_by", name=op.f("pk_settlement_signatures")
        ),
        schema="bank",
    )
    op.create_table(
        "settlement_payments",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.String(length=60), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("noted_by", sa.Uuid(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("reference <> ''", name=op.f("ck_settlement_payments_reference")),
        *_of_batch("settlement_payments", "noted_by"),
        sa.PrimaryKeyConstraint("community_id", "batch_id", name=op.f("pk_settlement_payments")),
        schema="bank",
    )
    _run_script("refunds_14.sql")


def _of_batch(table: str, person: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.ForeignKeyConstraint(
            ["community_id", column],
            [f"bank.{referred}.community_id", f"bank.{referred}.id"],
            name=op.f(f"fk_{table}_community_id_{column}"),
        )
        for column, referred in (("batch_id", "settlement_batches"), (person, "people"))
    ]


def downgrade() -> None:
    _run_script("refunds_14_down.sql")
    op.drop_table("settlement_payments", schema="bank")
    op.drop_table("settlement_signatures", schema="bank")
    op.drop_table("refunds", schema="bank")
    op.execute("DROP TRIGGER require_refund_of_capture ON bank.journal_lines")
    op.execute(
        "DROP FUNCTION bank.require_refund_entry, bank.require_refund_of_capture, bank.require_two_signatures"
    )
    op.drop_constraint(op.f("pk_settlement_lines"), "settlement_lines", schema="bank")
    op.create_primary_key(
        op.f("pk_settlement_lines"), "settlement_lines", ["community_id", "redemption_id"], schema="bank"
    )
    op.drop_constraint(op.f("ck_settlement_lines_kind"), "settlement_lines", schema="bank")
    op.drop_column("settlement_lines", "service_date", schema="bank")
    op.drop_column("settlement_lines", "kind", schema="bank")
    op.drop_constraint(op.f("ck_settlement_batches_entry"), "settlement_batches", schema="bank")
    op.alter_column("settlement_batches", "entry_number", nullable=False, schema="bank")
    op.drop_constraint(op.f("ck_redemptions_served"), "redemptions", schema="bank")
    op.drop_column("redemptions", "served", schema="bank")
    op.drop_column("partner_events", "quantity", schema="bank")
    _floors(BELOW_ZERO, 0)
