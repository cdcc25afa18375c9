"""Bases and columns that every table of schema ``bank`` is made of, and the platform's own tables.

``community_id`` leads every key of a community's rows: the same schema distributes by it without change.
Table classes stay private to the stores that own them; they never are request bodies.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

SCHEMA = "bank"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class BankTable(SQLModel, registry=registry(metadata=MetaData(schema=SCHEMA, naming_convention=NAMING))):
    """Base of every table in schema ``bank``."""


def moment(*, nullable: bool = False, **options: Any) -> Any:
    """A column that holds an instant (timestamptz)."""
    return Field(sa_type=DateTime(timezone=True), nullable=nullable, **options)


def bigint(**options: Any) -> Any:
    """A 64-bit integer column (milli-points, minutes or fen)."""
    return Field(sa_type=BigInteger, **options)


def word(length: int = 40, **options: Any) -> Any:
    """A short text column, such as a state or a code."""
    return Field(sa_type=String(length), **options)


def one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    """A constraint that ``column`` holds one of the enumeration's words."""
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def belongs_to(table: str, *columns: str, key: tuple[str, ...] = ("id",)) -> ForeignKeyConstraint:
    """A foreign key within the community: (community_id, columns…) → table (community_id, key…)."""
    return ForeignKeyConstraint(
        ["community_id", *columns], [f"{SCHEMA}.{table}.{name}" for name in ("community_id", *key)]
    )


def in_community() -> ForeignKeyConstraint:
    """The foreign key to the community itself."""
    return ForeignKeyConstraint(["community_id"], [f"{SCHEMA}.communities.id"])


class OutboxRow(BankTable, table=True):
    """An intent recorded in the transaction that decided it; done at most once, forgotten never."""

    __tablename__ = "outbox"
    __table_args__ = (
        in_community(),
        Index(
            "ix_outbox_due",
            "community_id",
            "available_at",
            postgresql_where=text("done_at IS NULL AND dead_at IS NULL"),
        ),
        Index("ix_outbox_done", "community_id", "done_at", postgresql_where=text("done_at IS NOT NULL")),
        Index(
            "ix_outbox_dead",
            "community_id",
            "dead_at",
            "id",
            postgresql_where=text("dead_at IS NOT NULL AND closed_at IS NULL"),
        ),
        belongs_to("people", "closed_by"),
        CheckConstraint(
            "(closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (close_reason IS NULL) "
            "AND (closed_at IS NULL OR dead_at IS NOT NULL)",
            name="closed",
        ),
        CheckConstraint("attempts >= 0", name="attempts"),
        CheckConstraint("done_at IS NULL OR dead_at IS NULL", name="one_end"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    topic: str = word(60)
    subject_id: UUID
    created_at: datetime = moment()
    available_at: datetime = moment()
    attempts: int = Field(default=0)
    last_error: str | None = word(200, default=None, nullable=True)
    done_at: datetime | None = moment(nullable=True, default=None)
    dead_at: datetime | None = moment(nullable=True, default=None)
    revived_at: datetime | None = moment(nullable=True, default=None)
    closed_at: datetime | None = moment(nullable=True, default=None)
    closed_by: UUID | None = Field(default=None)
    close_reason: str | None = word(500, default=None, nullable=True)


class OutboxEffect(BankTable, table=True):
    """An effect that has taken place, in the transaction that did it: its key lets no second one in."""

    __tablename__ = "outbox_effects"
    __table_args__ = (
        ForeignKeyConstraint(
            ["community_id", "intent_id"],
            [f"{SCHEMA}.outbox.community_id", f"{SCHEMA}.outbox.id"],
            ondelete="CASCADE",
        ),
        Index("ix_outbox_effects_intent", "community_id", "intent_id"),
    )
    community_id: int = Field(primary_key=True)
    effect_key: str = word(120, primary_key=True)
    intent_id: UUID
    effected_at: datetime = moment()


class IdempotentRequest(BankTable, table=True):
    """The answer already given to a request that carried an ``Idempotency-Key``."""

    __tablename__ = "idempotent_requests"
    __table_args__ = (
        in_community(),
        CheckConstraint("length(fingerprint) = 32", name="fingerprint"),
        Index(
            "ix_idempotent_requests_kept",
            "community_id",
            "created_at",
            postgresql_where=text("answer IS NOT NULL"),
        ),
    )
    community_id: int = Field(primary_key=True)
    actor_id: UUID = Field(primary_key=True)
    key: str = word(200, primary_key=True)
    fingerprint: bytes
    status_code: int
    answer: dict[str, Any] | None = Field(default=None, sa_type=JSONB, nullable=True)
    created_at: datetime = moment()
