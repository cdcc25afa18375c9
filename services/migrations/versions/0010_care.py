"""Series asked twice and occurrences not made; visits called off and why; dialects; runs without their input.

The dialect of Taishan was stored as ``toi``, which ISO 639-3 gives to the Tonga of Zambia. What runs were given
stays as it was, for a replay has to give the same.
"""

from importlib.resources import files

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TAISHAN, BEFORE = "yue-x-taishan", "toi"
LANGUAGE = "language ~ '^[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}$'"
LANGUAGE_OR_PRIVATE = "language ~ '^[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}(-x-[a-z0-9]{2,8})?$'"
REPLAY = (
    "(given IS NULL) = (decided IS NULL) AND (given IS NULL) = (worth IS NULL) "
    "AND (given IS NULL) = (bound IS NULL)"
)
REPLAY_OR_FORGOTTEN = (
    "(decided IS NULL) = (worth IS NULL) AND (decided IS NULL) = (bound IS NULL) "
    "AND (given IS NULL OR decided IS NOT NULL)"
)
CALLED_OFF = {
    "cancelled_why": "cancelled_why IN ('volunteer', 'elder', 'kept_apart')",
    "called_off": "(cancelled_why IS NULL) = (cancelled_at IS NULL) "
    "AND (cancelled_why IS NULL OR state = 'cancelled') "
    "AND (cancelled_why IS NOT NULL OR cancelled_by IS NULL AND NOT cancelled_late) "
    "AND (cancelled_why IS DISTINCT FROM 'kept_apart' OR NOT cancelled_late)",
}


def upgrade() -> None:
    _visits()
    _series()
    op.drop_constraint(op.f("ck_pairing_runs_replay"), "pairing_runs", schema="bank")
    op.create_check_constraint(
        op.f("ck_pairing_runs_replay"), "pairing_runs", REPLAY_OR_FORGOTTEN, schema="bank"
    )
    _languages(LANGUAGE_OR_PRIVATE, BEFORE, TAISHAN)
    # A script of several statements, which prepared statements (SQLAlchemy's way) cannot carry.
    script = (files("services.migrations") / "sql" / "care_10.sql").read_text()
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(script))


def _visits() -> None:
    for column in (
        sa.Column("cancelled_by", sa.Uuid(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_why", sa.String(length=40), nullable=True),
        sa.Column("cancelled_late", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    ):
        op.add_column("visits", column, schema="bank")
    for name, condition in CALLED_OFF.items():
        op.create_check_constraint(op.f(f"ck_visits_{name}"), "visits", condition, schema="bank")
    op.create_foreign_key(
        op.f("fk_visits_community_id_cancelled_by"),
        "visits",
        "people",
        ["community_id", "cancelled_by"],
        ["community_id", "id"],
        source_schema="bank",
        referent_schema="bank",
    )


def _series() -> None:
    op.add_column("request_series", sa.Column("similar_meant", sa.Boolean()), schema="bank")
    # Whoever asked before could not be told of a series like it.
    op.execute("UPDATE bank.request_series SET similar_meant = true")
    op.alter_column("request_series", "similar_meant", nullable=False, schema="bank")
    op.create_index(
        "uq_request_series_standing",
        "request_series",
        ["community_id", "elder_id", "kind", "rule", "first_at"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("ended_at IS NULL AND NOT similar_meant"),
    )
    op.create_table(
        "unmade_occurrences",
        sa.Column("community_id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Uuid(), nullable=False),
        sa.Column("occurrence", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.String(length=100), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("tries >= 1 AND tried_at >= failed_at", name=op.f("ck_unmade_occurrences_tried")),
        sa.ForeignKeyConstraint(
            ["community_id", "series_id"],
            ["bank.request_series.community_id", "bank.request_series.id"],
            name=op.f("fk_unmade_occurrences_community_id_series_id"),
        ),
        sa.PrimaryKeyConstraint(
            "community_id", "series_id", "occurrence", name=op.f("pk_unmade_occurrences")
        ),
        schema="bank",
    )
    op.create_index(
        "ix_unmade_occurrences_open",
        "unmade_occurrences",
        ["community_id", "occurrence"],
        schema="bank",
        postgresql_where=sa.text("settled_at IS NULL"),
    )


def _languages(rule: str, before: str, after: str) -> None:
    op.drop_constraint(op.f("ck_spoken_languages_language"), "spoken_languages", schema="bank")
    for query in (
        "DELETE FROM bank.spoken_languages l USING bank.spoken_languages o "
        "WHERE l.community_id = o.community_id AND l.person_id = o.person_id "
        "AND l.language = :before AND o.language = :after",
        "UPDATE bank.spoken_languages SET language = :after WHERE language = :before",
        "UPDATE bank.help_requests SET language_wanted = :after WHERE language_wanted = :before",
        # A series that has ended stays as it is, by its trigger; nobody reads its language any more.
        "UPDATE bank.request_series SET language_wanted = :after "
        "WHERE language_wanted = :before AND ended_at IS NULL",
    ):
        op.execute(sa.text(query).bindparams(before=before, after=after))
    op.create_check_constraint(op.f("ck_spoken_languages_language"), "spoken_languages", rule, schema="bank")


def downgrade() -> None:
    op.execute("DROP TRIGGER require_called_off ON bank.exclusions")
    op.execute("DROP TRIGGER refuse_kept_apart ON bank.visits")
    op.execute("DROP TRIGGER refuse_kept_apart_again ON bank.visits")
    op.execute("DROP FUNCTION bank.require_called_off, bank.refuse_kept_apart")
    op.execute("REVOKE UPDATE (given) ON bank.pairing_runs FROM pointsbank_app")
    # The earlier form knows no private parts: of others than this one the language is left.
    for query in (
        "INSERT INTO bank.spoken_languages (community_id, person_id, language) "
        "SELECT DISTINCT community_id, person_id, split_part(language, '-x-', 1) FROM bank.spoken_languages "
        "WHERE language LIKE '%-x-%' AND language <> :taishan ON CONFLICT DO NOTHING",
        "DELETE FROM bank.spoken_languages WHERE language LIKE '%-x-%' AND language <> :taishan",
    ):
        op.execute(sa.text(query).bindparams(taishan=TAISHAN))
    _languages(LANGUAGE, TAISHAN, BEFORE)
    op.drop_constraint(op.f("ck_pairing_runs_replay"), "pairing_runs", schema="bank")
    op.execute("UPDATE bank.pairing_runs SET decided = NULL, worth = NULL, bound = NULL WHERE given IS NULL")
    op.create_check_constraint(op.f("ck_pairing_runs_replay"), "pairing_runs", REPLAY, schema="bank")
    op.drop_table("unmade_occurrences", schema="bank")
    op.drop_index("uq_request_series_standing", table_name="request_series", schema="bank")
    op.drop_column("request_series", "similar_meant", schema="bank")
    for name in CALLED_OFF:
        op.drop_constraint(op.f(f"ck_visits_{name}"), "visits", schema="bank")
    op.drop_constraint(op.f("fk_visits_community_id_cancelled_by"), "visits", schema="bank")
    for name in ("cancelled_late", "cancelled_why", "cancelled_at", "cancelled_by"):
        op.drop_column("visits", name, schema="bank")
