"""What the ledger tells others. Amounts are milli-points, minutes or fen by ``commodity``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.decision import DecisionKind, DecisionReason, DecisionState
from pointsbank.domain.errors import DomainError
from pointsbank.domain.journal import Transfer


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
    expires_on: date | None


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
    expires_on: date | None


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """A recorded entry with its postings: of each transfer the giving side, then the receiving one.

    hash: the chain's at the entry's first line.
    """

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
    hash: bytes
    legs: tuple[EntryLeg, ...]

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """What the entry moved, without the days on which lots expire."""
        return tuple(
            Transfer(
                AccountCode(giving.account_kind, giving.owner_ref, giving.commodity),
                AccountCode(getting.account_kind, getting.owner_ref, getting.commodity),
                getting.amount,
            )
            for giving, getting in zip(self.legs[::2], self.legs[1::2], strict=True)
        )


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends."""

    entry_number: int
    hash: bytes
    algorithm: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class DecisionInfo:
    """A decision as it stands. Refs are pseudonyms; amount and numbers as ``tables.DecisionRow`` says."""

    id: UUID
    kind: DecisionKind
    reason: DecisionReason
    member_ref: UUID
    commodity: Commodity
    amount: int | None
    entry_number: int | None
    state: DecisionState
    proposed_by: UUID
    proposed_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    posted_number: int | None


@dataclass(frozen=True, slots=True)
class PolicyProposal:
    """A policy version on its way. version: its number once it is approved."""

    number: int
    effective_from: date
    body: dict[str, Any]
    state: DecisionState
    proposed_by: UUID
    proposed_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    version: int | None


@dataclass(frozen=True, slots=True)
class PolicyVersionInfo:
    """One dated version of the community's rules."""

    version: int
    effective_from: date
    body: dict[str, Any]
    proposed_by: UUID
    approved_by: UUID
    created_at: datetime
