"""Grids: a community is cut into big grids, each into small grids; neighbours share a boundary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from pointsbank.domain.errors import InvalidValue


class GridDistance(IntEnum):
    """How near a volunteer's small grid is to a request's: the smaller, the better."""

    SAME_SMALL = 0
    SAME_BIG = 1
    NEIGHBOUR = 2
    FAR = 3


@dataclass(frozen=True, slots=True)
class SmallGrid:
    """A small grid (小网格) and the big grid (大网格) it lies in. Numbers are unique in a community."""

    number: int
    big_grid: int


@dataclass(frozen=True)
class GridPlan:
    """A community's grids and which of them share a boundary. Neighbourhood is symmetric."""

    small_grids: dict[int, SmallGrid]
    neighbours: dict[int, frozenset[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, others in self.neighbours.items():
            for other in others:
                if number not in self.small_grids or other not in self.small_grids:
                    raise InvalidValue(field="neighbours", rule="known_grid")
                if number == other:
                    raise InvalidValue(field="neighbours", rule="not_itself")
                if number not in self.neighbours.get(other, frozenset()):
                    raise InvalidValue(field="neighbours", rule="symmetric")

    def distance(self, from_grid: int, to_grid: int) -> GridDistance:
        """Return how far two small grids are apart. Raises InvalidValue for an unknown grid."""
        if from_grid not in self.small_grids or to_grid not in self.small_grids:
            raise InvalidValue(field="grid", rule="known_grid")
        if from_grid == to_grid:
            return GridDistance.SAME_SMALL
        if self.small_grids[from_grid].big_grid == self.small_grids[to_grid].big_grid:
            return GridDistance.SAME_BIG
        if to_grid in self.neighbours.get(from_grid, frozenset()):
            return GridDistance.NEIGHBOUR
        return GridDistance.FAR


def grid_plan(small_grids: Iterable[SmallGrid], boundaries: Iterable[tuple[int, int]]) -> GridPlan:
    """Return a plan from small grids and pairs of them that share a boundary (either order, once)."""
    neighbours: dict[int, set[int]] = {}
    for one, other in boundaries:
        neighbours.setdefault(one, set()).add(other)
        neighbours.setdefault(other, set()).add(one)
    return GridPlan(
        small_grids={grid.number: grid for grid in small_grids},
        neighbours={number: frozenset(others) for number, others in neighbours.items()},
    )


BIG_GRIDS = 4
SMALL_GRIDS_PER_BIG = 4


def default_grid_plan(big_grids: int = BIG_GRIDS, small_grids_per_big: int = SMALL_GRIDS_PER_BIG) -> GridPlan:
    """Return a plan of ``big_grids`` × ``small_grids_per_big`` small grids (Shichong: 4 × 4).

    Small grids are numbered from 1, big grid by big grid, and laid out as a square of rows, one row a big
    grid; those above and below each other are neighbours across big grids, those side by side within.
    """
    grids = [
        SmallGrid(number=big * small_grids_per_big + column + 1, big_grid=big + 1)
        for big in range(big_grids)
        for column in range(small_grids_per_big)
    ]
    boundaries = [(grid.number, grid.number + 1) for grid in grids if grid.number % small_grids_per_big] + [
        (grid.number, grid.number + small_grids_per_big)
        for grid in grids
        if grid.number + small_grids_per_big <= len(grids)
    ]
    return grid_plan(grids, boundaries)
