"""Rings of members who pass points round among themselves.

The flows of a period make a directed graph: an edge from whoever spoke for a service (the elder, and whoever
confirmed) to the volunteer who earned by it, and from giver to taker of a gift. Two people who confirm each
other's service are a ring of two; three or four who do so in turn a ring of three or four. Simple cycles of
at most four are enumerated by networkx (Gupta and Suzumura, Finding All Bounded-Length Simple Cycles in a
Directed Graph, arXiv:2105.10094), which works within strongly connected parts and so skips nearly everybody.

A ring is as strong as its weakest flow. When there are more rings than are worth looking at, as many of the
weakest flows are left out as it takes: more flows never make fewer rings, so the number that can stay is
found by halving. A ring that is lost has a flow no stronger than any that stays: the strongest are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from uuid import UUID

import networkx

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


def _cycles(flows: Sequence[Flow], length_max: int) -> list[list[UUID]] | None:
    """Return every cycle, or None when there are more than ``RINGS_EXAMINED_MAX``."""
    graph = networkx.DiGraph()
    graph.add_edges_from((flow.giver, flow.taker) for flow in flows)
    found = list(islice(networkx.simple_cycles(graph, length_bound=length_max), RINGS_EXAMINED_MAX + 1))
    return found if len(found) <= RINGS_EXAMINED_MAX else None


def _ring(cycle: Sequence[UUID], flows: dict[tuple[UUID, UUID], Flow]) -> Ring:
    start = cycle.index(min(cycle))
    members = (*cycle[start:], *cycle[:start])
    around = tuple(
        flows[giver, taker] for giver, taker in zip(members, (*members[1:], members[0]), strict=True)
    )
    return Ring(members, around, min(flow.milli_points for flow in around))


def _rank(ring: Ring) -> tuple[int, int, int, tuple[UUID, ...]]:
    weakest = min(ring.flows, key=_strength)
    return -weakest.milli_points, -weakest.minutes, -weakest.entries, ring.members
