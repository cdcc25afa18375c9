"""Partners, redemptions, settlement batches, reconciliation."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field

from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.settlement import DifferenceKind
from pointsbank.domain.subsidy.payers import Meal
from pointsbank.platform.tables import BankTable, belongs_to, bigint, in_community, moment, one_of, word


class Partner(BankTable, table=True):
    """A partner of the community; ``id`` is also the owner of its ledger accounts."""

    __tablename__ = "partners"
    __table_args__ = (in_community(), one_of("code", PartnerCode), UniqueConstraint("community_id", "code"))
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    code: str = word()
    name: str = word(100)


class Redemption(BankTable, table=True):
    """Points on their way to a meal. The hold of the same id holds them."""

    __tablename__ = "redemptions"
    __table_args__ = (
        belongs_to("people", "member_id"),
        belongs_to("people", "requested_by"),
        belongs_to("partners", "partner_id"),
        belongs_to("holds", "id"),
        one_of("state", RedemptionState),
        one_of("subsidised_meal", Meal),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("milli_points > 0 AND fen >= 0", name="amounts"),
        CheckConstraint("(state = 'fulfilled') = (captured_on IS NOT NULL)", name="captured"),
        UniqueConstraint("community_id", "partner_id", "business_date", "voucher"),
        Index(
            "uq_redemptions_subsidised_meal",
            "community_id",
            "member_id",
            "business_date",
            "subsidised_meal",
            unique=True,
            postgresql_where=text(
                "subsidised_meal IS NOT NULL AND state NOT IN ('refused', 'cancelled', 'lapsed')"
            ),
        ),
        Index("ix_redemptions_member", "community_id", "member_id", "business_date"),
        Index("ix_redemptions_state", "community_id", "state", "created_at"),
        Index("ix_redemptions_day", "community_id", "partner_id", "captured_on", "id"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    member_id: UUID
    requested_by: UUID
    partner_id: UUID
    item: str = word(60)
    quantity: int
    milli_points: int = bigint()
    fen: int = bigint()
    business_date: date
    voucher: str = word(12)
    state: str = word(default=RedemptionState.HELD)
    reason: str | None = word(60, default=None, nullable=True)
    partner_reference: str | None = word(60, default=None, nullable=True)
    captured_on: date | None = Field(default=None)
    subsidised_meal: str | None = word(default=None, nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()


class PartnerEvent(BankTable, table=True):
    """An event a partner sent: kept once, so that a repeat changes nothing."""

    __tablename__ = "partner_events"
    __table_args__ = (
        belongs_to("partners", "partner_id"),
        Index("ix_partner_events_redemption", "community_id", "redemption_id"),
    )
    community_id: int = Field(primary_key=True)
    partner_id: UUID = Field(primary_key=True)
    event_id: UUID = Field(primary_key=True)
    redemption_id: UUID
    kind: str = word()
    occurred_at: datetime = moment()
    received_at: datetime = moment()


class PartnerNonce(BankTable, table=True):
    """A nonce seen in a signed event, remembered for as long as its signature would be good."""

    __tablename__ = "partner_nonces"
    __table_args__ = (in_community(),)
    community_id: int = Field(primary_key=True)
    partner: str = word(primary_key=True)
    nonce: str = word(32, primary_key=True)
    seen_at: datetime = moment()


class SettlementBatch(BankTable, table=True):
    """What was captured at one partner up to a cut, frozen: written once, never changed."""

    __tablename__ = "settlement_batches"
    __table_args__ = (
        belongs_to("partners", "partner_id"),
        UniqueConstraint("community_id", "partner_id", "business_date", "sequence"),
        UniqueConstraint("community_id", "entry_number"),
        CheckConstraint("lines > 0", name="lines"),
        CheckConstraint("sequence > 0", name="sequence"),
        CheckConstraint("length(content_hash) = 32", name="hash"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    partner_id: UUID
    business_date: date
    sequence: int
    frozen_at: datetime = moment()
    lines: int
    milli_points: int = bigint()
    fen: int = bigint()
    content_hash: bytes = Field(sa_type=LargeBinary)
    entry_number: int = Field(sa_type=BigInteger)


class SettlementLine(BankTable, table=True):
    """One captured redemption in its one batch."""

    __tablename__ = "settlement_lines"
    __table_args__ = (
        belongs_to("settlement_batches", "batch_id"),
        belongs_to("redemptions", "redemption_id"),
        Index("ix_settlement_lines_batch", "community_id", "batch_id", "redemption_id"),
    )
    community_id: int = Field(primary_key=True)
    redemption_id: UUID = Field(primary_key=True)
    batch_id: UUID
    milli_points: int = bigint()
    fen: int = bigint()


class Reconciliation(BankTable, table=True):
    """One comparison of a day with the partner's statement."""

    __tablename__ = "reconciliations"
    __table_args__ = (
        belongs_to("partners", "partner_id"),
        Index("ix_reconciliations_day", "community_id", "partner_id", "business_date"),
        CheckConstraint("differences >= 0", name="differences"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    partner_id: UUID
    business_date: date
    compared_at: datetime = moment()
    lines_here: int
    lines_there: int
    differences: int


class ReconciliationDifference(BankTable, table=True):
    """A named difference; open until somebody resolves it, with a reason."""

    __tablename__ = "reconciliation_differences"
    __table_args__ = (
        belongs_to("reconciliations", "reconciliation_id"),
        belongs_to("partners", "partner_id"),
        belongs_to("people", "resolved_by"),
        one_of("kind", DifferenceKind),
        Index("ix_reconciliation_differences_day", "community_id", "partner_id", "business_date"),
        Index(
            "uq_reconciliation_differences_open",
            "community_id",
            "partner_id",
            "business_date",
            "redemption_id",
            "kind",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
        ),
        CheckConstraint("(resolved_at IS NULL) = (resolved_by IS NULL)", name="resolved"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    reconciliation_id: UUID
    partner_id: UUID
    business_date: date
    redemption_id: UUID
    kind: str = word()
    milli_points_here: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    milli_points_there: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    fen_here: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    fen_there: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    found_at: datetime = moment()
    resolved_at: datetime | None = moment(nullable=True, default=None)
    resolved_by: UUID | None = Field(default=None)
    resolution: str | None = word(500, default=None, nullable=True)
