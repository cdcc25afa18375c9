"""The journal and what stands on it. Only ``bank.apply_entries`` writes lines and balances."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Enum,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from pointsbank.domain.accounts import FLOOR_NONE, AccountKind, Commodity
from pointsbank.domain.decision import DecisionKind, DecisionReason, DecisionState
from pointsbank.domain.hold import HoldState
from pointsbank.domain.journal import EntryKind, SourceKind
from pointsbank.platform.tables import (
    SCHEMA,
    BankTable,
    belongs_to,
    bigint,
    in_community,
    moment,
    one_of,
    word,
)


def _enumerated(words: type[StrEnum], name: str) -> Enum:
    """A column of one of the words: four bytes, and no constraint to evaluate row by row."""
    return Enum(*(word.value for word in words), name=name, schema=SCHEMA)


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
    """An account. ``owner_ref``: a member's pseudonym, a partner's id, or zeros for the community itself.

    ``id`` is derived from what the account is for, whose it is and what it holds; ``number`` is its short
    name in journal lines, where 12 bytes saved on each side are a sixth of the write-ahead log.
    """

    __tablename__ = "accounts"
    __table_args__ = (
        in_community(),
        one_of("kind", AccountKind),
        one_of("commodity", Commodity),
        UniqueConstraint("community_id", "kind", "owner_ref", "commodity", name="uq_accounts_code"),
        UniqueConstraint("community_id", "number", name="uq_accounts_number"),
        UniqueConstraint("community_id", "id", "number", "commodity", "floor", name="uq_accounts_balance_of"),
        CheckConstraint(
            f"floor = CASE WHEN kind IN ('issuance', 'subsidy_fund', 'partner_earned', 'partner_receivable') "
            f"THEN {FLOOR_NONE} ELSE 0 END",
            name="floor",
        ),
        CheckConstraint(
            "CASE WHEN kind IN ('partner_receivable', 'subsidy_fund') THEN commodity = 'FEN' "
            "WHEN kind = 'member_service' THEN commodity = 'MINUTE' "
            "WHEN kind = 'issuance' THEN commodity IN ('POINT', 'MINUTE') ELSE commodity = 'POINT' END",
            name="commodity_of_kind",
        ),
        CheckConstraint("number > 0", name="number"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    number: int
    kind: str = word()
    owner_ref: UUID
    commodity: str = word(8)
    floor: int = bigint()
    opened_at: datetime = moment()


class Balance(BankTable, table=True):
    """An account's balance now: the sum of its postings, never below its floor.

    last_number: the last entry that touched it, 0 when none has. previous_number is ``bank.apply_entries``'s
    own: by it an UPDATE can return what last_number was; to anybody else it says nothing.
    """

    __tablename__ = "balances"
    __table_args__ = (
        belongs_to(
            "accounts",
            "account_id",
            "account_number",
            "commodity",
            "floor",
            key=("id", "number", "commodity", "floor"),
        ),
        CheckConstraint("balance >= floor", name="floor"),
        # Room on each page, so that an update stays on it and touches no index.
        {"postgresql_with": {"fillfactor": "90"}},
    )
    community_id: int = Field(primary_key=True)
    account_id: UUID = Field(primary_key=True)
    account_number: int
    balance: int = bigint(default=0, sa_column_kwargs={"server_default": text("0")})
    floor: int = bigint()
    commodity: str = word(8)
    last_number: int = bigint(default=0, sa_column_kwargs={"server_default": text("0")})
    previous_number: int = bigint(default=0, sa_column_kwargs={"server_default": text("0")})


class LedgerHead(BankTable, table=True):
    """Where a community's journal ends: the one row a posting batch locks."""

    __tablename__ = "ledger_heads"
    __table_args__ = (
        in_community(),
        CheckConstraint("entry_number >= 0 AND account_number >= 0", name="numbers"),
        CheckConstraint("length(hash) = 32", name="hash"),
        CheckConstraint(
            "entry_number > 0 OR hash = sha256(convert_to('pointsbank:' || community_id::text, 'UTF8'))",
            name="genesis",
        ),
    )
    community_id: int = Field(primary_key=True)
    entry_number: int = bigint(default=0, sa_column_kwargs={"server_default": text("0")})
    account_number: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    hash: bytes = Field(sa_type=LargeBinary)
    algorithm: str = word(20)
    recorded_at: datetime = moment()


LATE = "recorded_at - occurred_at > interval '1 day'"
"""Lines the bank learned of more than a day after they happened: what a balance as of then must add."""


OLD_LOTS = (
    "kind IN ('void', 'reversal') OR (kind = 'capture' AND line > 1) "
    "OR expires_on <= (recorded_at AT TIME ZONE 'UTC')::date"
)
"""Lines that may bring a member points of a lot whose day has passed already: what is given back, and what
is recorded so late. A few in a hundred; the sweep of lots looks at those that came since the last one."""


MARK = "(hashint8(number) & 15) = 0"
"""One line in sixteen, by its number alone (hashed, so that marks fall among an account's lines in whatever
rhythm it is used): where the history of an account can be entered."""


class JournalLine(BankTable, table=True):
    """One transfer of a recorded entry. Never updated, never deleted.

    An entry is the lines of one ``number``, each with the entry's particulars, so that one row is all a
    statement needs; nearly every entry is one line. Debit is the account that receives, credit the one that
    gives; ``*_after`` are their balances once this line was recorded. ``hash`` is the chain's: SHA-256 of
    the hash of the line before and this line's leaf (:mod:`services.ledger.leaf`). Columns stand in order of
    size, so that few bytes are lost to alignment. What a line cites (accounts, policy, entry) is checked by
    ``bank.apply_entries``, once a batch, and not by foreign keys, row by row.

    ``*_before`` is the number of the entry before this one in the account's history (0: none), so that a
    history is followed from line to line and few lines need an index by account (``MARK``): an index of every
    line was a third of what a posting cost, and the more the longer the journal. They say nothing that the
    rows do not, and are not hashed; verification reckons them again.
    """

    __tablename__ = "journal_lines"
    __table_args__ = (
        PrimaryKeyConstraint("community_id", "number", "line"),
        CheckConstraint(
            "number > 0 AND line > 0 AND amount > 0 AND debit <> credit AND length(hash) = 32 "
            "AND occurred_at <= recorded_at "
            "AND (kind = 'reversal') = (reverses IS NOT NULL) AND (reverses IS NULL OR reverses < number)",
            name="sound",
        ),
        *(
            Index(
                f"ix_journal_lines_{side}_marks", "community_id", side, "number", postgresql_where=text(MARK)
            )
            for side in ("debit", "credit")
        ),
        Index("uq_journal_lines_id", "community_id", "id", "line", unique=True),
        Index(
            "uq_journal_lines_reverses",
            "community_id",
            "reverses",
            unique=True,
            postgresql_where=text("reverses IS NOT NULL AND line = 1"),
        ),
        *(
            Index(
                f"ix_journal_lines_late_{side}", "community_id", side, "number", postgresql_where=text(LATE)
            )
            for side in ("debit", "credit")
        ),
        Index(
            "ix_journal_lines_expires_on",
            "community_id",
            "expires_on",
            postgresql_where=text("expires_on IS NOT NULL"),
        ),
        Index("ix_journal_lines_old_lots", "community_id", "number", postgresql_where=text(OLD_LOTS)),
    )
    number: int = bigint(primary_key=True)
    amount: int = bigint()
    debit_after: int = bigint()
    credit_after: int = bigint()
    occurred_at: datetime = moment()
    recorded_at: datetime = moment()
    reverses: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    community_id: int = Field(primary_key=True)
    policy_version: int
    debit: int
    credit: int
    kind: str = Field(sa_type=_enumerated(EntryKind, "entry_kind"))
    source_kind: str = Field(sa_type=_enumerated(SourceKind, "source_kind"))
    expires_on: date | None = Field(default=None, nullable=True)
    line: int = Field(sa_type=SmallInteger, primary_key=True)
    id: UUID
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    hash: bytes = Field(sa_type=LargeBinary)
    debit_before: int = bigint()
    credit_before: int = bigint()


class HoldRow(BankTable, table=True):
    """Points set aside. member_ref, partner_ref: pseudonyms; opened_by, ended_by: entry numbers."""

    __tablename__ = "holds"
    __table_args__ = (
        in_community(),
        one_of("state", HoldState),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("captured BETWEEN 0 AND amount", name="captured"),
        CheckConstraint("(state = 'captured') = (captured > 0)", name="captured_state"),
        CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
        CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended_by"),
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
    opened_by: int = bigint()
    ended_by: int | None = Field(default=None, sa_type=BigInteger, nullable=True)


class Seal(BankTable, table=True):
    """A copy of a signed head that has left the machine.

    policies: the digest of the policy versions under it; an old seal has none.
    """

    __tablename__ = "seals"
    __table_args__ = (
        in_community(),
        CheckConstraint("length(hash) = 32 AND length(merkle_root) = 32", name="hash"),
    )
    community_id: int = Field(primary_key=True)
    entry_number: int = bigint(primary_key=True)
    hash: bytes = Field(sa_type=LargeBinary)
    merkle_root: bytes = Field(sa_type=LargeBinary)
    algorithm: str = word(20)
    public_key: bytes = Field(sa_type=LargeBinary)
    signature: bytes = Field(sa_type=LargeBinary)
    sealed_at: datetime = moment()
    policies: bytes | None = Field(default=None, sa_type=LargeBinary, nullable=True)


class PublicProof(BankTable, table=True):
    """What was published of a local day: the sums of every commodity, the head they stand at, the seal."""

    __tablename__ = "public_proofs"
    __table_args__ = (
        in_community(),
        CheckConstraint("length(head_hash) = 32", name="head_hash"),
        CheckConstraint("entry_number >= 0", name="entry_number"),
    )
    community_id: int = Field(primary_key=True)
    day: date = Field(primary_key=True)
    proved_at: datetime = moment()
    entry_number: int = bigint()
    head_hash: bytes = Field(sa_type=LargeBinary)
    sound: bool
    sums: dict[str, Any] = Field(sa_type=JSONB)
    seal: dict[str, Any] | None = Field(default=None, sa_type=JSONB, nullable=True)


class MerkleNode(BankTable, table=True):
    """The root of a whole subtree of the Merkle tree, of 256 to the power of ``level`` entries.

    Written when a head is sealed; what is missing between them is recomputed from the lines.
    """

    __tablename__ = "merkle_nodes"
    __table_args__ = (
        in_community(),
        CheckConstraint("level > 0 AND place >= 0 AND length(hash) = 32", name="sound"),
    )
    community_id: int = Field(primary_key=True)
    level: int = Field(sa_type=SmallInteger, primary_key=True)
    place: int = bigint(primary_key=True)
    hash: bytes = Field(sa_type=LargeBinary)


class DecisionRow(BankTable, table=True):
    """What one person proposed and another decides: an adjustment, a reversal, a grant.

    member_ref: whom it concerns, a pseudonym. amount: milli-points or minutes by ``commodity``; below zero
    for an adjustment that takes; of a reversal, how much goes back (null: everything). entry_number: the
    entry a reversal takes back. posted_number: the entry that carried the decision out; it cites this.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        in_community(),
        one_of("kind", DecisionKind),
        one_of("reason", DecisionReason),
        one_of("state", DecisionState),
        CheckConstraint("commodity IN ('POINT', 'MINUTE')", name="commodity"),
        CheckConstraint("decided_by <> proposed_by", name="second_person"),
        CheckConstraint("member_ref <> proposed_by AND member_ref <> decided_by", name="not_for_oneself"),
        CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL) "
            "AND (state = 'approved') = (posted_number IS NOT NULL)",
            name="decided",
        ),
        CheckConstraint(
            "CASE kind WHEN 'reversal' THEN entry_number IS NOT NULL AND (amount IS NULL OR amount > 0) "
            "WHEN 'grant' THEN entry_number IS NULL AND amount > 0 AND amount IS NOT NULL "
            "AND commodity = 'POINT' "
            "ELSE entry_number IS NULL AND amount <> 0 AND amount IS NOT NULL END",
            name="of_kind",
        ),
        Index(
            "ix_decisions_proposed",
            "community_id",
            "proposed_at",
            "id",
            postgresql_where=text("state = 'proposed'"),
        ),
        Index("ix_decisions_reason", "community_id", "reason", "proposed_at"),
        Index(
            "uq_decisions_entry_number",
            "community_id",
            "entry_number",
            unique=True,
            postgresql_where=text("state <> 'refused' AND entry_number IS NOT NULL"),
        ),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    kind: str = word()
    reason: str = word()
    member_ref: UUID
    commodity: str = word(8)
    amount: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    entry_number: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    state: str = word(default=DecisionState.PROPOSED)
    proposed_by: UUID
    proposed_at: datetime = moment()
    decided_by: UUID | None = Field(default=None)
    decided_at: datetime | None = moment(nullable=True, default=None)
    posted_number: int | None = Field(default=None, sa_type=BigInteger, nullable=True)


class PolicyProposalRow(BankTable, table=True):
    """A policy version that one person proposed and another approves. version: once it is approved."""

    __tablename__ = "policy_proposals"
    __table_args__ = (
        in_community(),
        belongs_to("policy_versions", "version", key=("version",)),
        one_of("state", DecisionState),
        CheckConstraint("decided_by <> proposed_by", name="second_person"),
        CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL) "
            "AND (state = 'approved') = (version IS NOT NULL)",
            name="decided",
        ),
        CheckConstraint("number > 0", name="number"),
    )
    community_id: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    effective_from: date
    body: dict[str, Any] = Field(sa_type=JSONB)
    state: str = word(default=DecisionState.PROPOSED)
    proposed_by: UUID
    proposed_at: datetime = moment()
    decided_by: UUID | None = Field(default=None)
    decided_at: datetime | None = moment(nullable=True, default=None)
    version: int | None = Field(default=None, nullable=True)


class ExpirySweep(BankTable, table=True):
    """How far the expiry of lots has run.

    through_day: the last local day whose lots have been looked at; through_entry: the last entry whose lines
    have been looked at for old lots.
    """

    __tablename__ = "expiry_sweeps"
    __table_args__ = (in_community(), CheckConstraint("through_entry >= 0", name="through_entry"))
    community_id: int = Field(primary_key=True)
    through_day: date
    through_entry: int = bigint()
    swept_at: datetime = moment()
