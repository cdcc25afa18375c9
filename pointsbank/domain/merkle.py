"""Merkle trees over a list of entries: short proofs that one entry, or an earlier list, is in a list.

RFC 9162 (Certificate Transparency 2.0), section 2.1, with SHA-256. A leaf is hashed with a byte 0 before it
and a node with a byte 1, so that neither can be taken for the other. A tree of n leaves splits at the largest
power of two below n. Hashes are 32 bytes; places count from 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

Span = tuple[int, int]
"""Leaves [start, end): a subtree."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that holds ``data``."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of leaves (section 2.1.1)."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


def fold(hashes: Iterable[bytes]) -> bytes:
    """Return the root over whole subtrees, each smaller than the one to its left. At least one."""
    rest = list(hashes)
    result = rest.pop()
    while rest:
        result = node_hash(rest.pop(), result)
    return result


class Frontier:
    """The right edge of a growing tree: the roots of its largest whole subtrees, one a bit of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[tuple[int, bytes]] = []  # (height, hash), from left to right

    def add(self, subtree: bytes, height: int = 0) -> None:
        """Append a whole subtree of 2 to the power of ``height`` leaves.

        Raises ValueError when the size so far is no multiple of that.
        """
        if self.size % (1 << height):
            raise ValueError("a subtree stands at a multiple of its size")
        self.size += 1 << height
        while self._edge and self._edge[-1][0] == height:
            subtree = node_hash(self._edge.pop()[1], subtree)
            height += 1
        self._edge.append((height, subtree))

    def root(self, rest: bytes | None = None) -> bytes:
        """Return the root. rest: the root over further leaves, fewer than the smallest subtree's."""
        hashes = [subtree for _, subtree in self._edge] + ([rest] if rest is not None else [])
        return fold(hashes) if hashes else EMPTY


def whole_subtrees(span: Span) -> list[Span]:
    """Return the largest whole subtrees that make up a subtree, from left to right.

    span: starts at a multiple of the smallest power of two that is no less than its length.
    """
    start, end = span
    found: list[Span] = []
    while start < end:
        size = 1 << ((end - start).bit_length() - 1)
        found.append((start, start + size))
        start += size
    return found


def inclusion_spans(place: int, size: int) -> list[Span]:
    """Return the subtrees whose roots prove the leaf at ``place`` in a tree of ``size``, nearest first.

    Section 2.1.3.1. Raises ValueError when there is no such leaf.
    """
    if not 0 <= place < size:
        raise ValueError("no leaf at that place")
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if place < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """Return the subtrees whose roots prove that a tree of ``new`` leaves begins with one of ``old``.

    Section 2.1.4.1. Raises ValueError unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError("the older tree has a leaf and is not the larger one")
    spans: list[Span] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start, whole = middle, False
    if not whole:
        spans.append((start, end))
    return spans[::-1]


def holds_inclusion(leaf: bytes, place: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether ``proof`` shows the leaf of that hash at ``place`` in the tree (section 2.1.3.2)."""
    if not 0 <= place < size:
        return False
    first, last, result = place, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            result = node_hash(step, result)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            result = node_hash(result, step)
        first, last = first >> 1, last >> 1
    return last == 0 and result == root


def holds_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether ``proof`` shows that the newer tree begins with the older (section 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if not old & (old - 1):
        path.insert(0, old_root)
    if not path:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    older = newer = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            newer = node_hash(newer, step)
        first, last = first >> 1, last >> 1
    return last == 0 and older == old_root and newer == new_root


def _split(size: int) -> int:
    """Return the largest power of two below ``size`` (2 or more)."""
    return 1 << ((size - 1).bit_length() - 1)
