"""What a pairing run is given: requests, volunteers, grids and weights. Integers only.

Times are minutes since ``Instance.origin``; stretches are half open. Ids are opaque text. An instance says
all that a run may know: the same instance gives the same plan, today and when it is replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.grid import GridDistance, GridPlan
from pointsbank.domain.pairing.weights import Weights

CARERS_MAX = 2
URGENCY_MAX = 3
STARTS_MAX = 200
"""Starts one request may allow: a whole day in steps of a quarter of an hour, twice."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From ``start`` to ``end``, the end excluded; minutes."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise InvalidValue(field="end", rule="after_start")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something is: a small grid, and metres east and north of the community's centre if known."""

    grid: int
    east: int | None = None
    north: int | None = None

    def __post_init__(self) -> None:
        if (self.east is None) != (self.north is None):
            raise InvalidValue(field="spot", rule="both_coordinates")


@dataclass(frozen=True, slots=True)
class Promise:
    """A visit that stands and that no run may move: from ``start`` to ``end`` at ``spot``."""

    start: int
    end: int
    spot: Spot


@dataclass(frozen=True, slots=True)
class Cap:
    """Visits that start in [start, end) may add up to ``minutes`` more: a day's or a week's cap."""

    start: int
    end: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Request:
    """A help request to pair.

    elder: whose it is, as an id among volunteers' ids where the elder is one. starts: when the visit may
    begin, ascending; one for a fixed start. preferred: the start that is liked best. blocks: how long the
    visit keeps a volunteer from another place, at least ``minutes``; more where only a slot of the day is
    agreed, in which the visit may lie anywhere. waited: minutes since it was asked. carers: how many come
    together. excluded: volunteers who must not come (banned, of the household, asked before). known: by
    volunteer, how often they came before. promised: by volunteer, the start of an offer that stands and
    should rather be kept. counts: how many of its minutes caps count, for a night watch; None: all.
    """

    id: str
    elder: str
    spot: Spot
    minutes: int
    starts: tuple[int, ...]
    preferred: int
    blocks: int
    urgency: int = 0
    waited: int = 0
    carers: int = 1
    kind: str = ""
    skills: frozenset[str] = frozenset()
    gender: str | None = None
    gender_hard: bool = False
    language: str | None = None
    same_carer: bool = False
    excluded: frozenset[str] = frozenset()
    known: Mapping[str, int] = field(default_factory=dict)
    promised: Mapping[str, int] = field(default_factory=dict)
    counts: int | None = None

    @property
    def load(self) -> int:
        """Minutes that it takes of a cap."""
        return self.minutes if self.counts is None else self.counts

    def __post_init__(self) -> None:
        if self.counts is not None and not 1 <= self.counts <= self.minutes:
            raise InvalidValue(field="counts", rule="within_minutes")
        if self.minutes < 1 or self.blocks < self.minutes:
            raise InvalidValue(field="minutes", rule="at_least_1_and_within_blocks")
        if not 1 <= len(self.starts) <= STARTS_MAX or list(self.starts) != sorted(set(self.starts)):
            raise InvalidValue(field="starts", rule=f"1_to_{STARTS_MAX}_ascending")
        if not 0 <= self.urgency <= URGENCY_MAX:
            raise InvalidValue(field="urgency", rule=f"between_0_and_{URGENCY_MAX}")
        if not 1 <= self.carers <= CARERS_MAX:
            raise InvalidValue(field="carers", rule=f"between_1_and_{CARERS_MAX}")
        if self.waited < 0:
            raise InvalidValue(field="waited", rule="not_negative")


@dataclass(frozen=True, slots=True)
class Volunteer:
    """A volunteer who can be sent.

    grids: the small grids they will serve. free: when, ascending and apart. busy: what stands already.
    caps: what may be added to their minutes. skills: with the minute until which the proof holds, None for
    ever. recent: minutes served lately. visits: how many they ever made. reliability: 0 to 1000.
    """

    id: str
    home: Spot
    grids: frozenset[int]
    free: tuple[Stretch, ...]
    busy: tuple[Promise, ...] = ()
    caps: tuple[Cap, ...] = ()
    skills: Mapping[str, int | None] = field(default_factory=dict)
    gender: str | None = None
    languages: frozenset[str] = frozenset()
    recent: int = 0
    visits: int = 0
    reliability: int = 1000

    def __post_init__(self) -> None:
        if not 0 <= self.reliability <= 1000:
            raise InvalidValue(field="reliability", rule="between_0_and_1000")
        if any(one.end >= other.start for one, other in zip(self.free, self.free[1:], strict=False)):
            raise InvalidValue(field="free", rule="ascending_and_apart")


@dataclass(frozen=True, slots=True)
class Instance:
    """All that a run may know. origin: the moment of minute 0, RFC 3339; now: the minute it is.

    scarce: skills so rare that who has them is kept for who needs them (:func:`scarce_skills`).
    """

    origin: str
    grids: GridPlan
    weights: Weights
    requests: tuple[Request, ...]
    volunteers: tuple[Volunteer, ...]
    scarce: frozenset[str] = frozenset()
    now: int = -1

    def __post_init__(self) -> None:
        for name, ids in (
            ("requests", [request.id for request in self.requests]),
            ("volunteers", [volunteer.id for volunteer in self.volunteers]),
        ):
            if len(ids) != len(set(ids)):
                raise InvalidValue(field=name, rule="ids_unique")
        known = self.grids.small_grids
        spots = [each.spot for each in self.requests]
        spots += [each.home for each in self.volunteers]
        spots += [promise.spot for each in self.volunteers for promise in each.busy]
        if any(spot.grid not in known for spot in spots):
            raise InvalidValue(field="grid", rule="known_grid")

    def distance(self, one: Spot, other: Spot) -> GridDistance:
        """Return how near two spots' grids are."""
        return self.grids.distance(one.grid, other.grid)


def scarce_skills(
    requests: tuple[Request, ...], volunteers: tuple[Volunteer, ...], *, each: int
) -> frozenset[str]:
    """Return the skills that fewer than ``each`` volunteers have for every request that asks for them."""
    asked: dict[str, int] = {}
    held: dict[str, int] = {}
    for request in requests:
        for skill in request.skills:
            asked[skill] = asked.get(skill, 0) + request.carers
    for volunteer in volunteers:
        for skill in volunteer.skills:
            held[skill] = held.get(skill, 0) + 1
    return frozenset(skill for skill, wanted in asked.items() if held.get(skill, 0) < wanted * each)
