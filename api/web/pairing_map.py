"""A map of a pairing run: where requests and volunteers are, who goes where. Geometry only; a template draws.

Where every small grid that occurs has a spot with metres, the map is to scale, north up; a spot without lies
in the middle of its grid's. Otherwise grids are cells, a row for each big grid, and spots stand in rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, cos, sin, sqrt

from pointsbank.domain.grid import GridPlan
from pointsbank.domain.pairing.instance import Instance, Spot
from pointsbank.domain.pairing.plan import Plan

WIDTH = 480
MARGIN = 14
AREA_PADDING = 12
LABEL = 22
CELL_GAP = 8
CELL_HEIGHT_MIN = 92
PITCH = 17
"""From one spot to the next in a cell, and what keeps dots of one building apart."""

HEIGHTS = (200, 720)
GOLDEN_ANGLE = 2.399963
SPREAD = 5.5

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Area:
    """A small grid's rectangle, and how its requests came out."""

    number: int
    name: str
    x: float
    y: float
    width: float
    height: float
    paired: int
    unpaired: int
    coming: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A request or a volunteer's home. title: what is said of it when pointed at."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """From a volunteer's home to a request they were given."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the template draws, in units of its view box. to_scale: by metres, not by cells."""

    width: int
    height: int
    to_scale: bool
    areas: tuple[Area, ...]
    lines: tuple[Line, ...]
    paired: tuple[Mark, ...]
    unpaired: tuple[Mark, ...]
    homes: tuple[Mark, ...]


def draw(instance: Instance, plan: Plan, names: Mapping[str, str], grid_names: Mapping[int, str]) -> Drawing:
    """Return the map of a plan. Volunteers who were sent nowhere are left out."""
    requests = {request.id: request for request in instance.requests}
    volunteers = {volunteer.id: volunteer for volunteer in instance.volunteers}
    sent: dict[str, list[str]] = {}
    for visit in plan.visits:
        sent.setdefault(visit.request, []).append(visit.volunteer)
    going = list(dict.fromkeys(visit.volunteer for visit in plan.visits))
    spots = [request.spot for request in instance.requests] + [volunteers[each].home for each in going]
    ground = _Metres(spots) if _known(spots) else _Cells(instance.grids, spots)
    places = _apart(ground.place(spot) for spot in spots)
    at = dict(zip([*requests, *(f"v:{each}" for each in going)], places, strict=True))

    def mark(key: str, title: str) -> Mark:
        return Mark(*at[key], title)

    def called(person: str) -> str:
        return names.get(person, "—")

    paired = Counter(requests[each].spot.grid for each in sent)
    unpaired = Counter(requests[each.request].spot.grid for each in plan.unpaired)
    coming = Counter(
        requests[visit.request].spot.grid
        for visit in plan.visits
        if volunteers[visit.volunteer].home.grid != requests[visit.request].spot.grid
    )
    return Drawing(
        width=WIDTH,
        height=ceil(ground.height),
        to_scale=isinstance(ground, _Metres),
        areas=tuple(
            Area(
                number,
                grid_names.get(number, str(number)),
                *box,
                paired[number],
                unpaired[number],
                coming[number],
            )
            for number, box in sorted(ground.boxes.items())
        ),
        lines=tuple(Line(*at[f"v:{visit.volunteer}"], *at[visit.request]) for visit in plan.visits),
        paired=tuple(
            mark(each, f"{called(requests[each].elder)} ← {', '.join(called(who) for who in whom)}")
            for each, whom in sent.items()
        ),
        unpaired=tuple(mark(each.request, called(requests[each.request].elder)) for each in plan.unpaired),
        homes=tuple(mark(f"v:{each}", called(each)) for each in going),
    )


def _known(spots: Iterable[Spot]) -> bool:
    """Tell whether every grid that occurs has a spot with metres."""
    known = {spot.grid: False for spot in spots}
    for spot in spots:
        known[spot.grid] |= spot.east is not None
    return bool(known) and all(known.values())


def _apart(points: Iterable[Point]) -> list[Point]:
    """Return points with those that coincide moved apart on a spiral, the first left where it is."""
    seen: Counter[tuple[int, int]] = Counter()
    found: list[Point] = []
    for x, y in points:
        key = (round(x), round(y))
        turn, away = seen[key] * GOLDEN_ANGLE, SPREAD * sqrt(seen[key])
        seen[key] += 1
        found.append((round(x + away * cos(turn), 1), round(y + away * sin(turn), 1)))
    return found


class _Metres:
    """To scale: east to the right, north up."""

    def __init__(self, spots: list[Spot]) -> None:
        told: dict[int, list[Point]] = {}
        for spot in spots:
            if spot.east is not None and spot.north is not None:
                told.setdefault(spot.grid, []).append((spot.east, spot.north))
        self._middles = {
            grid: (sum(x for x, _ in each) / len(each), sum(y for _, y in each) / len(each))
            for grid, each in told.items()
        }
        every = [point for each in told.values() for point in each]
        self._west, self._north = min(x for x, _ in every), max(y for _, y in every)
        wide = max(1.0, max(x for x, _ in every) - self._west)
        tall = max(1.0, self._north - min(y for _, y in every))
        around = 2 * (MARGIN + AREA_PADDING)
        self._scale = min((WIDTH - around) / wide, (HEIGHTS[1] - around - LABEL) / tall)
        self._left = (WIDTH - wide * self._scale) / 2
        self.height = max(HEIGHTS[0], tall * self._scale + around + LABEL)
        self.boxes = {grid: self._box(each) for grid, each in told.items()}

    def place(self, spot: Spot) -> Point:
        """Return where a spot lies on the map."""
        if spot.east is None or spot.north is None:
            return self._on_map(self._middles[spot.grid])
        return self._on_map((spot.east, spot.north))

    def _on_map(self, point: Point) -> Point:
        return (
            self._left + (point[0] - self._west) * self._scale,
            MARGIN + AREA_PADDING + LABEL + (self._north - point[1]) * self._scale,
        )

    def _box(self, points: list[Point]) -> tuple[float, float, float, float]:
        placed = [self._on_map(point) for point in points]
        left, right = min(x for x, _ in placed), max(x for x, _ in placed)
        top, bottom = min(y for _, y in placed), max(y for _, y in placed)
        return (
            round(left - AREA_PADDING, 1),
            round(top - AREA_PADDING, 1),
            round(right - left + 2 * AREA_PADDING, 1),
            round(bottom - top + 2 * AREA_PADDING, 1),
        )


class _Cells:
    """By grid: a row for each big grid, a cell for each small one."""

    def __init__(self, grids: GridPlan, spots: list[Spot]) -> None:
        rows: dict[int, list[int]] = {}
        for number in sorted(grids.small_grids):
            rows.setdefault(grids.small_grids[number].big_grid, []).append(number)
        held = Counter(spot.grid for spot in spots)
        self.boxes: dict[int, tuple[float, float, float, float]] = {}
        self._columns: dict[int, int] = {}
        top = float(MARGIN)
        for big in sorted(rows):
            numbers = rows[big]
            width = (WIDTH - 2 * MARGIN - CELL_GAP * (len(numbers) - 1)) / len(numbers)
            columns = max(1, int((width - PITCH) // PITCH))
            lines = max(ceil(held[number] / columns) for number in numbers)
            height = max(CELL_HEIGHT_MIN, LABEL + (lines + 1) * PITCH)
            for place, number in enumerate(numbers):
                self.boxes[number] = (
                    round(MARGIN + place * (width + CELL_GAP), 1),
                    top,
                    round(width, 1),
                    height,
                )
                self._columns[number] = columns
            top += height + CELL_GAP
        self.height = top - CELL_GAP + MARGIN
        self._placed: Counter[int] = Counter()

    def place(self, spot: Spot) -> Point:
        """Return the next free place in a spot's cell."""
        x, y, _, _ = self.boxes[spot.grid]
        line, column = divmod(self._placed[spot.grid], self._columns[spot.grid])
        self._placed[spot.grid] += 1
        # Neighbours stand a little apart in height too, so that a way along a row is told from another.
        return x + PITCH * (column + 1), y + LABEL + PITCH * (line + 1) - (column % 3) * PITCH / 4
