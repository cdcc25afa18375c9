"""Whether help reaches everybody alike: waiting, service rate, load, and who is left behind. Integers only.

A group is what lives in one small grid, is of one age band or asks for one kind of service. Its service rate
is visited ÷ asked among requests whose time has come; its waiting is told by nearest rank (Hyndman and Fan
1996, definition 1), so that every figure is somebody's own. Rates and shares are permille, rounded down.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

PERMILLE = 1_000

REQUESTS_MIN = 10
"""Requests a group needs before a warning names it: of fewer, one or two visits more decide."""

RATE_BELOW_PERMILLE = 200
"""How far a group's service rate must lie below the community's. Of ten requests at a rate of 900 permille,
chance alone falls further than this in one group of eighty (binomial), a hundred less in one of fourteen."""

WAIT_TIMES = 2
"""How many times the community's median waiting a group's must pass: twice as long is what neighbours who
compare their waiting speak of, and what the usual difference between kinds does not reach."""

TENTH = 10


class AgeBand(StrEnum):
    """Ages as Guangdong's canteen subsidies (70 and over) and high-age allowances (80, 90) cut them."""

    UNDER_70 = "under_70"
    SEVENTIES = "from_70"
    EIGHTIES = "from_80"
    NINETY_UP = "from_90"
    UNKNOWN = "unknown"


def age_band(age: int | None) -> AgeBand:
    """Return the band of an age in whole years; None where the birthday is not known."""
    if age is None:
        return AgeBand.UNKNOWN
    if age < 70:
        return AgeBand.UNDER_70
    if age < 80:
        return AgeBand.SEVENTIES
    return AgeBand.EIGHTIES if age < 90 else AgeBand.NINETY_UP


@dataclass(frozen=True, slots=True)
class Asking:
    """One help request: whose (as a group), and how it went.

    waited: minutes from asking to the visit's start, or until now (until its time, where that has passed in
    vain). due: its time has come. visited: somebody came.
    """

    small_grid: int
    band: AgeBand
    kind: str
    waited: int
    due: bool
    visited: bool


@dataclass(frozen=True, slots=True)
class Service:
    """How a group was served. median, ninetieth, longest: minutes of waiting, None where nobody asked."""

    requests: int
    due: int
    visited: int
    median: int | None
    ninetieth: int | None
    longest: int | None

    @property
    def rate(self) -> int | None:
        """Visited ÷ due in permille, None where no request's time has come."""
        return PERMILLE * self.visited // self.due if self.due else None


class Gap(StrEnum):
    """In what a group is left behind."""

    RATE = "rate"
    WAITING = "waiting"


Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Group(Generic[Key]):
    """A group by its key, how it was served, and in what it is left behind."""

    key: Key
    service: Service
    left_behind: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """How the work lies on the volunteers who are active: who say when they are free, or made a visit.

    busiest: how many the busiest tenth are (rounded up), busiest_share: their permille of all minutes.
    idle: how many made no visit. gini: of minutes, in permille: 0 is the same for all.
    """

    volunteers: int
    visits: int
    minutes: int
    busiest: int
    busiest_share: int
    idle: int
    gini: int


@dataclass(frozen=True, slots=True)
class Fairness:
    """The whole report. grids, bands, kinds: every one asked for, in the order given."""

    community: Service
    grids: tuple[Group[int], ...]
    bands: tuple[Group[AgeBand], ...]
    kinds: tuple[Group[str], ...]
    load: Load

    @property
    def left_behind(self) -> bool:
        """Whether any group is."""
        groups: tuple[Group[int] | Group[AgeBand] | Group[str], ...] = (*self.grids, *self.bands, *self.kinds)
        return any(group.left_behind for group in groups)


def fairness(
    askings: Sequence[Asking], work: Sequence[tuple[int, int]], *, grids: Sequence[int], kinds: Sequence[str]
) -> Fairness:
    """Return the report.

    work: visits and minutes of every active volunteer. grids, kinds: those to tell of even where nobody
    asked; one that was asked for and is not among them comes after.
    """
    community = _service(askings)
    by_grid = _grouped((asking.small_grid, asking) for asking in askings)
    by_band = _grouped((asking.band, asking) for asking in askings)
    by_kind = _grouped((asking.kind, asking) for asking in askings)
    return Fairness(
        community=community,
        grids=_groups(community, by_grid, [*grids, *sorted(by_grid.keys() - set(grids))]),
        bands=_groups(
            community, by_band, [each for each in AgeBand if each is not AgeBand.UNKNOWN or each in by_band]
        ),
        kinds=_groups(community, by_kind, [*kinds, *sorted(by_kind.keys() - set(kinds))]),
        load=load(work),
    )


def load(work: Sequence[tuple[int, int]]) -> Load:
    """Return how visits and minutes (pairs, one a volunteer) lie on volunteers."""
    minutes = sorted(each for _, each in work)
    count, total = len(minutes), sum(minutes)
    busiest = -(-count // TENTH)
    ranked = sum(rank * each for rank, each in enumerate(minutes, start=1))
    return Load(
        volunteers=count,
        visits=sum(visits for visits, _ in work),
        minutes=total,
        busiest=busiest,
        busiest_share=PERMILLE * sum(minutes[count - busiest :]) // total if total else 0,
        idle=sum(visits == 0 for visits, _ in work),
        gini=PERMILLE * (2 * ranked - (count + 1) * total) // (count * total) if total else 0,
    )


def _grouped(pairs: Iterable[tuple[Key, Asking]]) -> dict[Key, list[Asking]]:
    found: dict[Key, list[Asking]] = {}
    for key, asking in pairs:
        found.setdefault(key, []).append(asking)
    return found


def _groups(
    community: Service, askings: Mapping[Key, Sequence[Asking]], keys: Iterable[Key]
) -> tuple[Group[Key], ...]:
    services = [(key, _service(askings.get(key, ()))) for key in keys]
    return tuple(Group(key, service, _left_behind(service, community)) for key, service in services)


def _service(askings: Sequence[Asking]) -> Service:
    waited = sorted(asking.waited for asking in askings)
    return Service(
        requests=len(askings),
        due=sum(asking.due for asking in askings),
        visited=sum(asking.due and asking.visited for asking in askings),
        median=_rank(waited, 50),
        ninetieth=_rank(waited, 90),
        longest=waited[-1] if waited else None,
    )


def _rank(ascending: Sequence[int], percent: int) -> int | None:
    """Return the percentile by nearest rank: the least value that so many percent do not pass."""
    return ascending[-(-len(ascending) * percent // 100) - 1] if ascending else None


def _left_behind(group: Service, community: Service) -> tuple[Gap, ...]:
    found: list[Gap] = []
    rate, usual = group.rate, community.rate
    if (
        group.due >= REQUESTS_MIN
        and rate is not None
        and usual is not None
        and rate < usual - RATE_BELOW_PERMILLE
    ):
        found.append(Gap.RATE)
    if (
        group.requests >= REQUESTS_MIN
        and group.median is not None
        and community.median is not None
        and group.median > WAIT_TIMES * community.median
    ):
        found.append(Gap.WAITING)
    return tuple(found)
