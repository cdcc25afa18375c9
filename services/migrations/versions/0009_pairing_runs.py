"""What a pairing run was given and decided, so that it can be explained and replayed; offers by place."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATES = ("offered", "accepted", "declined", "lapsed")
STANDING = "state IN ('offered', 'accepted')"


def _states(states: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_offers_state"), "offers", schema="bank")
    listed = ", ".join(f"'{state}'" for state in states)
    op.create_check_constraint(op.f("ck_offers_state"), "offers", f"state IN ({listed})", schema="bank")


def upgrade() -> None:
    for name, kind in (
        ("worth", sa.BigInteger()),
        ("bound", sa.BigInteger()),
        ("kept", sa.Integer()),
        ("moved", sa.Integer()),
        ("given", sa.LargeBinary()),
        ("decided", sa.LargeBinary()),
    ):
        op.add_column("pairing_runs", sa.Column(name, kind, nullable=True), schema="bank")
    op.create_check_constraint(op.f("ck_pairing_runs_bound"), "pairing_runs", "worth <= bound", schema="bank")
    op.create_check_constraint(
        op.f("ck_pairing_runs_replay"),
        "pairing_runs",
        "(given IS NULL) = (decided IS NULL) AND (given IS NULL) = (worth IS NULL) "
        "AND (given IS NULL) = (bound IS NULL)",
        schema="bank",
    )
    op.add_column(
        "offers",
        sa.Column("carer", sa.SmallInteger(), nullable=False, server_default=sa.text("1")),
        schema="bank",
    )
    op.create_check_constraint(op.f("ck_offers_carer"), "offers", "carer IN (1, 2)", schema="bank")
    _states((*STATES, "replaced"))
    op.drop_index("uq_offers_standing", table_name="offers", schema="bank")
    op.create_index(
        "uq_offers_standing",
        "offers",
        ["community_id", "help_request_id", "carer"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text(STANDING),
    )
    op.create_index(
        "uq_offers_standing_volunteer",
        "offers",
        ["community_id", "help_request_id", "volunteer_id"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text(STANDING),
    )


def downgrade() -> None:
    op.drop_index("uq_offers_standing_volunteer", table_name="offers", schema="bank")
    op.drop_index("uq_offers_standing", table_name="offers", schema="bank")
    # The earlier form knows one place a request and no offer that another took the place of.
    op.execute(
        """
        UPDATE bank.offers SET state = 'lapsed'
         WHERE state = 'replaced' OR carer = 2 AND state IN ('offered', 'accepted')
        """
    )
    op.create_index(
        "uq_offers_standing",
        "offers",
        ["community_id", "help_request_id"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text(STANDING),
    )
    _states(STATES)
    op.drop_constraint(op.f("ck_offers_carer"), "offers", schema="bank")
    op.drop_column("offers", "carer", schema="bank")
    op.drop_constraint(op.f("ck_pairing_runs_replay"), "pairing_runs", schema="bank")
    op.drop_constraint(op.f("ck_pairing_runs_bound"), "pairing_runs", schema="bank")
    for name in ("decided", "given", "moved", "kept", "bound", "worth"):
        op.drop_column("pairing_runs", name, schema="bank")
