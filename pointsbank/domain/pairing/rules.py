"""The hard rules of pairing, one pair at a time: who can never be sent, and why.

A plan must keep them whatever it is worth. Between two visits of one volunteer (promised or planned)
walking must be possible: the later must start no sooner than the earlier starts plus the longer of what it
blocks and its minutes with the walk.
"""

from __future__ import annotations

from enum import StrEnum

from pointsbank.domain.pairing.instance import Instance, Request, Spot, Volunteer
from pointsbank.domain.pairing.value import walk_minutes


class Blocked(StrEnum):
    """Why one volunteer cannot take one request; the first that holds, in this order."""

    ONESELF = "oneself"
    EXCLUDED = "excluded"
    TOO_FAR = "too_far"
    NO_SKILL = "no_skill"
    GENDER = "gender"
    NOT_FREE = "not_free"
    ALREADY_PROMISED = "already_promised"
    CAP = "cap"


def blocked(instance: Instance, request: Request, volunteer: Volunteer) -> Blocked | None:
    """Return why a volunteer can take a request at none of its starts, or None if at one they can.

    Of several starts, the reason that comes latest in the order of :class:`Blocked` is told: it is the
    nearest to being possible.
    """
    whoever = blocked_person(request, volunteer)
    if whoever is not None:
        return whoever
    worst = [blocked_at(instance, request, volunteer, start) for start in request.starts]
    if None in worst:
        return None
    order = list(Blocked)
    return max((each for each in worst if each is not None), key=order.index)


def blocked_person(request: Request, volunteer: Volunteer) -> Blocked | None:
    """Return why a volunteer cannot take a request at any time, or None."""
    if volunteer.id == request.elder:
        return Blocked.ONESELF
    if volunteer.id in request.excluded:
        return Blocked.EXCLUDED
    if request.spot.grid not in volunteer.grids:
        return Blocked.TOO_FAR
    if not request.skills <= volunteer.skills.keys():
        return Blocked.NO_SKILL
    if request.gender_hard and request.gender != volunteer.gender:
        return Blocked.GENDER
    return None


def blocked_at(instance: Instance, request: Request, volunteer: Volunteer, start: int) -> Blocked | None:
    """Return why a volunteer, suitable otherwise, cannot take a request at ``start``, or None."""
    end = start + request.blocks
    for skill in request.skills:
        until = volunteer.skills[skill]
        if until is not None and until < start + request.minutes:
            return Blocked.NO_SKILL
    if not any(free.start <= start and end <= free.end for free in volunteer.free):
        return Blocked.NOT_FREE
    for promise in volunteer.busy:
        if collide(
            instance,
            (start, request.minutes, request.blocks, request.spot),
            (promise.start, promise.end - promise.start, promise.end - promise.start, promise.spot),
        ):
            return Blocked.ALREADY_PROMISED
    if any(cap.start <= start < cap.end and request.load > cap.minutes for cap in volunteer.caps):
        return Blocked.CAP
    return None


Occupied = tuple[int, int, int, Spot]
"""A visit: start, minutes, blocks, where."""


def collide(instance: Instance, one: Occupied, other: Occupied) -> bool:
    """Tell whether one volunteer cannot make both visits."""
    first, second = (one, other) if one[0] <= other[0] else (other, one)
    start, minutes, blocks, spot = first
    return second[0] < start + max(blocks, minutes + walk_minutes(instance, spot, second[3]))
