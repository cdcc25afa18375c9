"""One complaint and the lists of them, to whom they concern; and what upholding one would bring."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pointsbank.domain.accounts import AccountKind
from pointsbank.domain.complaint import AppealState, ComplaintState
from pointsbank.domain.decision import DecisionState
from pointsbank.domain.errors import DomainError, NotAllowed
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.visit import VisitState
from pointsbank.domain.visit_rules import BarKind
from pointsbank.platform.database import UnitOfWork
from services.care import desk_store, ties
from services.care.aftercare.complaints import complaint_of, info, require_judge_of
from services.care.aftercare.sanctions import sanctions_of
from services.care.aftercare.views import ComplaintInfo, SanctionInfo
from services.care.views import VisitInfo
from services.care.visit_access import rules_today, told
from services.ledger import decisions
from services.ledger import service as ledger

OPEN_MAX = 200
LATEST_MAX = 50


@dataclass(frozen=True, slots=True)
class Outlook:
    """What follows if a complaint, or the appeal against it, is upheld.

    entry_number: of the visit's entry that is taken back (given back), with its ``minutes`` and
    ``milli_points``; None: none is. posted: of an appeal, whether the reversal was posted, so that a second
    person has to give back. cancels: the visit, not posted yet, is cancelled (stands again). bar, until: what
    the volunteer is kept from, and until when (what is lifted).
    """

    entry_number: int | None
    minutes: int
    milli_points: int
    posted: bool
    cancels: bool
    bar: BarKind | None
    days: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Case:
    """A complaint with its visit and what the one who looks may know and do.

    refused: why they may not decide it now, or None. appeal_until: the last moment to appeal, once upheld.
    outlook: what upholding the complaint, or the open appeal, brings. sanction: what it brought.
    """

    complaint: ComplaintInfo
    visit: VisitInfo
    refused: DomainError | None
    appeal_until: datetime | None
    outlook: Outlook
    sanction: SanctionInfo | None


async def case(uow: UnitOfWork, actor: Actor, complaint_id: UUID) -> Case:
    """Return a complaint to a reader, the volunteer, who complained, the elder or their family.

    Raises NotFound, NotAllowed.
    """
    complaint = await complaint_of(uow, complaint_id)
    visit = await told(uow, complaint.visit_id)
    await _require_concerned(uow, actor, complaint, visit)
    try:
        refused: DomainError | None = None
        require_judge_of(actor.person_id, asdict(complaint), asdict(visit))
    except DomainError as error:
        refused = error
    rules = await rules_today(uow)
    until = None
    if complaint.state is ComplaintState.UPHELD and complaint.decided_at is not None:
        until = complaint.decided_at + timedelta(days=rules.appeal_days)
    return Case(
        complaint=complaint,
        visit=visit,
        refused=refused,
        appeal_until=until,
        outlook=await _outlook(uow, complaint, visit),
        sanction=await _sanction(uow, actor, complaint),
    )


async def open_complaints(uow: UnitOfWork, actor: Actor) -> list[ComplaintInfo]:
    """Return what waits to be heard or decided, the oldest first. Raises NotAllowed."""
    actor.require(*READERS, action="view_board")
    return [await info(uow, row) for row in await desk_store.open_complaints(uow, OPEN_MAX)]


async def latest_complaints(uow: UnitOfWork, actor: Actor, *, own: bool = False) -> list[ComplaintInfo]:
    """Return complaints, the latest first: a reader of the community all, anybody else what concerns them.

    own: only what concerns the actor, whoever they are.
    """
    concerning = actor.person_id if own or not actor.has(*READERS) else None
    return [await info(uow, row) for row in await desk_store.latest_complaints(uow, concerning, LATEST_MAX)]


async def complaints_on(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> list[ComplaintInfo]:
    """Return the complaints about a visit, the latest first, to the elder, their family or a reader.

    Raises NotFound, NotAllowed.
    """
    visit = await told(uow, visit_id)
    await ties.require_view(uow, actor, visit.elder_id, action="view_visit")
    return [await info(uow, row) for row in await desk_store.complaints_on(uow, visit_id)]


async def _require_concerned(
    uow: UnitOfWork, actor: Actor, complaint: ComplaintInfo, visit: VisitInfo
) -> None:
    concerned = {complaint.volunteer_id, complaint.complained_by, visit.elder_id}
    if actor.person_id in concerned or actor.has(*READERS):
        return
    if not await ties.is_family(uow, visit.elder_id, actor.person_id):
        raise NotAllowed(action="view_complaint")


async def _sanction(uow: UnitOfWork, actor: Actor, complaint: ComplaintInfo) -> SanctionInfo | None:
    if actor.person_id != complaint.volunteer_id and not actor.has(*READERS):
        return None
    found = await sanctions_of(uow, actor, complaint.volunteer_id)
    return next((each for each in found if each.complaint_id == complaint.id), None)


async def _outlook(uow: UnitOfWork, complaint: ComplaintInfo, visit: VisitInfo) -> Outlook:
    consequence = (await rules_today(uow)).consequences[complaint.ground]
    minutes, milli_points = await _earned(uow, visit)
    if complaint.appeal is AppealState.OPEN:
        reversal = None
        if complaint.reversal_id is not None:
            reversal = await decisions.decision_of(uow, complaint.reversal_id)
        posted = reversal is not None and reversal.state is DecisionState.APPROVED
        waits = reversal is not None and reversal.state is DecisionState.PROPOSED
        return Outlook(
            entry_number=visit.entry_number if posted or waits else None,
            minutes=minutes,
            milli_points=milli_points,
            posted=posted,
            cancels=visit.state is VisitState.CANCELLED,
            bar=consequence.bar,
            days=consequence.days,
            until=None,
        )
    until = uow.clock.now() + timedelta(days=consequence.days) if consequence.bar is not None else None
    return Outlook(
        entry_number=visit.entry_number if consequence.reverse else None,
        minutes=minutes,
        milli_points=milli_points,
        posted=False,
        cancels=consequence.reverse and visit.state is VisitState.DISPUTED,
        bar=consequence.bar,
        days=consequence.days,
        until=until,
    )


async def _earned(uow: UnitOfWork, visit: VisitInfo) -> tuple[int, int]:
    """Return the minutes and milli-points that a visit's entry gave its volunteer."""
    if visit.entry_number is None:
        return 0, 0
    found = {AccountKind.MEMBER_SERVICE: 0, AccountKind.MEMBER_AVAILABLE: 0}
    for leg in (await ledger.entry(uow, visit.entry_number)).legs:
        if leg.account_kind in found:
            found[leg.account_kind] += leg.amount
    return found[AccountKind.MEMBER_SERVICE], found[AccountKind.MEMBER_AVAILABLE]
