"""The first schema: every table of the bank, the one way into its journal, and the walls around it."""

from importlib.resources import files

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


FUNCTIONS = (
    "refuse_change",
    "require_balanced_entries",
    "require_posted_balance",
    "require_hold_entries",
    "require_hold_of_redemption",
    "require_batch_totals",
    "require_settled_captures",
    "refuse_second_ending",
    "apply_entries",
    "micros",
    "lp",
)


def _run_script(name: str) -> None:
    """Run a script of several statements, which prepared statements (SQLAlchemy's way) cannot carry."""
    script = (files("services.migrations") / "sql" / name).read_text()
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(script))


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA bank")
    op.create_table(
        "communities",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("timezone", sa.String(length=60), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id > 0", name=op.f("ck_communities_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_communities")),
        sa.UniqueConstraint("code", name=op.f("uq_communities_code")),
        schema="bank",
    )
    op.create_table(
        "accounts",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("owner_ref", sa.Uuid(), nullable=False),
        sa.Column("commodity", sa.String(length=8), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "CASE WHEN kind IN ('partner_receivable', 'subsidy_fund') THEN commodity = 'FEN' WHEN kind = 'member_service' THEN commodity = 'MINUTE' WHEN kind = 'issuance' THEN commodity IN ('POINT', 'MINUTE') ELSE commodity = 'POINT' END",
            name=op.f("ck_accounts_commodity_of_kind"),
        ),
        sa.CheckConstraint("commodity IN ('POINT', 'MINUTE', 'FEN')", name=op.f("ck_accounts_commodity")),
        sa.CheckConstraint(
            "floor = CASE WHEN kind IN ('issuance', 'subsidy_fund') THEN -4611686018427387904 ELSE 0 END",
            name=op.f("ck_accounts_floor"),
        ),
        sa.CheckConstraint(
            "kind IN ('member_available', 'member_held', 'member_service', 'issuance', 'partner_earned', 'partner_settled', 'partner_receivable', 'subsidy_fund')",
            name=op.f("ck_accounts_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_accounts_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("community_id", "id", "commodity", "floor", name="uq_accounts_commodity_floor"),
        sa.UniqueConstraint("community_id", "id", "commodity", name="uq_accounts_commodity"),
        sa.UniqueConstraint("community_id", "kind", "owner_ref", "commodity", name="uq_accounts_code"),
        schema="bank",
    )
    op.create_table(
        "big_grids",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_big_grids_number")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_big_grids_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "number", name=op.f("pk_big_grids")),
        schema="bank",
    )
    op.create_table(
        "blocks",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("first_entry", sa.BigInteger(), nullable=False),
        sa.Column("last_entry", sa.BigInteger(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.String(length=20), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(previous_hash) = 32 AND length(hash) = 32", name=op.f("ck_blocks_hash")),
        sa.CheckConstraint(
            "number > 0 AND first_entry > 0 AND last_entry >= first_entry", name=op.f("ck_blocks_numbers")
        ),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_blocks_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "number", name=op.f("pk_blocks")),
        sa.UniqueConstraint("community_id", "first_entry", name="uq_blocks_first_entry"),
        schema="bank",
    )
    op.create_index(
        "ix_blocks_recorded", "blocks", ["community_id", "recorded_at"], unique=False, schema="bank"
    )
    op.create_table(
        "holds",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_ref", sa.Uuid(), nullable=False),
        sa.Column("partner_ref", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'captured') = (captured > 0)", name=op.f("ck_holds_captured_state")),
        sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name=op.f("ck_holds_ended")),
        sa.CheckConstraint("state IN ('open', 'captured', 'voided', 'expired')", name=op.f("ck_holds_state")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_holds_amount")),
        sa.CheckConstraint("captured BETWEEN 0 AND amount", name=op.f("ck_holds_captured")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_holds_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_holds")),
        schema="bank",
    )
    op.create_index(
        "ix_holds_open",
        "holds",
        ["community_id", "expires_at"],
        unique=False,
        schema="bank",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "idempotent_requests",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(fingerprint) = 32", name=op.f("ck_idempotent_requests_fingerprint")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_idempotent_requests_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "actor_id", "key", name=op.f("pk_idempotent_requests")),
        schema="bank",
    )
    op.create_index(
        "ix_idempotent_requests_kept",
        "idempotent_requests",
        ["community_id", "created_at"],
        unique=False,
        schema="bank",
        postgresql_where=sa.text("answer IS NOT NULL"),
    )
    op.create_table(
        "ledger_heads",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("entry_number", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("block_number", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.String(length=20), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "entry_number > 0 OR hash = sha256(convert_to('pointsbank:' || community_id, 'UTF8'))",
            name=op.f("ck_ledger_heads_genesis"),
        ),
        sa.CheckConstraint("entry_number >= 0 AND block_number >= 0", name=op.f("ck_ledger_heads_numbers")),
        sa.CheckConstraint("length(hash) = 32", name=op.f("ck_ledger_heads_hash")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_ledger_heads_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", name=op.f("pk_ledger_heads")),
        schema="bank",
    )
    op.create_table(
        "organisations",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_organisations_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("community_id", "name", name=op.f("uq_organisations_community_id_name")),
        schema="bank",
    )
    op.create_table(
        "outbox",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(length=60), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=200), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dead_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_outbox_attempts")),
        sa.CheckConstraint("done_at IS NULL OR dead_at IS NULL", name=op.f("ck_outbox_one_end")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_outbox_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_outbox")),
        schema="bank",
    )
    op.create_index(
        "ix_outbox_done",
        "outbox",
        ["community_id", "done_at"],
        unique=False,
        schema="bank",
        postgresql_where=sa.text("done_at IS NOT NULL"),
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["community_id", "available_at"],
        unique=False,
        schema="bank",
        postgresql_where=sa.text("done_at IS NULL AND dead_at IS NULL"),
    )
    op.create_table(
        "pairing_runs",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("engine", sa.String(length=40), nullable=False),
        sa.Column("ran_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paired", sa.Integer(), nullable=False),
        sa.Column("unpaired", sa.Integer(), nullable=False),
        sa.Column("blocked", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint("paired >= 0 AND unpaired >= 0", name=op.f("ck_pairing_runs_counts")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_pairing_runs_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_pairing_runs")),
        schema="bank",
    )
    op.create_table(
        "partner_nonces",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("partner", sa.String(length=40), nullable=False),
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_partner_nonces_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "partner", "nonce", name=op.f("pk_partner_nonces")),
        schema="bank",
    )
    op.create_table(
        "partners",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.CheckConstraint("code IN ('canteen', 'station')", name=op.f("ck_partners_code")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_partners_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_partners")),
        sa.UniqueConstraint("community_id", "code", name=op.f("uq_partners_community_id_code")),
        schema="bank",
    )
    op.create_table(
        "places",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.CheckConstraint("kind IN ('estate', 'compound', 'village')", name=op.f("ck_places_kind")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_places_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_places")),
        sa.UniqueConstraint("community_id", "name", name=op.f("uq_places_community_id_name")),
        schema="bank",
    )
    op.create_table(
        "policy_versions",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("proposed_by", sa.Uuid(), nullable=False),
        sa.Column("approved_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "proposed_by <> approved_by OR version = 1", name=op.f("ck_policy_versions_second_person")
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_policy_versions_version")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_policy_versions_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "version", name=op.f("pk_policy_versions")),
        schema="bank",
    )
    op.create_table(
        "seals",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("entry_number", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.String(length=20), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(hash) = 32", name=op.f("ck_seals_hash")),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_seals_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "entry_number", name=op.f("pk_seals")),
        schema="bank",
    )
    op.create_table(
        "balances",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("commodity", sa.String(length=8), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("balance >= floor", name=op.f("ck_balances_floor")),
        sa.ForeignKeyConstraint(
            ["community_id", "account_id", "commodity", "floor"],
            [
                "bank.accounts.community_id",
                "bank.accounts.id",
                "bank.accounts.commodity",
                "bank.accounts.floor",
            ],
            name=op.f("fk_balances_community_id_account_id_commodity_floor"),
        ),
        sa.PrimaryKeyConstraint("community_id", "account_id", name=op.f("pk_balances")),
        schema="bank",
    )
    op.create_table(
        "journal_entries",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("source_kind", sa.String(length=40), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("actor_ref", sa.Uuid(), nullable=False),
        sa.Column("subject_ref", sa.Uuid(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("reverses", sa.BigInteger(), nullable=True),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'reversal') = (reverses IS NOT NULL)", name=op.f("ck_journal_entries_reverses")
        ),
        sa.CheckConstraint(
            "kind IN ('earning', 'hold', 'capture', 'void', 'settlement', 'reversal')",
            name=op.f("ck_journal_entries_kind"),
        ),
        sa.CheckConstraint(
            "source_kind IN ('visit', 'redemption', 'settlement_batch', 'journal_entry')",
            name=op.f("ck_journal_entries_source_kind"),
        ),
        sa.CheckConstraint(
            "length(fingerprint) = 32 AND length(leaf_hash) = 32", name=op.f("ck_journal_entries_hash")
        ),
        sa.CheckConstraint("number > 0", name=op.f("ck_journal_entries_number")),
        sa.CheckConstraint("reverses < number", name=op.f("ck_journal_entries_reverses_earlier")),
        sa.ForeignKeyConstraint(
            ["community_id", "block_number"],
            ["bank.blocks.community_id", "bank.blocks.number"],
            name=op.f("fk_journal_entries_community_id_block_number"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "policy_version"],
            ["bank.policy_versions.community_id", "bank.policy_versions.version"],
            name=op.f("fk_journal_entries_community_id_policy_version"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "reverses"],
            ["bank.journal_entries.community_id", "bank.journal_entries.number"],
            name=op.f("fk_journal_entries_community_id_reverses"),
        ),
        sa.PrimaryKeyConstraint("community_id", "number", name=op.f("pk_journal_entries")),
        sa.UniqueConstraint("community_id", "id", name=op.f("uq_journal_entries_community_id_id")),
        sa.UniqueConstraint("community_id", "key", name=op.f("uq_journal_entries_community_id_key")),
        sa.UniqueConstraint(
            "community_id", "reverses", name=op.f("uq_journal_entries_community_id_reverses")
        ),
        schema="bank",
    )
    op.create_index(
        "ix_journal_entries_source",
        "journal_entries",
        ["community_id", "source_id"],
        unique=False,
        schema="bank",
    )
    op.create_table(
        "partner_events",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id", "partner_id"],
            ["bank.partners.community_id", "bank.partners.id"],
            name=op.f("fk_partner_events_community_id_partner_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "partner_id", "event_id", name=op.f("pk_partner_events")),
        schema="bank",
    )
    op.create_index(
        "ix_partner_events_redemption",
        "partner_events",
        ["community_id", "redemption_id"],
        unique=False,
        schema="bank",
    )
    op.create_table(
        "reconciliations",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lines_here", sa.Integer(), nullable=False),
        sa.Column("lines_there", sa.Integer(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.CheckConstraint("differences >= 0", name=op.f("ck_reconciliations_differences")),
        sa.ForeignKeyConstraint(
            ["community_id", "partner_id"],
            ["bank.partners.community_id", "bank.partners.id"],
            name=op.f("fk_reconciliations_community_id_partner_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_reconciliations")),
        schema="bank",
    )
    op.create_index(
        "ix_reconciliations_day",
        "reconciliations",
        ["community_id", "partner_id", "business_date"],
        unique=False,
        schema="bank",
    )
    op.create_table(
        "small_grids",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("big_grid", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_small_grids_number")),
        sa.ForeignKeyConstraint(
            ["community_id", "big_grid"],
            ["bank.big_grids.community_id", "bank.big_grids.number"],
            name=op.f("fk_small_grids_community_id_big_grid"),
        ),
        sa.PrimaryKeyConstraint("community_id", "number", name=op.f("pk_small_grids")),
        schema="bank",
    )
    op.create_table(
        "buildings",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("place_id", sa.Uuid(), nullable=False),
        sa.Column("small_grid", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id", "place_id"],
            ["bank.places.community_id", "bank.places.id"],
            name=op.f("fk_buildings_community_id_place_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "small_grid"],
            ["bank.small_grids.community_id", "bank.small_grids.number"],
            name=op.f("fk_buildings_community_id_small_grid"),
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_buildings")),
        sa.UniqueConstraint(
            "community_id", "place_id", "name", name=op.f("uq_buildings_community_id_place_id_name")
        ),
        schema="bank",
    )
    op.create_table(
        "grid_boundaries",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("small_grid", sa.Integer(), nullable=False),
        sa.Column("neighbour", sa.Integer(), nullable=False),
        sa.CheckConstraint("small_grid < neighbour", name=op.f("ck_grid_boundaries_ordered")),
        sa.ForeignKeyConstraint(
            ["community_id", "neighbour"],
            ["bank.small_grids.community_id", "bank.small_grids.number"],
            name=op.f("fk_grid_boundaries_community_id_neighbour"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "small_grid"],
            ["bank.small_grids.community_id", "bank.small_grids.number"],
            name=op.f("fk_grid_boundaries_community_id_small_grid"),
        ),
        sa.PrimaryKeyConstraint("community_id", "small_grid", "neighbour", name=op.f("pk_grid_boundaries")),
        schema="bank",
    )
    op.create_table(
        "postings",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("entry_number", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("commodity", sa.String(length=8), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_postings_amount")),
        sa.CheckConstraint("line > 0", name=op.f("ck_postings_line")),
        sa.ForeignKeyConstraint(
            ["community_id", "account_id", "commodity"],
            ["bank.accounts.community_id", "bank.accounts.id", "bank.accounts.commodity"],
            name=op.f("fk_postings_community_id_account_id_commodity"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "entry_number"],
            ["bank.journal_entries.community_id", "bank.journal_entries.number"],
            name=op.f("fk_postings_community_id_entry_number"),
        ),
        sa.PrimaryKeyConstraint("community_id", "entry_number", "line", name=op.f("pk_postings")),
        schema="bank",
    )
    op.create_index(
        "ix_postings_account",
        "postings",
        ["community_id", "account_id", "entry_number"],
        unique=False,
        schema="bank",
    )
    op.create_table(
        "settlement_batches",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("milli_points", sa.BigInteger(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("entry_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("length(content_hash) = 32", name=op.f("ck_settlement_batches_hash")),
        sa.CheckConstraint("lines > 0", name=op.f("ck_settlement_batches_lines")),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_settlement_batches_sequence")),
        sa.ForeignKeyConstraint(
            ["community_id", "entry_number"],
            ["bank.journal_entries.community_id", "bank.journal_entries.number"],
            name=op.f("fk_settlement_batches_community_id_entry_number"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "partner_id"],
            ["bank.partners.community_id", "bank.partners.id"],
            name=op.f("fk_settlement_batches_community_id_partner_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_settlement_batches")),
        sa.UniqueConstraint(
            "community_id", "entry_number", name=op.f("uq_settlement_batches_community_id_entry_number")
        ),
        sa.UniqueConstraint(
            "community_id",
            "partner_id",
            "business_date",
            "sequence",
            name=op.f("uq_settlement_batches_community_id_partner_id_business_date_sequence"),
        ),
        schema="bank",
    )
    op.create_table(
        "people",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ledger_ref", sa.Uuid(), nullable=False),
        sa.Column("member_number", sa.String(length=40), nullable=True),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("gender", sa.String(length=40), nullable=False),
        sa.Column("born_on", sa.Date(), nullable=True),
        sa.Column("building_id", sa.Uuid(), nullable=True),
        sa.Column("room", sa.String(length=20), nullable=True),
        sa.Column("canteen_eligible", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_key", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("gender IN ('female', 'male', 'unknown')", name=op.f("ck_people_gender")),
        sa.CheckConstraint("name <> ''", name=op.f("ck_people_name")),
        sa.ForeignKeyConstraint(
            ["community_id", "building_id"],
            ["bank.buildings.community_id", "bank.buildings.id"],
            name=op.f("fk_people_community_id_building_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_people_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_people")),
        sa.UniqueConstraint("community_id", "content_key", name=op.f("uq_people_community_id_content_key")),
        sa.UniqueConstraint("community_id", "ledger_ref", name=op.f("uq_people_community_id_ledger_ref")),
        sa.UniqueConstraint(
            "community_id", "member_number", name=op.f("uq_people_community_id_member_number")
        ),
        schema="bank",
    )
    op.create_index(
        "ix_people_building", "people", ["community_id", "building_id"], unique=False, schema="bank"
    )
    op.create_index("ix_people_name", "people", ["community_id", "name"], unique=False, schema="bank")
    op.create_table(
        "access_tokens",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("purpose IN ('sign_in', 'session')", name=op.f("ck_access_tokens_purpose")),
        sa.CheckConstraint("length(token_hash) = 32", name=op.f("ck_access_tokens_hash")),
        sa.ForeignKeyConstraint(
            ["community_id", "person_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_access_tokens_community_id_person_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "token_hash", name=op.f("pk_access_tokens")),
        schema="bank",
    )
    op.create_index(
        "ix_access_tokens_person", "access_tokens", ["community_id", "person_id"], unique=False, schema="bank"
    )
    op.create_table(
        "free_hours",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("volunteer_id", sa.Uuid(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("to_minute", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "0 <= from_minute AND from_minute < to_minute AND to_minute <= 1440",
            name=op.f("ck_free_hours_minutes"),
        ),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f("ck_free_hours_weekday")),
        sa.ForeignKeyConstraint(
            ["community_id", "volunteer_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_free_hours_community_id_volunteer_id"),
        ),
        sa.PrimaryKeyConstraint(
            "community_id", "volunteer_id", "weekday", "from_minute", name=op.f("pk_free_hours")
        ),
        schema="bank",
    )
    op.create_table(
        "help_requests",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("elder_id", sa.Uuid(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("small_grid", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'offered', 'accepted', 'under_way', 'done', 'posted', 'cancelled', 'expired')",
            name=op.f("ck_help_requests_state"),
        ),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_help_requests_period")),
        sa.CheckConstraint("urgency BETWEEN 0 AND 3", name=op.f("ck_help_requests_urgency")),
        sa.ForeignKeyConstraint(
            ["community_id", "asked_by"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_help_requests_community_id_asked_by"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "elder_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_help_requests_community_id_elder_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "small_grid"],
            ["bank.small_grids.community_id", "bank.small_grids.number"],
            name=op.f("fk_help_requests_community_id_small_grid"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_help_requests_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_help_requests")),
        sa.UniqueConstraint("community_id", "number", name=op.f("uq_help_requests_community_id_number")),
        schema="bank",
    )
    op.create_index(
        "ix_help_requests_elder",
        "help_requests",
        ["community_id", "elder_id", "starts_at"],
        unique=False,
        schema="bank",
    )
    op.create_index(
        "ix_help_requests_state",
        "help_requests",
        ["community_id", "state", "starts_at"],
        unique=False,
        schema="bank",
    )
    op.create_table(
        "person_roles",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("small_grid", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "role IN ('elder', 'volunteer', 'coordinator', 'auditor', 'building_leader', 'grid_leader')",
            name=op.f("ck_person_roles_role"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "person_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_person_roles_community_id_person_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "small_grid"],
            ["bank.small_grids.community_id", "bank.small_grids.number"],
            name=op.f("fk_person_roles_community_id_small_grid"),
        ),
        sa.PrimaryKeyConstraint("community_id", "person_id", "role", name=op.f("pk_person_roles")),
        schema="bank",
    )
    op.create_index(
        "ix_person_roles_role", "person_roles", ["community_id", "role"], unique=False, schema="bank"
    )
    op.create_table(
        "reconciliation_differences",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reconciliation_id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("milli_points_here", sa.BigInteger(), nullable=True),
        sa.Column("milli_points_there", sa.BigInteger(), nullable=True),
        sa.Column("fen_here", sa.BigInteger(), nullable=True),
        sa.Column("fen_there", sa.BigInteger(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Uuid(), nullable=True),
        sa.Column("resolution", sa.String(length=500), nullable=True),
        sa.CheckConstraint(
            "kind IN ('missing_here', 'missing_there', 'amount', 'duplicate')",
            name=op.f("ck_reconciliation_differences_kind"),
        ),
        sa.CheckConstraint(
            "(resolved_at IS NULL) = (resolved_by IS NULL)",
            name=op.f("ck_reconciliation_differences_resolved"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "partner_id"],
            ["bank.partners.community_id", "bank.partners.id"],
            name=op.f("fk_reconciliation_differences_community_id_partner_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "reconciliation_id"],
            ["bank.reconciliations.community_id", "bank.reconciliations.id"],
            name=op.f("fk_reconciliation_differences_community_id_reconciliation_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "resolved_by"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_reconciliation_differences_community_id_resolved_by"),
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_reconciliation_differences")),
        schema="bank",
    )
    op.create_index(
        "ix_reconciliation_differences_day",
        "reconciliation_differences",
        ["community_id", "partner_id", "business_date"],
        unique=False,
        schema="bank",
    )
    op.create_index(
        "uq_reconciliation_differences_open",
        "reconciliation_differences",
        ["community_id", "partner_id", "business_date", "redemption_id", "kind"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "redemptions",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("item", sa.String(length=60), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("milli_points", sa.BigInteger(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("voucher", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=True),
        sa.Column("partner_reference", sa.String(length=60), nullable=True),
        sa.Column("captured_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'fulfilled') = (captured_on IS NOT NULL)", name=op.f("ck_redemptions_captured")
        ),
        sa.CheckConstraint(
            "state IN ('held', 'requested', 'accepted', 'fulfilled', 'refused', 'cancelled', 'lapsed')",
            name=op.f("ck_redemptions_state"),
        ),
        sa.CheckConstraint("milli_points > 0 AND fen >= 0", name=op.f("ck_redemptions_amounts")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_redemptions_quantity")),
        sa.ForeignKeyConstraint(
            ["community_id", "id"],
            ["bank.holds.community_id", "bank.holds.id"],
            name=op.f("fk_redemptions_community_id_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "member_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_redemptions_community_id_member_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "partner_id"],
            ["bank.partners.community_id", "bank.partners.id"],
            name=op.f("fk_redemptions_community_id_partner_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "requested_by"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_redemptions_community_id_requested_by"),
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_redemptions")),
        sa.UniqueConstraint(
            "community_id",
            "partner_id",
            "business_date",
            "voucher",
            name=op.f("uq_redemptions_community_id_partner_id_business_date_voucher"),
        ),
        schema="bank",
    )
    op.create_index(
        "ix_redemptions_day",
        "redemptions",
        ["community_id", "partner_id", "captured_on", "id"],
        unique=False,
        schema="bank",
    )
    op.create_index(
        "ix_redemptions_member",
        "redemptions",
        ["community_id", "member_id", "business_date"],
        unique=False,
        schema="bank",
    )
    op.create_index(
        "ix_redemptions_state",
        "redemptions",
        ["community_id", "state", "created_at"],
        unique=False,
        schema="bank",
    )
    op.create_table(
        "volunteer_skills",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("volunteer_id", sa.Uuid(), nullable=False),
        sa.Column("skill", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id", "volunteer_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_volunteer_skills_community_id_volunteer_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "volunteer_id", "skill", name=op.f("pk_volunteer_skills")),
        schema="bank",
    )
    op.create_table(
        "offers",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("help_request_id", sa.Uuid(), nullable=False),
        sa.Column("volunteer_id", sa.Uuid(), nullable=False),
        sa.Column("pairing_run_id", sa.Uuid(), nullable=True),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('offered', 'accepted', 'declined', 'lapsed')", name=op.f("ck_offers_state")
        ),
        sa.CheckConstraint("distance BETWEEN 0 AND 3", name=op.f("ck_offers_distance")),
        sa.ForeignKeyConstraint(
            ["community_id", "help_request_id"],
            ["bank.help_requests.community_id", "bank.help_requests.id"],
            name=op.f("fk_offers_community_id_help_request_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "pairing_run_id"],
            ["bank.pairing_runs.community_id", "bank.pairing_runs.id"],
            name=op.f("fk_offers_community_id_pairing_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "volunteer_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_offers_community_id_volunteer_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_offers")),
        schema="bank",
    )
    op.create_index(
        "ix_offers_volunteer",
        "offers",
        ["community_id", "volunteer_id", "state"],
        unique=False,
        schema="bank",
    )
    op.create_index(
        "uq_offers_standing",
        "offers",
        ["community_id", "help_request_id"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("state IN ('offered', 'accepted')"),
    )
    op.create_table(
        "settlement_lines",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("milli_points", sa.BigInteger(), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["community_id", "batch_id"],
            ["bank.settlement_batches.community_id", "bank.settlement_batches.id"],
            name=op.f("fk_settlement_lines_community_id_batch_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "redemption_id"],
            ["bank.redemptions.community_id", "bank.redemptions.id"],
            name=op.f("fk_settlement_lines_community_id_redemption_id"),
        ),
        sa.PrimaryKeyConstraint("community_id", "redemption_id", name=op.f("pk_settlement_lines")),
        schema="bank",
    )
    op.create_index(
        "ix_settlement_lines_batch",
        "settlement_lines",
        ["community_id", "batch_id", "redemption_id"],
        unique=False,
        schema="bank",
    )
    op.create_table(
        "visits",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("help_request_id", sa.Uuid(), nullable=True),
        sa.Column("volunteer_id", sa.Uuid(), nullable=False),
        sa.Column("elder_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("planned_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_out_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("confirmed_by", sa.Uuid(), nullable=True),
        sa.Column("confirmation_method", sa.String(length=40), nullable=True),
        sa.Column("strength", sa.Integer(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=True),
        sa.Column("credited_minutes", sa.Integer(), nullable=True),
        sa.Column("clipped_milli_points", sa.BigInteger(), nullable=True),
        sa.Column("entry_number", sa.BigInteger(), nullable=True),
        sa.Column("content_key", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("community_id"), "="),
            (sa.column("volunteer_id"), "="),
            (sa.text("tstzrange(checked_in_at, checked_out_at)"), "&&"),
            where=sa.text("state = 'confirmed'"),
            using="gist",
            name="ex_visits_confirmed",
        ),
        postgresql.ExcludeConstraint(
            (sa.column("community_id"), "="),
            (sa.column("volunteer_id"), "="),
            (sa.text("tstzrange(planned_start, planned_end)"), "&&"),
            where=sa.text("state IN ('planned', 'under_way')"),
            using="gist",
            name="ex_visits_planned",
        ),
        sa.CheckConstraint(
            "(state = 'confirmed') = (entry_number IS NOT NULL) OR credited_minutes = 0",
            name=op.f("ck_visits_posted"),
        ),
        sa.CheckConstraint(
            "confirmation_method IN ('elder', 'family', 'coordinator', 'witness', 'record')",
            name=op.f("ck_visits_confirmation_method"),
        ),
        sa.CheckConstraint(
            "state <> 'confirmed' OR (checked_in_at IS NOT NULL AND checked_out_at IS NOT NULL AND minutes IS NOT NULL AND confirmed_by IS NOT NULL AND confirmation_method IS NOT NULL AND strength IS NOT NULL AND credited_minutes IS NOT NULL AND confirmed_at IS NOT NULL AND policy_version IS NOT NULL)",
            name=op.f("ck_visits_confirmed"),
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'under_way', 'done', 'confirmed', 'cancelled')",
            name=op.f("ck_visits_state"),
        ),
        sa.CheckConstraint("checked_out_at > checked_in_at", name=op.f("ck_visits_checked")),
        sa.CheckConstraint("minutes BETWEEN 1 AND 1440", name=op.f("ck_visits_minutes")),
        sa.CheckConstraint("planned_end > planned_start", name=op.f("ck_visits_planned")),
        sa.CheckConstraint("volunteer_id <> confirmed_by", name=op.f("ck_visits_not_confirmed_by_the_paid")),
        sa.CheckConstraint("volunteer_id <> elder_id", name=op.f("ck_visits_not_oneself")),
        sa.ForeignKeyConstraint(
            ["community_id", "confirmed_by"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_visits_community_id_confirmed_by"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "elder_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_visits_community_id_elder_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "entry_number"],
            ["bank.journal_entries.community_id", "bank.journal_entries.number"],
            name=op.f("fk_visits_community_id_entry_number"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "help_request_id"],
            ["bank.help_requests.community_id", "bank.help_requests.id"],
            name=op.f("fk_visits_community_id_help_request_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id", "volunteer_id"],
            ["bank.people.community_id", "bank.people.id"],
            name=op.f("fk_visits_community_id_volunteer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["community_id"], ["bank.communities.id"], name=op.f("fk_visits_community_id")
        ),
        sa.PrimaryKeyConstraint("community_id", "id", name=op.f("pk_visits")),
        sa.UniqueConstraint("community_id", "content_key", name=op.f("uq_visits_community_id_content_key")),
        sa.UniqueConstraint("community_id", "entry_number", name=op.f("uq_visits_community_id_entry_number")),
        schema="bank",
    )
    op.create_index(
        "ix_visits_elder",
        "visits",
        ["community_id", "elder_id", "planned_start"],
        unique=False,
        schema="bank",
    )
    op.create_index(
        "ix_visits_state", "visits", ["community_id", "state", "planned_start"], unique=False, schema="bank"
    )
    op.create_index(
        "ix_visits_volunteer",
        "visits",
        ["community_id", "volunteer_id", "planned_start"],
        unique=False,
        schema="bank",
    )
    op.create_index(
        "uq_visits_help_request",
        "visits",
        ["community_id", "help_request_id"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("state <> 'cancelled' AND help_request_id IS NOT NULL"),
    )
    for script in ("apply_entries_1.sql", "walls_1.sql"):
        _run_script(script)


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION bank.{function} CASCADE")
    op.drop_index(
        "uq_visits_help_request",
        table_name="visits",
        schema="bank",
        postgresql_where=sa.text("state <> 'cancelled' AND help_request_id IS NOT NULL"),
    )
    op.drop_index("ix_visits_volunteer", table_name="visits", schema="bank")
    op.drop_index("ix_visits_state", table_name="visits", schema="bank")
    op.drop_index("ix_visits_elder", table_name="visits", schema="bank")
    op.drop_table("visits", schema="bank")
    op.drop_index("ix_settlement_lines_batch", table_name="settlement_lines", schema="bank")
    op.drop_table("settlement_lines", schema="bank")
    op.drop_index(
        "uq_offers_standing",
        table_name="offers",
        schema="bank",
        postgresql_where=sa.text("state IN ('offered', 'accepted')"),
    )
    op.drop_index("ix_offers_volunteer", table_name="offers", schema="bank")
    op.drop_table("offers", schema="bank")
    op.drop_table("volunteer_skills", schema="bank")
    op.drop_index("ix_redemptions_state", table_name="redemptions", schema="bank")
    op.drop_index("ix_redemptions_member", table_name="redemptions", schema="bank")
    op.drop_index("ix_redemptions_day", table_name="redemptions", schema="bank")
    op.drop_table("redemptions", schema="bank")
    op.drop_index(
        "uq_reconciliation_differences_open",
        table_name="reconciliation_differences",
        schema="bank",
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.drop_index("ix_reconciliation_differences_day", table_name="reconciliation_differences", schema="bank")
    op.drop_table("reconciliation_differences", schema="bank")
    op.drop_index("ix_person_roles_role", table_name="person_roles", schema="bank")
    op.drop_table("person_roles", schema="bank")
    op.drop_index("ix_help_requests_state", table_name="help_requests", schema="bank")
    op.drop_index("ix_help_requests_elder", table_name="help_requests", schema="bank")
    op.drop_table("help_requests", schema="bank")
    op.drop_table("free_hours", schema="bank")
    op.drop_index("ix_access_tokens_person", table_name="access_tokens", schema="bank")
    op.drop_table("access_tokens", schema="bank")
    op.drop_index("ix_people_name", table_name="people", schema="bank")
    op.drop_index("ix_people_building", table_name="people", schema="bank")
    op.drop_table("people", schema="bank")
    op.drop_table("settlement_batches", schema="bank")
    op.drop_index("ix_postings_account", table_name="postings", schema="bank")
    op.drop_table("postings", schema="bank")
    op.drop_table("grid_boundaries", schema="bank")
    op.drop_table("buildings", schema="bank")
    op.drop_table("small_grids", schema="bank")
    op.drop_index("ix_reconciliations_day", table_name="reconciliations", schema="bank")
    op.drop_table("reconciliations", schema="bank")
    op.drop_index("ix_partner_events_redemption", table_name="partner_events", schema="bank")
    op.drop_table("partner_events", schema="bank")
    op.drop_index("ix_journal_entries_source", table_name="journal_entries", schema="bank")
    op.drop_table("journal_entries", schema="bank")
    op.drop_table("balances", schema="bank")
    op.drop_table("seals", schema="bank")
    op.drop_table("policy_versions", schema="bank")
    op.drop_table("places", schema="bank")
    op.drop_table("partners", schema="bank")
    op.drop_table("partner_nonces", schema="bank")
    op.drop_table("pairing_runs", schema="bank")
    op.drop_index(
        "ix_outbox_due",
        table_name="outbox",
        schema="bank",
        postgresql_where=sa.text("done_at IS NULL AND dead_at IS NULL"),
    )
    op.drop_index(
        "ix_outbox_done", table_name="outbox", schema="bank", postgresql_where=sa.text("done_at IS NOT NULL")
    )
    op.drop_table("outbox", schema="bank")
    op.drop_table("organisations", schema="bank")
    op.drop_table("ledger_heads", schema="bank")
    op.drop_index(
        "ix_idempotent_requests_kept",
        table_name="idempotent_requests",
        schema="bank",
        postgresql_where=sa.text("answer IS NOT NULL"),
    )
    op.drop_table("idempotent_requests", schema="bank")
    op.drop_index(
        "ix_holds_open", table_name="holds", schema="bank", postgresql_where=sa.text("state = 'open'")
    )
    op.drop_table("holds", schema="bank")
    op.drop_index("ix_blocks_recorded", table_name="blocks", schema="bank")
    op.drop_table("blocks", schema="bank")
    op.drop_table("big_grids", schema="bank")
    op.drop_table("accounts", schema="bank")
    op.drop_table("communities", schema="bank")
    op.execute("REVOKE USAGE ON SCHEMA bank FROM pointsbank_app")
    op.execute("DROP EXTENSION btree_gist")
