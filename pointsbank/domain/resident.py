"""Words about residents and where they live."""

from __future__ import annotations

from enum import StrEnum


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
