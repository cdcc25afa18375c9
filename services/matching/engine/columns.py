"""Columns: every visit that is possible (request, volunteer, start) and what it is worth.

Found by an index over small grid and hour: a request looks up, for each of its starts, who is free in its
grid at that hour, and only those are judged; time and memory follow the columns, not requests × volunteers.
The rules are those of ``pointsbank.domain.pairing.rules`` and the worth that of
``pointsbank.domain.pairing.value``, over arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.value import DAY, QUARTER
from services.matching.engine.arrays import (
    EVER,
    Bools,
    Ground,
    Ints,
    Pairs,
    Spots,
    Spread,
    ints,
    pairs,
    spread,
)

HOUR = 60
QUERIES_AT_ONCE = 2_000
"""Starts looked up together: bounds the memory of what is looked at and dropped."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is possible, ordered by request, then volunteer, then start.

    request, volunteer: positions in the instance. value: what the pair is worth.
    """

    request: Ints
    volunteer: Ints
    start: Ints
    value: Ints

    def __len__(self) -> int:
        return len(self.request)

    def take(self, which: Ints | Bools) -> Columns:
        """Return some of them."""
        return Columns(self.request[which], self.volunteer[which], self.start[which], self.value[which])


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests as arrays, by position."""

    spot: Ints
    minutes: Ints
    load: Ints
    blocks: Ints
    preferred: Ints
    carers: Ints
    gender: Ints
    gender_hard: Bools
    language: Ints
    same_carer: Bools
    worth: Ints
    """What serving it is worth whoever comes: urgency and waiting."""
    needs: Bools
    """By request and skill."""


@dataclass(frozen=True, slots=True)
class Volunteers:
    """Volunteers as arrays, by position; ``until`` by volunteer and skill, ``-EVER`` where not held."""

    home: Ints
    gender: Ints
    speaks: Bools
    until: Ints
    worth: Ints
    """What counts for or against them whoever is visited: first turn, load, reliability."""
    busy: Spread
    busy_start: Ints
    busy_end: Ints
    busy_spot: Ints
    caps: Spread
    cap_start: Ints
    cap_end: Ints
    cap_minutes: Ints


@dataclass(frozen=True, slots=True)
class Field:
    """An instance as arrays."""

    instance: Instance
    ground: Ground
    requests: Requests
    volunteers: Volunteers
    excluded: Pairs
    known: Pairs
    promised: Pairs
    scarce: Bools


def field_of(instance: Instance) -> Field:
    """Return an instance as arrays."""
    spots = Spots()
    skills = sorted({skill for each in instance.requests for skill in each.skills} | instance.scarce)
    genders: dict[str | None, int] = {None: 0}
    languages = sorted({each.language for each in instance.requests if each.language is not None})
    position = {volunteer.id: index for index, volunteer in enumerate(instance.volunteers)}
    requests = _requests(instance, spots, skills, genders, languages)
    volunteers = _volunteers(instance, spots, skills, genders, languages)
    count = max(1, len(position))

    def paired(told: list[tuple[int, str, int]]) -> Pairs:
        return pairs([(at, position[who], number) for at, who, number in told if who in position], count)

    wanted = list(enumerate(instance.requests))
    return Field(
        instance=instance,
        ground=spots.ground(instance),
        requests=requests,
        volunteers=volunteers,
        excluded=paired([(at, who, 1) for at, each in wanted for who in each.excluded | {each.elder}]),
        known=paired([(at, who, times) for at, each in wanted for who, times in each.known.items()]),
        promised=paired([(at, who, start) for at, each in wanted for who, start in each.promised.items()]),
        scarce=np.fromiter((skill in instance.scarce for skill in skills), np.bool_),
    )


def _requests(
    instance: Instance,
    spots: Spots,
    skills: list[str],
    genders: dict[str | None, int],
    languages: list[str],
) -> Requests:
    asked, weights = instance.requests, instance.weights
    language = {code: index for index, code in enumerate(languages)}
    return Requests(
        spot=ints(spots.number(each.spot) for each in asked),
        minutes=ints(each.minutes for each in asked),
        load=ints(each.load for each in asked),
        blocks=ints(each.blocks for each in asked),
        preferred=ints(each.preferred for each in asked),
        carers=ints(each.carers for each in asked),
        gender=ints(genders.setdefault(each.gender, len(genders)) for each in asked),
        gender_hard=np.fromiter((each.gender_hard for each in asked), np.bool_),
        language=ints(-1 if each.language is None else language[each.language] for each in asked),
        same_carer=np.fromiter((each.same_carer for each in asked), np.bool_),
        worth=ints(
            weights.serve[each.urgency]
            + weights.waiting_day * min(each.waited, weights.waiting_days * DAY) // DAY
            for each in asked
        ),
        needs=np.array([[skill in each.skills for skill in skills] for each in asked], np.bool_).reshape(
            len(asked), len(skills)
        ),
    )


def _volunteers(
    instance: Instance,
    spots: Spots,
    skills: list[str],
    genders: dict[str | None, int],
    languages: list[str],
) -> Volunteers:
    them, weights = instance.volunteers, instance.weights
    busy = [promise for each in them for promise in each.busy]
    caps = [cap for each in them for cap in each.caps]
    until = [[_until(each.skills.get(skill, -EVER)) for skill in skills] for each in them]
    return Volunteers(
        home=ints(spots.number(each.home) for each in them),
        gender=ints(genders.setdefault(each.gender, len(genders)) for each in them),
        speaks=np.array([[code in each.languages for code in languages] for each in them], np.bool_).reshape(
            len(them), len(languages)
        ),
        until=np.array(until, np.int64).reshape(len(them), len(skills)),
        worth=ints(
            (weights.newcomer if not each.visits else 0)
            - weights.hour * min(each.recent, weights.hours * 60) // 60
            - weights.unreliable * (1_000 - each.reliability) // 1_000
            for each in them
        ),
        busy=spread(len(each.busy) for each in them),
        busy_start=ints(promise.start for promise in busy),
        busy_end=ints(promise.end for promise in busy),
        busy_spot=ints(spots.number(promise.spot) for promise in busy),
        caps=spread(len(each.caps) for each in them),
        cap_start=ints(cap.start for cap in caps),
        cap_end=ints(cap.end for cap in caps),
        cap_minutes=ints(cap.minutes for cap in caps),
    )


def _until(told: int | None) -> int:
    return EVER if told is None else told


class Index:
    """Who is free where and when: stretches by small grid and hour."""

    def __init__(self, instance: Instance) -> None:
        them = instance.volunteers
        grids = sorted(instance.grids.small_grids)
        self._rank = {grid: rank for rank, grid in enumerate(grids)}
        first = min((each.starts[0] for each in instance.requests), default=0)
        last = max((each.starts[-1] + each.blocks for each in instance.requests), default=0)
        free = [
            (at, max(each.start, first), min(each.end, last))
            for at, who in enumerate(them)
            for each in who.free
            if each.start < last and first < each.end
        ]
        self.volunteer = ints(at for at, _, _ in free)
        self.start = ints(start for _, start, _ in free)
        self.end = ints(end for _, _, end in free)
        self._first = int(self.start.min()) // HOUR if free else 0
        self._hours = int(self.end.max() - 1) // HOUR - self._first + 1 if free else 0
        served = spread(len(who.grids & self._rank.keys()) for who in them)
        served_rank = ints(self._rank[grid] for who in them for grid in sorted(who.grids & self._rank.keys()))
        owner, which = served.expand(self.volunteer)
        from_hour = self.start[owner] // HOUR - self._first
        hours = (self.end[owner] - 1) // HOUR - self._first + 1 - from_hour
        cell, offset = _ranges(hours)
        key = served_rank[which][cell] * self._hours + from_hour[cell] + offset
        order = np.argsort(key, kind="stable")
        self._stretch = owner[cell][order]
        cells = np.bincount(key, minlength=len(grids) * self._hours) if len(key) else np.zeros(0, np.int64)
        self._cells = spread(cells)

    def look_up(self, grid: Ints, start: Ints) -> tuple[Ints, Ints]:
        """Return, for queries of grid rank and start, whoever is free in that hour: query and stretch."""
        hour = start // HOUR - self._first
        inside = np.flatnonzero((hour >= 0) & (hour < self._hours))
        owner, at = self._cells.expand(grid[inside] * self._hours + hour[inside])
        return inside[owner], self._stretch[at]

    def rank(self, grid: int) -> int:
        """Return a small grid's rank."""
        return self._rank[grid]


def _ranges(counts: Ints) -> tuple[Ints, Ints]:
    """Return, for lists of these lengths end to end, each element's list and place in it."""
    owner = np.repeat(np.arange(len(counts)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    return owner, np.arange(len(owner)) - first


def columns_of(field: Field) -> Columns:
    """Return every visit that keeps the hard rules, with its worth."""
    asked = field.instance.requests
    index = Index(field.instance)
    request = np.repeat(np.arange(len(asked)), [len(each.starts) for each in asked])
    start = ints(each for one in asked for each in one.starts)
    grid = ints(index.rank(each.spot.grid) for each in asked)[request]
    found = [
        _possible(field, index, request[some], start[some], grid[some])
        for some in np.array_split(np.arange(len(request)), max(1, len(request) // QUERIES_AT_ONCE))
    ]
    request, volunteer, start = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((start, volunteer, request))
    request, volunteer, start = request[order], volunteer[order], start[order]
    return Columns(request, volunteer, start, values(field, request, volunteer, start))


def _possible(field: Field, index: Index, request: Ints, start: Ints, grid: Ints) -> tuple[Ints, Ints, Ints]:
    query, stretch = index.look_up(grid, start)
    request, start, volunteer = request[query], start[query], index.volunteer[stretch]
    fits = index.start[stretch] <= start
    fits &= start + field.requests.blocks[request] <= index.end[stretch]
    request, start, volunteer = request[fits], start[fits], volunteer[fits]
    for judged in (_suitable, _unpromised, _within_caps):
        kept = judged(field, request, volunteer, start)
        request, start, volunteer = request[kept], start[kept], volunteer[kept]
    return request, volunteer, start


def _suitable(field: Field, request: Ints, volunteer: Ints, start: Ints) -> Bools:
    """Tell who is not excluded, has the gender where it is a must, and the skills at that time."""
    asked, them = field.requests, field.volunteers
    fits: Bools = field.excluded.of(request, volunteer, otherwise=0) == 0
    fits &= ~asked.gender_hard[request] | (asked.gender[request] == them.gender[volunteer])
    for skill in range(asked.needs.shape[1]):
        needing = np.flatnonzero(asked.needs[request, skill])
        end = start[needing] + asked.minutes[request[needing]]
        fits[needing] &= them.until[volunteer[needing], skill] >= end
    return fits


def _unpromised(field: Field, request: Ints, volunteer: Ints, start: Ints) -> Bools:
    """Tell what leaves time to walk from and to every visit that stands already."""
    asked, them = field.requests, field.volunteers
    column, promise = them.busy.expand(volunteer)
    here = request[column]
    begin, busy = start[column], them.busy_start[promise]
    walk = field.ground.walk_minutes(asked.spot[here], them.busy_spot[promise])
    length = them.busy_end[promise] - busy
    after = begin + np.maximum(asked.blocks[here], asked.minutes[here] + walk)
    collides = np.where(begin <= busy, busy < after, begin < busy + length + walk)
    fits = np.ones(len(request), np.bool_)
    fits[column[collides]] = False
    return fits


def _within_caps(field: Field, request: Ints, volunteer: Ints, start: Ints) -> Bools:
    """Tell what alone stays within every cap of its volunteer."""
    them = field.volunteers
    column, cap = them.caps.expand(volunteer)
    begin = start[column]
    over = (them.cap_start[cap] <= begin) & (begin < them.cap_end[cap])
    over &= field.requests.load[request[column]] > them.cap_minutes[cap]
    fits = np.ones(len(request), np.bool_)
    fits[column[over]] = False
    return fits


def values(field: Field, request: Ints, volunteer: Ints, start: Ints) -> Ints:
    """Return what visits are worth: ``pointsbank.domain.pairing.value.value`` over arrays."""
    asked, them, ground, weights = field.requests, field.volunteers, field.ground, field.instance.weights
    here, home = asked.spot[request], them.home[volunteer]
    metres = np.where(ground.placed[here] & ground.placed[home], ground.metres(here, home), 0)
    before = field.known.of(request, volunteer, otherwise=0)
    wished = (asked.gender[request] > 0) & (asked.gender[request] == them.gender[volunteer])
    language = asked.language[request]
    spoken = (
        (language >= 0) & them.speaks[volunteer, np.maximum(language, 0)]
        if them.speaks.shape[1]
        else np.zeros(len(request), np.bool_)
    )
    spare = np.zeros(len(request), np.int64)
    for skill in np.flatnonzero(field.scarce):
        spare += (them.until[volunteer, skill] > -EVER) & ~asked.needs[request, skill]
    off = np.abs(start - asked.preferred[request])
    kept = field.promised.of(request, volunteer, otherwise=-EVER) == start
    worth: Ints = asked.worth[request] + them.worth[volunteer]
    worth -= ints(weights.grid)[ground.distance[ground.grid[home], ground.grid[here]]]
    worth -= weights.hundred_metres * np.minimum(metres, weights.metres) // 100
    worth += weights.gender * wished + weights.language * spoken
    worth += weights.known * np.minimum(before, weights.known_visits)
    worth += weights.same_carer * ((before > 0) & asked.same_carer[request])
    worth -= weights.spare_skill * spare
    worth -= weights.quarter * off // QUARTER
    worth += weights.keep * kept
    return np.maximum(worth, weights.least)
