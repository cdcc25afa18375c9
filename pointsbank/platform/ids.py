"""Time-ordered identifiers (UUIDv7, RFC 9562 §5.7): new rows land at the end of an index."""

from __future__ import annotations

import os
import threading
import time
from typing import cast
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as DriverUUID  # noqa: N811 - what the driver sends fastest

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """Return a UUIDv7, strictly increasing within this process.

    48 bits of Unix milliseconds, 12 bits of sub-millisecond fraction (RFC 9562 §6.2, method 3),
    62 random bits. A clock that steps back does not make it step back.
    """
    global _last
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    stamp = (milliseconds << 12) | (rest * 4096 // 1_000_000)
    with _lock:
        if stamp <= _last:
            stamp = _last + 1
        _last = stamp
    random_bits = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    value = ((stamp >> 12) << 80) | (0x7 << 76) | ((stamp & 0xFFF) << 64) | (0b10 << 62) | random_bits
    return uuid_of(value.to_bytes(16))


def uuid_of(value: bytes) -> UUID:
    """Return the UUID of 16 bytes, of the database driver's own make, which it sends much faster."""
    return cast("UUID", DriverUUID(value))
