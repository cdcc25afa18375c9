"""The partners (合作点) the platform knows how to reach."""

from __future__ import annotations

from enum import StrEnum


class PartnerCode(StrEnum):
    """The partners the platform knows how to reach."""

    CANTEEN = "canteen"
    STATION = "station"
