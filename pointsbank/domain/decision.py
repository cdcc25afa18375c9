"""Decisions that need two people: one proposes, another approves or refuses, and what is approved is posted.

::

    proposed ──approve──► approved   (its entry is posted in the same commit)
        └─────refuse────► refused

Nobody decides what they proposed, and nobody proposes or decides what concerns themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.accounts import Commodity
from pointsbank.domain.errors import DomainError, InvalidValue, WrongState


class DecisionKind(StrEnum):
    """What is decided."""

    ADJUSTMENT = "adjustment"  # points or minutes set right, up or down
    REVERSAL = "reversal"  # an entry taken back, whole or in part
    GRANT = "grant"  # points from the pool to a member


class DecisionReason(StrEnum):
    """Why, in a word that can be counted."""

    WRONG_PERSON = "wrong_person"  # posted to somebody else
    WRONG_HOURS = "wrong_hours"
    DUPLICATE = "duplicate"
    NOT_RENDERED = "not_rendered"  # the service did not take place
    FRAUD = "fraud"
    REFUND = "refund"  # what was bought was not as it should be
    CORRECTION = "correction"  # any other mistake of ours
    GOODWILL = "goodwill"
    HARDSHIP = "hardship"


class DecisionState(StrEnum):
    """Where a decision is in its life."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(eq=False)
class SecondPersonNeeded(DomainError):
    """Whoever proposed something cannot decide it."""

    code = "second_person_needed"


@dataclass(eq=False)
class ConcernsOneself(DomainError):
    """Nobody proposes or decides what goes to or from their own account."""

    code = "concerns_oneself"


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as proposed. member, proposed_by: pseudonyms.

    amount: milli-points or minutes by ``commodity``, below zero to take; of a reversal above zero, or None
    for everything. entry_number: the entry a reversal takes back. Raises InvalidValue, ConcernsOneself.
    """

    id: UUID
    kind: DecisionKind
    reason: DecisionReason
    member: UUID
    commodity: Commodity
    amount: int | None
    entry_number: int | None
    proposed_by: UUID

    def __post_init__(self) -> None:
        if self.commodity not in (Commodity.POINT, Commodity.MINUTE):
            raise InvalidValue(field="commodity", rule="known_value")
        if (self.kind is DecisionKind.REVERSAL) != (self.entry_number is not None):
            raise InvalidValue(field="entry_number", rule="only_reversals")
        if self.kind is DecisionKind.ADJUSTMENT and not self.amount:
            raise InvalidValue(field="amount", rule="not_zero")
        if self.kind is DecisionKind.GRANT and (self.amount is None or self.amount <= 0):
            raise InvalidValue(field="amount", rule="above_zero")
        if self.kind is DecisionKind.GRANT and self.commodity is not Commodity.POINT:
            raise InvalidValue(field="commodity", rule="known_value")
        if self.kind is DecisionKind.REVERSAL and self.amount is not None and self.amount <= 0:
            raise InvalidValue(field="amount", rule="above_zero")
        if self.proposed_by == self.member:
            raise ConcernsOneself


def require_decider(
    state: DecisionState, *, proposed_by: UUID, decider: UUID, member: UUID | None = None
) -> None:
    """Raise unless ``decider`` may decide what ``proposed_by`` proposed about ``member`` (pseudonyms).

    Raises WrongState (decided before), SecondPersonNeeded, ConcernsOneself.
    """
    if state is not DecisionState.PROPOSED:
        raise WrongState(what="decision", state=state, action="decide")
    if decider == proposed_by:
        raise SecondPersonNeeded
    if decider == member:
        raise ConcernsOneself
