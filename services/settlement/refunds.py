"""Refunds: what was paid for a served order given back to its member, proposed by one and decided by another.

The points come back at once, by an entry that takes the capture back; what the partner is owed is corrected
by its next batch, which keeps the day of the meal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from pointsbank.domain import refund as rules
from pointsbank.domain.decision import ConcernsOneself, DecisionState, SecondPersonNeeded, require_decider
from pointsbank.domain.errors import NotFound, WrongState
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.roles import READERS, Actor, Role
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.ledger import holds as ledger_holds
from services.people import service as people
from services.settlement import refund_store, service
from services.settlement.subsidies import freezing
from services.settlement.views import RedemptionInfo, RefundInfo

PAGE_MAX = 200

OUTCOME_REASONS: Mapping[str, RefundReason] = {
    "not_home": RefundReason.NOT_DELIVERED,
    "refused_at_door": RefundReason.NOT_DELIVERED,
    "substituted": RefundReason.WRONG_DISH,
    "complained": RefundReason.BAD_QUALITY,
}
"""Why a refund is proposed, by the outcome that a partner's event names."""


@dataclass(frozen=True, slots=True)
class ProposeRefund:
    """What a coordinator proposes. quantity: of how many portions the price goes back; None: of all."""

    redemption_id: UUID
    reason: RefundReason
    quantity: int | None = None


async def propose(uow: UnitOfWork, actor: Actor, command: ProposeRefund) -> RefundInfo:
    """Propose to give back what a served order cost, by a coordinator whom it does not concern.

    Raises NotAllowed, NotFound, WrongState (not served; a refund stands already), InvalidValue,
    ConcernsOneself.
    """
    actor.require(Role.COORDINATOR, action="propose_refund")
    held = await service.known_redemption(uow, command.redemption_id)
    if held.member_id == actor.person_id:
        raise ConcernsOneself
    proposed = await _insert(uow, held, command, proposed_by=actor.person_id)
    if proposed is None:
        raise WrongState(what="redemption", state="refund_proposed", action="refund")
    return await refund(uow, proposed)


async def propose_for_partner(uow: UnitOfWork, redemption_id: UUID, outcome: str | None) -> None:
    """Propose to give back what the partner itself, after it was served, said should not be paid.

    A coordinator takes it up by proposing it, and somebody else decides: the partner's word alone moves
    nothing. What is not served, or has a refund standing, stays as it is. Raises NotFound.
    """
    held = await service.locked_redemption(uow, redemption_id)
    if held.state is RedemptionState.FULFILLED:
        reason = OUTCOME_REASONS.get(outcome or "", RefundReason.MISTAKE)
        await _insert(uow, held, ProposeRefund(redemption_id, reason), proposed_by=None)


async def _insert(
    uow: UnitOfWork, held: RedemptionInfo, command: ProposeRefund, *, proposed_by: UUID | None
) -> UUID | None:
    milli_points, fen = rules.amounts(
        held.state,
        milli_points=held.milli_points,
        fen=held.fen,
        quantity=held.quantity,
        served=held.served or 0,
        returned=command.quantity,
        shares=await freezing.shares_of(uow, held.id),
    )
    return await refund_store.insert(
        uow,
        uuid7(),
        held,
        milli_points=milli_points,
        fen=fen,
        reason=command.reason,
        proposed_by=proposed_by,
    )


async def approve(uow: UnitOfWork, actor: Actor, refund_id: UUID) -> RefundInfo:
    """Approve what somebody else proposed: the points go back in the same commit.

    Raises NotAllowed, NotFound, WrongState (decided before), SecondPersonNeeded, ConcernsOneself.
    """
    found = await _deciding(uow, actor, refund_id)
    entry = await ledger_holds.refund_hold(
        uow, found.redemption_id, amount=MilliPoints(found.milli_points), actor=actor.ledger_ref
    )
    await freezing.refund_meal(uow, refund_id, found.redemption_id, fen=found.fen)
    await refund_store.decide(
        uow,
        refund_id,
        DecisionState.APPROVED,
        decided_by=actor.person_id,
        booked_on=await people.local_today(uow),
        entry_number=entry.number,
    )
    return await refund(uow, refund_id)


async def refuse(uow: UnitOfWork, actor: Actor, refund_id: UUID) -> RefundInfo:
    """Refuse what somebody else proposed: nothing moves. Raises as :func:`approve`."""
    await _deciding(uow, actor, refund_id)
    await refund_store.decide(uow, refund_id, DecisionState.REFUSED, decided_by=actor.person_id)
    return await refund(uow, refund_id)


async def refund(uow: UnitOfWork, refund_id: UUID) -> RefundInfo:
    """Return one refund. Raises NotFound."""
    found = await refund_store.refund(uow, refund_id)
    if found is None:
        raise NotFound(what="refund")
    return found


async def refunds(
    uow: UnitOfWork, *, state: DecisionState | None = None, after: UUID | None = None, limit: int = 50
) -> list[RefundInfo]:
    """Return refunds in order of proposal. after: the last id of the page before."""
    return await refund_store.refunds(uow, state=state, after=after, limit=max(1, min(limit, PAGE_MAX)))


async def refunds_of(uow: UnitOfWork, redemption_id: UUID) -> list[RefundInfo]:
    """Return a redemption's refunds in order of proposal, the refused ones too."""
    return await refund_store.refunds_of(uow, redemption_id)


async def _deciding(uow: UnitOfWork, actor: Actor, refund_id: UUID) -> RefundInfo:
    """Return a refund that the actor may decide, its redemption locked before it."""
    actor.require(*READERS, action="decide_refund")
    known = await refund(uow, refund_id)
    held = await service.locked_redemption(uow, known.redemption_id)
    found = await refund_store.refund(uow, refund_id, lock=True)
    assert found is not None
    if found.proposed_by is None:  # the partner's word: a person proposes it first, another decides
        raise SecondPersonNeeded
    require_decider(
        found.state, proposed_by=found.proposed_by, decider=actor.person_id, member=held.member_id
    )
    return found
