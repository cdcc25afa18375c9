"""Seals: signed heads of the chain that leave the database.

One who owns the database can rewrite the journal and every hash in it. A seal that was written elsewhere
(a file here; printed, sent, published by whoever runs the community) then no longer fits, and shows it.
A seal is one JSON object on one line, signed with Ed25519 over its other fields (as JSON, names sorted, no
spaces).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pointsbank.domain.errors import DomainError
from pointsbank.platform.database import UnitOfWork
from services.ledger import audit_store
from services.ledger.verification import SealedHead

KEY_FILE = "seal.key"
SEALS_FOLDER = "seals"


class SealUnreadable(DomainError):
    """A line of a file of seals is no seal, or its signature does not hold."""

    code = "seal_unreadable"


def load_key(directory: Path) -> Ed25519PrivateKey:
    """Return the signing key kept as ``DIRECTORY/seal.key`` (mode 0600), made at the first call."""
    path = directory / KEY_FILE
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
    temporary = path.with_name(f"{KEY_FILE}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(key.private_bytes_raw().hex() + "\n")
    try:
        os.link(temporary, path)  # whoever is first decides; a key is never replaced
    except FileExistsError:
        return load_key(directory)
    finally:
        temporary.unlink()
    return key


def seals_file(directory: Path, community_id: int) -> Path:
    """Return where a community's seals are kept under the data directory."""
    return directory / SEALS_FOLDER / f"community-{community_id}.jsonl"


async def seal_head(uow: UnitOfWork, key: Ed25519PrivateKey) -> str:
    """Sign the head as it stands, keep a copy in the database, and return the line to keep elsewhere."""
    head = await audit_store.head(uow)
    public_key = key.public_key().public_bytes_raw()
    sealed_at = uow.clock.now().astimezone(UTC)
    facts = {
        "community_id": uow.community_id,
        "entry_number": head["entry_number"],
        "hash": head["hash"].hex(),
        "algorithm": head["algorithm"],
        "sealed_at": sealed_at.isoformat(),
        "public_key": public_key.hex(),
    }
    signature = key.sign(_signed_text(facts))
    await audit_store.insert_seal(
        uow,
        {
            **head,
            "merkle_root": bytes(32),
            "public_key": public_key,
            "signature": signature,
            "sealed_at": sealed_at,
        },
    )
    return json.dumps({**facts, "signature": signature.hex()})


def append_seal(path: Path, line: str) -> None:
    """Add a seal to a file, flushed to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def kept_seals(path: Path) -> list[dict[str, Any]]:
    """Return the seals in a file as they stand, unchecked. Raises SealUnreadable."""
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except ValueError as error:
        raise SealUnreadable from error


def keep_seals(path: Path, seals: Sequence[dict[str, Any]]) -> None:
    """Add to a file those of the seals that are not in it."""
    known = kept_seals(path)
    for seal in seals:
        if seal not in known:
            append_seal(path, json.dumps(seal))


def read_seals(path: Path, *, public_key: bytes | None = None) -> list[SealedHead]:
    """Return the seals in a file, each signature checked. Raises SealUnreadable.

    public_key: 32 bytes known from elsewhere; without it the key named in the seal itself is taken, which
    shows a damaged seal but not a forged one.
    """
    if not path.exists():
        return []
    return [_checked(line, public_key) for line in path.read_text().splitlines() if line.strip()]


def _checked(line: str, public_key: bytes | None) -> SealedHead:
    try:
        seal: dict[str, Any] = json.loads(line)
        signature = bytes.fromhex(seal.pop("signature"))
        named = bytes.fromhex(seal["public_key"])
        if public_key is not None and named != public_key:
            raise SealUnreadable
        Ed25519PublicKey.from_public_bytes(named).verify(signature, _signed_text(seal))
        datetime.fromisoformat(seal["sealed_at"])
        return SealedHead(
            community_id=seal["community_id"],
            entry_number=seal["entry_number"],
            hash=bytes.fromhex(seal["hash"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature) as error:
        raise SealUnreadable from error


def _signed_text(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
