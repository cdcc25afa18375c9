"""Journal entries: made of transfers, so that each is balanced in every commodity by its very form.

A transfer moves an amount of one commodity from one account to another; an entry is one transfer or more
that are recorded together or not at all. (Formance calls its transfers postings; here a posting is one side
of a transfer, signed: debits are positive.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pointsbank.domain import points
from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.errors import DomainError, InvalidValue

TRANSFERS_MAX = 64
"""Most transfers one entry may carry."""

KEY_LENGTH_MAX = 200
"""Longest idempotency key, in characters."""

UUID_LENGTH = 36


class EntryKind(StrEnum):
    """Why an entry was posted."""

    EARNING = "earning"  # a confirmed visit: minutes and points to the volunteer
    HOLD = "hold"  # available → held, for a redemption
    CAPTURE = "capture"  # held → partner: the partner fulfilled
    VOID = "void"  # held → available: refused, cancelled, lapsed
    SETTLEMENT = "settlement"  # earned → settled, and the money due
    REVERSAL = "reversal"  # takes back an earlier entry, whole or in part
    EXPIRY = "expiry"  # points of a lot whose day has passed
    GIFT = "gift"  # from one member to another
    DONATION = "donation"  # from a member to the community's pool
    GRANT = "grant"  # from the pool to a member
    ADJUSTMENT = "adjustment"  # set right by two people


class SourceKind(StrEnum):
    """The kind of document an entry was decided by."""

    VISIT = "visit"
    REDEMPTION = "redemption"
    SETTLEMENT_BATCH = "settlement_batch"
    JOURNAL_ENTRY = "journal_entry"
    EXPIRY_RUN = "expiry_run"
    GIFT = "gift"  # gifts and donations: a member's own decision
    GRANT = "grant"
    ADJUSTMENT = "adjustment"
    REVERSAL = "reversal"  # the decision to take something back


ENDS_A_HOLD = frozenset({EntryKind.CAPTURE, EntryKind.VOID})
"""Kinds that end a hold, which they name."""

REVERSIBLE = frozenset(
    {
        EntryKind.EARNING,
        EntryKind.GIFT,
        EntryKind.DONATION,
        EntryKind.GRANT,
        EntryKind.ADJUSTMENT,
    }
)
"""Kinds that can be taken back by a decision. Holds and settlements have endings of their own, and a captured
meal is taken back by a refund alone, which the partner's next batch corrects. What expired is adjusted."""


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
    """One side of a transfer; debits are positive. amount: milli-points, minutes or fen."""

    account: AccountCode
    amount: int

    @property
    def commodity(self) -> Commodity:
        """The account's commodity."""
        return self.account.commodity


@dataclass(frozen=True, slots=True)
class Transfer:
    """``amount`` (above 0; milli-points, minutes or fen) from one account to another of its commodity.

    expires_on: the last local day of the lot of points that the target gets by this; None: they stay.
    Raises InvalidValue.
    """

    source: AccountCode
    target: AccountCode
    amount: int
    expires_on: date | None = None

    def __post_init__(self) -> None:
        if points.whole(self.amount, field="amount") <= 0:
            raise InvalidValue(field="amount", rule="above_zero")
        if self.source.commodity is not self.target.commodity:
            raise InvalidValue(field="transfer", rule="one_commodity")
        if self.source == self.target:
            raise InvalidValue(field="transfer", rule="two_accounts")
        if self.expires_on is not None and self.target.kind is not AccountKind.MEMBER_AVAILABLE:
            raise InvalidValue(field="expires_on", rule="points_of_a_member")

    @property
    def commodity(self) -> Commodity:
        """What is moved."""
        return self.source.commodity


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
    """An entry, not yet recorded: the ledger gives it its number and ``recorded_at``.

    Build it by :func:`journal_entry`. key: the idempotency key, unique within the community. occurred_at:
    when it happened, aware. reverses: the number of the entry that a reversal takes back. ends_hold: the
    hold that a capture or void ends. Raises InvalidValue.
    """

    kind: EntryKind
    transfers: tuple[Transfer, ...]
    origin: Origin
    key: str
    occurred_at: datetime
    reverses: int | None = None
    ends_hold: UUID | None = None

    def __post_init__(self) -> None:
        if not self.key or len(self.key) > KEY_LENGTH_MAX:
            raise InvalidValue(field="key", rule="length")
        try:
            self.key.encode()
        except UnicodeEncodeError:
            raise InvalidValue(field="key", rule="characters") from None
        if self.occurred_at.tzinfo is None:
            raise InvalidValue(field="occurred_at", rule="timezone")
        if not 1 <= len(self.transfers) <= TRANSFERS_MAX:
            raise InvalidValue(field="transfers", rule="count")
        if (self.kind is EntryKind.REVERSAL) != (self.reverses is not None):
            raise InvalidValue(field="reverses", rule="only_reversals")
        if (self.kind in ENDS_A_HOLD) != (self.ends_hold is not None):
            raise InvalidValue(field="ends_hold", rule="only_captures_and_voids")

    @property
    def id(self) -> UUID:
        """The entry's id, which its key decides."""
        return entry_id(self.key)

    @property
    def postings(self) -> tuple[Posting, ...]:
        """Both sides of every transfer, the giving one first."""
        return tuple(
            posting
            for transfer in self.transfers
            for posting in (
                Posting(transfer.source, -transfer.amount),
                Posting(transfer.target, transfer.amount),
            )
        )

    def asks_the_same(self, other: JournalEntry) -> bool:
        """Tell whether a retry asks for what ``other`` asked.

        When it happened and who acted may differ: a retry may be built later and sent by somebody else.
        """
        return (
            self.kind is other.kind
            and self.transfers == other.transfers
            and self.reverses == other.reverses
            and self.origin.source_kind is other.origin.source_kind
            and self.origin.source_id == other.origin.source_id
            and self.origin.subject == other.origin.subject
            and self.origin.policy_version == other.origin.policy_version
        )


def journal_entry(
    kind: EntryKind,
    transfers: Sequence[Transfer],
    *,
    origin: Origin,
    key: str,
    occurred_at: datetime,
    reverses: int | None = None,
    ends_hold: UUID | None = None,
) -> JournalEntry:
    """Return an entry of one transfer or more; see :class:`JournalEntry`. Raises InvalidValue."""
    return JournalEntry(
        kind=kind,
        transfers=tuple(transfers),
        origin=origin,
        key=key,
        occurred_at=occurred_at,
        reverses=reverses,
        ends_hold=ends_hold,
    )


def entry_id(key: str) -> UUID:
    """Return the id that an idempotency key stands for: the same key, the same id, in any community.

    A key that names its document by a UUIDv7 among its parts (``hold:<uuid>:open``) gives a UUIDv7 (RFC 9562
    §5.7) with that document's milliseconds, the other 74 bits taken from SHA-256 of the key, so that ids
    ascend with time and index pages stay hot; any other key gives a UUIDv8 (§5.8) of the digest alone.
    """
    return UUID(bytes=entry_id_bytes(key))


def entry_id_bytes(key: str) -> bytes:
    """Return :func:`entry_id` as its 16 bytes."""
    made = bytearray(hashlib.sha256(key.encode()).digest()[:16])
    version = 0x80
    for part in key.split(":"):
        if len(part) == UUID_LENGTH and part[14] == "7":
            try:
                made[:6] = bytes.fromhex(part[:8] + part[9:13])
            except ValueError:
                continue
            version = 0x70
            break
    made[6] = version | made[6] & 0x0F
    made[8] = 0x80 | made[8] & 0x3F
    return bytes(made)


def taken_back(transfer: Transfer, amount: int | None = None) -> Transfer:
    """Return the transfer that takes ``amount`` of a recorded one back (all of it unless given)."""
    return Transfer(transfer.target, transfer.source, transfer.amount if amount is None else amount)


def reversal(
    entry_number: int, transfers: Sequence[Transfer], *, origin: Origin, occurred_at: datetime
) -> JournalEntry:
    """Return the entry that takes back a recorded one; the ledger takes one for each entry, once.

    transfers: what goes back (:func:`taken_back`), from accounts the entry gave to and no more than it gave.
    origin: its source is the entry's own document, or the decision to take it back.
    """
    return journal_entry(
        EntryKind.REVERSAL,
        transfers,
        origin=origin,
        key=f"reversal:{entry_number}",
        occurred_at=occurred_at,
        reverses=entry_number,
    )
