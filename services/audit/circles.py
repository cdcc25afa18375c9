"""Rings of members who pass points round among themselves.

The flows of a period make a directed graph: an edge from whoever spoke for a service (the elder, and whoever
confirmed) to the volunteer who earned by it, and from giver to taker of a gift. Two people who confirm each
other's service are a ring of two; three or four who do so in turn a ring of three or four. Each ring is found
once, from its lowest member: a path goes on to higher members only, and closes wherever its end's takers and
the first one's givers meet, which is one intersection of sets. (networkx enumerates bounded cycles too, but
takes the strongly connected parts anew for every member: quadratic where all are one part.)

A ring is as strong as its weakest flow. When there are more rings than are worth looking at, as many of the
weakest flows are left out as it takes: more flows never make fewer rings, so the number that can stay is
found by halving. A ring that is lost has a flow no stronger than any that stays: the strongest are told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from uuid import UUID

from services.audit.views import Flow, Ring, Rings

RING_LENGTH_MAX = 4
RINGS_EXAMINED_MAX = 5_000


def _strength(flow: Flow) -> tuple[int, int, int]:
    return flow.milli_points, flow.minutes, flow.entries


def rings(flows: Sequence[Flow], *, length_max: int = RING_LENGTH_MAX) -> Rings:
    """Return the rings of two to ``length_max`` members, the strongest first."""
    strongest = sorted((flow for flow in flows if flow.giver != flow.taker), key=_strength, reverse=True)
    found = _cycles(strongest, length_max)
    complete = found is not None
    fits, too_many = 0, len(strongest)
    while found is None or (not complete and too_many - fits > 1):
        middle = (fits + too_many) // 2
        tried = _cycles(strongest[:middle], length_max)
        if tried is None:
            too_many = middle
        else:
            fits, found = middle, tried
    by_ends = {(flow.giver, flow.taker): flow for flow in strongest}
    return Rings(tuple(sorted((_ring(cycle, by_ends) for cycle in found), key=_rank)), complete)


def _cycles(flows: Sequence[Flow], length_max: int) -> list[tuple[UUID, ...]] | None:
    """Return every cycle, or None when there are more than ``RINGS_EXAMINED_MAX``."""
    takers: dict[UUID, set[UUID]] = defaultdict(set)
    givers: dict[UUID, set[UUID]] = defaultdict(set)
    for flow in flows:
        takers[flow.giver].add(flow.taker)
        givers[flow.taker].add(flow.giver)
    found = (
        cycle
        for first in sorted(takers.keys() & givers.keys())
        for cycle in _from((first,), takers, {each for each in givers[first] if each > first}, length_max)
    )
    taken = list(islice(found, RINGS_EXAMINED_MAX + 1))
    return taken if len(taken) <= RINGS_EXAMINED_MAX else None


def _from(
    path: tuple[UUID, ...], takers: Mapping[UUID, set[UUID]], closing: set[UUID], length_max: int
) -> Iterator[tuple[UUID, ...]]:
    """Yield the cycles that begin with ``path``. closing: who gives to its first member, above that one."""
    further = takers.get(path[-1], set())
    for last in further & closing:
        if last not in path:
            yield (*path, last)
    if closing and len(path) < length_max - 1:
        for each in further:
            if each > path[0] and each not in path:
                yield from _from((*path, each), takers, closing, length_max)


def _ring(members: tuple[UUID, ...], flows: Mapping[tuple[UUID, UUID], Flow]) -> Ring:
    around = tuple(
        flows[giver, taker] for giver, taker in zip(members, (*members[1:], members[0]), strict=True)
    )
    return Ring(members, around, min(flow.milli_points for flow in around))


def _rank(ring: Ring) -> tuple[int, int, int, tuple[UUID, ...]]:
    weakest = min(ring.flows, key=_strength)
    return -weakest.milli_points, -weakest.minutes, -weakest.entries, ring.members
