"""The hash chain over journal lines: the bytes of a leaf, and how each line extends the chain.

A line's leaf is SHA-256 over its columns as PostgreSQL's ``record_send`` writes a row, so that the database
hashes in one call what anybody can hash again from an exported line: the number of columns (4 bytes), then
for each column the object id of its type (4), its length (4; -1 for none) and its bytes, all big-endian.
Moments are microseconds and days are counted from 2000-01-01 (PostgreSQL's epoch). The chain's hash at a line
is SHA-256 of the hash before and the leaf; the first builds on SHA-256 of ``pointsbank:<community>``. Batches
leave no trace in it: the same lines give the same head however they were gathered, and a seal may name any
entry.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

FORMAT = 1
"""Version of the leaf's layout, its first column."""

ALGORITHM = "sha256"

INT2, INT4, INT8, TEXT, UUID_, DATE, TIMESTAMPTZ = 21, 23, 20, 25, 2950, 1082, 1184
"""Object ids of PostgreSQL's built-in types (pg_type.dat), the same in every server."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(2000, 1, 1)
_HEADER = struct.Struct(">ii")


@dataclass(frozen=True, slots=True)
class Line:
    """A journal line as it is hashed. debit, credit: account ids; amounts in the accounts' unit."""

    community_id: int
    number: int
    line: int
    id: UUID
    kind: str
    source_kind: str
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    policy_version: int
    occurred_at: datetime
    recorded_at: datetime
    reverses: int | None
    debit: UUID
    credit: UUID
    amount: int
    debit_after: int
    credit_after: int
    expires_on: date | None


def genesis(community_id: int) -> bytes:
    """Return the hash that a community's first line builds on."""
    return hashlib.sha256(f"pointsbank:{community_id}".encode()).digest()


def leaf(line: Line) -> bytes:
    """Return a line's leaf, 32 bytes."""
    return hashlib.sha256(leaf_bytes(line)).digest()


def extend(previous: bytes, leaf: bytes) -> bytes:
    """Return the chain's hash at the line with that leaf. previous: the hash at the line before."""
    return hashlib.sha256(previous + leaf).digest()


def leaf_bytes(line: Line) -> bytes:
    """Return the bytes that a line's leaf is the hash of."""
    columns = (
        _column(INT2, FORMAT.to_bytes(2)),
        _column(INT4, line.community_id.to_bytes(4, signed=True)),
        _column(INT8, line.number.to_bytes(8, signed=True)),
        _column(INT2, line.line.to_bytes(2, signed=True)),
        _column(UUID_, line.id.bytes),
        _column(TEXT, line.kind.encode()),
        _column(TEXT, line.source_kind.encode()),
        _column(UUID_, line.source_id.bytes),
        _column(UUID_, line.actor_ref.bytes),
        _column(UUID_, line.subject_ref.bytes),
        _column(INT4, line.policy_version.to_bytes(4, signed=True)),
        _column(TIMESTAMPTZ, _microseconds(line.occurred_at)),
        _column(TIMESTAMPTZ, _microseconds(line.recorded_at)),
        _column(INT8, None if line.reverses is None else line.reverses.to_bytes(8, signed=True)),
        _column(UUID_, line.debit.bytes),
        _column(UUID_, line.credit.bytes),
        _column(INT8, line.amount.to_bytes(8, signed=True)),
        _column(INT8, line.debit_after.to_bytes(8, signed=True)),
        _column(INT8, line.credit_after.to_bytes(8, signed=True)),
        _column(DATE, None if line.expires_on is None else _days(line.expires_on)),
    )
    return len(columns).to_bytes(4) + b"".join(columns)


def _column(kind: int, value: bytes | None) -> bytes:
    if value is None:
        return _HEADER.pack(kind, -1)
    return _HEADER.pack(kind, len(value)) + value


def _microseconds(at: datetime) -> bytes:
    since = at - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds).to_bytes(8, signed=True)


def _days(day: date) -> bytes:
    return (day - _EPOCH_DAY).days.to_bytes(4, signed=True)
