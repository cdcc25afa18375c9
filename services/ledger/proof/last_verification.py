"""What the last whole verification found, kept under the data directory for pages to show at once."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from services.ledger.proof.verification import Verification

FOLDER = "verifications"
FINDINGS_KEPT = 20
STALE_AFTER = timedelta(days=2)
"""It is done daily: whoever is shown an older one is shown that it is not done any more."""


class LastVerification(msgspec.Struct, frozen=True):
    """A verification in short. findings: (fault, where), the first ones of ``faults`` in all.

    failed: a stable word for why it could not be done; then entries, since and head_hash say nothing.
    good_at: when the books were last verified and found sound.
    """

    at: datetime
    entries: int
    since: int
    head_hash: str
    faults: int
    findings: list[tuple[str, str]]
    failed: str = ""
    good_at: datetime | None = None

    @property
    def sound(self) -> bool:
        """Whether it was done and nothing was found."""
        return not self.faults and not self.failed

    def is_stale(self, now: datetime) -> bool:
        """Tell whether the books have not been found sound for longer than ``STALE_AFTER``."""
        good = self.at if self.sound else self.good_at
        return good is None or now - good > STALE_AFTER


def remember(directory: Path, community_id: int, verification: Verification, at: datetime) -> None:
    """Keep a verification as the community's last."""
    last = LastVerification(
        at=at,
        entries=verification.entries,
        since=verification.since,
        head_hash=verification.head_hash.hex(),
        faults=len(verification.findings) + verification.omitted,
        findings=[(str(each.fault), each.where) for each in verification.findings[:FINDINGS_KEPT]],
        good_at=at if verification.sound else _last_good(directory, community_id),
    )
    _keep(directory, community_id, last)


def remember_failure(directory: Path, community_id: int, reason: str, at: datetime) -> None:
    """Keep that a verification could not be done. reason: a stable word."""
    good = _last_good(directory, community_id)
    _keep(directory, community_id, LastVerification(at, 0, 1, "", 0, [], failed=reason, good_at=good))


def _last_good(directory: Path, community_id: int) -> datetime | None:
    last = recall(directory, community_id)
    if last is None:
        return None
    return last.at if last.sound else last.good_at


def _keep(directory: Path, community_id: int, last: LastVerification) -> None:
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
