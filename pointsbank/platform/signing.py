"""Signatures between platform and partners: HMAC-SHA256 over method, path, body, time and nonce.

The signed text is five lines, in this order: method, path with its query, hex SHA-256 of the body, Unix
seconds, nonce. A receiver refuses a signature older or newer than ``WINDOW_SECONDS`` and a nonce it has
seen inside that window, so a recorded request cannot be sent again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pointsbank.domain.errors import DomainError

WINDOW_SECONDS = 300
NONCE_BYTES = 16
TIME_DIGITS_MAX = 12
"""Of Unix seconds: enough for thousands of years, and few enough for any clock to compare with."""

HEADER_KEY = "X-Pointsbank-Key"
HEADER_TIME = "X-Pointsbank-Time"
HEADER_NONCE = "X-Pointsbank-Nonce"
HEADER_SIGNATURE = "X-Pointsbank-Signature"


@dataclass(eq=False)
class BadSignature(DomainError):
    """The request is not signed as agreed; ``rule`` says which check failed (no secret is echoed)."""

    code = "bad_signature"
    rule: str


def _digest(secret: str, method: str, path: str, body: bytes, time: str, nonce: str) -> str:
    text = "\n".join((method.upper(), path, hashlib.sha256(body).hexdigest(), time, nonce))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def sign(secret: str, key: str, method: str, path: str, body: bytes, *, at: datetime) -> dict[str, str]:
    """Return the four headers that sign one request.

    path: as sent on the wire, with its query string. key: public name of ``secret``. at: aware.
    """
    time, nonce = str(int(at.timestamp())), secrets.token_hex(NONCE_BYTES)
    return {
        HEADER_KEY: key,
        HEADER_TIME: time,
        HEADER_NONCE: nonce,
        HEADER_SIGNATURE: _digest(secret, method, path, body, time, nonce),
    }


def verify(
    headers: Mapping[str, str],
    method: str,
    path: str,
    body: bytes,
    *,
    secrets_by_key: Mapping[str, str],
    at: datetime,
) -> tuple[str, str]:
    """Check a signed request and return its ``(key, nonce)``; the caller refuses a nonce seen before.

    headers: any mapping, names compared without regard to case. Raises BadSignature.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        key = lowered[HEADER_KEY.lower()]
        time = lowered[HEADER_TIME.lower()]
        nonce = lowered[HEADER_NONCE.lower()]
        signature = lowered[HEADER_SIGNATURE.lower()]
    except KeyError:
        raise BadSignature(rule="missing_header") from None
    if key not in secrets_by_key:
        raise BadSignature(rule="unknown_key")
    # isdecimal alone would let other scripts' digits through to int(); a longer one may be no float.
    readable = time.isascii() and time.isdecimal() and len(time) <= TIME_DIGITS_MAX
    if not readable or abs(int(time) - at.timestamp()) > WINDOW_SECONDS:
        raise BadSignature(rule="time_outside_window")
    if len(nonce) != NONCE_BYTES * 2:
        raise BadSignature(rule="nonce_length")
    expected = _digest(secrets_by_key[key], method, path, body, time, nonce)
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise BadSignature(rule="signature_mismatch")
    return key, nonce
