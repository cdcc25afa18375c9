"""What is told of feedback, complaints and sanctions. Moments are aware, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pointsbank.domain.complaint import AppealState, ComplaintState, ToDo
from pointsbank.domain.feedback import Again, Side
from pointsbank.domain.visit_rules import BarKind, Ground


@dataclass(frozen=True, slots=True)
class FeedbackInfo:
    """What one side says of the other."""

    visit_id: UUID
    side: Side
    given_by: UUID
    again: Again
    rating: int | None
    note: str | None
    given_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class SanctionInfo:
    """A bar. It stands until ``until_at``, unless it was lifted."""

    id: UUID
    person_id: UUID
    kind: BarKind
    from_at: datetime
    until_at: datetime
    why: str
    complaint_id: UUID
    decided_by: UUID
    lifted_by: UUID | None
    lifted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ComplaintInfo:
    """A complaint as it stands. to_do: what people have to do next.

    reversal_id: the decision that takes the visit's entry back; restoring_points_id, restoring_minutes_id:
    those that give it back after an appeal. Each is posted once a second person has approved it.
    """

    id: UUID
    visit_id: UUID
    volunteer_id: UUID
    complained_by: UUID
    ground: Ground
    note: str | None
    state: ComplaintState
    filed_at: datetime
    heard_by: UUID | None
    heard_at: datetime | None
    answer: str | None
    decided_by: UUID | None
    decided_at: datetime | None
    finding: str | None
    reversal_id: UUID | None
    appeal: AppealState | None
    appealed_by: UUID | None
    appealed_at: datetime | None
    appeal_note: str | None
    appeal_decided_by: UUID | None
    appeal_decided_at: datetime | None
    appeal_finding: str | None
    restoring_points_id: UUID | None
    restoring_minutes_id: UUID | None
    to_do: ToDo

    @property
    def stands(self) -> bool:
        """Whether it is open or upheld; there is at most one such of a visit."""
        return self.state is not ComplaintState.DISMISSED and self.appeal is not AppealState.UPHELD
