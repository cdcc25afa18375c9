"""Help requests, who may ask and who is not sent, series, and visits."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlmodel import Field

from pointsbank.domain.asked_time import Slot, Timing
from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.help_request import AskedThrough, RequestState
from pointsbank.domain.preferences import ExclusionReason, GenderWanted, Relation
from pointsbank.domain.series import OnHolidays
from pointsbank.domain.visit import CancelledWhy, ConfirmationMethod, VisitState
from pointsbank.platform.tables import BankTable, belongs_to, in_community, moment, one_of, word


class Exclusion(BankTable, table=True):
    """A volunteer who is not sent to an elder, until it is lifted."""

    __tablename__ = "exclusions"
    __table_args__ = (
        in_community(),
        belongs_to("people", "elder_id"),
        belongs_to("people", "volunteer_id"),
        belongs_to("people", "set_by"),
        belongs_to("people", "lifted_by"),
        one_of("reason", ExclusionReason),
        CheckConstraint("elder_id <> volunteer_id", name="two_people"),
        CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL) AND lifted_at >= set_at", name="lifted"),
        Index(
            "uq_exclusions_standing",
            "community_id",
            "elder_id",
            "volunteer_id",
            unique=True,
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    elder_id: UUID
    volunteer_id: UUID
    reason: str = word()
    set_by: UUID
    set_at: datetime = moment()
    lifted_by: UUID | None = Field(default=None)
    lifted_at: datetime | None = moment(nullable=True, default=None)


class FamilyTie(BankTable, table=True):
    """Somebody of an elder's family, who speaks for them once a coordinator has confirmed it."""

    __tablename__ = "family_ties"
    __table_args__ = (
        in_community(),
        belongs_to("people", "elder_id"),
        belongs_to("people", "member_id"),
        belongs_to("people", "told_by"),
        belongs_to("people", "confirmed_by"),
        one_of("relation", Relation),
        CheckConstraint("elder_id <> member_id", name="two_people"),
        CheckConstraint("(confirmed_by IS NULL) = (confirmed_at IS NULL)", name="confirmed"),
        CheckConstraint("confirmed_by <> member_id", name="not_confirmed_by_oneself"),
        Index("ix_family_ties_member", "community_id", "member_id"),
    )
    community_id: int = Field(primary_key=True)
    elder_id: UUID = Field(primary_key=True)
    member_id: UUID = Field(primary_key=True)
    relation: str = word()
    told_by: UUID
    told_at: datetime = moment()
    confirmed_by: UUID | None = Field(default=None)
    confirmed_at: datetime | None = moment(nullable=True, default=None)


class RequestSeries(BankTable, table=True):
    """Help asked for again and again. ``first_at`` is DTSTART of ``rule``, on the clock on the wall.

    ``made_through``: the last local day for which requests have been made, but for what
    :class:`UnmadeOccurrence` says. ``similar_meant``: it was asked although something like it may stand.
    """

    __tablename__ = "request_series"
    __table_args__ = (
        in_community(),
        belongs_to("people", "elder_id"),
        belongs_to("people", "asked_by"),
        belongs_to("people", "ended_by"),
        belongs_to("buildings", "building_id"),
        one_of("asked_through", AskedThrough),
        one_of("timing", Timing),
        one_of("slot", Slot),
        one_of("holidays", OnHolidays),
        one_of("gender_wanted", GenderWanted),
        CheckConstraint("(timing = 'slot') = (slot IS NOT NULL)", name="slot_named"),
        CheckConstraint(
            "window_minutes BETWEEN 0 AND 1440 AND (timing = 'window' OR window_minutes = 0)",
            name="window_minutes",
        ),
        CheckConstraint("minutes BETWEEN 10 AND 720", name="minutes"),
        CheckConstraint("urgency BETWEEN 0 AND 3", name="urgency"),
        CheckConstraint("gender_wanted IS NOT NULL OR NOT gender_hard", name="gender_hard"),
        CheckConstraint("last_on >= first_at::date AND last_on - first_at::date <= 731", name="days"),
        CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
        Index("ix_request_series_elder", "community_id", "elder_id"),
        Index(
            "ix_request_series_standing",
            "community_id",
            "made_through",
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "uq_request_series_standing",
            "community_id",
            "elder_id",
            "kind",
            "rule",
            "first_at",
            unique=True,
            postgresql_where=text("ended_at IS NULL AND NOT similar_meant"),
        ),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    elder_id: UUID
    asked_by: UUID
    asked_through: str = word()
    kind: str = word()
    minutes: int
    timing: str = word()
    slot: str | None = word(default=None, nullable=True)
    window_minutes: int
    first_at: datetime = Field(sa_type=DateTime(timezone=False))
    last_on: date
    rule: str = word(200)
    holidays: str = word()
    urgency: int
    note: str | None = word(500, default=None, nullable=True)
    building_id: UUID | None = Field(default=None)
    gender_wanted: str | None = word(default=None, nullable=True)
    gender_hard: bool
    language_wanted: str | None = word(default=None, nullable=True)
    same_carer: bool
    similar_meant: bool
    asked_at: datetime = moment()
    made_through: date | None = Field(default=None)
    ended_by: UUID | None = Field(default=None)
    ended_at: datetime | None = moment(nullable=True, default=None)


class SeriesException(BankTable, table=True):
    """One occurrence of a series that is left out (EXDATE), by its moment on the clock on the wall."""

    __tablename__ = "series_exceptions"
    __table_args__ = (belongs_to("request_series", "series_id"), belongs_to("people", "set_by"))
    community_id: int = Field(primary_key=True)
    series_id: UUID = Field(primary_key=True)
    occurrence: datetime = Field(primary_key=True, sa_type=DateTime(timezone=False))
    set_by: UUID
    set_at: datetime = moment()


class UnmadeOccurrence(BankTable, table=True):
    """One occurrence of a series for which no request could be made, and why: an error's code.

    ``detail``: the error's fact, such as the number of the request like it. ``settled_at``: when it got its
    request, or was left out or ended with its series; empty: it is tried again until it has come, and told as
    lost after.
    """

    __tablename__ = "unmade_occurrences"
    __table_args__ = (
        belongs_to("request_series", "series_id"),
        CheckConstraint("tries >= 1 AND tried_at >= failed_at", name="tried"),
        Index(
            "ix_unmade_occurrences_open",
            "community_id",
            "occurrence",
            postgresql_where=text("settled_at IS NULL"),
        ),
    )
    community_id: int = Field(primary_key=True)
    series_id: UUID = Field(primary_key=True)
    occurrence: datetime = Field(primary_key=True, sa_type=DateTime(timezone=False))
    reason: str = word()
    detail: str | None = word(100, default=None, nullable=True)
    tries: int
    failed_at: datetime = moment()
    tried_at: datetime = moment()
    settled_at: datetime | None = moment(nullable=True, default=None)


class HelpRequest(BankTable, table=True):
    """What an elder asked for. ``asked_by`` ≠ ``elder_id`` is a proxy (代办).

    The visit may begin from ``earliest_start`` to ``latest_start`` and is over by ``latest_end``;
    ``starts_at`` and ``ends_at`` are the time that is wanted, later the one that is agreed.
    ``similar_meant``: it was asked although, or made knowing that, something like it may stand already.
    ``occurrence``: which one of its series it is, on the clock on the wall.
    """

    __tablename__ = "help_requests"
    __table_args__ = (
        in_community(),
        belongs_to("people", "elder_id"),
        belongs_to("people", "asked_by"),
        belongs_to("small_grids", "small_grid", key=("number",)),
        belongs_to("buildings", "building_id"),
        belongs_to("request_series", "series_id"),
        one_of("state", RequestState),
        one_of("asked_through", AskedThrough),
        one_of("timing", Timing),
        one_of("slot", Slot),
        one_of("gender_wanted", GenderWanted),
        CheckConstraint("ends_at > starts_at", name="period"),
        CheckConstraint("urgency BETWEEN 0 AND 3", name="urgency"),
        CheckConstraint("(timing = 'slot') = (slot IS NOT NULL)", name="slot_named"),
        CheckConstraint(
            "earliest_start <= starts_at AND starts_at <= latest_start "
            "AND (timing <> 'fixed' OR earliest_start = latest_start)",
            name="begins_in_time",
        ),
        CheckConstraint("latest_end - latest_start = ends_at - starts_at", name="ends_in_time"),
        CheckConstraint("gender_wanted IS NOT NULL OR NOT gender_hard", name="gender_hard"),
        CheckConstraint("carers BETWEEN 1 AND 2", name="carers"),
        CheckConstraint("escalation BETWEEN 0 AND 2", name="escalation"),
        CheckConstraint("(series_id IS NULL) = (occurrence IS NULL)", name="of_series"),
        CheckConstraint("(asked_through = 'self') = (asked_by = elder_id)", name="asked_by_oneself"),
        UniqueConstraint("community_id", "number"),
        UniqueConstraint("community_id", "series_id", "occurrence"),
        ExcludeConstraint(
            ("community_id", "="),
            ("elder_id", "="),
            ("kind", "="),
            (text("tstzrange(earliest_start, latest_end)"), "&&"),
            where=text("state IN ('open', 'offered', 'accepted') AND NOT similar_meant"),
            name="ex_help_requests_similar",
        ),
        Index("ix_help_requests_state", "community_id", "state", "starts_at"),
        Index("ix_help_requests_elder", "community_id", "elder_id", "starts_at"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger)
    elder_id: UUID
    asked_by: UUID
    asked_through: str = word()
    kind: str = word()
    carers: int
    small_grid: int
    building_id: UUID
    timing: str = word()
    slot: str | None = word(default=None, nullable=True)
    earliest_start: datetime = moment()
    latest_start: datetime = moment()
    latest_end: datetime = moment()
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    urgency: int = Field(default=0)
    note: str | None = word(500, default=None, nullable=True)
    gender_wanted: str | None = word(default=None, nullable=True)
    gender_hard: bool
    language_wanted: str | None = word(default=None, nullable=True)
    same_carer: bool
    similar_meant: bool
    state: str = word(default=RequestState.OPEN)
    asked_at: datetime = moment()
    escalation: int = Field(default=0)
    escalated_at: datetime | None = moment(nullable=True, default=None)
    series_id: UUID | None = Field(default=None)
    occurrence: datetime | None = Field(default=None, sa_type=DateTime(timezone=False), nullable=True)


class Visit(BankTable, table=True):
    """A volunteer's service to an elder, from agreement to confirmation.

    ``help_request_id`` is empty for a record brought in from paper; ``content_key`` then is what makes
    bringing it in twice harmless. ``strength`` says how much the confirmation is worth, ``evidence`` what
    audit samples by. ``carer``: which of its request's places it takes. ``recorded_by``: who recorded it
    afterwards. ``also_confirmed_by``: who confirmed a long one first. ``times_by``: the coordinator who put
    its times right. ``cancelled_*``: who called a planned one off, for whom and whether late.
    """

    __tablename__ = "visits"
    __table_args__ = (
        in_community(),
        belongs_to("help_requests", "help_request_id"),
        belongs_to("people", "volunteer_id"),
        belongs_to("people", "elder_id"),
        belongs_to("people", "confirmed_by"),
        one_of("state", VisitState),
        belongs_to("people", "recorded_by"),
        belongs_to("people", "also_confirmed_by"),
        belongs_to("people", "times_by"),
        belongs_to("visits", "overlap_with"),
        one_of("confirmation_method", ConfirmationMethod),
        one_of("also_method", ConfirmationMethod),
        one_of("check_in_method", AttendanceMethod),
        one_of("check_out_method", AttendanceMethod),
        belongs_to("people", "cancelled_by"),
        one_of("cancelled_why", CancelledWhy),
        CheckConstraint(
            "(cancelled_why IS NULL) = (cancelled_at IS NULL) "
            "AND (cancelled_why IS NULL OR state = 'cancelled') "
            "AND (cancelled_why IS NOT NULL OR cancelled_by IS NULL AND NOT cancelled_late) "
            "AND (cancelled_why IS DISTINCT FROM 'kept_apart' OR NOT cancelled_late)",
            name="called_off",
        ),
        CheckConstraint("carer IN (1, 2)", name="carer"),
        CheckConstraint("late_minutes >= 0", name="late_minutes"),
        CheckConstraint("tier IN (1, 2, 3)", name="tier"),
        CheckConstraint("evidence BETWEEN 1 AND 4", name="evidence"),
        CheckConstraint("volunteer_id <> also_confirmed_by", name="not_also_confirmed_by_the_paid"),
        CheckConstraint("confirmed_by <> also_confirmed_by", name="two_confirmers"),
        CheckConstraint(
            "recorded_by <> confirmed_by AND recorded_by <> also_confirmed_by",
            name="not_confirmed_by_its_recorder",
        ),
        CheckConstraint("volunteer_id <> times_by", name="times_not_by_the_paid"),
        CheckConstraint(
            "state <> 'confirmed' OR tier IS NULL OR tier = 1 OR (also_confirmed_by IS NOT NULL "
            "AND 'coordinator' IN (confirmation_method, also_method) "
            "AND (tier = 2 OR (confirmation_method = 'coordinator' AND also_method = 'coordinator')))",
            name="tiers",
        ),
        CheckConstraint("state <> 'confirmed' OR overlap_with IS NULL", name="overlap_settled"),
        CheckConstraint(
            "state NOT IN ('done', 'disputed') OR (checked_in_at IS NOT NULL "
            "AND checked_out_at IS NOT NULL AND minutes IS NOT NULL)",
            name="over",
        ),
        CheckConstraint(
            "state NOT IN ('under_way', 'missing') OR (checked_in_at IS NOT NULL AND checked_out_at IS NULL)",
            name="begun",
        ),
        CheckConstraint("volunteer_id <> elder_id", name="not_oneself"),
        CheckConstraint("volunteer_id <> confirmed_by", name="not_confirmed_by_the_paid"),
        CheckConstraint("planned_end > planned_start", name="planned"),
        CheckConstraint("checked_out_at > checked_in_at", name="checked"),
        CheckConstraint("minutes BETWEEN 1 AND 1440", name="minutes"),
        CheckConstraint(
            "state <> 'confirmed' OR (checked_in_at IS NOT NULL AND checked_out_at IS NOT NULL "
            "AND minutes IS NOT NULL AND confirmed_by IS NOT NULL AND confirmation_method IS NOT NULL "
            "AND strength IS NOT NULL AND credited_minutes IS NOT NULL AND confirmed_at IS NOT NULL "
            "AND policy_version IS NOT NULL)",
            name="confirmed",
        ),
        CheckConstraint(
            "(state = 'confirmed') = (entry_number IS NOT NULL) OR credited_minutes = 0", name="posted"
        ),
        UniqueConstraint("community_id", "content_key"),
        UniqueConstraint("community_id", "entry_number"),
        ExcludeConstraint(
            ("community_id", "="),
            ("volunteer_id", "="),
            (text("tstzrange(planned_start, planned_end)"), "&&"),
            where=text("state IN ('planned', 'under_way')"),
            name="ex_visits_planned",
        ),
        ExcludeConstraint(
            ("community_id", "="),
            ("volunteer_id", "="),
            (text("tstzrange(checked_in_at, checked_out_at)"), "&&"),
            where=text("state = 'confirmed'"),
            name="ex_visits_confirmed",
        ),
        Index(
            "uq_visits_help_request",
            "community_id",
            "help_request_id",
            "carer",
            unique=True,
            postgresql_where=text(
                "state NOT IN ('cancelled', 'no_show_volunteer', 'no_show_elder') "
                "AND help_request_id IS NOT NULL"
            ),
        ),
        Index(
            "ix_visits_unsettled",
            "community_id",
            "state",
            "planned_start",
            postgresql_where=text("state IN ('missing', 'disputed') OR overlap_with IS NOT NULL"),
        ),
        Index("ix_visits_volunteer", "community_id", "volunteer_id", "planned_start"),
        Index("ix_visits_elder", "community_id", "elder_id", "planned_start"),
        Index("ix_visits_state", "community_id", "state", "planned_start"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    help_request_id: UUID | None = Field(default=None)
    volunteer_id: UUID
    elder_id: UUID
    kind: str = word()
    planned_start: datetime = moment()
    planned_end: datetime = moment()
    checked_in_at: datetime | None = moment(nullable=True, default=None)
    checked_out_at: datetime | None = moment(nullable=True, default=None)
    minutes: int | None = Field(default=None)
    state: str = word(default=VisitState.PLANNED)
    confirmed_by: UUID | None = Field(default=None)
    confirmation_method: str | None = word(default=None, nullable=True)
    strength: int | None = Field(default=None)
    confirmed_at: datetime | None = moment(nullable=True, default=None)
    policy_version: int | None = Field(default=None)
    credited_minutes: int | None = Field(default=None)
    clipped_milli_points: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    entry_number: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    content_key: bytes | None = Field(default=None, sa_type=LargeBinary, nullable=True)
    created_at: datetime = moment()
    carer: int = Field(default=1, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("1")})
    late_minutes: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    check_in_method: str | None = word(default=None, nullable=True)
    check_out_method: str | None = word(default=None, nullable=True)
    overlap_with: UUID | None = Field(default=None)
    nobody_home: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    recorded_by: UUID | None = Field(default=None)
    also_confirmed_by: UUID | None = Field(default=None)
    also_method: str | None = word(default=None, nullable=True)
    also_confirmed_at: datetime | None = moment(nullable=True, default=None)
    tier: int | None = Field(default=None, sa_type=SmallInteger, nullable=True)
    evidence: int | None = Field(default=None, sa_type=SmallInteger, nullable=True)
    times_by: UUID | None = Field(default=None)
    times_why: str | None = word(200, default=None, nullable=True)
    cancelled_by: UUID | None = Field(default=None)
    cancelled_at: datetime | None = moment(nullable=True, default=None)
    cancelled_why: str | None = word(default=None, nullable=True)
    cancelled_late: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
