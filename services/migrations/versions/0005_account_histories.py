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

MARK = "(((number * 40503) >> 12) & 15) = 0"

COLUMNS = {
    "balances": ("last_number", "previous_number"),
    "journal_lines": ("debit_before", "credit_before"),
}

SOUND = "number > 0 AND line > 0 AND amount > 0 AND debit <> credit AND occurred_at <= recorded_at"
SOUND_BEFORE = (
    "number > 0 AND line > 0 AND amount > 0 AND debit <> credit AND length(hash) = 32 AND "
    "occurred_at <= recorded_at AND (kind = 'reversal') = (reverses IS NOT NULL) AND "
    "(reverses IS NULL OR reverses < number)"
)
HEAD_CHECKS_BEFORE = {
    "hash": "length(hash) = 32",
    "genesis": "entry_number > 0 OR hash = sha256(convert_to('pointsbank:' || community_id, 'UTF8'))",
}

REPLACED = ("apply_entries", "same_request", "judge_reversals", "judge_holds")
NEW = ("account_lines", "account_page", "refuse_line", "require_genesis")
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
    for side in ("debit", "credit"):
        op.execute(
            f"""
            UPDATE bank.journal_lines l SET {side}_before = h.before
              FROM (SELECT s.community_id, s.account, s.number,
                           lag(s.number, 1, 0::bigint) OVER (PARTITION BY s.community_id, s.account
                                                             ORDER BY s.number) AS before
                      FROM (SELECT community_id, debit AS account, number FROM bank.journal_lines
                            UNION
                            SELECT community_id, credit, number FROM bank.journal_lines) s) h
             WHERE h.community_id = l.community_id AND h.number = l.number AND h.account = l.{side}
            """  # noqa: S608 - two fixed words
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
    # PostgreSQL reads a CHECK anew for every statement: what apply_entries says itself is not said twice.
    _replace_check("journal_lines", "sound", SOUND)
    for name in HEAD_CHECKS_BEFORE:
        op.drop_constraint(op.f(f"ck_ledger_heads_{name}"), "ledger_heads", schema="bank")
    for function in REPLACED:
        op.execute(f"DROP FUNCTION bank.{function}")
    _run_script("apply_entries_5.sql")


def downgrade() -> None:
    op.execute("DROP TRIGGER require_genesis ON bank.ledger_heads")
    for function in (*REPLACED, *NEW, *KEPT):
        op.execute(f"DROP FUNCTION bank.{function}")
    _run_script("apply_entries_2.sql")
    for function in (*REPLACED, *KEPT):
        op.execute(f"REVOKE ALL ON FUNCTION bank.{function} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION bank.{GRANTED} TO pointsbank_app")
    for name, condition in HEAD_CHECKS_BEFORE.items():
        op.create_check_constraint(op.f(f"ck_ledger_heads_{name}"), "ledger_heads", condition, schema="bank")
    _replace_check("journal_lines", "sound", SOUND_BEFORE)
    for side in ("debit", "credit"):
        op.drop_index(f"ix_journal_lines_{side}_marks", table_name="journal_lines", schema="bank")
        op.create_index(
            f"ix_journal_lines_{side}", "journal_lines", ["community_id", side, "number"], schema="bank"
        )
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column, schema="bank")


def _replace_check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, schema="bank")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition, schema="bank")
