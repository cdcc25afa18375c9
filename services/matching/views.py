"""What the matching room tells. Never rows of its tables. Moments are aware, in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pointsbank.domain.grid import GridDistance
from pointsbank.domain.offer import OfferState
from pointsbank.domain.pairing import Blocked
from services.care.service import RequestInfo


@dataclass(frozen=True, slots=True)
class PairingRunInfo:
    """What a pairing run came to. blocked: by unpaired request, the number of volunteers each reason cost."""

    id: UUID
    engine: str
    ran_at: datetime
    paired: int
    unpaired: int
    blocked: Mapping[UUID, Mapping[Blocked, int]]


@dataclass(frozen=True, slots=True)
class OfferInfo:
    """A request offered to a volunteer until ``expires_at``."""

    id: UUID
    volunteer_id: UUID
    request: RequestInfo
    distance: GridDistance
    state: OfferState
    offered_at: datetime
    expires_at: datetime
