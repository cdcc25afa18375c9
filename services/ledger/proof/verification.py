"""Does the journal still say what it said? Recomputed from the rows, trusting none of them.

The leaf of every line is hashed again from its columns and the chain built anew from the first
(:mod:`pointsbank.domain.chain`); numbers must follow one another, balances must follow from the lines, and so
must what each line tells of the entry before it, by which the history of an account is read. The Merkle tree
must have the stored nodes, and every seal must still be met: the database's copy and those kept elsewhere.
The hashing is done outside the database, in ranges of entries that several processes take at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointsbank.domain import chain, merkle
from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.database import UnitOfWork
from services.ledger.batch import account_id
from services.ledger.proof import audit_store, journal_store
from services.ledger.proof.faults import Fault, Finding, Findings
from services.ledger.proof.known_seals import known_seals
from services.ledger.proof.range_processes import check_in_processes
from services.ledger.proof.range_reading import Span, check_here
from services.ledger.proof.ranges import TILE, TILE_HEIGHT, Array, RangeResult
from services.ledger.proof.seal_form import SealedHead

__all__ = ["Fault", "Finding", "Processes", "SealedHead", "Verification", "verify", "verify_recent"]

RANGE_ENTRIES_MAX = TILE * TILE
RANGE_ENTRIES_MIN = 16 * TILE
RANGES_PER_PROCESS = 8
"""So many at least, where there is enough to do, that no process waits long for the last one of another."""


ALONE_MAX = 50_000
"""So many entries are done here before another process would have started."""

RECENT_ENTRIES = 20_000
"""So many of the newest entries can be recomputed while somebody waits: a fraction of a second."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes beside this one, each with a connection of its own. url: as the application's role."""

    url: str
    count: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification covered and found. ``findings`` is by entry: the first is where it broke.

    since: the first entry that was recomputed; from 2 on, what came before it was taken as it stands, and
    only the accounts that were touched since were compared. seals: how many heads were compared, of which
    seals_kept were outside the database and seals_stored in it. omitted: findings beyond those told.
    merkle_root: over all entries; None where the tree could not be made.
    """

    entries: int
    lines: int
    accounts: int
    seals: int
    since: int
    head_hash: bytes
    merkle_root: bytes | None
    findings: tuple[Finding, ...]
    omitted: int = 0
    seals_kept: int = 0
    seals_stored: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


async def verify(
    uow: UnitOfWork,
    *,
    seals: Sequence[SealedHead] | None = None,
    since: int = 1,
    public_key: bytes | None = None,
    sent: int = 0,
    processes: Processes | None = None,
    range_entries: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Recompute a community's journal, streaming. Give it a snapshot unit of work.

    seals: heads kept outside the database; this community's must all still be in the chain. since: the
    entry to begin with (rounded down to where a tile of the tree begins). public_key: the one that
    all seals must be signed by; without it, the one each names. sent: how many of the ``seals`` were once
    counted as sent away; there cannot be fewer now. processes: none: everything here.
    range_entries: a multiple of 256; None: as fits. progress: called with (entries done, entries in all).
    Memory grows with accounts, not with entries. Raises InvalidValue.
    """
    if since < 1:
        raise InvalidValue(field="since", rule="above_zero")
    head = await audit_store.head(uow)
    start = (min(since, head["entry_number"] + 1) - 1) // TILE * TILE
    findings = Findings()
    known = await known_seals(
        uow, seals or (), sent=sent, public_key=public_key, start=start, findings=findings
    )
    end = max(head["entry_number"], await audit_store.last_number(uow))
    sizes = sorted({seal.entry_number for seal in known.to_meet})
    if range_entries is None:
        processes = processes if end - start > ALONE_MAX else None
        range_entries = _range_entries(end - start, processes)
    spans = [
        Span(
            first + 1,
            min(first + range_entries, end),
            tuple(size for size in sizes if first < size <= first + range_entries),
        )
        for first in range(start, end, range_entries)
    ]
    account = _Accounts(await audit_store.account_rows(uow), start=start)
    tree = await _Tree.from_(uow, start, sizes[-1] if sizes else 0)
    last = await _before(uow, start)
    lines, met = 0, dict[int, tuple[bytes, bytes | None]]()
    async with aclosing(_results(uow, spans, processes)) as results:
        async for result in results:
            findings.extend(result.findings, result.omitted)
            account.add(result, findings)
            met |= await tree.add(result, findings)
            lines += result.lines
            if result.lines:
                last = (result.last[0], result.hash)
            if progress:
                progress(last[0], head["entry_number"])
    if (head["entry_number"], head["hash"]) != last:
        findings.add(Fault.HEAD_MISMATCH, f"entry {last[0]}")
    known.meet(met, tree_broken=tree.broken, findings=findings)
    account.compare(uow.community_id, findings)
    await _compare_holds(uow, account, findings)
    return Verification(
        entries=last[0],
        lines=lines,
        accounts=account.compared,
        seals=len(known.to_meet),
        since=start + 1,
        head_hash=last[1],
        merkle_root=None if tree.broken else tree.root(),
        findings=findings.in_order(),
        omitted=findings.omitted,
        seals_kept=known.kept,
        seals_stored=known.stored,
    )


async def verify_recent(uow: UnitOfWork, *, public_key: bytes | None = None) -> Verification:
    """Recompute the newest ``RECENT_ENTRIES`` entries (or all there are), in a snapshot unit of work."""
    head = await audit_store.head(uow)
    return await verify(uow, since=max(1, head["entry_number"] - RECENT_ENTRIES + 1), public_key=public_key)


def _range_entries(entries: int, processes: Processes | None) -> int:
    share = entries // (RANGES_PER_PROCESS * (processes.count if processes else 1))
    return min(RANGE_ENTRIES_MAX, max(RANGE_ENTRIES_MIN, share // TILE * TILE))


async def _before(uow: UnitOfWork, start: int) -> tuple[int, bytes]:
    line = await journal_store.line_before(await uow.connection(), uow.community_id, start + 1)
    return (line[0], line[2]) if line else (0, chain.genesis(uow.community_id))


async def _results(
    uow: UnitOfWork, spans: list[Span], processes: Processes | None
) -> AsyncGenerator[RangeResult, None]:
    if processes is None or len(spans) < 2:
        results = check_here(await uow.connection(), uow.community_id, spans)
    else:
        snapshot = await journal_store.export_snapshot(uow)
        results = check_in_processes(processes.url, uow.community_id, snapshot, spans, processes.count)
    async with aclosing(results) as each:
        async for result in each:
            yield result


class _Accounts:
    """Balances and histories followed from range to range. Arrays by account number."""

    def __init__(self, rows: list[dict[str, Any]], *, start: int) -> None:
        """start: the entries before the first range; what they say is not known, unless there are none."""
        self._rows = rows
        self._start = start
        size = max((row["number"] for row in rows), default=0) + 1
        self._claimed = np.zeros(size, "i8")  # what the lines say
        self._summed = np.zeros(size, "i8")  # what they add up to
        self._latest = np.zeros(size, "i8")  # the entry that touched each last
        self._known = np.full(size, start == 0)

    @property
    def compared(self) -> int:
        """How many accounts' balances were recomputed."""
        return int(self._known[[row["number"] for row in self._rows]].sum())

    def add(self, result: RangeResult, findings: Findings) -> None:
        """Join a range to those before it: what it implies of them must be what they came to."""
        inside = result.accounts < len(self._known)
        ids, opening = result.accounts[inside], result.opening[inside]
        total, touched, before = result.total[inside], result.touched[inside], result.before[inside]
        unknown = ~self._known[ids]
        new = ids[unknown]
        self._claimed[new] = self._summed[new] = opening[unknown]
        self._known[new] = True
        wrong = self._claimed[ids] != opening
        for number in np.unique(touched[wrong]):
            findings.add(Fault.RUNNING_BALANCE, f"entry {number}")
        follows = np.where(unknown, self._may_begin(before, opening), self._latest[ids] == before)
        for number in np.unique(touched[~follows]):
            findings.add(Fault.HISTORY_BROKEN, f"entry {number}")
        self._claimed[ids] = opening + total
        self._summed[ids] += total
        self._latest[ids] = result.latest[inside]

    def _may_begin(self, last: Array, balance: Array) -> Array:
        """Tell whether ``last`` can be the last entry, before the start, of who then had ``balance``."""
        return np.asarray((last >= 0) & (last <= self._start) & ((last > 0) | (balance == 0)))

    def compare(self, community_id: int, findings: Findings) -> None:
        """Hold the sums against the stored balances, and the accounts against their ids."""
        for row in self._rows:
            number = row["number"]
            if self._known[number] and row["balance"] != self._summed[number]:
                findings.add(Fault.BALANCE_MISMATCH, f"account {row['id']}")
        for row in self._ending_elsewhere():
            findings.add(Fault.HISTORY_BROKEN, f"account {row['id']}")
        for row in self._rows:
            # Not kept as posting keeps them: a look at every account would drop those in use.
            if account_id.__wrapped__(community_id, row["code"]) != row["id"]:
                findings.add(Fault.ACCOUNT_ALTERED, f"account {row['id']}")

    def _ending_elsewhere(self) -> list[dict[str, Any]]:
        """Return the accounts whose last entry is another one than is stored with their balance."""
        number, last, balance = (
            np.array([row[name] for row in self._rows], "i8") for name in ("number", "last_number", "balance")
        )
        ends = np.where(self._known[number], last == self._latest[number], self._may_begin(last, balance))
        return [self._rows[place] for place in np.flatnonzero(~ends)]

    def stored(self) -> list[dict[str, Any]]:
        """Return the accounts as they are stored."""
        return self._rows


class _Tree:
    """The Merkle tree as the ranges' tiles build it, held against the stored nodes."""

    def __init__(self, uow: UnitOfWork, sealed: int) -> None:
        self._uow = uow
        self._sealed = sealed  # the last sealed size: up to it every whole tile is stored
        self._edge = merkle.Frontier()
        self._rest: bytes | None = None
        self._pending: list[list[bytes]] = []  # by level: nodes whose parent is not whole yet
        self._place: list[int] = []
        self.broken = False

    @classmethod
    async def from_(cls, uow: UnitOfWork, start: int, sealed: int) -> _Tree:
        """Return the tree of the first ``start`` entries, from the stored nodes."""
        tree = cls(uow, sealed)
        connection = await uow.connection()
        level, size = 1, start // TILE
        while size:
            first = size // TILE * TILE
            stored = await journal_store.nodes(connection, uow.community_id, level, first, size)
            tree._pending.append([stored.get(place, b"") for place in range(first, size)])
            tree._place.append(size)
            tree.broken |= len(stored) < size - first
            level, size = level + 1, size // TILE
        for height, nodes in reversed(list(enumerate(tree._pending, start=1))):
            for node in nodes:
                tree._edge.add(node, height * TILE_HEIGHT)
        return tree

    def root(self) -> bytes:
        """Return the root over everything that was added."""
        return self._edge.root(self._rest)

    async def add(self, result: RangeResult, findings: Findings) -> dict[int, tuple[bytes, bytes | None]]:
        """Grow by a range; return (chain's hash, root) at the sizes it was asked after."""
        if any(finding.fault is Fault.ENTRY_MISSING for finding in result.findings):
            self.broken = True  # nothing stands in its place any more
        if self.broken:
            return {size: (hash_, None) for size, (hash_, _) in result.sealed.items()}
        met: dict[int, tuple[bytes, bytes | None]] = {}
        sizes = sorted(result.sealed)
        place = (result.first - 1) // TILE
        connection = await self._uow.connection()
        tiles = [result.tiles[at : at + 32] for at in range(0, len(result.tiles), 32)]
        stored = await journal_store.nodes(connection, self._uow.community_id, 1, place, place + len(tiles))
        for at, tile in enumerate(tiles):
            met |= self._meet(sizes, (place + at) * TILE, result)
            await self._push(1, tile, stored.get(place + at), findings)
        met |= self._meet(sizes, (place + len(tiles)) * TILE, result)
        self._rest = result.rest
        return met

    def _meet(
        self, sizes: list[int], whole: int, result: RangeResult
    ) -> dict[int, tuple[bytes, bytes | None]]:
        """Return the roots at the sizes that end in the tile behind ``whole`` entries."""
        met: dict[int, tuple[bytes, bytes | None]] = {}
        while sizes and sizes[0] < whole + TILE:
            size = sizes[0]
            if size % TILE == 0 and size != whole:
                break
            hash_, rest = result.sealed[sizes.pop(0)]
            met[size] = (hash_, self._edge.root(rest))
        return met

    async def _push(self, level: int, node: bytes, stored: bytes | None, findings: Findings) -> None:
        while len(self._pending) < level:
            self._pending.append([])
            self._place.append(0)
        place = self._place[level - 1]
        if stored != node and (stored is not None or place + 1 <= self._sealed >> level * TILE_HEIGHT):
            findings.add(Fault.MERKLE_MISMATCH, f"node {level}/{place}")
        self._place[level - 1] += 1
        if level == 1:
            self._edge.add(node, TILE_HEIGHT)
        pending = self._pending[level - 1]
        pending.append(node)
        if len(pending) == TILE:
            parent = merkle.root(pending)
            pending.clear()
            above = self._place[level] if len(self._place) > level else 0
            nodes = await journal_store.nodes(
                await self._uow.connection(), self._uow.community_id, level + 1, above, above + 1
            )
            await self._push(level + 1, parent, nodes.get(above), findings)


async def _compare_holds(uow: UnitOfWork, accounts: _Accounts, findings: Findings) -> None:
    """Compare every member's open holds with their held balance."""
    open_holds = await audit_store.open_holds(uow)
    members = set()
    for row in accounts.stored():
        if row["code"].kind != "member_held":
            continue
        members.add(row["code"].owner)
        if row["balance"] != open_holds.get(row["code"].owner, 0):
            findings.add(Fault.HOLD_MISMATCH, f"account {row['id']}")
    for member in sorted(open_holds.keys() - members):
        findings.add(Fault.HOLD_MISMATCH, f"member {member}")
