"""The journal and what stands on it. Only ``bank.apply_entries`` writes entries, postings and balances."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from pointsbank.domain.accounts import FLOOR_NONE, AccountKind, Commodity
from pointsbank.domain.hold import HoldState
from pointsbank.domain.journal import EntryKind, SourceKind
from pointsbank.platform.tables import BankTable, belongs_to, bigint, in_community, moment, one_of, word


class PolicyVersion(BankTable, table=True):
    """One dated version of the community's rules; approved by somebody else than its proposer."""

    __tablename__ = "policy_versions"
    __table_args__ = (
        in_community(),
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("proposed_by <> approved_by OR version = 1", name="second_person"),
    )
    community_id: int = Field(primary_key=True)
    version: int = Field(primary_key=True)
    effective_from: date
    body: dict[str, Any] = Field(sa_type=JSONB)
    proposed_by: UUID
    approved_by: UUID
    created_at: datetime = moment()


class Account(BankTable, table=True):
    """An account. ``owner_ref``: a member's pseudonym, a partner's id, or zeros for the community itself."""

    __tablename__ = "accounts"
    __table_args__ = (
        in_community(),
        one_of("kind", AccountKind),
        one_of("commodity", Commodity),
        UniqueConstraint("community_id", "kind", "owner_ref", "commodity", name="uq_accounts_code"),
        UniqueConstraint("community_id", "id", "commodity", "floor", name="uq_accounts_commodity_floor"),
        UniqueConstraint("community_id", "id", "commodity", name="uq_accounts_commodity"),
        CheckConstraint(
            f"floor = CASE WHEN kind IN ('issuance', 'subsidy_fund') THEN {FLOOR_NONE} ELSE 0 END",
            name="floor",
        ),
        CheckConstraint(
            "CASE WHEN kind IN ('partner_receivable', 'subsidy_fund') THEN commodity = 'FEN' "
            "WHEN kind = 'member_service' THEN commodity = 'MINUTE' "
            "WHEN kind = 'issuance' THEN commodity IN ('POINT', 'MINUTE') ELSE commodity = 'POINT' END",
            name="commodity_of_kind",
        ),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    kind: str = word()
    owner_ref: UUID
    commodity: str = word(8)
    floor: int = bigint()
    opened_at: datetime = moment()


class Balance(BankTable, table=True):
    """An account's balance now: the sum of its postings, never below its floor."""

    __tablename__ = "balances"
    __table_args__ = (
        belongs_to("accounts", "account_id", "commodity", "floor", key=("id", "commodity", "floor")),
        CheckConstraint("balance >= floor", name="floor"),
    )
    community_id: int = Field(primary_key=True)
    account_id: UUID = Field(primary_key=True)
    commodity: str = word(8)
    floor: int = bigint()
    balance: int = bigint(default=0, sa_column_kwargs={"server_default": text("0")})


class LedgerHead(BankTable, table=True):
    """Where a community's journal ends: the one row a posting batch locks."""

    __tablename__ = "ledger_heads"
    __table_args__ = (
        in_community(),
        CheckConstraint("entry_number >= 0 AND block_number >= 0", name="numbers"),
        CheckConstraint("length(hash) = 32", name="hash"),
        CheckConstraint(
            "entry_number > 0 OR hash = sha256(convert_to('pointsbank:' || community_id, 'UTF8'))",
            name="genesis",
        ),
    )
    community_id: int = Field(primary_key=True)
    entry_number: int = bigint(default=0, sa_column_kwargs={"server_default": text("0")})
    block_number: int = bigint(default=0, sa_column_kwargs={"server_default": text("0")})
    hash: bytes = Field(sa_type=LargeBinary)
    algorithm: str = word(20)
    recorded_at: datetime = moment()


class Block(BankTable, table=True):
    """One batch of entries under the hash chain: hash = H(previous ‖ leaf hashes in order)."""

    __tablename__ = "blocks"
    __table_args__ = (
        in_community(),
        CheckConstraint("number > 0 AND first_entry > 0 AND last_entry >= first_entry", name="numbers"),
        CheckConstraint("length(previous_hash) = 32 AND length(hash) = 32", name="hash"),
        UniqueConstraint("community_id", "first_entry", name="uq_blocks_first_entry"),
        Index("ix_blocks_recorded", "community_id", "recorded_at"),
    )
    community_id: int = Field(primary_key=True)
    number: int = bigint(primary_key=True)
    first_entry: int = bigint()
    last_entry: int = bigint()
    previous_hash: bytes = Field(sa_type=LargeBinary)
    hash: bytes = Field(sa_type=LargeBinary)
    algorithm: str = word(20)
    recorded_at: datetime = moment()


class JournalEntryRow(BankTable, table=True):
    """A recorded entry. Never updated, never deleted."""

    __tablename__ = "journal_entries"
    __table_args__ = (
        belongs_to("blocks", "block_number", key=("number",)),
        belongs_to("policy_versions", "policy_version", key=("version",)),
        belongs_to("journal_entries", "reverses", key=("number",)),
        one_of("kind", EntryKind),
        one_of("source_kind", SourceKind),
        UniqueConstraint("community_id", "id"),
        UniqueConstraint("community_id", "key"),
        UniqueConstraint("community_id", "reverses"),
        Index("ix_journal_entries_source", "community_id", "source_id"),
        CheckConstraint("number > 0", name="number"),
        CheckConstraint("length(fingerprint) = 32 AND length(leaf_hash) = 32", name="hash"),
        CheckConstraint("(kind = 'reversal') = (reverses IS NOT NULL)", name="reverses"),
        CheckConstraint("reverses < number", name="reverses_earlier"),
    )
    community_id: int = Field(primary_key=True)
    number: int = bigint(primary_key=True)
    id: UUID
    block_number: int = bigint()
    kind: str = word()
    source_kind: str = word()
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    policy_version: int
    occurred_at: datetime = moment()
    recorded_at: datetime = moment()
    key: str = word(200)
    fingerprint: bytes = Field(sa_type=LargeBinary)
    reverses: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    leaf_hash: bytes = Field(sa_type=LargeBinary)


class PostingRow(BankTable, table=True):
    """One leg of an entry. ``balance_after``: the account's balance once this leg was recorded."""

    __tablename__ = "postings"
    __table_args__ = (
        belongs_to("journal_entries", "entry_number", key=("number",)),
        belongs_to("accounts", "account_id", "commodity", key=("id", "commodity")),
        Index("ix_postings_account", "community_id", "account_id", "entry_number"),
        CheckConstraint("line > 0", name="line"),
        CheckConstraint("amount <> 0", name="amount"),
    )
    community_id: int = Field(primary_key=True)
    entry_number: int = bigint(primary_key=True)
    line: int = Field(primary_key=True)
    account_id: UUID
    commodity: str = word(8)
    amount: int = bigint()
    balance_after: int = bigint()


class HoldRow(BankTable, table=True):
    """Points set aside. member_ref, partner_ref: pseudonyms."""

    __tablename__ = "holds"
    __table_args__ = (
        in_community(),
        one_of("state", HoldState),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("captured BETWEEN 0 AND amount", name="captured"),
        CheckConstraint("(state = 'captured') = (captured > 0)", name="captured_state"),
        CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
        Index("ix_holds_open", "community_id", "expires_at", postgresql_where=text("state = 'open'")),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    member_ref: UUID
    partner_ref: UUID
    amount: int = bigint()
    captured: int = bigint(default=0)
    state: str = word(default=HoldState.OPEN)
    policy_version: int
    source_id: UUID
    opened_at: datetime = moment()
    expires_at: datetime = moment()
    ended_at: datetime | None = moment(nullable=True, default=None)


class Seal(BankTable, table=True):
    """A copy of a signed head that has left the machine."""

    __tablename__ = "seals"
    __table_args__ = (
        in_community(),
        CheckConstraint("length(hash) = 32", name="hash"),
    )
    community_id: int = Field(primary_key=True)
    entry_number: int = bigint(primary_key=True)
    block_number: int = bigint()
    hash: bytes = Field(sa_type=LargeBinary)
    algorithm: str = word(20)
    public_key: bytes = Field(sa_type=LargeBinary)
    signature: bytes = Field(sa_type=LargeBinary)
    sealed_at: datetime = moment()
