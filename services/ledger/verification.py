"""Does the journal still say what it said? Recomputed from the rows, trusting none of them.

Every entry's leaf is SHA-256 over all its columns and postings, each length-prefixed (4 bytes, big-endian);
a block's hash is SHA-256 over the previous block's hash and its leaves in order; the first block builds on
SHA-256 of ``pointsbank:<community>``. The same bytes are hashed in ``bank.apply_entries``.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pointsbank.platform.database import UnitOfWork
from services.ledger import audit_store

ENTRIES_PER_READ = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Fault(StrEnum):
    """What kind of tampering or damage an entry, block, account or seal shows."""

    ENTRY_ALTERED = "entry_altered"  # its columns or postings no longer give its leaf hash
    ENTRY_MISSING = "entry_missing"  # the numbers have a gap
    UNBALANCED = "unbalanced"  # its postings do not sum to zero in a commodity
    RUNNING_BALANCE = "running_balance"  # a posting's balance_after does not follow from the one before
    BLOCK_BROKEN = "block_broken"  # a block does not follow from the one before
    HEAD_MISMATCH = "head_mismatch"  # the head is not the last block: the end was cut off or added
    BALANCE_MISMATCH = "balance_mismatch"  # an account's balance is not the sum of its postings
    HOLD_MISMATCH = "hold_mismatch"  # what a member's open holds add up to is not what is held
    SEAL_MISMATCH = "seal_mismatch"  # a sealed head is not (or no longer) in the chain


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault and where: an entry or block number, or an account's id."""

    fault: Fault
    where: str


@dataclass(frozen=True, slots=True)
class SealedHead:
    """A head as it left the machine."""

    community_id: int
    entry_number: int
    block_number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification covered and found. ``findings`` is in order; the first is where it broke."""

    entries: int
    blocks: int
    accounts: int
    head_hash: bytes
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def genesis(community_id: int) -> bytes:
    """Return the hash that a community's first block builds on."""
    return hashlib.sha256(f"pointsbank:{community_id}".encode()).digest()


def leaf_hash(community_id: int, entry: dict[str, Any], postings: list[dict[str, Any]]) -> bytes:
    """Return the leaf of an entry row with its posting rows (in order of line)."""
    digest = hashlib.sha256()
    for part in (
        b"pointsbank-entry-1",
        _int4(community_id),
        _int8(entry["number"]),
        entry["id"].bytes,
        _int8(entry["block_number"]),
        entry["kind"].encode(),
        entry["source_kind"].encode(),
        entry["source_id"].bytes,
        entry["actor_ref"].bytes,
        entry["subject_ref"].bytes,
        _int4(entry["policy_version"]),
        _int8(_micros(entry["occurred_at"])),
        _int8(_micros(entry["recorded_at"])),
        entry["key"].encode(),
        entry["fingerprint"],
        b"" if entry["reverses"] is None else _int8(entry["reverses"]),
    ):
        digest.update(_int4(len(part)) + part)
    for posting in postings:
        for part in (
            _int4(posting["line"]),
            posting["account_id"].bytes,
            posting["commodity"].encode(),
            _int8(posting["amount"]),
            _int8(posting["balance_after"]),
        ):
            digest.update(_int4(len(part)) + part)
    return digest.digest()


async def verify(
    uow: UnitOfWork,
    *,
    seals: list[SealedHead] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Recompute a community's whole journal, streaming. Give it a snapshot unit of work.

    seals: heads kept outside the database; this community's must all still be in the chain. progress:
    called with (entries done, entries in all). Memory grows with accounts, not with entries.
    """
    head = await audit_store.head(uow)
    findings: list[Finding] = []
    sums: dict[UUID, int] = defaultdict(int)
    chain = _Chain(genesis(uow.community_id))
    number = 0
    sealed = {seal.block_number: seal for seal in seals or [] if seal.community_id == uow.community_id}
    met: set[int] = set()
    async for blocks, rows, postings in audit_store.read_journal(uow, ENTRIES_PER_READ):
        leaves: dict[int, list[bytes]] = defaultdict(list)
        for row in rows:
            number += 1
            if row["number"] != number:
                findings.append(Finding(Fault.ENTRY_MISSING, f"entry {number}"))
                number = row["number"]
            legs = postings.get(number, [])
            leaf = leaf_hash(uow.community_id, row, legs)
            if leaf != row["leaf_hash"]:
                findings.append(Finding(Fault.ENTRY_ALTERED, f"entry {number}"))
            leaves[row["block_number"]].append(leaf)
            findings.extend(_follow(number, legs, sums))
        for block in blocks:
            findings.extend(chain.extend(block, leaves[block["number"]]))
            if (seal := sealed.get(block["number"])) is not None:
                met.add(block["number"])
                if seal.hash != chain.hash or seal.entry_number != block["last_entry"]:
                    findings.append(Finding(Fault.SEAL_MISMATCH, f"block {block['number']}"))
        if progress:
            progress(number, head["entry_number"])
    if (head["entry_number"], head["block_number"], head["hash"]) != (number, chain.number, chain.hash):
        findings.append(Finding(Fault.HEAD_MISMATCH, f"entry {number}"))
    findings.extend(
        Finding(Fault.SEAL_MISMATCH, f"block {block}") for block in sorted(sealed.keys() - met) if block
    )
    balances = await audit_store.balances(uow)
    findings.extend(
        Finding(Fault.BALANCE_MISMATCH, f"account {account}")
        for account in sorted(balances.keys() | sums.keys())
        if balances.get(account, 0) != sums.get(account, 0)
    )
    findings.extend(await _held(uow, balances))
    return Verification(number, chain.number, len(balances), chain.hash, tuple(findings))


async def _held(uow: UnitOfWork, balances: dict[UUID, int]) -> list[Finding]:
    """Compare every member's open holds with their held balance."""
    open_holds = await audit_store.open_holds(uow)
    accounts = await audit_store.held_accounts(uow)
    return [
        Finding(Fault.HOLD_MISMATCH, f"account {account}")
        for account, member in sorted(accounts.items())
        if balances.get(account, 0) != open_holds.get(member, 0)
    ] + [
        Finding(Fault.HOLD_MISMATCH, f"member {member}")
        for member in sorted(open_holds.keys() - set(accounts.values()))
    ]


class _Chain:
    """The chain as recomputed so far."""

    def __init__(self, start: bytes) -> None:
        self.number = 0
        self.hash = start
        self.last_entry = 0

    def extend(self, block: dict[str, Any], leaves: list[bytes]) -> list[Finding]:
        """Add a block by its recomputed leaves; say if the stored row claims otherwise."""
        expected = hashlib.sha256(self.hash + b"".join(leaves)).digest()
        follows = (
            block["number"] == self.number + 1
            and block["first_entry"] == self.last_entry + 1
            and block["last_entry"] == self.last_entry + len(leaves)
            and block["previous_hash"] == self.hash
            and block["hash"] == expected
        )
        # Go on from what the row claims, so that one break is told once and not for ever after.
        self.number, self.hash, self.last_entry = block["number"], block["hash"], block["last_entry"]
        return [] if follows else [Finding(Fault.BLOCK_BROKEN, f"block {block['number']}")]


def _follow(number: int, legs: list[dict[str, Any]], sums: dict[UUID, int]) -> list[Finding]:
    """Check one entry's postings against the balances before it, and carry those on."""
    findings = []
    totals: dict[str, int] = defaultdict(int)
    for leg in legs:
        totals[leg["commodity"]] += leg["amount"]
        sums[leg["account_id"]] += leg["amount"]
        if leg["balance_after"] != sums[leg["account_id"]]:
            findings.append(Finding(Fault.RUNNING_BALANCE, f"entry {number}"))
    if not legs or any(totals.values()):
        findings.append(Finding(Fault.UNBALANCED, f"entry {number}"))
    return findings


def _int4(value: int) -> bytes:
    return value.to_bytes(4, "big", signed=True)


def _int8(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def _micros(at: datetime) -> int:
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
