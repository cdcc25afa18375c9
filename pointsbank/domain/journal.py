"""Journal entries: balanced in every commodity, or they cannot be built."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pointsbank.domain import points
from pointsbank.domain.accounts import AccountCode, Commodity
from pointsbank.domain.errors import DomainError, InvalidValue

POSTINGS_MAX = 64
"""Most postings one entry may carry."""

KEY_LENGTH_MAX = 200
"""Longest idempotency key, in characters."""


class EntryKind(StrEnum):
    """Why an entry was posted."""

    EARNING = "earning"  # a confirmed visit: minutes and points to the volunteer
    HOLD = "hold"  # available → held, for a redemption
    CAPTURE = "capture"  # held → partner: the partner fulfilled
    VOID = "void"  # held → available: refused, cancelled, lapsed
    SETTLEMENT = "settlement"  # earned → settled, and the money due
    REVERSAL = "reversal"  # the mirror image of an earlier entry


class SourceKind(StrEnum):
    """The kind of document an entry was decided by."""

    VISIT = "visit"
    REDEMPTION = "redemption"
    SETTLEMENT_BATCH = "settlement_batch"
    JOURNAL_ENTRY = "journal_entry"


@dataclass(eq=False)
class Unbalanced(DomainError):
    """The postings of one commodity do not sum to zero. ``difference`` is their sum."""

    code = "unbalanced_entry"
    commodity: str
    difference: int


@dataclass(eq=False)
class InsufficientPoints(DomainError):
    """An account would pass its floor. Amounts in the account's unit."""

    code = "insufficient_points"
    account_kind: str
    available: int
    requested: int


@dataclass(eq=False)
class IdempotencyKeyReused(DomainError):
    """The key was used before, for a different request."""

    code = "idempotency_key_reused"
    key: str


@dataclass(frozen=True, slots=True)
class Posting:
    """One signed leg of a journal entry; debits are positive. amount: milli-points, minutes or fen."""

    account: AccountCode
    amount: int

    def __post_init__(self) -> None:
        points.whole(self.amount, field="amount")
        if self.amount == 0:
            raise InvalidValue(field="amount", rule="not_zero")

    @property
    def commodity(self) -> Commodity:
        """The account's commodity."""
        return self.account.commodity


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an entry comes from: its document, who acted, whom it concerns, the policy that decided.

    actor, subject: ledger pseudonyms, never people's ids. actor ≠ subject is a proxy (代办).
    """

    source_kind: SourceKind
    source_id: UUID
    actor: UUID
    subject: UUID
    policy_version: int


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A balanced entry, not yet recorded: the ledger gives it its number and ``recorded_at``.

    Build it by :func:`journal_entry`. occurred_at: when it happened, aware.
    """

    kind: EntryKind
    postings: tuple[Posting, ...]
    origin: Origin
    key: str
    occurred_at: datetime
    reverses: int | None = None
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        if not self.key or len(self.key) > KEY_LENGTH_MAX:
            raise InvalidValue(field="key", rule="length")
        if self.occurred_at.tzinfo is None:
            raise InvalidValue(field="occurred_at", rule="timezone")
        if not 2 <= len(self.postings) <= POSTINGS_MAX:
            raise InvalidValue(field="postings", rule="count")
        if (self.kind is EntryKind.REVERSAL) != (self.reverses is not None):
            raise InvalidValue(field="reverses", rule="only_reversals")
        require_balance(self.postings)
        object.__setattr__(self, "fingerprint", _fingerprint(self))


def require_balance(postings: Sequence[Posting]) -> None:
    """Raise Unbalanced if any commodity's postings do not sum to zero."""
    sums: dict[Commodity, int] = defaultdict(int)
    for posting in postings:
        sums[posting.commodity] += posting.amount
    for commodity, difference in sums.items():
        if difference:
            raise Unbalanced(commodity=commodity, difference=difference)


def journal_entry(
    kind: EntryKind,
    postings: Sequence[Posting],
    *,
    origin: Origin,
    key: str,
    occurred_at: datetime,
    reverses: int | None = None,
) -> JournalEntry:
    """Return a balanced entry.

    postings: two or more; amounts sum to 0 within each commodity. key: the idempotency key, unique within
    the community. reverses: the entry number a reversal mirrors. Raises Unbalanced, InvalidValue.
    """
    return JournalEntry(
        kind=kind,
        postings=tuple(postings),
        origin=origin,
        key=key,
        occurred_at=occurred_at,
        reverses=reverses,
    )


def transfer(source: AccountCode, target: AccountCode, amount: int) -> tuple[Posting, Posting]:
    """Return the two postings that move ``amount`` (above 0, the accounts' unit) from source to target."""
    if points.whole(amount, field="amount") <= 0:
        raise InvalidValue(field="amount", rule="above_zero")
    return Posting(source, -amount), Posting(target, amount)


def _fingerprint(entry: JournalEntry) -> bytes:
    """SHA-256 over what the entry asks for; a retry with the same key must carry the same one.

    ``occurred_at`` is left out: a retry may well be built a moment later.
    """
    asked = [
        entry.kind,
        entry.reverses,
        [entry.origin.source_kind, str(entry.origin.source_id), str(entry.origin.subject)],
        entry.origin.policy_version,
        [[str(posting.account), posting.amount] for posting in entry.postings],
    ]
    return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).digest()


def reversal(
    entry_number: int, postings: Sequence[Posting], *, origin: Origin, occurred_at: datetime
) -> JournalEntry:
    """Return the mirror image of a recorded entry; the ledger takes one for each entry, once.

    postings: those of the entry being reversed. origin: its source is the entry's own document.
    """
    mirrored = tuple(Posting(posting.account, -posting.amount) for posting in postings)
    return journal_entry(
        EntryKind.REVERSAL,
        mirrored,
        origin=origin,
        key=f"reversal:{entry_number}",
        occurred_at=occurred_at,
        reverses=entry_number,
    )
