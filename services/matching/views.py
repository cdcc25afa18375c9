"""What the matching room tells. Never rows of its tables. Moments are aware, in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.availability import Limits, Skill
from pointsbank.domain.free_hours import FreeHour, HoursException
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.offer import OfferState
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan
from pointsbank.domain.pairing.rules import Blocked
from services.care.service import RequestInfo


@dataclass(frozen=True, slots=True)
class PairingRunInfo:
    """What a pairing run came to.

    paired: requests that its plan serves. blocked: by unpaired request, the number of volunteers each reason
    cost. worth: of the plan; bound: no plan is worth more; kept, moved: offers that stood before. The four
    are None in a run from before they were kept. left_out: requests that wait beyond the most a run takes on.
    """

    id: UUID
    engine: str
    ran_at: datetime
    paired: int
    unpaired: int
    blocked: Mapping[UUID, Mapping[Blocked, int]]
    worth: int | None = None
    bound: int | None = None
    kept: int | None = None
    moved: int | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A pairing run with all it was given and decided: with them it can be explained and run again."""

    info: PairingRunInfo
    instance: Instance
    plan: Plan


@dataclass(frozen=True, slots=True)
class RunReasons:
    """A pairing run with what it decided and why. replayable: what it was given is still kept."""

    info: PairingRunInfo
    replayable: bool
    plan: Plan


@dataclass(frozen=True, slots=True)
class OfferInfo:
    """A request offered to a volunteer until ``expires_at``. starts_at, ends_at: the time offered."""

    id: UUID
    volunteer_id: UUID
    request: RequestInfo
    distance: GridDistance
    starts_at: datetime
    ends_at: datetime
    state: OfferState
    offered_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SkillInfo:
    """A skill. needs_proof: by today's rules; counts: it may be relied upon today."""

    skill: Skill
    needs_proof: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class SkillToVerify:
    """A proof that nobody has looked at yet."""

    volunteer_id: UUID
    name: str
    skill: str
    proof: str
    valid_until: date | None


@dataclass(frozen=True, slots=True)
class AvailabilityInfo:
    """What a volunteer says of themselves.

    exceptions: from today on. limits: as they wish; day_minutes, week_minutes: what counts by today's rules.
    grids: as named; serves: what counts, those near home where none is named.
    """

    volunteer_id: UUID
    hours: tuple[FreeHour, ...]
    exceptions: tuple[HoursException, ...]
    limits: Limits
    day_minutes: int
    week_minutes: int
    grids: tuple[int, ...]
    serves: tuple[int, ...]
    languages: tuple[str, ...]
    skills: tuple[SkillInfo, ...]


@dataclass(frozen=True, slots=True)
class Takeable:
    """An open request a volunteer could take, and the start they could make that suits it best."""

    request: RequestInfo
    starts_at: datetime
    ends_at: datetime
    distance: GridDistance
    value: int
