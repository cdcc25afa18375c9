"""Six digits that change with time: TOTP (RFC 6238) over HMAC-SHA-1, by pyotp."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

import pyotp

SECRET_BYTES = 20
"""Length of a secret: that of the HMAC's output (RFC 4226 §4, R6)."""


def new_secret() -> bytes:
    """Return a fresh secret."""
    return secrets.token_bytes(SECRET_BYTES)


def step_at(now: datetime, *, seconds: int) -> int:
    """Return the number of the time step that ``now`` lies in (T of RFC 6238 §4.2, T0 = 0)."""
    return int(now.timestamp()) // seconds


def code_at(secret: bytes, step: int) -> str:
    """Return the six digits of one time step."""
    return pyotp.HOTP(base64.b32encode(secret).decode()).at(step)


def matching_step(secret: bytes, told: str, steps: Iterable[int]) -> int | None:
    """Return the step whose code ``told`` is, or None. Every code is compared, each in constant time."""
    found: int | None = None
    for step in steps:
        if hmac.compare_digest(code_at(secret, step).encode(), told.encode("utf-8", "surrogatepass")):
            found = step
    return found
