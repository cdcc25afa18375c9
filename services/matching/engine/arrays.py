"""An instance as arrays, so that many pairs can be judged at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsbank.domain.pairing.instance import Instance, Spot

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

EVER = 1 << 40
"""A minute that no instance reaches."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where things are. grid, east, north, placed: by spot; distance: grid by grid, in ``rank`` order.

    walk, detour, walk_grid: as in ``Weights``.
    """

    grid: Ints
    east: Ints
    north: Ints
    placed: Bools
    distance: Ints
    walk: int
    detour: int
    walk_grid: Ints

    def metres(self, one: Ints, other: Ints) -> Ints:
        """Return whole metres between spots; meaningless unless both are placed."""
        square = (self.east[one] - self.east[other]) ** 2 + (self.north[one] - self.north[other]) ** 2
        root = np.sqrt(square.astype(np.float64)).astype(np.int64)
        root -= (root * root > square).astype(np.int64)
        root += ((root + 1) * (root + 1) <= square).astype(np.int64)
        return root

    def walk_minutes(self, one: Ints, other: Ints) -> Ints:
        """Return the minutes walking takes between spots, rounded up."""
        by_metres = -(-self.metres(one, other) * self.detour // (1_000 * self.walk))
        by_grid = self.walk_grid[self.distance[self.grid[one], self.grid[other]]]
        return np.where(self.placed[one] & self.placed[other], by_metres, by_grid)


@dataclass(frozen=True, slots=True)
class Spread:
    """Lists of different lengths end to end: those of ``i`` are ``start[i]`` to ``start[i + 1]``."""

    start: Ints

    def count(self, keys: Ints) -> Ints:
        """Return how many each key has."""
        return self.start[keys + 1] - self.start[keys]

    def expand(self, keys: Ints) -> tuple[Ints, Ints]:
        """Return, for every element of every key's list, the key's position and the element's."""
        counts = self.count(keys)
        owner = np.repeat(np.arange(len(keys)), counts)
        first = np.repeat(self.start[keys] - (np.cumsum(counts) - counts), counts)
        return owner, first + np.arange(len(owner))


def spread(counts: Iterable[int]) -> Spread:
    """Return lists of these lengths end to end."""
    lengths = np.fromiter(counts, np.int64)
    return Spread(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))


def ints(values: Iterable[int]) -> Ints:
    """Return whole numbers as an array."""
    return np.fromiter(values, np.int64)


class Spots:
    """Spots by number, each once."""

    def __init__(self) -> None:
        self._number: dict[Spot, int] = {}

    def number(self, spot: Spot) -> int:
        """Return a spot's number."""
        return self._number.setdefault(spot, len(self._number))

    def ground(self, instance: Instance) -> Ground:
        """Return where they are."""
        known = sorted(instance.grids.small_grids)
        rank = {grid: index for index, grid in enumerate(known)}
        return Ground(
            grid=ints(rank[spot.grid] for spot in self._number),
            east=ints(spot.east or 0 for spot in self._number),
            north=ints(spot.north or 0 for spot in self._number),
            placed=np.fromiter((spot.east is not None for spot in self._number), np.bool_),
            distance=np.array(
                [[int(instance.grids.distance(one, other)) for other in known] for one in known], np.int64
            ),
            walk=instance.weights.walk,
            detour=instance.weights.detour,
            walk_grid=ints(instance.weights.walk_grid),
        )


@dataclass(frozen=True, slots=True)
class Pairs:
    """A number for some (request, volunteer) pairs."""

    code: Ints
    number: Ints
    volunteers: int

    def of(self, request: Ints, volunteer: Ints, *, otherwise: int) -> Ints:
        """Return the numbers of pairs, ``otherwise`` for those that have none."""
        if not len(self.code):
            return np.full(len(request), otherwise, np.int64)
        asked = request * self.volunteers + volunteer
        at = np.minimum(np.searchsorted(self.code, asked), len(self.code) - 1)
        return np.where(self.code[at] == asked, self.number[at], otherwise)


def pairs(found: Sequence[tuple[int, int, int]], volunteers: int) -> Pairs:
    """Return numbers by (request, volunteer), each pair once."""
    ordered = sorted((request * volunteers + volunteer, number) for request, volunteer, number in found)
    return Pairs(ints(code for code, _ in ordered), ints(number for _, number in ordered), volunteers)
