"""How many requests a pairing run left to the next."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "pairing_runs",
        sa.Column("left_out", sa.Integer(), nullable=False, server_default=sa.text("0")),
        schema="bank",
    )
    op.create_check_constraint(
        op.f("ck_pairing_runs_left_out"), "pairing_runs", "left_out >= 0", schema="bank"
    )


def downgrade() -> None:
    op.drop_column("pairing_runs", "left_out", schema="bank")
