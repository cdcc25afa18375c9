"""Complaints about a visit: filed, heard, decided. What is upheld follows the policy's consequences.

A reversal goes the ledger's own way: whoever upholds the complaint proposes it, and a second person approves
it. Locks are taken in one order: request, visit, complaint, decision, the journal.
"""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.complaint import (
    REASONS,
    AppealState,
    ComplaintState,
    ToDo,
    require_complaint,
    require_judge,
)
from pointsbank.domain.decision import ConcernsOneself, DecisionState
from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound, WrongState
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.domain.visit import VisitState, advance_visit
from pointsbank.domain.visit_rules import Ground
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import ties, visit_store
from services.care.aftercare import complaint_store as store
from services.care.aftercare import sanctions
from services.care.aftercare.views import ComplaintInfo
from services.care.visit_access import Row, leads_grid_of, lock_visit, rules_today, settle_request
from services.ledger import decisions

TEXT_MAX = 500
PAGE_MAX = 200
APPEALED = ("complained_by", "heard_by", "decided_by", "appealed_by")
"""Who had a hand in a complaint before its appeal is decided."""


async def complain(
    uow: UnitOfWork, actor: Actor, visit_id: UUID, *, ground: Ground, note: str | None = None
) -> ComplaintInfo:
    """Complain about a visit; one that is not confirmed yet cannot be until this is decided.

    By the elder, their family, a leader of their grid, a coordinator or an auditor; never by the volunteer.
    Raises NotFound, NotAllowed, ConcernsOneself, WrongState (a complaint stands already), InvalidValue.
    """
    row, request = await lock_visit(uow, visit_id)
    await _require_complainant(uow, actor, row)
    rules = await rules_today(uow)
    state = VisitState(row["state"])
    require_complaint(
        state,
        ground,
        recorded_afterwards=row["recorded_by"] is not None,
        ended_at=row["checked_out_at"] or row["planned_end"],
        now=uow.clock.now(),
        days=rules.complaint_days,
    )
    complaint_id = uuid7()
    said = text(note, field="note") if note and note.strip() else None
    if not await store.insert(
        uow,
        complaint_id,
        visit_id=visit_id,
        volunteer_id=row["volunteer_id"],
        complained_by=actor.person_id,
        ground=ground,
        note=said,
    ):
        raise WrongState(what="visit", state="disputed", action="complain")
    if state is VisitState.DONE:
        await visit_store.set_state(uow, visit_id, VisitState.DISPUTED)
        await settle_request(uow, request)
    return await complaint_of(uow, complaint_id)


async def hear(uow: UnitOfWork, actor: Actor, complaint_id: UUID, *, answer: str) -> ComplaintInfo:
    """Note what the volunteer says to it. By a coordinator who is not that volunteer.

    Raises NotFound, NotAllowed, ConcernsOneself, WrongState, InvalidValue.
    """
    actor.require(*STAFF, action="decide_complaint")
    row = await locked(uow, complaint_id)
    if actor.person_id == row["volunteer_id"]:
        raise ConcernsOneself
    if row["state"] != ComplaintState.FILED:
        raise WrongState(what="complaint", state=row["state"], action="hear")
    await store.set_heard(uow, complaint_id, by=actor.person_id, answer=text(answer, field="answer"))
    return await complaint_of(uow, complaint_id)


async def decide(
    uow: UnitOfWork, actor: Actor, complaint_id: UUID, *, upheld: bool, finding: str
) -> ComplaintInfo:
    """Uphold or dismiss a complaint that was heard.

    Upheld: the entry of the visit is proposed to be taken back whole, or the unconfirmed visit is cancelled,
    and the volunteer is barred, all as the policy says for what was complained of. Dismissed: the visit is as
    it was. By a coordinator who is neither volunteer nor elder, did not complain, and neither confirmed nor
    recorded the visit nor put its times right. Raises NotFound, NotAllowed, ConcernsOneself,
    SecondPersonNeeded, WrongState, InvalidValue.
    """
    actor.require(*STAFF, action="decide_complaint")
    visit_id = await store.visit_of(uow, complaint_id)
    if visit_id is None:
        raise NotFound(what="complaint")
    visit, request = await lock_visit(uow, visit_id)
    row = await locked(uow, complaint_id)
    require_judge_of(actor.person_id, row, visit)
    if row["state"] != ComplaintState.HEARD:
        raise WrongState(what="complaint", state=row["state"], action="decide")
    said = text(finding, field="finding")
    reversal_id = await _uphold(uow, actor, row, visit, said) if upheld else None
    if not upheld and visit["state"] == VisitState.DISPUTED:
        await visit_store.set_state(uow, visit_id, VisitState.DONE)
    await settle_request(uow, request)
    await store.set_decided(
        uow,
        complaint_id,
        ComplaintState.UPHELD if upheld else ComplaintState.DISMISSED,
        by=actor.person_id,
        finding=said,
        reversal_id=reversal_id,
    )
    return await complaint_of(uow, complaint_id)


async def complaints(
    uow: UnitOfWork,
    actor: Actor,
    *,
    visit_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> list[ComplaintInfo]:
    """Return complaints in order of filing: a reader of the community all, anybody else what concerns them.

    after: id to go on from.
    """
    concerning = None if actor.has(*READERS) else actor.person_id
    rows = await store.find(
        uow, concerning=concerning, visit_id=visit_id, after=after, limit=max(1, min(limit, PAGE_MAX))
    )
    return [await info(uow, row) for row in rows]


async def complaint_of(uow: UnitOfWork, complaint_id: UUID) -> ComplaintInfo:
    """Return one complaint. For callers that have decided who may see it. Raises NotFound."""
    row = await store.complaint(uow, complaint_id)
    if row is None:
        raise NotFound(what="complaint")
    return await info(uow, row)


async def locked(uow: UnitOfWork, complaint_id: UUID) -> Row:
    """Lock a complaint and return it. Raises NotFound."""
    row = await store.complaint(uow, complaint_id, lock=True)
    if row is None:
        raise NotFound(what="complaint")
    return row


def require_judge_of(judge: UUID, complaint: Row, visit: Row) -> None:
    """Check who decides a complaint, or the appeal once there is one: nobody who had a hand in it before.

    Raises ConcernsOneself, SecondPersonNeeded.
    """
    before = APPEALED if complaint["appeal"] is not None else ("complained_by",)
    require_judge(
        judge,
        parties=(visit["volunteer_id"], visit["elder_id"]),
        others=(
            *(complaint[each] for each in before),
            *(visit[each] for each in ("confirmed_by", "also_confirmed_by", "recorded_by", "times_by")),
        ),
    )


def text(told: str, *, field: str) -> str:
    """Return a text without surrounding blanks. Raises InvalidValue for an empty or long one."""
    trimmed = told.strip()
    if not trimmed:
        raise InvalidValue(field=field, rule="not_blank")
    if len(trimmed) > TEXT_MAX or "\0" in trimmed:
        raise InvalidValue(field=field, rule=f"at_most_{TEXT_MAX}_characters")
    return trimmed


async def _require_complainant(uow: UnitOfWork, actor: Actor, row: Row) -> None:
    if actor.person_id == row["volunteer_id"]:
        raise ConcernsOneself
    if actor.person_id == row["elder_id"] or actor.has(*READERS):
        return
    if not await ties.is_family(uow, row["elder_id"], actor.person_id) and not await leads_grid_of(
        uow, actor, row["elder_id"]
    ):
        raise NotAllowed(action="complain")


async def _uphold(uow: UnitOfWork, actor: Actor, row: Row, visit: Row, finding: str) -> UUID | None:
    """Carry out the policy's consequence; return the decision that takes the visit's entry back, if any."""
    ground = Ground(row["ground"])
    consequence = (await rules_today(uow)).consequences[ground]
    if consequence.bar is not None:
        await sanctions.impose(
            uow,
            row["volunteer_id"],
            consequence.bar,
            days=consequence.days,
            why=finding,
            complaint_id=row["id"],
            decided_by=actor.person_id,
        )
    state = VisitState(visit["state"])
    if state is VisitState.DISPUTED:
        after = VisitState.CANCELLED if consequence.reverse else VisitState.DONE
        await visit_store.set_state(uow, visit["id"], advance_visit(state, after, action="decide"))
    if not consequence.reverse or visit["entry_number"] is None:
        return None
    try:
        proposed = await decisions.propose_reversal(uow, actor, visit["entry_number"], reason=REASONS[ground])
    except WrongState:
        return None  # somebody has taken it back, or proposed to, already
    return proposed.id


async def info(uow: UnitOfWork, row: Row) -> ComplaintInfo:
    """Return a row of a complaint as what is told of it."""
    return ComplaintInfo(
        **{
            **row,
            "ground": Ground(row["ground"]),
            "state": ComplaintState(row["state"]),
            "appeal": AppealState(row["appeal"]) if row["appeal"] else None,
        },
        to_do=await _to_do(uow, row),
    )


async def _to_do(uow: UnitOfWork, row: Row) -> ToDo:
    match row["state"], row["appeal"]:
        case ComplaintState.FILED, _:
            return ToDo.HEAR
        case ComplaintState.HEARD, _:
            return ToDo.DECIDE
        case ComplaintState.DISMISSED, _:
            return ToDo.NOTHING
        case _, AppealState.OPEN:
            return ToDo.DECIDE_APPEAL
        case _, AppealState.UPHELD:
            restoring = [row[each] for each in ("restoring_points_id", "restoring_minutes_id") if row[each]]
            if any([await _waits(uow, each) for each in restoring]):
                return ToDo.APPROVE_RESTORING
            visit = await visit_store.visits(uow, [row["visit_id"]])
            waits = not restoring and visit[0]["state"] == VisitState.DONE
            return ToDo.CONFIRM_VISIT if waits else ToDo.NOTHING
    reversal = row["reversal_id"]
    return ToDo.APPROVE_REVERSAL if reversal and await _waits(uow, reversal) else ToDo.NOTHING


async def _waits(uow: UnitOfWork, decision_id: UUID) -> bool:
    return (await decisions.decision_of(uow, decision_id)).state is DecisionState.PROPOSED
