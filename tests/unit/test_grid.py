"""Grids and how far apart they are."""

from __future__ import annotations

import pytest

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.grid import (
    GridDistance,
    GridPlan,
    SmallGrid,
    default_grid_plan,
    grid_plan,
)

PLAN = default_grid_plan()


def test_the_default_plan_has_four_big_grids_of_four_small_ones() -> None:
    assert sorted(PLAN.small_grids) == list(range(1, 17))
    assert [PLAN.small_grids[number].big_grid for number in range(1, 17)] == [
        big for big in range(1, 5) for _ in range(4)
    ]


@pytest.mark.parametrize(
    ("from_grid", "to_grid", "distance"),
    [
        (6, 6, GridDistance.SAME_SMALL),
        (6, 8, GridDistance.SAME_BIG),
        (6, 7, GridDistance.SAME_BIG),
        (6, 2, GridDistance.NEIGHBOUR),
        (6, 10, GridDistance.NEIGHBOUR),
        (4, 5, GridDistance.FAR),
        (1, 16, GridDistance.FAR),
    ],
)
def test_the_same_big_grid_is_nearer_than_a_neighbour_across(
    from_grid: int, to_grid: int, distance: GridDistance
) -> None:
    assert PLAN.distance(from_grid, to_grid) is distance
    assert PLAN.distance(to_grid, from_grid) is distance


@pytest.mark.parametrize("pair", [(0, 1), (1, 17)])
def test_an_unknown_grid_has_no_distance(pair: tuple[int, int]) -> None:
    with pytest.raises(InvalidValue) as refused:
        PLAN.distance(*pair)
    assert refused.value.facts() == {"field": "grid", "rule": "known_grid"}


def test_a_boundary_told_from_either_side_counts_for_both() -> None:
    grids = [SmallGrid(1, 1), SmallGrid(2, 2)]
    assert grid_plan(grids, [(2, 1)]) == grid_plan(grids, [(1, 2)])
    assert grid_plan(grids, [(2, 1)]).distance(1, 2) is GridDistance.NEIGHBOUR


@pytest.mark.parametrize(
    ("neighbours", "rule"),
    [
        ({1: frozenset({3}), 3: frozenset({1})}, "known_grid"),
        ({1: frozenset({1})}, "not_itself"),
        ({1: frozenset({2})}, "symmetric"),
    ],
)
def test_a_plan_that_contradicts_itself_cannot_be_built(
    neighbours: dict[int, frozenset[int]], rule: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        GridPlan({1: SmallGrid(1, 1), 2: SmallGrid(2, 2)}, neighbours)
    assert refused.value.rule == rule
