"""The tables that every partner has, made once for each partner's schema."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Several
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    text,
)

from services.partnerkit.redemption import EVERYWHERE, Reason, Status

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

CODE_LENGTH = 60
NAME_LENGTH = 100
VOUCHER_LENGTH = 12
MODE_LENGTH = 20
REFERENCE_LENGTH = 40


def one_of(column: str, words: Iterable[StrEnum]) -> str:
    """Return the SQL condition that ``column`` holds one of the words."""
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"


@dataclass(frozen=True, slots=True)
class PartnerTables:
    """One partner's tables. ``references`` numbers its papers.

    details: the dataclass of an order's own part, whose fields are columns of ``redemptions``; None for none.
    """

    schema: str
    metadata: MetaData
    communities: Table
    items: Table
    redemptions: Table
    events: Table
    nonces: Table
    references: Sequence
    details: type | None = None

    def in_community(self) -> ForeignKeyConstraint:
        """Return a foreign key to the community for one more table."""
        return ForeignKeyConstraint(["community_id"], [f"{self.schema}.communities.community_id"])

    def of_item(self) -> ForeignKeyConstraint:
        """Return a foreign key to the item for one more table with a column ``item``."""
        return ForeignKeyConstraint(
            ["community_id", "item"], [f"{self.schema}.items.community_id", f"{self.schema}.items.code"]
        )


def partner_tables(
    schema: str,
    *,
    reasons: Several[Reason] = EVERYWHERE,
    details: type | None = None,
    of_orders: Several[Column[Any] | CheckConstraint] = (),
    of_events: Several[Column[Any] | CheckConstraint] = (),
) -> PartnerTables:
    """Return the tables of a partner whose schema is ``schema``; it may add its own to the metadata.

    reasons: why it refuses. details: see :class:`PartnerTables`; of_orders, of_events: columns of its own.
    """
    metadata = MetaData(schema=schema, naming_convention=NAMING)
    communities = Table(
        "communities",
        metadata,
        Column("community_id", Integer, autoincrement=False, nullable=False),
        Column("code", String(CODE_LENGTH), nullable=False),
        Column("name", String(NAME_LENGTH), nullable=False),
        Column("timezone", String(64), nullable=False),
        PrimaryKeyConstraint("community_id"),
    )
    items = Table(
        "items",
        metadata,
        Column("community_id", Integer, nullable=False),
        Column("code", String(CODE_LENGTH), nullable=False),
        Column("name", String(NAME_LENGTH), nullable=False),
        Column("milli_points", BigInteger, nullable=False),
        Column("fen", BigInteger, nullable=False),
        Column("available", Boolean, nullable=False),
        PrimaryKeyConstraint("community_id", "code"),
        ForeignKeyConstraint(["community_id"], [f"{schema}.communities.community_id"]),
        CheckConstraint("milli_points >= 0 AND fen >= 0", name="price"),
    )
    # An order for an unknown item is kept too (as refused), so ``item`` is no foreign key.
    redemptions = Table(
        "redemptions",
        metadata,
        Column("community_id", Integer, nullable=False),
        Column("redemption_id", Uuid, nullable=False),
        Column("partner_reference", String(REFERENCE_LENGTH), nullable=False),
        Column("item", String(CODE_LENGTH), nullable=False),
        Column("quantity", Integer, nullable=False),
        Column("business_date", Date, nullable=False),
        Column("milli_points", BigInteger, nullable=False),
        Column("fen", BigInteger, nullable=False),
        Column("voucher", String(VOUCHER_LENGTH)),
        Column("mode", String(MODE_LENGTH)),
        Column("status", String(20), nullable=False),
        Column("reason", String(20)),
        Column("received_at", DateTime(timezone=True), nullable=False),
        Column("fulfilled_at", DateTime(timezone=True)),
        Column("closed_at", DateTime(timezone=True)),
        PrimaryKeyConstraint("community_id", "redemption_id"),
        UniqueConstraint("community_id", "partner_reference"),
        ForeignKeyConstraint(["community_id"], [f"{schema}.communities.community_id"]),
        CheckConstraint("quantity > 0 AND milli_points >= 0 AND fen >= 0", name="amounts"),
        CheckConstraint(one_of("status", Status), name="status"),
        CheckConstraint(one_of("reason", reasons), name="reason"),
        CheckConstraint("(status = 'refused') = (reason IS NOT NULL)", name="refused"),
        CheckConstraint("(status = 'fulfilled') = (fulfilled_at IS NOT NULL)", name="fulfilled"),
        CheckConstraint("(status = 'accepted') = (closed_at IS NULL)", name="closed"),
        *of_orders,
    )
    Index(
        "uq_redemptions_open_voucher",
        redemptions.c.community_id,
        redemptions.c.business_date,
        redemptions.c.voucher,
        unique=True,
        postgresql_where=text("status = 'accepted'"),
    )
    Index(
        "ix_redemptions_statement",
        redemptions.c.community_id,
        redemptions.c.business_date,
        redemptions.c.partner_reference,
        postgresql_where=text("status = 'fulfilled'"),
    )
    events = Table(
        "events",
        metadata,
        Column("community_id", Integer, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("redemption_id", Uuid, nullable=False),
        Column("type", String(20), nullable=False),
        Column("occurred_at", DateTime(timezone=True), nullable=False),
        Column("fulfilled_quantity", Integer, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("next_try_at", DateTime(timezone=True), nullable=False),
        Column("delivered_at", DateTime(timezone=True)),
        Column("last_error", String(100)),
        PrimaryKeyConstraint("community_id", "event_id"),
        ForeignKeyConstraint(
            ["community_id", "redemption_id"],
            [f"{schema}.redemptions.community_id", f"{schema}.redemptions.redemption_id"],
        ),
        CheckConstraint(one_of("type", Status), name="type"),
        CheckConstraint("tries >= 0 AND fulfilled_quantity >= 0", name="numbers"),
        *of_events,
    )
    Index(
        "ix_events_due",
        events.c.community_id,
        events.c.next_try_at,
        postgresql_where=text("delivered_at IS NULL"),
    )
    # A nonce belongs to the key that signed, not to a community.
    nonces = Table(
        "nonces",
        metadata,
        Column("key", String(40), nullable=False),
        Column("nonce", String(32), nullable=False),
        Column("seen_at", DateTime(timezone=True), nullable=False),
        PrimaryKeyConstraint("key", "nonce"),
        Index("ix_nonces_seen_at", "seen_at"),
    )
    references = Sequence("reference_numbers", metadata=metadata, data_type=BigInteger)
    return PartnerTables(
        schema, metadata, communities, items, redemptions, events, nonces, references, details
    )
