"""What a pairing run decided, with its reasons: every request is either visited or told why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.errors import DomainError
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.domain.pairing.value import Term


class How(StrEnum):
    """How a part's plan came about."""

    RELAXED = "relaxed"  # a plan reached the bound of the linear relaxation
    SEARCHED = "searched"  # branch and bound ended within the gap
    PRICED = "priced"  # too large for a solver: prices led the way
    STOPPED = "stopped"  # ended from outside: the best plan known until then
    GREEDY = "greedy"  # greed and ejection alone: the solver gave nothing


class Smallest(StrEnum):
    """What kind of change would let an unpaired request be paired."""

    OTHER_TIME = "other_time"  # minutes earlier (below 0) or later
    MORE_MINUTES = "more_minutes"  # minutes on top of a volunteer's cap
    LONGER_FREE = "longer_free"  # minutes more of a volunteer's free time
    SKILL = "skill"  # somebody who is free there learns what it needs
    FARTHER = "farther"  # somebody goes beyond the grids they serve
    MORE_VOLUNTEERS = "more_volunteers"  # nobody comes near


@dataclass(eq=False)
class RunInputForgotten(DomainError):
    """What this pairing run was given is no longer kept: it cannot be run again. run: its id."""

    code = "run_input_forgotten"
    run: UUID


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change that would pair a request. volunteers: how many it would bring."""

    kind: Smallest
    minutes: int = 0
    volunteers: int = 0


@dataclass(frozen=True, slots=True)
class Alternative:
    """The best of the others who could have been sent. busy_with: the request they go to instead, if so."""

    volunteer: str
    start: int
    value: int
    busy_with: str | None


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """One request with one volunteer. terms: what the value is made of, those of 0 left out."""

    request: str
    volunteer: str
    start: int
    value: int
    terms: Mapping[Term, int]
    alternative: Alternative | None = None


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A request nobody is sent to. blocked: by reason, how many volunteers it kept away; the rest could
    have come and are needed elsewhere."""

    request: str
    blocked: Mapping[Blocked, int]
    needed_elsewhere: int
    change: Change


@dataclass(frozen=True, slots=True)
class PartOfPlan:
    """What was planned apart. bound: no plan of it is worth more. told: how many answers were heard of it."""

    requests: int
    volunteers: int
    columns: int
    worth: int
    bound: int
    how: How
    told: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run decided. worth: of all visits; bound: no plan is worth more; kept, moved: offers that stood.

    visits: by request, in the order of the instance. parts: as they were solved: with them a run replays.
    """

    visits: tuple[PlannedVisit, ...]
    unpaired: tuple[Unpaired, ...]
    worth: int
    bound: int
    kept: int
    moved: int
    parts: tuple[PartOfPlan, ...]

    @property
    def gap(self) -> float:
        """How far below the bound the plan is at most, as a share of it."""
        return (self.bound - self.worth) / self.bound if self.bound else 0.0
