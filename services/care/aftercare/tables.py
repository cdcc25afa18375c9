"""Feedback, complaints and sanctions. Who decides is nobody who has a part in it, here as in the domain."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, SmallInteger, text
from sqlmodel import Field

from pointsbank.domain.complaint import AppealState, ComplaintState
from pointsbank.domain.feedback import Again, Side
from pointsbank.domain.visit_rules import BarKind, Ground
from pointsbank.platform.tables import BankTable, belongs_to, moment, one_of, word


class VisitFeedback(BankTable, table=True):
    """What one side of a visit says of the other, once."""

    __tablename__ = "visit_feedback"
    __table_args__ = (
        belongs_to("visits", "visit_id"),
        belongs_to("people", "given_by"),
        one_of("side", Side),
        one_of("again", Again),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
    )
    community_id: int = Field(primary_key=True)
    visit_id: UUID = Field(primary_key=True)
    side: str = word(primary_key=True)
    given_by: UUID
    again: str = word()
    rating: int | None = Field(default=None, sa_type=SmallInteger, nullable=True)
    note: str | None = word(500, default=None, nullable=True)
    given_at: datetime = moment()
    changed_at: datetime = moment()


class Sanction(BankTable, table=True):
    """A bar: from what, until when, why, by whom; lifted when an appeal was upheld."""

    __tablename__ = "sanctions"
    __table_args__ = (
        belongs_to("people", "person_id"),
        belongs_to("people", "decided_by"),
        belongs_to("people", "lifted_by"),
        belongs_to("complaints", "complaint_id"),
        one_of("kind", BarKind),
        CheckConstraint("until_at > from_at", name="span"),
        CheckConstraint("decided_by <> person_id AND lifted_by <> person_id", name="not_oneself"),
        CheckConstraint("(lifted_by IS NULL) = (lifted_at IS NULL)", name="lifted"),
        Index("ix_sanctions_person", "community_id", "person_id", "kind", "until_at"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    person_id: UUID
    kind: str = word()
    from_at: datetime = moment()
    until_at: datetime = moment()
    why: str = word(500)
    complaint_id: UUID
    decided_by: UUID
    lifted_by: UUID | None = Field(default=None)
    lifted_at: datetime | None = moment(nullable=True, default=None)


class Complaint(BankTable, table=True):
    """A complaint about a visit, how it was heard and decided, and the appeal.

    reversal_id: the decision that takes the visit's entry back. restoring_ids: those that give it back.
    """

    __tablename__ = "complaints"
    __table_args__ = (
        belongs_to("visits", "visit_id"),
        belongs_to("people", "volunteer_id"),
        belongs_to("people", "complained_by"),
        belongs_to("people", "heard_by"),
        belongs_to("people", "decided_by"),
        belongs_to("people", "appealed_by"),
        belongs_to("people", "appeal_decided_by"),
        belongs_to("decisions", "reversal_id"),
        belongs_to("decisions", "restoring_points_id"),
        belongs_to("decisions", "restoring_minutes_id"),
        one_of("ground", Ground),
        one_of("state", ComplaintState),
        one_of("appeal", AppealState),
        CheckConstraint("volunteer_id <> complained_by", name="not_by_the_paid"),
        CheckConstraint("volunteer_id <> decided_by AND complained_by <> decided_by", name="second_person"),
        CheckConstraint("volunteer_id <> heard_by", name="not_heard_by_the_paid"),
        CheckConstraint(
            "appeal_decided_by <> decided_by AND appeal_decided_by <> complained_by "
            "AND appeal_decided_by <> volunteer_id",
            name="another_decides_the_appeal",
        ),
        CheckConstraint("state = 'filed' OR heard_at IS NOT NULL", name="heard"),
        CheckConstraint(
            "(state IN ('upheld', 'dismissed')) = (decided_by IS NOT NULL AND decided_at IS NOT NULL)",
            name="decided",
        ),
        CheckConstraint("appeal IS NULL OR state = 'upheld'", name="appealed"),
        CheckConstraint(
            "(appeal IS NOT NULL AND appeal IN ('upheld', 'dismissed')) "
            "= (appeal_decided_by IS NOT NULL AND appeal_decided_at IS NOT NULL)",
            name="appeal_decided",
        ),
        Index(
            "uq_complaints_standing",
            "community_id",
            "visit_id",
            unique=True,
            postgresql_where=text("state <> 'dismissed' AND appeal IS DISTINCT FROM 'upheld'"),
        ),
        Index("ix_complaints_filed", "community_id", "filed_at"),
    )
    community_id: int = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    visit_id: UUID
    volunteer_id: UUID
    complained_by: UUID
    ground: str = word()
    note: str | None = word(500, default=None, nullable=True)
    state: str = word(default=ComplaintState.FILED)
    filed_at: datetime = moment()
    heard_by: UUID | None = Field(default=None)
    heard_at: datetime | None = moment(nullable=True, default=None)
    answer: str | None = word(500, default=None, nullable=True)
    decided_by: UUID | None = Field(default=None)
    decided_at: datetime | None = moment(nullable=True, default=None)
    finding: str | None = word(500, default=None, nullable=True)
    reversal_id: UUID | None = Field(default=None)
    appeal: str | None = word(default=None, nullable=True)
    appealed_by: UUID | None = Field(default=None)
    appealed_at: datetime | None = moment(nullable=True, default=None)
    appeal_note: str | None = word(500, default=None, nullable=True)
    appeal_decided_by: UUID | None = Field(default=None)
    appeal_decided_at: datetime | None = moment(nullable=True, default=None)
    appeal_finding: str | None = word(500, default=None, nullable=True)
    restoring_points_id: UUID | None = Field(default=None)
    restoring_minutes_id: UUID | None = Field(default=None)
