"""What the ledger tells others. Amounts are milli-points, minutes or fen by ``commodity``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.errors import DomainError


class VerdictKind(StrEnum):
    """What became of an entry."""

    POSTED = "posted"
    ALREADY = "already"  # the same request was posted before: its first number is given
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ledger's answer to one entry of a batch. ``error`` is set when it was refused."""

    kind: VerdictKind
    number: int | None
    error: DomainError | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry that is in the journal. ``already``: it was there before this call."""

    number: int
    already: bool


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One posting on a member's account."""

    number: int
    kind: str
    source_kind: str
    source_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    policy_version: int
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Statement:
    """An account over a period of recorded time. ``more``: later lines were left out by the limit."""

    commodity: Commodity
    from_: datetime
    to: datetime
    opening: int
    lines: tuple[StatementLine, ...]
    closing: int
    more: bool


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """All accounts of one kind and commodity, summed."""

    kind: AccountKind
    commodity: Commodity
    accounts: int
    balance: int


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Every account of a community; within a commodity the lines sum to zero or the books are wrong."""

    lines: tuple[TrialBalanceLine, ...]

    @property
    def differences(self) -> dict[Commodity, int]:
        """The sum of each commodity that is not zero."""
        sums: dict[Commodity, int] = {}
        for line in self.lines:
            sums[line.commodity] = sums.get(line.commodity, 0) + line.balance
        return {commodity: total for commodity, total in sums.items() if total}

    @property
    def balanced(self) -> bool:
        """Whether every commodity sums to zero."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class EntryLeg:
    """One posting of a journal entry."""

    account_kind: AccountKind
    owner_ref: UUID
    commodity: Commodity
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """A recorded entry with its postings."""

    number: int
    kind: str
    source_kind: str
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    policy_version: int
    occurred_at: datetime
    recorded_at: datetime
    reverses: int | None
    leaf_hash: bytes
    legs: tuple[EntryLeg, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends."""

    entry_number: int
    block_number: int
    hash: bytes
    algorithm: str
    recorded_at: datetime
