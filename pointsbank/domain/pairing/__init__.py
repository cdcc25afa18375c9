"""Pairing: which volunteer for which help request.

The engine is behind :class:`PairingEngine`, so that a better one can take its place. The one here,
:class:`NearestFirst`, is simple and correct: every pair is feasible (skill, free hours, no overlap, never
oneself, within the neighbouring grids), requests are taken most urgent first, and each gets the nearest
volunteer: same small grid, then same big grid, then a neighbouring grid; among equals, the one with
the least work.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from pointsbank.domain.grid import GridDistance, GridPlan


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open stretch of time, both ends aware."""

    start: datetime
    end: datetime

    def overlaps(self, other: Period) -> bool:
        """Tell whether two periods share a moment."""
        return self.start < other.end and other.start < self.end

    def covers(self, other: Period) -> bool:
        """Tell whether ``other`` lies wholly inside."""
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request to pair. urgency: 0 (can wait) to 3 (today); excluded: volunteers not to be sent."""

    id: UUID
    elder: UUID
    small_grid: int
    period: Period
    asked_at: datetime
    urgency: int = 0
    skill: str | None = None
    excluded: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class FreeVolunteer:
    """A volunteer, with the periods they are free and those already promised (offers and visits)."""

    id: UUID
    small_grid: int
    free: tuple[Period, ...]
    busy: tuple[Period, ...] = ()
    skills: frozenset[str] = frozenset()


class Blocked(StrEnum):
    """Why one volunteer cannot take one request."""

    ONESELF = "oneself"
    EXCLUDED = "excluded"
    TOO_FAR = "too_far"
    NO_SKILL = "no_skill"
    NOT_FREE = "not_free"
    ALREADY_PROMISED = "already_promised"


@dataclass(frozen=True, slots=True)
class Pair:
    """One request with the volunteer chosen for it and how near they live."""

    request: UUID
    volunteer: UUID
    distance: GridDistance


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A request nobody could take, with the number of volunteers each reason blocked."""

    request: UUID
    blocked: dict[Blocked, int]


@dataclass(frozen=True, slots=True)
class PairingPlan:
    """What a run decided: every request is in one of the two."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[Unpaired, ...]


class PairingEngine(Protocol):
    """Decides a run."""

    name: str

    def plan(
        self, requests: Sequence[OpenRequest], volunteers: Sequence[FreeVolunteer], grids: GridPlan
    ) -> PairingPlan:
        """Return a feasible plan; the same input gives the same plan."""
        ...


class NearestFirst:
    """Most urgent request first, nearest feasible volunteer for each. Time O(requests × volunteers)."""

    name = "nearest-first"

    def plan(
        self, requests: Sequence[OpenRequest], volunteers: Sequence[FreeVolunteer], grids: GridPlan
    ) -> PairingPlan:
        """Return the plan; ties are broken by least work in this run, then by id."""
        promised: dict[UUID, list[Period]] = defaultdict(list)
        pairs: list[Pair] = []
        unpaired: list[Unpaired] = []
        for request in sorted(requests, key=lambda r: (-r.urgency, r.period.start, r.asked_at, r.id)):
            reasons: Counter[Blocked] = Counter()
            best: tuple[GridDistance, int, UUID] | None = None
            for volunteer in volunteers:
                distance = grids.distance(volunteer.small_grid, request.small_grid)
                reason = _blocked(request, volunteer, distance, promised[volunteer.id])
                if reason:
                    reasons[reason] += 1
                    continue
                candidate = (distance, len(promised[volunteer.id]), volunteer.id)
                if best is None or candidate < best:
                    best = candidate
            if best is None:
                unpaired.append(Unpaired(request.id, dict(reasons)))
                continue
            promised[best[2]].append(request.period)
            pairs.append(Pair(request.id, best[2], best[0]))
        return PairingPlan(tuple(pairs), tuple(unpaired))


def _blocked(
    request: OpenRequest, volunteer: FreeVolunteer, distance: GridDistance, promised: Sequence[Period]
) -> Blocked | None:
    if volunteer.id == request.elder:
        return Blocked.ONESELF
    if volunteer.id in request.excluded:
        return Blocked.EXCLUDED
    if distance is GridDistance.FAR:
        return Blocked.TOO_FAR
    if request.skill and request.skill not in volunteer.skills:
        return Blocked.NO_SKILL
    if not any(free.covers(request.period) for free in volunteer.free):
        return Blocked.NOT_FREE
    if any(busy.overlaps(request.period) for busy in (*volunteer.busy, *promised)):
        return Blocked.ALREADY_PROMISED
    return None
