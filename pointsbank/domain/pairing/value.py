"""The objective of pairing, on one page.

A plan is a set of visits: request, volunteer, start. It is worth the sum over its visits of ::

    max( least,
         serve[urgency]                                 as many as possible, the urgent first
       + waiting_day · min(waited, waiting_days)/day    who waits long goes before who waits short
       − grid[distance] − hundred_metres · metres/100   near: a small grid is a weight, never a wall
       + gender + language                              wishes that are met
       + known · min(visits before, known_visits)       who has been there
       + same_carer                                     and above all where it was asked for
       + newcomer                                       a first turn for who never had one
       − hour · min(served lately, hours)               the load spread over many
       − spare_skill · scarce skills not needed         scarce skills kept for who needs them
       − quarter · |start − preferred|/15               near the time that was asked for
       + keep                                           a standing offer kept
       − unreliable · (1000 − reliability)/1000 )

less ``further`` for every visit of a volunteer after the first. Divisions round down, each once. What is
hard (skill, time, walking, caps, exclusions, two carers) is no weight: see
:mod:`pointsbank.domain.pairing.rules`. Every letter is policy data (:class:`Weights`).

The engine computes the same for many pairs at once (``services.matching.engine.columns``); the check of a
plan (:mod:`pointsbank.domain.pairing.check`) uses this page.
"""

from __future__ import annotations

from enum import StrEnum
from math import isqrt

from pointsbank.domain.pairing.instance import Instance, Request, Spot, Volunteer
from pointsbank.domain.pairing.weights import Weights

DAY = 24 * 60
QUARTER = 15


class Term(StrEnum):
    """What a pair's worth is made of."""

    SERVE = "serve"
    WAITING = "waiting"
    GRID = "grid"
    METRES = "metres"
    GENDER = "gender"
    LANGUAGE = "language"
    KNOWN = "known"
    SAME_CARER = "same_carer"
    NEWCOMER = "newcomer"
    LOAD = "load"
    SPARE_SKILL = "spare_skill"
    START = "start"
    KEEP = "keep"
    UNRELIABLE = "unreliable"
    LEAST = "least"


def metres_between(one: Spot, other: Spot) -> int | None:
    """Return whole metres in a straight line; None where a coordinate is not known."""
    if one.east is None or one.north is None or other.east is None or other.north is None:
        return None
    return isqrt((one.east - other.east) ** 2 + (one.north - other.north) ** 2)


def walk_minutes(instance: Instance, one: Spot, other: Spot) -> int:
    """Return the minutes between two visits that walking takes, rounded up; 0 within a building.

    The straight line by ``detour``, at ``walk`` metres a minute; by grid distance where it is not known.
    """
    weights = instance.weights
    metres = metres_between(one, other)
    if metres is None:
        return weights.walk_grid[instance.distance(one, other)]
    return -(-metres * weights.detour // (1_000 * weights.walk))


def terms(instance: Instance, request: Request, volunteer: Volunteer, start: int) -> dict[Term, int]:
    """Return what a pair is worth, term by term; terms of 0 are left out. They sum to its value."""
    weights = instance.weights
    waited = min(request.waited, weights.waiting_days * DAY)
    metres = metres_between(volunteer.home, request.spot)
    before = request.known.get(volunteer.id, 0)
    spare = len((instance.scarce & volunteer.skills.keys()) - request.skills)
    found = {
        Term.SERVE: weights.serve[request.urgency],
        Term.WAITING: weights.waiting_day * waited // DAY,
        Term.GRID: -weights.grid[instance.distance(volunteer.home, request.spot)],
        Term.METRES: -(weights.hundred_metres * min(metres or 0, weights.metres) // 100),
        Term.GENDER: weights.gender if request.gender and request.gender == volunteer.gender else 0,
        Term.LANGUAGE: weights.language if request.language in volunteer.languages else 0,
        Term.KNOWN: weights.known * min(before, weights.known_visits),
        Term.SAME_CARER: weights.same_carer if before and request.same_carer else 0,
        Term.NEWCOMER: weights.newcomer if not volunteer.visits else 0,
        Term.LOAD: -(weights.hour * min(volunteer.recent, weights.hours * 60) // 60),
        Term.SPARE_SKILL: -weights.spare_skill * spare,
        Term.START: -(weights.quarter * abs(start - request.preferred) // QUARTER),
        Term.KEEP: weights.keep if request.promised.get(volunteer.id) == start else 0,
        Term.UNRELIABLE: -(weights.unreliable * (1_000 - volunteer.reliability) // 1_000),
    }
    found[Term.LEAST] = max(0, weights.least - sum(found.values()))
    return {term: points for term, points in found.items() if points}


def value(instance: Instance, request: Request, volunteer: Volunteer, start: int) -> int:
    """Return what a pair is worth: at least ``weights.least``, so that serving beats not serving."""
    return sum(terms(instance, request, volunteer, start).values())


def further(weights: Weights, visits: int) -> int:
    """Return what a volunteer's visits in one run cost beyond their values."""
    return weights.further * max(0, visits - 1)
