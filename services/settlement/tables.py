"""Partners, redemptions, settlement batches, reconciliation."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field

from pointsbank.domain.circuit import CircuitState
from pointsbank.domain.decision import DecisionState
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.settlement import DifferenceKind, LineKind
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
    """Points on their way to a meal. The hold of the same id holds them.

    served: how many of ``quantity`` were handed over; what the rest cost was given back.
    """

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
        CheckConstraint(
            "(state = 'fulfilled') = (served IS NOT NULL) AND served BETWEEN 1 AND quantity", name="served"
        ),
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
    served: int | None = Field(default=None)
    subsidised_meal: str | None = word(default=None, nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()


class Refund(BankTable, table=True):
    """What was paid for a served order given back, whole or in part: proposed by one, decided by another.

    service_date: the day it was served for. booked_on: the local day of its entry, ``entry_number``, and
    the first whose batch corrects it. proposed_by: None where the partner said so and nobody has taken it up.
    """

    __tablename__ = "refunds"
    __table_args__ = (
        belongs_to("redemptions", "redemption_id"),
        belongs_to("partners", "partner_id"),
        belongs_to("people", "proposed_by"),
        belongs_to("people", "decided_by"),
        one_of("reason", RefundReason),
        one_of("state", DecisionState),
        CheckConstraint("milli_points > 0 AND fen >= 0", name="amounts"),
        CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)",
            name="decided",
        ),
        CheckConstraint(
            "decided_by <> proposed_by AND (state <> 'approved' OR proposed_by IS NOT NULL)",
            name="two_people",
        ),
        CheckConstraint(
            "(state = 'approved') = (entry_number IS NOT NULL)"
            " AND (entry_number IS NULL) = (booked_on IS NULL)",
            name="booked",
        ),
        UniqueConstraint("community_id", "entry_number"),
        Index(
            "uq_refunds_standing",
            "community_id",
            "redemption_id",
            unique=True,
            postgresql_where=text("state <> 'refused'"),
        ),
        Index("ix_refunds_booked", "community_id", "partner_id", "booked_on", "id"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    redemption_id: UUID
    partner_id: UUID
    milli_points: int = bigint()
    fen: int = bigint()
    service_date: date
    reason: str = word()
    state: str = word(default=DecisionState.PROPOSED)
    proposed_by: UUID | None = Field(default=None)
    proposed_at: datetime = moment()
    decided_by: UUID | None = Field(default=None)
    decided_at: datetime | None = moment(nullable=True, default=None)
    booked_on: date | None = Field(default=None)
    entry_number: int | None = Field(default=None, sa_type=BigInteger, nullable=True)


class PartnerEvent(BankTable, table=True):
    """An event a partner sent: kept once, so that a repeat changes nothing.

    quantity: how many were handed over, where the event says so.
    """

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
    quantity: int | None = Field(default=None)
    outcome: str | None = word(default=None, nullable=True)
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
    """What was captured at one partner up to a cut, frozen: written once, never changed.

    entry_number: None where captures and corrections come to nothing.
    """

    __tablename__ = "settlement_batches"
    __table_args__ = (
        belongs_to("partners", "partner_id"),
        UniqueConstraint("community_id", "partner_id", "business_date", "sequence"),
        UniqueConstraint("community_id", "entry_number"),
        CheckConstraint("lines > 0", name="lines"),
        CheckConstraint("sequence > 0", name="sequence"),
        CheckConstraint("length(content_hash) = 32", name="hash"),
        CheckConstraint("(entry_number IS NULL) = (milli_points = 0 AND fen = cash_fen)", name="entry"),
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
    subsidy_fen: int = bigint()
    cash_fen: int = bigint()
    content_hash: bytes = Field(sa_type=LargeBinary)
    entry_number: int | None = Field(default=None, sa_type=BigInteger, nullable=True)


class SettlementLine(BankTable, table=True):
    """One captured redemption, or the correction of one, in its one batch. Corrections are below zero."""

    __tablename__ = "settlement_lines"
    __table_args__ = (
        belongs_to("settlement_batches", "batch_id"),
        belongs_to("redemptions", "redemption_id"),
        Index("ix_settlement_lines_batch", "community_id", "batch_id", "redemption_id"),
        CheckConstraint(
            "CASE kind WHEN 'capture' THEN milli_points > 0 AND fen >= 0"
            " WHEN 'correction' THEN milli_points < 0 AND fen <= 0 ELSE false END",
            name="kind",
        ),
        CheckConstraint(
            "CASE kind WHEN 'capture' THEN subsidy_fen >= 0 AND cash_fen >= 0"
            " AND subsidy_fen + cash_fen <= fen"
            " ELSE subsidy_fen <= 0 AND cash_fen <= 0 AND subsidy_fen + cash_fen >= fen END",
            name="parts",
        ),
    )
    community_id: int = Field(primary_key=True)
    redemption_id: UUID = Field(primary_key=True)
    kind: str = word(primary_key=True, default=LineKind.CAPTURE)
    batch_id: UUID
    service_date: date
    milli_points: int = bigint()
    fen: int = bigint()
    subsidy_fen: int = bigint()
    cash_fen: int = bigint()


class SettlementSignature(BankTable, table=True):
    """One person's signature under a frozen batch; it is paid once two have signed."""

    __tablename__ = "settlement_signatures"
    __table_args__ = (belongs_to("settlement_batches", "batch_id"), belongs_to("people", "signed_by"))
    community_id: int = Field(primary_key=True)
    batch_id: UUID = Field(primary_key=True)
    signed_by: UUID = Field(primary_key=True)
    signed_at: datetime = moment()


class SettlementPayment(BankTable, table=True):
    """That a batch was paid: the bank's reference and the day, noted once."""

    __tablename__ = "settlement_payments"
    __table_args__ = (
        belongs_to("settlement_batches", "batch_id"),
        belongs_to("people", "noted_by"),
        CheckConstraint("reference <> ''", name="reference"),
    )
    community_id: int = Field(primary_key=True)
    batch_id: UUID = Field(primary_key=True)
    reference: str = word(60)
    paid_on: date
    noted_by: UUID
    noted_at: datetime = moment()


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


class PartnerCircuit(BankTable, table=True):
    """Whether a partner is called, for every worker to see."""

    __tablename__ = "partner_circuits"
    __table_args__ = (
        belongs_to("partners", "partner_id"),
        one_of("state", CircuitState),
        CheckConstraint("failures >= 0 AND openings >= 0", name="counts"),
        CheckConstraint("(state = 'closed') = (next_call_at IS NULL)", name="next_call"),
    )
    community_id: int = Field(primary_key=True)
    partner_id: UUID = Field(primary_key=True)
    state: str = word(default=CircuitState.CLOSED)
    failures: int = Field(default=0)
    openings: int = Field(default=0)
    next_call_at: datetime | None = moment(nullable=True, default=None)
    changed_at: datetime = moment()
    last_error: str | None = word(200, default=None, nullable=True)
