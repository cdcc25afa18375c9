"""Seals cover the policy versions too: the database's copy keeps the digest that was signed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("seals", sa.Column("policies", sa.LargeBinary(), nullable=True), schema="bank")


def downgrade() -> None:
    op.drop_column("seals", "policies", schema="bank")
