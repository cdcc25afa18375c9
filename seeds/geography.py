"""The ground of the demo world: places, buildings, grids, organisations.

Counts are the community's published ones (16 closed estates, 4 open compounds, 9 natural villages, nearly
200 buildings, 4 big and 16 small grids). Two estates are known by name; all others are only numbered, so
that none can be taken for a real one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from math import isqrt

from pointsbank.domain.grid import SMALL_GRIDS_PER_BIG, GridPlan, default_grid_plan
from seeds.scale import Scale

COMMUNITY_ID = 1
COMMUNITY_CODE = "shichong"
COMMUNITY_NAME = "石冲社区"
TIMEZONE = "Asia/Shanghai"

DISTRICT, NEXT_DISTRICT, OTHER_CITY = "440703", "440705", "4401"
"""Pengjiang, where the community and its canteen are; Xinhui, of the same city; Guangzhou (GB/T 2260)."""

KNOWN_ESTATES = ("上城嘉泰", "滨港御城")
GRID_METRES = 300
"""How wide and deep a small grid is: twenty thousand people live on little more than a square kilometre."""

ESTATES, COMPOUNDS, VILLAGES = 16, 4, 9

ORGANISATIONS = (
    "江门市总工会",
    "甘光仪学校",
    "白石经联社",
    "广东迪浪科技",
    "民营企业协会环市分会",
    "江门市开放大学",
    "五邑大学",
    "白石正骨医院",
    "蓬江区儿童福利指导中心",
)
"""Members of the community's party committee and named partners, other than the community itself."""


@dataclass(frozen=True, slots=True)
class PlaceSeed:
    """A place; kind: estate, compound or village."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class BuildingSeed:
    """A building of ``place``, in a small grid (1 … 16); metres east and north of the community's centre."""

    place: str
    name: str
    small_grid: int
    floors: int
    flats_per_floor: int
    east_m: int = 0
    north_m: int = 0


@dataclass(frozen=True, slots=True)
class Geography:
    """The whole ground. Buildings stand in order of small grid."""

    grids: GridPlan
    places: tuple[PlaceSeed, ...]
    buildings: tuple[BuildingSeed, ...]


def geography(scale: Scale) -> Geography:
    """Return the ground of a world: nothing in it is drawn by chance."""
    grids = default_grid_plan()
    places = _places()
    counts = dict(zip(("estate", "compound", "village"), scale.buildings_per_place, strict=True))
    stacked = [(place, number) for place in places for number in range(1, counts[place.kind] + 1)]
    small_grids = sorted(grids.small_grids)
    buildings = [
        _building(place, number, small_grids[index * len(small_grids) // len(stacked)])
        for index, (place, number) in enumerate(stacked)
    ]
    return Geography(grids, places, tuple(_laid_out(buildings)))


def _laid_out(buildings: list[BuildingSeed]) -> list[BuildingSeed]:
    """Put each small grid's buildings into rows within it; neighbours of one place stand side by side.

    Small grids lie as in :func:`default_grid_plan`: a row for each big grid, the first in the north.
    """
    standing: dict[int, int] = defaultdict(int)
    for building in buildings:
        standing[building.small_grid] += 1
    placed: dict[int, int] = defaultdict(int)
    laid_out = []
    for building in buildings:
        grid = building.small_grid
        row, column = divmod(grid - 1, SMALL_GRIDS_PER_BIG)
        side = isqrt(standing[grid] - 1) + 1
        deep, wide = divmod(placed[grid], side)
        placed[grid] += 1
        west = (2 * column - SMALL_GRIDS_PER_BIG) * GRID_METRES // 2
        north = (SMALL_GRIDS_PER_BIG - 2 * row) * GRID_METRES // 2
        laid_out.append(
            replace(
                building,
                east_m=west + (2 * wide + 1) * GRID_METRES // (2 * side),
                north_m=north - (2 * deep + 1) * GRID_METRES // (2 * side),
            )
        )
    return laid_out


def _places() -> tuple[PlaceSeed, ...]:
    estates = [PlaceSeed("estate", name) for name in KNOWN_ESTATES] + [
        PlaceSeed("estate", f"第{number}小区") for number in range(len(KNOWN_ESTATES) + 1, ESTATES + 1)
    ]
    compounds = [PlaceSeed("compound", f"第{number}开放楼院") for number in range(1, COMPOUNDS + 1)]
    villages = [PlaceSeed("village", f"第{number}自然村") for number in range(1, VILLAGES + 1)]
    return tuple(_spread(estates, compounds, villages))


def _spread(*kinds: list[PlaceSeed]) -> list[PlaceSeed]:
    """Lay the kinds out evenly one among another, so that no grid is all village."""
    placed = [
        ((index + 0.5) / len(places), rank, place)
        for rank, places in enumerate(kinds)
        for index, place in enumerate(places)
    ]
    return [place for _, _, place in sorted(placed, key=lambda each: each[:2])]


def _building(place: PlaceSeed, number: int, small_grid: int) -> BuildingSeed:
    if place.kind == "village":
        return BuildingSeed(place.name, f"{number}巷", small_grid, floors=3, flats_per_floor=6)
    floors = 17 if place.kind == "estate" else 8
    return BuildingSeed(place.name, f"{number}栋", small_grid, floors=floors, flats_per_floor=4)
