"""Reading a range of the journal and checking it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointsbank.domain import chain
from pointsbank.domain.accounts import AccountKind, Commodity, floor_of
from services.ledger.proof import journal_store
from services.ledger.proof.ranges import (
    HEADER_BYTES,
    LENGTHS,
    ROW,
    SIGNATURE,
    Ground,
    RangeCheck,
    RangeResult,
)

LINES_AT_ONCE = 4_096
"""Lines that are checked together: enough for numpy, few enough for a processor's cache."""

TRAILER_BYTES = 2


@dataclass(frozen=True, slots=True)
class Span:
    """Entries first to last; sizes: of the tree, within them, at which seals are compared."""

    first: int
    last: int
    sizes: tuple[int, ...] = ()


class Stream:
    """Cuts COPY's bytes into whole entries, and hands those to a check."""

    def __init__(self, check: RangeCheck) -> None:
        self._check = check
        self._bytes = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._begun = False
        self.broken = False

    async def take(self, data: bytes) -> None:
        """Take the next bytes."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= LINES_AT_ONCE * ROW.itemsize:
            self._check_whole(leave=True)

    def end(self) -> None:
        """Check what is left."""
        self._check_whole(leave=False)

    def _check_whole(self, *, leave: bool) -> None:
        self._bytes = b"".join((self._bytes, *self._pieces))
        self._pieces, self._size = [], 0
        if self.broken:
            return
        if not self._begun:
            if not self._bytes.startswith(SIGNATURE):
                raise ValueError("the stream is not COPY's")
            self._bytes = self._bytes[HEADER_BYTES:]
            self._begun = True
        count = (len(self._bytes) - (0 if leave else TRAILER_BYTES)) // ROW.itemsize
        rows = np.frombuffer(self._bytes, ROW, count)
        framed = rows["columns"] == len(LENGTHS)
        for name, length in LENGTHS:
            framed &= rows[f"{name}_length"] == length
        if not framed.all() or (not leave and len(self._bytes) != count * ROW.itemsize + TRAILER_BYTES):
            at = int(np.argmin(framed)) if len(rows) and not framed.all() else len(rows) - 1
            self._check.broken_frame(int(rows["number"][max(at, 0)]) if len(rows) else 0)
            self.broken = True
            return
        if leave and count:
            # The last entry may have more lines to come.
            count = int(np.searchsorted(rows["number"].astype("i8"), rows["number"][-1]))
        self._check.take(rows[:count])
        self._bytes = self._bytes[count * ROW.itemsize :]


async def ground_of(connection: Any, community_id: int) -> Ground:
    """Return what every range of a community's verification shares."""
    accounts = await journal_store.accounts(connection, community_id)
    size = accounts[-1][0] + 1 if accounts else 1
    ids, floors, commodities = np.zeros(size, "V16"), np.zeros(size, "i8"), np.full(size, -1, "i1")
    if accounts:
        numbers = [account[0] for account in accounts]
        ids[numbers] = np.frombuffer(b"".join([account[1].bytes for account in accounts]), "V16")
        floors[numbers] = [floor_of(AccountKind(account[2])) for account in accounts]
        words = list(Commodity)
        commodities[numbers] = [words.index(Commodity(account[3])) for account in accounts]
    return Ground(community_id, ids, dict(await journal_store.kinds(connection)), floors, commodities)


async def check_range(connection: Any, ground: Ground, span: Span) -> RangeResult:
    """Read and check one range; it begins where the line before it left the chain."""
    before = await journal_store.line_before(connection, ground.community_id, span.first)
    check = RangeCheck(
        ground, span.first, before or (0, 0, chain.genesis(ground.community_id)), list(span.sizes)
    )
    stream = Stream(check)
    await journal_store.copy_lines(connection, ground.community_id, span.first, span.last, stream.take)
    stream.end()
    return check.result()


async def check_here(
    connection: Any, community_id: int, spans: Sequence[Span]
) -> AsyncGenerator[RangeResult, None]:
    """Yield the results of ranges in order, read one after the other on the caller's connection."""
    ground = await ground_of(connection, community_id)
    for span in spans:
        yield await check_range(connection, ground, span)
