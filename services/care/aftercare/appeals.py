"""Appeals against an upheld complaint, decided by another coordinator than the first."""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.complaint import AppealState, ComplaintState, require_appeal
from pointsbank.domain.decision import DecisionReason, DecisionState
from pointsbank.domain.errors import NotFound, WrongState
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.domain.visit import VisitState
from pointsbank.platform.database import UnitOfWork
from services.care import visit_store
from services.care.aftercare import complaint_store as store
from services.care.aftercare import sanction_store
from services.care.aftercare.complaints import complaint_of, locked, require_judge_of, text
from services.care.aftercare.views import ComplaintInfo
from services.care.visit_access import Row, lock_visit, rules_today, settle_request
from services.ledger import decisions
from services.ledger import service as ledger


async def appeal(uow: UnitOfWork, actor: Actor, complaint_id: UUID, *, note: str) -> ComplaintInfo:
    """Appeal against an upheld complaint, once, within the policy's days. By the volunteer, or a coordinator
    who is told by phone.

    Raises NotFound, NotAllowed, WrongState, InvalidValue.
    """
    row = await locked(uow, complaint_id)
    actor.require_self_or(row["volunteer_id"], *STAFF, action="appeal")
    require_appeal(
        ComplaintState(row["state"]),
        AppealState(row["appeal"]) if row["appeal"] else None,
        decided_at=row["decided_at"],
        now=uow.clock.now(),
        days=(await rules_today(uow)).appeal_days,
    )
    await store.set_appealed(uow, complaint_id, by=actor.person_id, note=text(note, field="note"))
    return await complaint_of(uow, complaint_id)


async def decide_appeal(
    uow: UnitOfWork, actor: Actor, complaint_id: UUID, *, upheld: bool, finding: str
) -> ComplaintInfo:
    """Uphold or dismiss an appeal. By a coordinator who has had no part in it before.

    Upheld: the sanction is lifted, a reversal that still waits is refused, and one that was posted is given
    back by adjustments that a second person has to approve (``to_do`` says so); a visit that had been
    cancelled waits to be confirmed again. Raises NotFound, NotAllowed, ConcernsOneself, SecondPersonNeeded,
    WrongState, InvalidValue.
    """
    actor.require(*STAFF, action="decide_complaint")
    visit_id = await store.visit_of(uow, complaint_id)
    if visit_id is None:
        raise NotFound(what="complaint")
    visit, request = await lock_visit(uow, visit_id)
    row = await locked(uow, complaint_id)
    require_judge_of(actor.person_id, row, visit)
    if row["appeal"] != AppealState.OPEN:
        raise WrongState(what="complaint", state=row["appeal"] or row["state"], action="decide")
    said = text(finding, field="finding")
    restoring: dict[Commodity, UUID] = {}
    if upheld:
        await sanction_store.lift(uow, complaint_id, by=actor.person_id)
        restoring = await _restore(uow, actor, row, visit)
    await store.set_appeal_decided(
        uow,
        complaint_id,
        AppealState.UPHELD if upheld else AppealState.DISMISSED,
        by=actor.person_id,
        finding=said,
        restoring_points_id=restoring.get(Commodity.POINT),
        restoring_minutes_id=restoring.get(Commodity.MINUTE),
    )
    await settle_request(uow, request)
    return await complaint_of(uow, complaint_id)


async def _restore(uow: UnitOfWork, actor: Actor, row: Row, visit: Row) -> dict[Commodity, UUID]:
    """Undo what upholding the complaint did; return the proposed adjustments that give back what was
    taken."""
    if visit["state"] == VisitState.CANCELLED:
        await visit_store.set_state(uow, visit["id"], VisitState.DONE)
    if row["reversal_id"] is None:
        return {}
    reversal = await decisions.decision_of(uow, row["reversal_id"])
    if reversal.state is DecisionState.PROPOSED:
        await decisions.refuse(uow, actor, reversal.id)
    if reversal.state is not DecisionState.APPROVED or reversal.posted_number is None:
        return {}
    taken = {
        leg.commodity: -leg.amount
        for leg in (await ledger.entry(uow, reversal.posted_number)).legs
        if leg.account_kind in (AccountKind.MEMBER_AVAILABLE, AccountKind.MEMBER_SERVICE) and leg.amount < 0
    }
    return {
        commodity: (
            await decisions.propose_adjustment(
                uow,
                actor,
                row["volunteer_id"],
                amount=amount,
                reason=DecisionReason.CORRECTION,
                commodity=commodity,
            )
        ).id
        for commodity, amount in sorted(taken.items())
    }
