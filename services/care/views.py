"""What the care room takes and tells. Never rows of its tables. Moments are aware, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from pointsbank.domain.asked_time import Slot, Timing, When
from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.help_request import AskedThrough, RequestState
from pointsbank.domain.preferences import NO_PREFERENCES, ExclusionReason, GenderWanted, Preferences, Relation
from pointsbank.domain.series import OnHolidays
from pointsbank.domain.visit import CancelledWhy, ConfirmationMethod, VisitState
from pointsbank.domain.waiting import Escalation


@dataclass(frozen=True, slots=True)
class AskForHelp:
    """What an elder asks for.

    starts_at: a moment, a slot of a local day, or a window. minutes: how long it should take. urgency: 0 (can
    wait) to 3 (today). building_id: where; the elder's own unless given. even_if_similar: ask although
    something like it has been asked for.
    """

    elder_id: UUID
    kind: str
    starts_at: When
    minutes: int
    urgency: int = 0
    note: str | None = None
    preferences: Preferences = NO_PREFERENCES
    building_id: UUID | None = None
    even_if_similar: bool = False


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A help request. number: to read out, unique in the community; building: without the room.

    The visit may begin from earliest_start to latest_start; starts_at and ends_at are the wanted time, later
    the agreed one. carers: how many must come. escalation: who has been told that it waits too long.
    series_id: of the series that it is one of.
    """

    id: UUID
    number: int
    elder_id: UUID
    elder_name: str
    building: str
    building_id: UUID
    small_grid: int
    asked_by: UUID
    asked_through: AskedThrough
    kind: str
    carers: int
    timing: Timing
    slot: Slot | None
    earliest_start: datetime
    latest_start: datetime
    starts_at: datetime
    ends_at: datetime
    urgency: int
    note: str | None
    gender_wanted: GenderWanted | None
    gender_hard: bool
    language_wanted: str | None
    same_carer: bool
    state: RequestState
    asked_at: datetime
    escalation: Escalation
    series_id: UUID | None

    @property
    def minutes(self) -> int:
        """How long it should take."""
        return (self.ends_at - self.starts_at) // timedelta(minutes=1)

    @property
    def by_proxy(self) -> bool:
        """Whether somebody else asked for the elder (代办)."""
        return self.asked_by != self.elder_id


@dataclass(frozen=True, slots=True)
class VisitInfo:
    """A visit. What comes with check-in, check-out and confirmation is None before it.

    minutes: from check-in to check-out; credited_minutes: what the caps left of them; clipped_minutes,
    clipped_milli_points: what they took; entry_number: None also when the caps left nothing to post.
    cancelled_why: for whom a planned one was called off, cancelled_by: by whom; cancelled_late: with less
    notice than the policy asks for.
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
    cancelled_by: UUID | None
    cancelled_at: datetime | None
    cancelled_why: CancelledWhy | None
    cancelled_late: bool

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
    """One small grid's requests by state.

    late: start within a day with no volunteer, or nobody came. escalated: wait too long for a volunteer.
    """

    small_grid: int
    name: str
    big_grid: int
    open: int
    offered: int
    accepted: int
    under_way: int
    to_confirm: int
    late: int
    escalated: int


@dataclass(frozen=True, slots=True)
class Promise:
    """A stretch in which a volunteer has agreed to be somewhere."""

    volunteer_id: UUID
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """A request that waits too long. waited: since its clock began, in minutes."""

    request: RequestInfo
    waited_minutes: int


@dataclass(frozen=True, slots=True)
class ExclusionInfo:
    """A volunteer who is not sent to an elder."""

    id: UUID
    elder_id: UUID
    volunteer_id: UUID
    volunteer_name: str
    reason: ExclusionReason
    set_by: UUID
    set_at: datetime


@dataclass(frozen=True, slots=True)
class TieInfo:
    """Somebody of an elder's family; they speak for the elder once ``confirmed_at`` is set."""

    elder_id: UUID
    elder_name: str
    member_id: UUID
    member_name: str
    relation: Relation
    told_at: datetime
    confirmed_by: UUID | None
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class AskAgainAndAgain:
    """What an elder asks for again and again.

    first_at: the first occurrence, a wall-clock moment of the community without a zone; for a slot only its
    day counts. rule: RFC 5545 RRULE. slot: if given, each is asked for in that slot; else window_minutes is
    how much later than the rule's hour it may begin (0: a fixed start). even_if_similar: ask although
    something like it is asked for, again and again or once.
    """

    elder_id: UUID
    kind: str
    first_at: datetime
    rule: str
    minutes: int
    slot: Slot | None = None
    window_minutes: int = 0
    holidays: OnHolidays = OnHolidays.KEEP
    urgency: int = 0
    note: str | None = None
    preferences: Preferences = NO_PREFERENCES
    building_id: UUID | None = None
    even_if_similar: bool = False


@dataclass(frozen=True, slots=True)
class UnmadeInfo:
    """An occurrence that has no request. occurrence: on the clock on the wall.

    reason: an error's code, or ``too_late``; detail: its fact, such as the number of the request that is like
    it. waits: it has not come yet, and is tried again; else it is lost.
    """

    series_id: UUID
    elder_id: UUID
    elder_name: str
    kind: str
    occurrence: datetime
    reason: str
    detail: str | None
    tries: int
    failed_at: datetime
    tried_at: datetime
    waits: bool


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A series. first_at: wall-clock, without a zone. coming: its next occurrences, likewise.

    last_on: the local day of the last occurrence; ended_at: when it was ended before.
    """

    id: UUID
    elder_id: UUID
    asked_by: UUID
    asked_through: AskedThrough
    kind: str
    minutes: int
    timing: Timing
    slot: Slot | None
    window_minutes: int
    first_at: datetime
    last_on: date
    rule: str
    holidays: OnHolidays
    urgency: int
    note: str | None
    building_id: UUID | None
    gender_wanted: GenderWanted | None
    gender_hard: bool
    language_wanted: str | None
    same_carer: bool
    similar_meant: bool
    asked_at: datetime
    made_through: date | None
    ended_at: datetime | None
    coming: tuple[datetime, ...]

    @property
    def preferences(self) -> Preferences:
        """Whom the elder would like."""
        return Preferences(self.gender_wanted, self.gender_hard, self.language_wanted, self.same_carer)
