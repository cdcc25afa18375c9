"""Seals: signed heads of the chain that leave the database.

One who owns the database can rewrite the journal and every hash in it. A seal that was written elsewhere
(a file here; printed, sent, published by whoever runs the community) then no longer fits, and shows it.
It signs the chain's hash and the Merkle root, so that any entry can be proven against it by a short proof.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pointsbank.domain import chain, merkle
from pointsbank.domain.errors import DomainError, NotFound
from pointsbank.platform.database import UnitOfWork
from services.ledger.proof import audit_store, policy_form, seal_form, tree
from services.ledger.proof.seal_form import SealedHead, SealUnreadable

__all__ = ["SealNotContinued", "SealUnreadable", "SealedHead"]

KEY_FILE = "seal.key"
SEALS_FOLDER = "seals"
SEALS_SHOWN_MAX = 100


class SealNotContinued(DomainError):
    """The journal is not the one that was sealed last: it must not be sealed, but verified."""

    code = "seal_not_continued"


def known_key(directory: Path) -> bytes | None:
    """Return the public half of the key kept in ``DIRECTORY``, or None where none was made yet."""
    try:
        text = (directory / KEY_FILE).read_text()
    except FileNotFoundError:
        return None
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text.strip())).public_key().public_bytes_raw()


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


async def seal_head(
    uow: UnitOfWork, key: Ed25519PrivateKey, *, number: int | None = None, last: SealedHead | None = None
) -> str:
    """Sign the journal up to its head, keep a copy in the database, and return the line to keep elsewhere.

    number: sign it as it stood after that entry instead. The tree's stored nodes are brought up to there.
    last: the last seal outside the database; nothing is signed that does not go on from it. Raises
    SealNotContinued, TreeIncomplete, NotFound; the unit of work must not be committed then.
    """
    head = await audit_store.head(uow)
    size = head["entry_number"] if number is None else number
    hash_ = head["hash"] if size == head["entry_number"] else await audit_store.hash_at(uow, size)
    await tree.extend(uow, size)
    grown = tree.Tree(uow, size)
    root = await grown.root()
    if last is not None and not await _goes_on(uow, last, grown, root):
        raise SealNotContinued
    seal = seal_form.sign(
        key,
        community_id=uow.community_id,
        entry_number=size,
        hash_=hash_,
        merkle_root=root,
        algorithm=head["algorithm"],
        sealed_at=uow.clock.now(),
        policies=policy_form.digest(await audit_store.policies(uow)),
    )
    checked = seal_form.checked(seal, None)
    await audit_store.insert_seal(
        uow,
        {
            "entry_number": size,
            "hash": hash_,
            "merkle_root": checked.merkle_root,
            "algorithm": head["algorithm"],
            "public_key": checked.public_key,
            "signature": bytes.fromhex(seal["signature"]),
            "sealed_at": checked.sealed_at,
            "policies": checked.policies,
        },
    )
    return json.dumps(seal)


async def _goes_on(uow: UnitOfWork, last: SealedHead, grown: tree.Tree, root: bytes) -> bool:
    """Tell whether the journal still has the sealed head, and the tree the sealed one as its beginning."""
    old = last.entry_number
    if not old:
        return (last.hash, last.merkle_root) == (chain.genesis(uow.community_id), merkle.EMPTY)
    try:
        if await audit_store.hash_at(uow, old) != last.hash:
            return False
        if old > grown.size:
            return True  # a day's end that lies before it: its nodes may not be stored yet
        proof = await grown.consistency(old)
    except (NotFound, tree.TreeIncomplete):
        return False
    return merkle.holds_consistency(old, grown.size, last.merkle_root, root, proof)


async def is_due(uow: UnitOfWork) -> bool:
    """Tell whether there are entries that no seal covers."""
    head, last = await audit_store.head(uow), await audit_store.last_seal(uow)
    return bool(head["entry_number"] > (last["entry_number"] if last else 0))


async def newest(
    uow: UnitOfWork, *, before: int | None = None, limit: int = SEALS_SHOWN_MAX
) -> list[dict[str, Any]]:
    """Return seals as they were signed, newest first. before: an entry number to go on from."""
    rows = await audit_store.newest_seals(uow, before=before, limit=max(1, min(limit, SEALS_SHOWN_MAX)))
    return [seal_form.as_written(uow.community_id, row) for row in rows]


def append_seal(path: Path, line: str) -> None:
    """Add a seal to a file, flushed to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        # A line that was cut off (a full disk, a crash) must not swallow this one.
        whole = not file.tell() or (file.seek(-1, os.SEEK_END), file.read(1))[1] == b"\n"
        file.write((b"" if whole else b"\n") + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def sent_mark(path: Path) -> Path:
    """Return where it is noted how many of a file's seals were posted away."""
    return path.with_suffix(".sent")


def sent_count(path: Path) -> int:
    """Return how many of a file's seals were posted away."""
    try:
        return int(sent_mark(path).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def last_kept(path: Path, community_id: int) -> SealedHead | None:
    """Return the community's last seal in a file that can be read, or None."""
    if not path.exists():
        return None
    for line in reversed(path.read_text(errors="replace").splitlines()):
        try:
            seal = seal_form.parsed(line, None)
        except SealUnreadable:
            continue
        if seal.community_id == community_id:
            return seal
    return None


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
    with path.open() as file:
        return [seal_form.parsed(line, public_key) for line in file if line.strip()]


def newest_kept(
    path: Path,
    community_id: int,
    public_key: bytes,
    *,
    before: int | None = None,
    limit: int = SEALS_SHOWN_MAX,
) -> list[dict[str, Any]]:
    """Return a community's seals in a file as they were signed, newest first; what is no seal by the key is
    left out. before: an entry number to go on from.
    """
    found: list[dict[str, Any]] = []
    bound = seal_form.NUMBER_MAX + 1 if before is None else before
    for line in reversed(path.read_text(errors="replace").splitlines()):
        try:
            seal = seal_form.parsed(line, public_key)
        except SealUnreadable:
            continue
        if seal.community_id == community_id and seal.entry_number < bound:
            found.append(json.loads(line))
            bound = seal.entry_number
        if len(found) >= min(limit, SEALS_SHOWN_MAX):
            break
    return found


def printed(line: str, name: str) -> str:
    """Return a seal for a sheet of paper: hex in groups of four, to be read aloud and compared.

    name: the community's code.
    """
    seal = json.loads(line)
    return "\n".join(
        (
            f"{name}  entry {seal['entry_number']}  {seal['sealed_at']}",
            *_grouped("root", seal["merkle_root"]),
            *_grouped("head", seal["hash"]),
            *_grouped("key", seal["public_key"]),
        )
    )


def _grouped(label: str, text: str) -> list[str]:
    groups = [text[at : at + 4] for at in range(0, len(text), 4)]
    lines = [" ".join(groups[at : at + 8]) for at in range(0, len(groups), 8)]
    return [f"  {label if at == 0 else '':<5}{line}" for at, line in enumerate(lines)]
