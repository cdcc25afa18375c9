"""What the care room takes and tells. Never rows of its tables. Moments are aware, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.visit import ConfirmationMethod, VisitState


@dataclass(frozen=True, slots=True)
class AskForHelp:
    """What an elder asks for. minutes: how long it should take; urgency: 0 (can wait) to 3 (today)."""

    elder_id: UUID
    kind: str
    starts_at: datetime
    minutes: int
    urgency: int = 0
    note: str | None = None


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A help request. number: to read out, unique in the community; building: without the room."""

    id: UUID
    number: int
    elder_id: UUID
    elder_name: str
    building: str
    small_grid: int
    asked_by: UUID
    kind: str
    starts_at: datetime
    ends_at: datetime
    urgency: int
    note: str | None
    state: RequestState
    asked_at: datetime

    @property
    def by_proxy(self) -> bool:
        """Whether somebody else asked for the elder (代办)."""
        return self.asked_by != self.elder_id


@dataclass(frozen=True, slots=True)
class VisitInfo:
    """A visit. What comes with check-in, check-out and confirmation is None before it.

    minutes: from check-in to check-out; credited_minutes: what the caps left of them; clipped_minutes,
    clipped_milli_points: what they took; entry_number: None also when the caps left nothing to post.
    """

    id: UUID
    help_request_id: UUID | None
    volunteer_id: UUID
    volunteer_name: str
    elder_id: UUID
    elder_name: str
    address: str
    kind: str
    planned_start: datetime
    planned_end: datetime
    checked_in_at: datetime | None
    checked_out_at: datetime | None
    minutes: int | None
    state: VisitState
    confirmed_by: UUID | None
    confirmation_method: ConfirmationMethod | None
    strength: int | None
    confirmed_at: datetime | None
    policy_version: int | None
    credited_minutes: int | None
    clipped_milli_points: int | None
    entry_number: int | None
    carer: int
    late_minutes: int
    check_in_method: AttendanceMethod | None
    check_out_method: AttendanceMethod | None
    overlap_with: UUID | None
    nobody_home: bool
    recorded_by: UUID | None
    also_confirmed_by: UUID | None
    also_method: ConfirmationMethod | None
    also_confirmed_at: datetime | None
    tier: int | None
    evidence: int | None
    times_by: UUID | None
    times_why: str | None

    @property
    def clipped_minutes(self) -> int | None:
        """How many of its minutes the day's cap took."""
        if self.minutes is None or self.credited_minutes is None:
            return None
        return self.minutes - self.credited_minutes


@dataclass(frozen=True, slots=True)
class Backfill:
    """A visit that took place and is recorded afterwards. The instants are aware."""

    volunteer_id: UUID
    elder_id: UUID
    kind: str
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class BoardLine:
    """One small grid's requests by state. late: start within a day with no volunteer, or nobody came."""

    small_grid: int
    name: str
    big_grid: int
    open: int
    offered: int
    accepted: int
    under_way: int
    to_confirm: int
    late: int


@dataclass(frozen=True, slots=True)
class Promise:
    """A stretch in which a volunteer has agreed to be somewhere."""

    volunteer_id: UUID
    start: datetime
    end: datetime
