"""Help requests and visits."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlmodel import Field

from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.visit import ConfirmationMethod, VisitState
from pointsbank.platform.tables import BankTable, belongs_to, in_community, moment, one_of, word


class HelpRequest(BankTable, table=True):
    """What an elder asked for. ``asked_by`` ≠ ``elder_id`` is a proxy (代办)."""

    __tablename__ = "help_requests"
    __table_args__ = (
        in_community(),
        belongs_to("people", "elder_id"),
        belongs_to("people", "asked_by"),
        belongs_to("small_grids", "small_grid", key=("number",)),
        one_of("state", RequestState),
        CheckConstraint("ends_at > starts_at", name="period"),
        CheckConstraint("urgency BETWEEN 0 AND 3", name="urgency"),
        CheckConstraint("carers IN (1, 2)", name="carers"),
        UniqueConstraint("community_id", "number"),
        Index("ix_help_requests_state", "community_id", "state", "starts_at"),
        Index("ix_help_requests_elder", "community_id", "elder_id", "starts_at"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger)
    elder_id: UUID
    asked_by: UUID
    kind: str = word()
    small_grid: int
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    urgency: int = Field(default=0)
    note: str | None = word(500, default=None, nullable=True)
    state: str = word(default=RequestState.OPEN)
    asked_at: datetime = moment()
    carers: int = Field(default=1, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("1")})


class Visit(BankTable, table=True):
    """A volunteer's service to an elder, from agreement to confirmation.

    ``help_request_id`` is empty for a record brought in from paper; ``content_key`` then is what makes
    bringing it in twice harmless. ``strength`` says how much the confirmation is worth, ``evidence`` what
    audit samples by. ``carer``: which of its request's places it takes. ``recorded_by``: who recorded it
    afterwards. ``also_confirmed_by``: who confirmed a long one first. ``times_by``: the coordinator who put
    its times right.
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
