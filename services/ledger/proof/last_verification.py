"""What the last whole verification found, kept under the data directory for pages to show at once."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec

from services.ledger.proof.verification import Verification

FOLDER = "verifications"
FINDINGS_KEPT = 20


class LastVerification(msgspec.Struct, frozen=True):
    """A verification in short. findings: (fault, where), the first ones of ``faults`` in all."""

    at: datetime
    entries: int
    since: int
    head_hash: str
    faults: int
    findings: list[tuple[str, str]]

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.faults


def remember(directory: Path, community_id: int, verification: Verification, at: datetime) -> None:
    """Keep a verification as the community's last."""
    last = LastVerification(
        at=at,
        entries=verification.entries,
        since=verification.since,
        head_hash=verification.head_hash.hex(),
        faults=len(verification.findings) + verification.omitted,
        findings=[(str(each.fault), each.where) for each in verification.findings[:FINDINGS_KEPT]],
    )
    path = _path(directory, community_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(msgspec.json.encode(last))
    temporary.replace(path)


def recall(directory: Path, community_id: int) -> LastVerification | None:
    """Return the community's last verification, or None when none is kept (or can be read)."""
    try:
        return msgspec.json.decode(_path(directory, community_id).read_bytes(), type=LastVerification)
    except (OSError, msgspec.DecodeError):
        return None


def _path(directory: Path, community_id: int) -> Path:
    return directory / FOLDER / f"community-{community_id}.json"
