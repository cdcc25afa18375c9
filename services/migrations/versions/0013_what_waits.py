"""Effects under a key of their own, dead letters that somebody closes, partners' circuits, the public proof.

On the way back closed letters stay dead, and the effects, circuits and proofs are forgotten: they are told by
the intents and the journal.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

NEW = ("outbox_effects", "partner_circuits", "public_proofs")


def upgrade() -> None:
    for name, kind in (
        ("revived_at", sa.DateTime(timezone=True)),
        ("closed_at", sa.DateTime(timezone=True)),
        ("closed_by", sa.Uuid()),
        ("close_reason", sa.String(length=500)),
    ):
        op.add_column("outbox", sa.Column(name, kind, nullable=True), schema="bank")
    op.create_foreign_key(
        op.f("fk_outbox_community_id_closed_by"),
        "outbox",
        "people",
        ["community_id", "closed_by"],
        ["community_id", "id"],
        source_schema="bank",
        referent_schema="bank",
    )
    op.create_check_constraint(
        op.f("ck_outbox_closed"),
        "outbox",
        "(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (close_reason IS NULL) "
        "AND (closed_at IS NULL OR dead_at IS NOT NULL)",
        schema="bank",
    )
    op.create_index(
        "ix_outbox_dead",
        "outbox",
        ["community_id", "dead_at", "id"],
        schema="bank",
        postgresql_where=sa.text("dead_at IS NOT NULL AND closed_at IS NULL"),
    )
    op.create_table(
        "outbox_effects",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("effect_key", sa.String(length=120), nullable=False),
        sa.Column("intent_id", sa.Uuid(), nullable=False),
        sa.Column("effected_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id", "intent_id"],
            ["bank.outbox.community_id", "bank.outbox.id"],
            name=op.f("fk_outbox_effects_community_id_intent_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("community_id", "effect_key", name=op.f("pk_outbox_effects")),
        schema="bank",
    )
    op.create_index(
        "ix_outbox_effects_intent", "outbox_effects", ["community_id", "intent_id"], schema="bank"
    )
    op.create_table(
        "partner_circuits",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("next_call_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.String(length=200), nullable=True),
        sa.CheckConstraint(
            "state IN ('closed', 'open', 'half_open')", name=op.f("ck_partner_circuits_state")
        ),
        sa.CheckConstraint("failures >= 0 AND openings >= 0", name=op.f("ck_partner_circuits_counts")),
        sa.CheckConstraint(
            "(state = 'closed') = (next_call_at IS NULL)", name=op.f("ck_partner_circuits_next_call")
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "partner_id"],
            ["bank.partners.community_id", "bank.partners.id"],
            name=op.f("fk_partner_circuits_community_id_partner_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "partner_id", name=op.f("pk_partner_circuits")),
        schema="bank",
    )
    op.create_table(
        "public_proofs",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("proved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_number", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sound", sa.Boolean(), nullable=False),
        sa.Column("sums", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("seal", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("length(head_hash) = 32", name=op.f("ck_public_proofs_head_hash")),
        sa.CheckConstraint("entry_number >= 0", name=op.f("ck_public_proofs_entry_number")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_public_proofs_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "day", name=op.f("pk_public_proofs")),
        schema="bank",
    )
    for table in NEW:
        op.execute(f"ALTER TABLE bank.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY own_community ON bank.{table} TO pointsbank_app "
            "USING (community_id = current_setting('pointsbank.community_id')::integer)"
        )
        op.execute(f"GRANT SELECT, INSERT ON bank.{table} TO pointsbank_app")
    op.execute(
        "GRANT UPDATE (state, failures, openings, next_call_at, changed_at, last_error) "
        "ON bank.partner_circuits TO pointsbank_app"
    )
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON bank.public_proofs "
        "FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.outbox "
        "FOR EACH ROW WHEN (OLD.done_at IS NOT NULL OR OLD.closed_at IS NOT NULL) "
        "EXECUTE FUNCTION bank.refuse_second_ending('row of the outbox')"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER refuse_second_ending ON bank.outbox")
    op.drop_table("public_proofs", schema="bank")
    op.drop_table("partner_circuits", schema="bank")
    op.drop_table("outbox_effects", schema="bank")
    op.drop_index("ix_outbox_dead", table_name="outbox", schema="bank")
    op.drop_constraint(op.f("ck_outbox_closed"), "outbox", schema="bank")
    op.drop_constraint(op.f("fk_outbox_community_id_closed_by"), "outbox", schema="bank")
    for name in ("close_reason", "closed_by", "closed_at", "revived_at"):
        op.drop_column("outbox", name, schema="bank")
