"""What settlement tells others. Amounts are milli-points and fen, whole for the quantity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.circuit import CircuitState
from pointsbank.domain.decision import DecisionState
from pointsbank.domain.errors import DomainError
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.settlement import SIGNATURES, BatchState, DifferenceKind, LineKind
from pointsbank.domain.subsidy.payers import Meal, Payer, Share
from services.settlement.meals.views import MealOrderInfo

CANCEL_ASKED = "cancel_asked"
"""Reason of a redemption whose cancellation the partner has still to answer."""


@dataclass(frozen=True, slots=True)
class PartnerInfo:
    """A partner of the community."""

    id: UUID
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class ItemInfo:
    """What points buy on a day: price of one, and how many a member may have that day."""

    partner: str
    code: str
    milli_points: int
    fen: int
    daily_limit: int


@dataclass(frozen=True, slots=True)
class RedemptionInfo:
    """A redemption as it stands. partner: its code; voucher: what the member shows at the counter.

    served: how many of ``quantity`` were handed over; None until then.
    meal: how a meal is wanted, where it was asked for.
    shares: who pays for a meal, where that was asked for; they sum to ``fen``.
    """

    id: UUID
    member_id: UUID
    requested_by: UUID
    partner_id: UUID
    partner: str
    item: str
    quantity: int
    milli_points: int
    fen: int
    business_date: date
    voucher: str
    state: RedemptionState
    reason: str | None
    partner_reference: str | None
    captured_on: date | None
    served: int | None
    created_at: datetime
    updated_at: datetime
    meal: MealOrderInfo | None = None
    shares: tuple[Share, ...] = ()

    @property
    def cancelling(self) -> bool:
        """Whether a cancellation was asked for and the partner has not answered yet."""
        return self.reason == CANCEL_ASKED


@dataclass(frozen=True, slots=True)
class PastRedemption:
    """A redemption that was served before the platform knew of it."""

    id: UUID
    partner: str
    item: str
    quantity: int
    milli_points: int
    fen: int
    business_date: date
    voucher: str
    fulfilled_at: datetime
    shares: tuple[Share, ...] = ()


class OutcomeKind(StrEnum):
    """What became of a bulk record."""

    RECORDED = "recorded"
    ALREADY = "already"  # the same record came before
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RedemptionOutcome:
    """The answer to one bulk record: ``redemption`` unless refused, ``error`` when refused."""

    kind: OutcomeKind
    redemption: PastRedemption | None
    error: DomainError | None = None


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """A frozen settlement batch. content_hash: SHA-256 over its lines by place.

    entry_number: None where its lines come to nothing. fen: prices; due is ``due_fen``.
    """

    id: UUID
    partner: str
    business_date: date
    sequence: int
    frozen_at: datetime
    lines: int
    milli_points: int
    fen: int
    subsidy_fen: int
    cash_fen: int
    content_hash: bytes
    entry_number: int | None

    @property
    def due_fen(self) -> int:
        """What the partner is to be paid: the prices less what it took in cash at its counter."""
        return self.fen - self.cash_fen

    @property
    def community_fen(self) -> int:
        """What of it is the community's: for points, and its own share of meals."""
        return self.due_fen - self.subsidy_fen


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One line of a batch: a capture, or a correction below zero, with the day it was served for."""

    redemption_id: UUID
    kind: LineKind
    service_date: date
    milli_points: int
    fen: int
    subsidy_fen: int
    cash_fen: int


@dataclass(frozen=True, slots=True)
class Signature:
    """One person's signature under a batch."""

    batch_id: UUID
    signed_by: UUID
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Payment:
    """That a batch was paid: the bank's reference and the local day."""

    batch_id: UUID
    reference: str
    paid_on: date
    noted_by: UUID
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class BatchStanding:
    """How far a batch is: who has signed it, and how it was paid."""

    signatures: tuple[Signature, ...]
    payment: Payment | None

    @property
    def state(self) -> BatchState:
        """Frozen, signed by two, or paid."""
        if self.payment is not None:
            return BatchState.PAID
        return BatchState.APPROVED if len(self.signatures) >= SIGNATURES else BatchState.FROZEN


@dataclass(frozen=True, slots=True)
class RefundInfo:
    """A refund as it stands. service_date: the day it was served for; booked_on: of its entry.

    proposed_by: None where the partner said so and nobody has taken it up yet.
    """

    id: UUID
    redemption_id: UUID
    partner: str
    milli_points: int
    fen: int
    service_date: date
    reason: RefundReason
    state: DecisionState
    proposed_by: UUID | None
    proposed_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    booked_on: date | None
    entry_number: int | None


@dataclass(frozen=True, slots=True)
class ReconciliationInfo:
    """One comparison of a day with a partner's statement, begun at ``compared_at``.

    differences: how many nobody had resolved.
    """

    id: UUID
    partner: str
    business_date: date
    compared_at: datetime
    lines_here: int
    lines_there: int
    differences: int


@dataclass(frozen=True, slots=True)
class ComparedDay:
    """A comparison and the captures that it held against the statement."""

    outcome: ReconciliationInfo
    captures: list[UUID]


@dataclass(frozen=True, slots=True)
class DifferenceInfo:
    """A named difference. vanished: it is open and the day's latest comparison no longer saw it."""

    id: UUID
    partner: str
    business_date: date
    redemption_id: UUID
    kind: DifferenceKind
    milli_points_here: int | None
    milli_points_there: int | None
    fen_here: int | None
    fen_there: int | None
    found_at: datetime
    resolved_at: datetime | None
    resolved_by: UUID | None
    resolution: str | None
    vanished: bool


@dataclass(frozen=True, slots=True)
class SettledDay:
    """What settling a day did. unreachable: partners whose statement could not be had."""

    batches: list[BatchInfo]
    reconciliations: list[ReconciliationInfo]
    unreachable: list[str]


@dataclass(frozen=True, slots=True)
class CircuitInfo:
    """Whether a partner is called. failures: in a row. last_error: of the last call that failed, if any."""

    partner: str
    state: CircuitState
    failures: int
    next_call_at: datetime | None
    changed_at: datetime | None
    last_error: str | None


class ClaimKind(StrEnum):
    """What a claim's line tells of."""

    SERVED = "served"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """Meals of one group that one payer shares in; negative what went back of them.

    place: which city, district or town pays. tier: the group, None where nobody's fitted. served_on: the day
    of the meals that something went back of. ledger_ref: whose, only where it was asked for.
    """

    kind: ClaimKind
    payer: Payer
    place: str | None
    tier: str | None
    meal: Meal
    served_on: date | None
    ledger_ref: UUID | None
    meals: int
    fen: int


@dataclass(frozen=True, slots=True)
class ClaimTotal:
    """What one payer owes."""

    payer: Payer
    place: str | None
    meals: int
    fen: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What is owed over the days from ``first`` to ``last``, both included. ended: they are over."""

    period: str
    first: date
    last: date
    ended: bool
    lines: tuple[ClaimLine, ...]

    @property
    def totals(self) -> tuple[ClaimTotal, ...]:
        """What each payer owes, in the order of the lines."""
        sums: dict[tuple[Payer, str | None], tuple[int, int]] = {}
        for line in self.lines:
            meals, fen = sums.get((line.payer, line.place), (0, 0))
            sums[line.payer, line.place] = meals + line.meals, fen + line.fen
        return tuple(ClaimTotal(payer, place, *sum_) for (payer, place), sum_ in sums.items())

    @property
    def fen(self) -> int:
        """What is owed by all together."""
        return sum(line.fen for line in self.lines)
