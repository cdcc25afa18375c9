"""Adjustments, reversals and grants: proposed by a coordinator, decided by somebody else, then posted.

The decision is the document its entry cites, and both are written in one commit. What the ledger refuses
(points already spent, a pool that has too little) leaves the decision as it stood: proposed.
"""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain import accounts, journal
from pointsbank.domain.accounts import AccountCode, Commodity
from pointsbank.domain.decision import (
    Decision,
    DecisionKind,
    DecisionReason,
    DecisionState,
    require_decider,
)
from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.domain.giving import require_within
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, Transfer
from pointsbank.domain.points import MilliPoints, whole
from pointsbank.domain.policy import Policy
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.ledger import decision_store as store
from services.ledger import lots, service
from services.ledger.giving import moved_this_year
from services.ledger.store import reversed_by
from services.ledger.views import DecisionInfo, Recorded
from services.people import service as people

PAGE_MAX = 200


async def propose_adjustment(
    uow: UnitOfWork,
    actor: Actor,
    member_id: UUID,
    *,
    amount: int,
    reason: DecisionReason,
    commodity: Commodity = Commodity.POINT,
) -> DecisionInfo:
    """Propose to set a member's points or minutes right. amount: milli-points or minutes; below zero to take.

    Raises NotAllowed, NotFound, InvalidValue, ConcernsOneself.
    """
    member = await _member(uow, actor, member_id)
    whole(amount, field="amount")
    decision = Decision(
        uuid7(), DecisionKind.ADJUSTMENT, reason, member, commodity, amount, None, actor.ledger_ref
    )
    return await _propose(uow, decision)


async def propose_grant(
    uow: UnitOfWork, actor: Actor, member_id: UUID, *, amount: int, reason: DecisionReason
) -> DecisionInfo:
    """Propose to give a member milli-points from the community's pool.

    Raises NotAllowed, NotFound, InvalidValue, ConcernsOneself, GivingNotEnabled, GiftTooSmall, GiftLimit.
    """
    member = await _member(uow, actor, member_id)
    whole(amount, field="amount")
    decision = Decision(
        uuid7(), DecisionKind.GRANT, reason, member, Commodity.POINT, amount, None, actor.ledger_ref
    )
    await _require_grant(uow, decision.member, amount)
    return await _propose(uow, decision)


async def propose_reversal(
    uow: UnitOfWork, actor: Actor, entry_number: int, *, reason: DecisionReason, amount: int | None = None
) -> DecisionInfo:
    """Propose to take an entry back. amount: how many of its milli-points; None for everything.

    Raises NotAllowed, NotFound, WrongState (taken back before, not reversible, proposed already),
    InvalidValue, ConcernsOneself.
    """
    actor.require(*STAFF, action="propose_decision")
    entry = await service.entry(uow, entry_number)
    if amount is not None:
        whole(amount, field="amount")
    decision = Decision(
        uuid7(),
        DecisionKind.REVERSAL,
        reason,
        entry.subject_ref,
        Commodity.POINT,
        amount,
        entry_number,
        actor.ledger_ref,
    )
    service.going_back(entry, None if amount is None else MilliPoints(amount))
    if await reversed_by(uow, entry_number) is not None:
        raise WrongState(what="journal_entry", state="reversed", action="reverse")
    return await _propose(uow, decision)


async def approve(uow: UnitOfWork, actor: Actor, decision_id: UUID) -> DecisionInfo:
    """Approve what somebody else proposed, and post it. By a coordinator or an auditor.

    Raises NotFound, NotAllowed, WrongState, SecondPersonNeeded, ConcernsOneself, GiftLimit,
    InsufficientPoints.
    """
    decision = await _decidable(uow, actor, decision_id)
    recorded = await _post(uow, actor, decision)
    await store.save_decided(
        uow,
        decision_id,
        DecisionState.APPROVED,
        decided_by=actor.ledger_ref,
        posted_number=recorded.number,
    )
    return await decision_of(uow, decision_id)


async def refuse(uow: UnitOfWork, actor: Actor, decision_id: UUID) -> DecisionInfo:
    """Refuse what somebody else proposed: nothing is posted.

    Raises NotFound, NotAllowed, WrongState, SecondPersonNeeded, ConcernsOneself.
    """
    await _decidable(uow, actor, decision_id)
    await store.save_decided(
        uow, decision_id, DecisionState.REFUSED, decided_by=actor.ledger_ref, posted_number=None
    )
    return await decision_of(uow, decision_id)


async def decisions(
    uow: UnitOfWork, *, state: DecisionState | None = None, after: UUID | None = None, limit: int = 50
) -> list[DecisionInfo]:
    """Return decisions in order of proposal. after: id to go on from."""
    return await store.find(uow, state, after=after, limit=max(1, min(limit, PAGE_MAX)))


async def decision_of(uow: UnitOfWork, decision_id: UUID) -> DecisionInfo:
    """Return one decision. Raises NotFound."""
    found = await store.get(uow, decision_id)
    if found is None:
        raise NotFound(what="decision")
    return found


async def _member(uow: UnitOfWork, actor: Actor, member_id: UUID) -> UUID:
    actor.require(*STAFF, action="propose_decision")
    return (await people.person(uow, member_id)).ledger_ref


async def _propose(uow: UnitOfWork, decision: Decision) -> DecisionInfo:
    if not await store.insert(uow, decision):
        raise WrongState(what="journal_entry", state="proposed", action="reverse")
    return await decision_of(uow, decision.id)


async def _decidable(uow: UnitOfWork, actor: Actor, decision_id: UUID) -> DecisionInfo:
    actor.require(*READERS, action="decide")
    decision = await store.get(uow, decision_id, lock=True)
    if decision is None:
        raise NotFound(what="decision")
    require_decider(
        decision.state,
        proposed_by=decision.proposed_by,
        decider=actor.ledger_ref,
        member=decision.member_ref,
    )
    return decision


async def _post(uow: UnitOfWork, actor: Actor, decision: DecisionInfo) -> Recorded:
    amount = decision.amount
    await lots.lock(uow)
    if decision.kind is DecisionKind.REVERSAL:
        assert decision.entry_number is not None
        return await service.reverse(
            uow,
            decision.entry_number,
            actor=actor.ledger_ref,
            amount=None if amount is None else MilliPoints(amount),
            decision=decision.id,
        )
    assert amount is not None
    policy = await _policy_today(uow)
    if decision.kind is DecisionKind.GRANT:
        policy = await _require_grant(uow, decision.member_ref, amount)
        source, kind, source_kind = accounts.pool(), EntryKind.GRANT, SourceKind.GRANT
    else:
        source = accounts.issuance(decision.commodity)
        kind, source_kind = EntryKind.ADJUSTMENT, SourceKind.ADJUSTMENT
    member = _account(decision)
    today = await people.local_today(uow)
    expires_on = policy.expires_on(today) if member.commodity is Commodity.POINT else None
    moved = (
        Transfer(source, member, amount, expires_on=expires_on)
        if amount > 0
        else Transfer(member, source, -amount)
    )
    entry = journal.journal_entry(
        kind,
        [moved],
        origin=Origin(source_kind, decision.id, actor.ledger_ref, decision.member_ref, policy.version),
        key=f"decision:{decision.id}",
        occurred_at=uow.clock.now(),
    )
    return await service.post(uow, entry)


def _account(decision: DecisionInfo) -> AccountCode:
    if decision.commodity is Commodity.MINUTE:
        return accounts.service(decision.member_ref)
    return accounts.available(decision.member_ref)


async def _policy_today(uow: UnitOfWork) -> Policy:
    return await service.policy_on(uow, await people.local_today(uow))


async def _require_grant(uow: UnitOfWork, member: UUID, amount: int) -> Policy:
    """Return the policy that lets a member be granted ``amount``. Raises as :func:`propose_grant`."""
    timezone = (await people.community(uow)).timezone
    today = local_date(uow.clock.now(), timezone)
    policy = await service.policy_on(uow, today)
    granted = await moved_this_year(uow, member, EntryKind.GRANT, today, timezone, incoming=True)
    if amount <= 0:
        raise InvalidValue(field="amount", rule="above_zero")
    require_within(policy.grants, EntryKind.GRANT, MilliPoints(amount), this_year=granted)
    return policy
