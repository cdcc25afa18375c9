"""The ground of the demo world: places, buildings, grids, organisations.

Counts are the community's published ones (16 closed estates, 4 open compounds, 9 natural villages, nearly
200 buildings, 4 big and 16 small grids). Two estates are known by name; all others are only numbered, so
that none can be taken for a real one.
"""

from __future__ import annotations

from dataclasses import dataclass

from pointsbank.domain.grid import GridPlan, default_grid_plan
from seeds.scale import Scale

COMMUNITY_ID = 1
COMMUNITY_CODE = "shichong"
COMMUNITY_NAME = "石冲社区"
TIMEZONE = "Asia/Shanghai"

KNOWN_ESTATES = ("上城嘉泰", "滨港御城")
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
    """A building of ``place``, in a small grid (1 … 16)."""

    place: str
    name: str
    small_grid: int
    floors: int
    flats_per_floor: int


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
    buildings = tuple(
        _building(place, number, small_grids[index * len(small_grids) // len(stacked)])
        for index, (place, number) in enumerate(stacked)
    )
    return Geography(grids, places, buildings)


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
