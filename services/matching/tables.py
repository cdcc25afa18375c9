"""When volunteers are free, what they can do, and the offers made to them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from pointsbank.domain.free_hours import ExceptionKind
from pointsbank.domain.offer import OfferState
from pointsbank.platform.tables import BankTable, belongs_to, in_community, moment, one_of, word


class FreeHours(BankTable, table=True):
    """A weekly stretch in which a volunteer is free; minutes from local midnight, Monday is weekday 0."""

    __tablename__ = "free_hours"
    __table_args__ = (
        belongs_to("people", "volunteer_id"),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("0 <= from_minute AND from_minute < to_minute AND to_minute <= 1440", name="minutes"),
    )
    community_id: int = Field(primary_key=True)
    volunteer_id: UUID = Field(primary_key=True)
    weekday: int = Field(primary_key=True)
    from_minute: int = Field(primary_key=True)
    to_minute: int


class HoursExceptionRow(BankTable, table=True):
    """A stretch of one local day in which a volunteer is away, or free besides; it may end a day later."""

    __tablename__ = "hours_exceptions"
    __table_args__ = (
        belongs_to("people", "volunteer_id"),
        one_of("kind", ExceptionKind),
        CheckConstraint(
            "0 <= from_minute AND from_minute < 1440 AND from_minute < to_minute "
            "AND to_minute <= from_minute + 1440",
            name="minutes",
        ),
    )
    community_id: int = Field(primary_key=True)
    volunteer_id: UUID = Field(primary_key=True)
    day: date = Field(primary_key=True)
    kind: str = word(primary_key=True)
    from_minute: int = Field(primary_key=True)
    to_minute: int


class VolunteerLimits(BankTable, table=True):
    """The most minutes a volunteer will give in a day and in a week; NULL: as the policy says."""

    __tablename__ = "volunteer_limits"
    __table_args__ = (
        belongs_to("people", "volunteer_id"),
        CheckConstraint("day_minutes BETWEEN 1 AND 1440", name="day_minutes"),
        CheckConstraint("week_minutes BETWEEN 1 AND 10080", name="week_minutes"),
    )
    community_id: int = Field(primary_key=True)
    volunteer_id: UUID = Field(primary_key=True)
    day_minutes: int | None = Field(default=None)
    week_minutes: int | None = Field(default=None)


class ServedGrid(BankTable, table=True):
    """A small grid a volunteer has named as one they serve; who names none serves those near home."""

    __tablename__ = "served_grids"
    __table_args__ = (
        belongs_to("people", "volunteer_id"),
        belongs_to("small_grids", "small_grid", key=("number",)),
    )
    community_id: int = Field(primary_key=True)
    volunteer_id: UUID = Field(primary_key=True)
    small_grid: int = Field(primary_key=True)


class VolunteerSkill(BankTable, table=True):
    """Something a volunteer can do that some kinds of service ask for, with its proof and who has seen it."""

    __tablename__ = "volunteer_skills"
    __table_args__ = (
        belongs_to("people", "volunteer_id"),
        belongs_to("people", "verified_by"),
        CheckConstraint("(verified_by IS NULL) = (verified_at IS NULL)", name="verified"),
        CheckConstraint("verified_at IS NULL OR proof IS NOT NULL", name="verified_by_proof"),
        CheckConstraint("verified_by <> volunteer_id", name="not_verified_by_oneself"),
    )
    community_id: int = Field(primary_key=True)
    volunteer_id: UUID = Field(primary_key=True)
    skill: str = word(primary_key=True)
    proof: str | None = word(200, default=None, nullable=True)
    verified_by: UUID | None = Field(default=None)
    verified_at: datetime | None = moment(nullable=True, default=None)
    valid_until: date | None = Field(default=None)


class PairingRun(BankTable, table=True):
    """One run of the engine: when, and how it came out.

    given, decided: the instance and the plan as documents, compressed: what explains the run and replays it.
    All four of worth, bound, given and decided are empty in a run from before they were kept; given alone is
    when the policy's days are over (``VolunteerRules.run_input_days``).
    """

    __tablename__ = "pairing_runs"
    __table_args__ = (
        in_community(),
        CheckConstraint("paired >= 0 AND unpaired >= 0", name="counts"),
        CheckConstraint("left_out >= 0", name="left_out"),
        CheckConstraint("worth <= bound", name="bound"),
        CheckConstraint(
            "(decided IS NULL) = (worth IS NULL) AND (decided IS NULL) = (bound IS NULL) "
            "AND (given IS NULL OR decided IS NOT NULL)",
            name="replay",
        ),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    engine: str = word()
    ran_at: datetime = moment()
    paired: int
    unpaired: int
    blocked: dict[str, Any] = Field(sa_type=JSONB)
    worth: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    bound: int | None = Field(default=None, sa_type=BigInteger, nullable=True)
    kept: int | None = Field(default=None)
    moved: int | None = Field(default=None)
    left_out: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    given: bytes | None = Field(default=None, sa_type=LargeBinary, nullable=True)
    decided: bytes | None = Field(default=None, sa_type=LargeBinary, nullable=True)


class Offer(BankTable, table=True):
    """A request offered to one volunteer; each of its places has at most one offer standing or accepted.

    carer: the place, 1 or 2.

    starts_at, ends_at: the time that is offered, one of those the request allows. pairing_run_id: NULL where
    no run made it (an urgent request's offer, what a volunteer took of their own accord).
    """

    __tablename__ = "offers"
    __table_args__ = (
        belongs_to("help_requests", "help_request_id"),
        belongs_to("people", "volunteer_id"),
        belongs_to("pairing_runs", "pairing_run_id"),
        one_of("state", OfferState),
        CheckConstraint("distance BETWEEN 0 AND 3", name="distance"),
        CheckConstraint("ends_at > starts_at", name="period"),
        Index(
            "uq_offers_standing",
            "community_id",
            "help_request_id",
            "carer",
            unique=True,
            postgresql_where=text("state IN ('offered', 'accepted')"),
        ),
        Index(
            "uq_offers_standing_volunteer",
            "community_id",
            "help_request_id",
            "volunteer_id",
            unique=True,
            postgresql_where=text("state IN ('offered', 'accepted')"),
        ),
        CheckConstraint("carer IN (1, 2)", name="carer"),
        Index("ix_offers_volunteer", "community_id", "volunteer_id", "state"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    help_request_id: UUID
    volunteer_id: UUID
    carer: int = Field(default=1, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("1")})
    pairing_run_id: UUID | None = Field(default=None)
    distance: int
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    state: str = word(default=OfferState.OFFERED)
    offered_at: datetime = moment()
    expires_at: datetime = moment()
    answered_at: datetime | None = moment(nullable=True, default=None)
