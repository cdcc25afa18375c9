"""Lines of the journal checked many at a time: leaves, chain, numbers, balances, histories, Merkle tiles.

The bytes that each leaf is the hash of (:mod:`pointsbank.domain.chain`) are put together here from the stored
columns, so what is hashed and what is added up are the same numbers. Hashing is hashlib's; the rest is done
for thousands of lines at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from pointsbank.domain import chain, merkle
from services.ledger.proof.faults import Fault, Finding, Findings
from services.ledger.proof.journal_store import COLUMNS

TILE = 256
"""Entries under one stored node of the tree's first level; nodes of a level under one of the next."""

TILE_HEIGHT = 8

PLACE_BITS = 24
"""Bits for a posting's place among those checked together."""

Array = npt.NDArray[Any]


def _wire_form() -> np.dtype[Any]:
    """One row of the stream: the number of columns, then each one's length and bytes, big-endian."""
    fields: list[tuple[str, str]] = [("columns", ">i2")]
    for name, _, form in COLUMNS:
        fields += [(f"{name}_length", ">i4"), (name, form)]
    return np.dtype(fields)


ROW = _wire_form()
SIGNATURE = b"PGCOPY\n\xff\r\n\x00"
HEADER_BYTES = len(SIGNATURE) + 8
LENGTHS = [(name, ROW[name].itemsize) for name, _, _ in COLUMNS]


@dataclass(frozen=True, slots=True)
class Ground:
    """What all ranges of one verification share.

    ids: each account's id as 16 bytes, by its number. kinds: words by the hash that stands for them.
    floors: by an account's number, the lowest balance that its kind may have; commodities: a number for each.
    """

    community_id: int
    ids: Array
    kinds: dict[int, str]
    floors: Array
    commodities: Array


@dataclass(slots=True, weakref_slot=True)
class RangeResult:
    """What a range of entries came to, small enough to send home.

    accounts: numbers of the accounts that were touched; opening, total, touched, before and latest hold each
    one's balance before the range, the sum of its postings in it, the entry that touched it first, the one
    that this tells to have come before it, and the entry that touched it last. tiles: the roots of the whole
    tiles, 32 bytes each; rest: the root over what is left. sealed: for each size asked after, the chain's
    hash and the root over the entries of its last, unfinished tile (None: it is whole).
    """

    first: int
    lines: int = 0
    findings: list[Finding] = field(default_factory=list)
    omitted: int = 0
    last: tuple[int, int] = (0, 0)
    hash: bytes = b""
    accounts: Array = field(default_factory=lambda: np.empty(0, "i8"))
    opening: Array = field(default_factory=lambda: np.empty(0, "i8"))
    total: Array = field(default_factory=lambda: np.empty(0, "i8"))
    touched: Array = field(default_factory=lambda: np.empty(0, "i8"))
    before: Array = field(default_factory=lambda: np.empty(0, "i8"))
    latest: Array = field(default_factory=lambda: np.empty(0, "i8"))
    tiles: bytes = b""
    rest: bytes | None = None
    sealed: dict[int, tuple[bytes, bytes | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Postings:
    """Both sides of lines, by account and then in order: a group for each account.

    order: each one's place among the sides of the lines, credit first. number: its entry. begins: whether it
    is the first of its group; starts: the places of those, ids: their accounts, fresh: whether the range has
    not touched those before.
    """

    order: Array
    number: Array
    begins: Array
    starts: Array
    ids: Array
    fresh: Array

    def of(self, credit: Array, debit: Array) -> Array:
        """Return what the lines say of either side, by posting."""
        return np.stack((credit, debit), axis=1).ravel().astype("i8", copy=False)[self.order]


class RangeCheck:
    """Checks entries first to last, fed with the stream of their lines; ``first`` begins a tile."""

    def __init__(self, ground: Ground, first: int, before: tuple[int, int, bytes], sizes: list[int]) -> None:
        """before: number, line and hash of the line that the first one follows (0, 0, genesis at the start).

        sizes: of the tree, in this range, at which a seal is to be compared.
        """
        self._ground = ground
        self._findings = Findings()
        self._result = RangeResult(first)
        self._at = before
        self._sizes = sorted(sizes)
        self._loose: list[bytes] = []  # leaf hashes of the tile that is not whole yet
        self._tiles: list[bytes] = []
        self._balance = np.zeros(len(ground.ids), "i8")
        self._opening = np.zeros(len(ground.ids), "i8")
        self._total = np.zeros(len(ground.ids), "i8")
        self._first = np.zeros(len(ground.ids), "i8")
        self._before = np.zeros(len(ground.ids), "i8")
        self._latest = np.zeros(len(ground.ids), "i8")

    def take(self, rows: Array) -> None:
        """Check the next lines (``ROW``), whole entries."""
        if not len(rows):
            return
        self._result.lines += len(rows)
        numbers, lines = rows["number"].astype("i8"), rows["line"].astype("i8")
        self._check_numbers(numbers, lines)
        stored = rows["hash"].tobytes()
        self._check_chain(rows, numbers, stored)
        self._check_accounts(rows, numbers)
        self._check_rules(rows, numbers)
        ends = np.flatnonzero(np.append(numbers[1:] != numbers[:-1], True))
        self._grow_tree(numbers[ends], np.frombuffer(stored, "V32")[ends].tobytes())
        self._at = (int(numbers[-1]), int(lines[-1]), stored[-32:])

    def broken_frame(self, number: int) -> None:
        """Tell that a line of entry ``number`` has a column of a length that none can have."""
        self._findings.add(Fault.ENTRY_ALTERED, f"entry {number}")

    def result(self) -> RangeResult:
        """Return what the range came to."""
        result = self._result
        touched = np.flatnonzero(self._first)
        result.accounts = touched
        result.opening, result.total = self._opening[touched], self._total[touched]
        result.touched = self._first[touched]
        result.before, result.latest = self._before[touched], self._latest[touched]
        result.tiles = b"".join(self._tiles)
        result.rest = merkle.root(self._loose) if self._loose else None
        result.findings, result.omitted = self._findings.told, self._findings.omitted
        result.last, result.hash = self._at[:2], self._at[2]
        return result

    def _check_numbers(self, numbers: Array, lines: Array) -> None:
        before = np.concatenate(([self._at[0]], numbers[:-1]))
        before_line = np.concatenate(([self._at[1]], lines[:-1]))
        step = numbers - before
        follows = ((step == 0) & (lines - before_line == 1)) | ((step == 1) & (lines == 1))
        for at in np.flatnonzero(~follows):
            gap = before[at] + 1 if step[at] > 1 else numbers[at]
            self._findings.add(Fault.ENTRY_MISSING, f"entry {gap}")

    def _check_chain(self, rows: Array, numbers: Array, stored: bytes) -> None:
        # Each line is held against the hash stored before it, so that one break is told once.
        links = np.empty((len(rows), 64), "u1")
        links[:, :32] = np.frombuffer((self._at[2] + stored)[:-32], "u1").reshape(-1, 32)
        links[:, 32:] = leaves(self._ground, rows)
        expected = _hash_rows(links.tobytes(), 64)
        if expected == stored:
            return
        differs = (
            np.frombuffer(expected, "u1").reshape(-1, 32) != np.frombuffer(stored, "u1").reshape(-1, 32)
        ).any(axis=1)
        for number in np.unique(numbers[differs]):
            self._findings.add(Fault.ENTRY_ALTERED, f"entry {number}")

    def _check_accounts(self, rows: Array, numbers: Array) -> None:
        """Follow every account, by its postings in order; each account's first one begins a group."""
        account = np.stack((rows["credit"], rows["debit"]), axis=1).ravel().astype("i8")
        account[(account < 0) | (account >= len(self._balance))] = 0  # no such account: the chain tells
        # By account, then in order: sorted as one number, which is quicker than a stable sort.
        order = np.sort((account << PLACE_BITS) | np.arange(len(account))) & ((1 << PLACE_BITS) - 1)
        account, number = account[order], np.repeat(numbers, 2)[order]
        begins = np.concatenate(([True], account[1:] != account[:-1]))
        starts = np.flatnonzero(begins)
        ids = account[starts]
        fresh = self._first[ids] == 0
        self._first[ids[fresh]] = number[starts][fresh]
        postings = _Postings(order, number, begins, starts, ids, fresh)
        self._check_balances(rows, postings)
        self._check_histories(rows, postings)

    def _check_balances(self, rows: Array, postings: _Postings) -> None:
        """Add up; what an account had before the range is what its first posting implies."""
        starts, ids, fresh = postings.starts, postings.ids, postings.fresh
        amount = rows["amount"].astype("i8")
        amount = postings.of(-amount, amount)
        after = postings.of(rows["credit_after"], rows["debit_after"])
        self._opening[ids[fresh]] = self._balance[ids[fresh]] = (after - amount)[starts][fresh]
        running = np.cumsum(amount)
        base = self._balance[ids] - (running[starts] - amount[starts])
        wrong = running + base[np.cumsum(postings.begins) - 1] != after
        if wrong.any():
            for each in np.unique(postings.number[wrong]):
                self._findings.add(Fault.RUNNING_BALANCE, f"entry {each}")
        ends = np.append(starts[1:], len(amount)) - 1
        added = running[ends] - running[starts] + amount[starts]
        self._balance[ids] += added
        self._total[ids] += added

    def _check_histories(self, rows: Array, postings: _Postings) -> None:
        """Follow every account back; what its first posting tells is for the ranges before to know."""
        number, starts, ids, fresh = postings.number, postings.starts, postings.ids, postings.fresh
        before = postings.of(rows["credit_before"], rows["debit_before"])
        self._before[ids[fresh]] = self._latest[ids[fresh]] = before[starts][fresh]
        expected = np.empty_like(before)
        # All postings of one entry tell the same: the entry before it, not each other.
        expected[1:] = np.where(number[1:] != number[:-1], number[:-1], before[:-1])
        expected[starts] = self._latest[ids]
        wrong = before != expected
        if wrong.any():
            for each in np.unique(number[wrong]):
                self._findings.add(Fault.HISTORY_BROKEN, f"entry {each}")
        self._latest[ids] = number[np.append(starts[1:], len(number)) - 1]

    def _check_rules(self, rows: Array, numbers: Array) -> None:
        """What the ledger never records: another commodity on the other side, more taken than there was."""
        credit, debit = rows["credit"].astype("i8"), rows["debit"].astype("i8")
        for account in (credit, debit):
            account[(account < 0) | (account >= len(self._balance))] = 0
        mixed = self._ground.commodities[credit] != self._ground.commodities[debit]
        for number in np.unique(numbers[mixed]):
            self._findings.add(Fault.COMMODITIES_MIXED, f"entry {number}")
        low = rows["credit_after"].astype("i8") < self._ground.floors[credit]
        told = 0
        for at in np.flatnonzero(low):
            # Only where an entry leaves the account counts, not the order of its lines.
            later = (numbers == numbers[at]) & ((credit == credit[at]) | (debit == credit[at]))
            last = np.flatnonzero(later)[-1]
            name = "credit_after" if credit[last] == credit[at] else "debit_after"
            if rows[name][last] < self._ground.floors[credit[at]] and numbers[at] != told:
                told = numbers[at]
                self._findings.add(Fault.BELOW_FLOOR, f"entry {told}")

    def _grow_tree(self, numbers: Array, hashes: bytes) -> None:
        """Hash the entries into tiles. hashes: the chain's at each entry's last line."""
        entries = len(numbers)
        prefixed = np.zeros((entries, 33), "u1")
        prefixed[:, 1:] = np.frombuffer(hashes, "u1").reshape(-1, 32)
        fresh = _hash_rows(prefixed.tobytes(), 33)
        pending = b"".join(self._loose) + fresh
        origin = int(numbers[-1]) - len(pending) // 32  # entries before the first that is pending
        for size in [each for each in self._sizes if numbers[0] <= each <= numbers[-1]]:
            at = size - int(numbers[0])
            if at < entries and numbers[at] == size:
                start = size // TILE * TILE - origin
                rest = [pending[i * 32 : i * 32 + 32] for i in range(max(start, 0), size - origin)]
                self._result.sealed[size] = (
                    hashes[at * 32 : at * 32 + 32],
                    merkle.root(rest) if rest else None,
                )
        whole = len(pending) // 32 // TILE * TILE
        if whole:
            self._tiles.append(tile_roots(pending[: whole * 32]))
        self._loose = [pending[i * 32 : i * 32 + 32] for i in range(whole, len(pending) // 32)]


def tile_roots(hashes: bytes) -> bytes:
    """Return the roots over each 256 hashes (32 bytes each, a whole number of tiles), joined."""
    for _ in range(TILE_HEIGHT):
        pairs = len(hashes) // 64
        nodes = np.ones((pairs, 65), "u1")
        nodes[:, 1:] = np.frombuffer(hashes, "u1").reshape(pairs, 64)
        hashes = _hash_rows(nodes.tobytes(), 65)
    return hashes


def leaves(ground: Ground, rows: Array) -> Array:
    """Return the leaf of each line, as (lines, 32) bytes."""
    result = np.zeros((len(rows), 32), "u1")
    shape = _shapes(ground, rows)
    shapes = np.unique(shape).tolist()
    for each in shapes:
        one = rows[shape.tolist().index(each)]
        words = ground.kinds.get(int(one["kind"]), ""), ground.kinds.get(int(one["source_kind"]), "")
        chosen = rows if len(shapes) == 1 else rows[shape == each]
        no_reverses, no_expires = one["reverses_none"], one["expires_none"]
        form, template = _preimage(ground.community_id, words, not no_reverses, not no_expires)
        buffer = bytearray(template * len(chosen))
        preimages = np.frombuffer(buffer, form)
        for name in form.names or ():
            if name in ("debit", "credit"):
                account = chosen[name].astype("i8")
                account[(account < 0) | (account >= len(ground.ids))] = 0
                preimages[name] = ground.ids[account]
            elif not name.startswith("_"):
                preimages[name] = chosen[name]
        hashed = np.frombuffer(_hash_rows(bytes(buffer), form.itemsize), "u1").reshape(-1, 32)
        if len(shapes) == 1:
            return hashed
        result[shape == each] = hashed
    return result


def _shapes(ground: Ground, rows: Array) -> Array:
    """Return a small number for each line, the same for lines whose leaves lie alike."""
    known = np.array(sorted(ground.kinds), "i8")
    places = [np.searchsorted(known, rows[name].astype("i8")) for name in ("kind", "source_kind")]
    shape = places[0] * (len(known) + 1) + places[1]
    shape = shape * 4 + rows["reverses_none"] * 2 + rows["expires_none"]
    return np.asarray(shape, "i2")


def _preimage(
    community_id: int, words: tuple[str, str], reverses: bool, expires: bool
) -> tuple[np.dtype[Any], bytes]:
    """Return how a leaf's bytes lie for lines of one shape, and those bytes with the columns empty."""
    fixed = {
        "_format": chain.FORMAT.to_bytes(2),
        "_community": community_id.to_bytes(4, signed=True),
        "_kind": words[0].encode(),
        "_source_kind": words[1].encode(),
    }
    columns: list[tuple[str, int, str | None]] = [
        ("_format", chain.INT2, "V2"),
        ("_community", chain.INT4, "V4"),
        ("number", chain.INT8, ">i8"),
        ("line", chain.INT2, ">i2"),
        ("id", chain.UUID_, "V16"),
        ("_kind", chain.TEXT, f"V{len(fixed['_kind'])}"),
        ("_source_kind", chain.TEXT, f"V{len(fixed['_source_kind'])}"),
        ("source_id", chain.UUID_, "V16"),
        ("actor_ref", chain.UUID_, "V16"),
        ("subject_ref", chain.UUID_, "V16"),
        ("policy_version", chain.INT4, ">i4"),
        ("occurred_at", chain.TIMESTAMPTZ, ">i8"),
        ("recorded_at", chain.TIMESTAMPTZ, ">i8"),
        ("reverses", chain.INT8, ">i8" if reverses else None),
        ("debit", chain.UUID_, "V16"),
        ("credit", chain.UUID_, "V16"),
        ("amount", chain.INT8, ">i8"),
        ("debit_after", chain.INT8, ">i8"),
        ("credit_after", chain.INT8, ">i8"),
        ("expires_on", chain.DATE, ">i4" if expires else None),
    ]
    form: list[tuple[str, str]] = [("_count", "V4")]
    template = len(columns).to_bytes(4)
    for name, kind, type_ in columns:
        form.append((f"_head_{name}", "V8"))
        size = -1 if type_ is None else np.dtype(type_).itemsize
        template += kind.to_bytes(4) + size.to_bytes(4, signed=True)
        if type_ is not None:
            form.append((name, type_))
            template += fixed.get(name, bytes(size))
    return np.dtype(form), template


def _hash_rows(buffer: bytes, width: int) -> bytes:
    """Return SHA-256 of each ``width`` bytes, joined."""
    return b"".join([sha256(buffer[at : at + width]).digest() for at in range(0, len(buffer), width)])
