"""The Merkle tree over a community's entries: leaf k-1 is the chain's hash at the last line of entry k.

Nodes over 256, 256², … entries are stored when a head is sealed, like the tiles of a transparency log; what
a root or a proof needs besides is made again from at most 255 of their children a level. So nothing reads the
whole journal, however long it is.
"""

from __future__ import annotations

from pointsbank.domain import merkle
from pointsbank.domain.errors import DomainError
from pointsbank.platform.database import UnitOfWork
from services.ledger.proof import merkle_store

TILE_BITS = 8
TILE = 1 << TILE_BITS
TILES_AT_ONCE = 64
"""Tiles whose entries are read together when the stored nodes are brought up to a size."""


class TreeIncomplete(DomainError):
    """Entries or stored nodes that a root needs are gone: the journal is to be verified."""

    code = "tree_incomplete"


async def extend(uow: UnitOfWork, size: int) -> None:
    """Store the nodes of every whole tile of a tree of ``size`` entries that are not stored yet."""
    level, whole = 1, size >> TILE_BITS
    while whole:
        start = await merkle_store.last_place(uow, level) + 1
        for first in range(start, whole, TILES_AT_ONCE):
            end = min(first + TILES_AT_ONCE, whole)
            below = await _hashes(uow, level - 1, first << TILE_BITS, end << TILE_BITS)
            tiles = [merkle.root(below[at : at + TILE]) for at in range(0, len(below), TILE)]
            await merkle_store.insert_nodes(uow, level, first, tiles)
        level, whole = level + 1, whole >> TILE_BITS


class Tree:
    """The tree of the first ``size`` entries, a sealed size; reads each tile once."""

    def __init__(self, uow: UnitOfWork, size: int) -> None:
        self._uow = uow
        self.size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    async def root(self) -> bytes:
        """Return the root. Raises TreeIncomplete."""
        if not self.size:
            return merkle.EMPTY
        return await self._root_over((0, self.size))

    async def inclusion(self, number: int) -> list[bytes]:
        """Return the proof that entry ``number`` is in the tree, nearest first. Raises TreeIncomplete."""
        return [await self._root_over(span) for span in merkle.inclusion_spans(number - 1, self.size)]

    async def consistency(self, old: int) -> list[bytes]:
        """Return the proof that the tree begins with that of ``old`` entries. Raises TreeIncomplete."""
        return [await self._root_over(span) for span in merkle.consistency_spans(old, self.size)]

    async def _root_over(self, span: merkle.Span) -> bytes:
        return merkle.fold([await self._whole(start, end) for start, end in merkle.whole_subtrees(span)])

    async def _whole(self, start: int, end: int) -> bytes:
        """Return the root of a whole subtree, from the stored nodes of the level next below it."""
        height = (end - start).bit_length() - 1
        level = height // TILE_BITS
        shift = level * TILE_BITS
        place, end_place = start >> shift, end >> shift
        tile = await self._tile(level, place >> TILE_BITS)
        first = place & (TILE - 1)
        return merkle.root(tile[first : first + end_place - place])

    async def _tile(self, level: int, place: int) -> list[bytes]:
        """Return the hashes of a level in one tile, as far as the tree goes."""
        known = self._tiles.get((level, place))
        if known is None:
            start = place << TILE_BITS
            end = min(start + TILE, self.size >> level * TILE_BITS)
            known = self._tiles[level, place] = await _hashes(self._uow, level, start, end)
        return known


async def _hashes(uow: UnitOfWork, level: int, start: int, end: int) -> list[bytes]:
    if level == 0:
        found = [merkle.leaf_hash(each) for each in await merkle_store.entry_hashes(uow, start + 1, end)]
    else:
        stored = await merkle_store.nodes(uow, level, start, end)
        found = [stored[place] for place in range(start, end) if place in stored]
    if len(found) != end - start:
        raise TreeIncomplete
    return found
