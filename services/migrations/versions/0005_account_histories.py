"""Every line tells the entry before it in its accounts' histories; few lines need an index of their own.

Two indexes of every line by account were a third of what a posting cost, and grew with the journal. Now each
line points back, for the account on either side, and one line in sixteen is a mark to begin from. What the
rows already say is reckoned from them; the hashes cover what is said, not where it is found, and stay.
"""

from importlib.resources import files

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MARK = "(hashint8(number) & 15) = 0"

COLUMNS = {
    "balances": ("last_number", "previous_number"),
    "journal_lines": ("debit_before", "credit_before"),
}

GENESIS = "entry_number > 0 OR hash = sha256(convert_to('pointsbank:' || community_id::text, 'UTF8'))"
GENESIS_BEFORE = "entry_number > 0 OR hash = sha256(convert_to('pointsbank:' || community_id, 'UTF8'))"

REPLACED = ("apply_entries", "same_request", "judge_reversals", "judge_holds")
NEW = ("account_lines", "account_page", "refuse_line")
KEPT = ("open_accounts", "number_before", "balance_at")
GRANTED = "apply_entries, bank.open_accounts, bank.number_before, bank.balance_at"


def _run_script(name: str) -> None:
    """Run a script of several statements, which prepared statements (SQLAlchemy's way) cannot carry."""
    script = (files("services.migrations") / "sql" / name).read_text()
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(script))


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(
                table,
                sa.Column(column, sa.BigInteger(), nullable=False, server_default=sa.text("0")),
                schema="bank",
            )
    op.execute("ALTER TABLE bank.journal_lines DISABLE TRIGGER refuse_change")
    op.execute(
        """
        WITH h AS MATERIALIZED (
            SELECT s.community_id, s.account, s.number,
                   lag(s.number, 1, 0::bigint) OVER (PARTITION BY s.community_id, s.account
                                                     ORDER BY s.number) AS before
              FROM (SELECT community_id, debit AS account, number FROM bank.journal_lines
                    UNION
                    SELECT community_id, credit, number FROM bank.journal_lines) s)
        UPDATE bank.journal_lines l SET debit_before = d.before, credit_before = c.before
          FROM h d, h c
         WHERE d.community_id = l.community_id AND d.number = l.number AND d.account = l.debit
           AND c.community_id = l.community_id AND c.number = l.number AND c.account = l.credit
        """
    )
    op.execute(
        """
        UPDATE bank.balances b SET last_number = h.last
          FROM (SELECT s.community_id, s.account, max(s.number) AS last
                  FROM (SELECT community_id, debit AS account, number FROM bank.journal_lines
                        UNION ALL
                        SELECT community_id, credit, number FROM bank.journal_lines) s
                 GROUP BY 1, 2) h
         WHERE h.community_id = b.community_id AND h.account = b.account_number
        """
    )
    op.execute("ALTER TABLE bank.journal_lines ENABLE TRIGGER refuse_change")
    for column in ("debit_before", "credit_before"):
        op.alter_column("journal_lines", column, server_default=None, schema="bank")
    for side in ("debit", "credit"):
        op.drop_index(f"ix_journal_lines_{side}", table_name="journal_lines", schema="bank")
        op.create_index(
            f"ix_journal_lines_{side}_marks",
            "journal_lines",
            ["community_id", side, "number"],
            schema="bank",
            postgresql_where=sa.text(MARK),
        )
    # The same check in words that PostgreSQL need not work out anew for every statement.
    _replace_genesis(GENESIS)
    for function in REPLACED:
        op.execute(f"DROP FUNCTION bank.{function}")
    _run_script("apply_entries_5.sql")


def downgrade() -> None:
    for function in (*REPLACED, *NEW, *KEPT):
        op.execute(f"DROP FUNCTION bank.{function}")
    _run_script("apply_entries_2.sql")
    for function in (*REPLACED, *KEPT):
        op.execute(f"REVOKE ALL ON FUNCTION bank.{function} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION bank.{GRANTED} TO pointsbank_app")
    _replace_genesis(GENESIS_BEFORE)
    for side in ("debit", "credit"):
        op.drop_index(f"ix_journal_lines_{side}_marks", table_name="journal_lines", schema="bank")
        op.create_index(
            f"ix_journal_lines_{side}", "journal_lines", ["community_id", side, "number"], schema="bank"
        )
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column, schema="bank")


def _replace_genesis(condition: str) -> None:
    name = op.f("ck_ledger_heads_genesis")
    op.drop_constraint(name, "ledger_heads", schema="bank")
    op.create_check_constraint(name, "ledger_heads", condition, schema="bank")
