"""Words about residents and where they live."""

from __future__ import annotations

from enum import StrEnum

from pointsbank.domain.errors import InvalidValue

METRES_MAX = 50_000
"""Farthest a building may stand from the community's centre, in either direction."""


def require_metres(east: int | None, north: int | None) -> None:
    """Check where a building stands: whole metres east and north of the centre, both or neither.

    Raises InvalidValue naming ``metres``.
    """
    if (east is None) != (north is None):
        raise InvalidValue(field="metres", rule="both_coordinates")
    for told in (east, north):
        if told is None:
            continue
        if type(told) is not int or not -METRES_MAX <= told <= METRES_MAX:
            raise InvalidValue(field="metres", rule=f"at_most_{METRES_MAX}_metres")


class PlaceKind(StrEnum):
    """What kind of housing a place is."""

    ESTATE = "estate"  # 封闭小区
    COMPOUND = "compound"  # 开放式楼宇小区
    VILLAGE = "village"  # 自然村


class Gender(StrEnum):
    """As registered; ``unknown`` when not told."""

    FEMALE = "female"
    MALE = "male"
    UNKNOWN = "unknown"
