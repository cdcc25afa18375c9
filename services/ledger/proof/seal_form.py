"""The form of a seal: a JSON object, signed with Ed25519 over its other fields (names sorted, no spaces)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pointsbank.domain.errors import DomainError

FIELDS = (
    "community_id",
    "entry_number",
    "hash",
    "merkle_root",
    "algorithm",
    "sealed_at",
    "public_key",
    "signature",
)
POLICIES = "policies"
"""The digest of the policy versions (:mod:`services.ledger.proof.policy_form`); old seals have none."""

NUMBER_MAX = 2**63 - 1


class SealUnreadable(DomainError):
    """A line of a file of seals is no seal, or its signature does not hold."""

    code = "seal_unreadable"


@dataclass(frozen=True, slots=True)
class SealedHead:
    """A head as it left the machine. merkle_root: over the chain's hashes of as many entries.

    policies: the digest of the policy versions there were; None in an old seal.
    """

    community_id: int
    entry_number: int
    hash: bytes
    merkle_root: bytes
    sealed_at: datetime
    public_key: bytes
    policies: bytes | None = None


def sign(
    key: Ed25519PrivateKey,
    *,
    community_id: int,
    entry_number: int,
    hash_: bytes,
    merkle_root: bytes,
    algorithm: str,
    sealed_at: datetime,
    policies: bytes | None = None,
) -> dict[str, Any]:
    """Return a seal as it is written outside."""
    facts = {
        "community_id": community_id,
        "entry_number": entry_number,
        "hash": hash_.hex(),
        "merkle_root": merkle_root.hex(),
        "algorithm": algorithm,
        "sealed_at": sealed_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "public_key": key.public_key().public_bytes_raw().hex(),
        **({} if policies is None else {POLICIES: policies.hex()}),
    }
    return {**facts, "signature": key.sign(_signed_text(facts)).hex()}


def as_written(community_id: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a seal as it was signed, from the database's copy of it."""
    return {
        "community_id": community_id,
        "entry_number": row["entry_number"],
        "hash": row["hash"].hex(),
        "merkle_root": row["merkle_root"].hex(),
        "algorithm": row["algorithm"],
        "sealed_at": row["sealed_at"].astimezone(UTC).isoformat(timespec="microseconds"),
        "public_key": row["public_key"].hex(),
        "signature": row["signature"].hex(),
        **({} if row[POLICIES] is None else {POLICIES: row[POLICIES].hex()}),
    }


def checked(seal: object, public_key: bytes | None) -> SealedHead:
    """Return a seal whose form and signature hold. Raises SealUnreadable.

    public_key: 32 bytes known from elsewhere; without it the key named in the seal itself is taken, which
    shows a damaged seal but not a forged one.
    """
    try:
        if not isinstance(seal, dict) or set(seal) - {POLICIES} != set(FIELDS):
            raise SealUnreadable
        facts = {name: value for name, value in seal.items() if name != "signature"}
        named = bytes.fromhex(facts["public_key"])
        if public_key is not None and named != public_key:
            raise SealUnreadable
        Ed25519PublicKey.from_public_bytes(named).verify(
            bytes.fromhex(seal["signature"]), _signed_text(facts)
        )
        if type(facts["community_id"]) is not int or type(facts["entry_number"]) is not int:
            raise SealUnreadable
        head = SealedHead(
            community_id=facts["community_id"],
            entry_number=facts["entry_number"],
            hash=bytes.fromhex(facts["hash"]),
            merkle_root=bytes.fromhex(facts["merkle_root"]),
            sealed_at=datetime.fromisoformat(facts["sealed_at"]),
            public_key=named,
            policies=bytes.fromhex(facts[POLICIES]) if POLICIES in facts else None,
        )
    except (ValueError, TypeError, AttributeError, InvalidSignature, RecursionError) as error:
        raise SealUnreadable from error
    if len(head.hash) != 32 or len(head.merkle_root) != 32 or not 0 <= head.entry_number <= NUMBER_MAX:
        raise SealUnreadable
    return head


def parsed(line: str, public_key: bytes | None) -> SealedHead:
    """Return the seal that one line of a file holds. Raises SealUnreadable."""
    try:
        seal = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SealUnreadable from error
    return checked(seal, public_key)


def _signed_text(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
