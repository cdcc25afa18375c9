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

MARK = "((number * 40503) >> 12) & 15 = 0"

FUNCTIONS = ("apply_entries", "same_request", "judge_reversals", "judge_holds")
SOUND = "amount > 0 AND debit <> credit AND occurred_at <= recorded_at"


def upgrade() -> None:
    for table, columns in (
        ("balances", ("last_number", "previous_number")),
        ("journal_lines", ("debit_before", "credit_before")),
    ):
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
    # PostgreSQL reads a CHECK anew for every statement: what apply_entries says by itself need not be said there.
    op.drop_constraint(op.f("ck_journal_lines_sound"), "journal_lines", schema="bank")
    op.create_check_constraint(op.f("ck_journal_lines_sound"), "journal_lines", SOUND, schema="bank")
    for name in ("hash", "genesis"):
        op.drop_constraint(op.f(f"ck_ledger_heads_{name}"), "ledger_heads", schema="bank")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION bank.{function}")
    script = (files("services.migrations") / "sql" / "apply_entries_5.sql").read_text()
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(script))


def downgrade() -> None:
    raise NotImplementedError("the journal keeps its histories")
