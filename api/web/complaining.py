"""Complaints: the page on which an elder or family makes one; the page to hear, decide and appeal it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import SIGNED_IN, may
from api.dependencies import SignedIn
from api.web.forms import do_once, read_form
from api.web.outlook import outlook_told
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.complaint import AppealState, ComplaintState, ToDo
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.domain.visit_rules import Ground
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import VisitInfo
from services.people import service as people

COMPLAINTS = "/complaints"
CONCERNED = may(Role.VOLUNTEER, *READERS)


@get("/elder/visits/{visit_id:uuid}/complain", opt=SIGNED_IN, include_in_schema=False)
async def complain_form(request: SignedIn, visit_id: FromPath[UUID]) -> Response[str]:
    """Ask what was not right, one press each."""
    async with visit(request, for_family=True) as (uow, visitor):
        return await show_form(request, uow, visitor, visit_id)


async def show_form(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    visit_id: UUID,
    said: str = "",
    refused: DomainError | None = None,
) -> Response[str]:
    """Return the page on which an elder, their family, or a coordinator for them, complains of a visit."""
    found = await elders_visit(uow, visitor.actor, visit_id)
    return page(
        request,
        visitor,
        "complain.html",
        refused=refused,
        visit=found,
        grounds=[each for each in Ground if found.recorded_by or each is not Ground.FALSE_RECORD],
        said=said,
        back=f"/elder/visits/{visit_id}",
    )


@post("/elder/visits/{visit_id:uuid}/complain", opt=SIGNED_IN, include_in_schema=False)
async def complain(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Complain: a coordinator will look into it, and nothing is posted until then."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        if form.get("ground", "") not in set(Ground):
            raise InvalidValue(field="ground", rule="known_value")
        await elders_visit(uow, actor, visit_id)
        await care.complain(
            uow, actor, visit_id, ground=Ground(form["ground"]), note=form.get("text") or None
        )
        return f"/elder/visits/{visit_id}?done=complained"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request, for_family=True) as (uow, visitor):
            return await show_form(request, uow, visitor, visit_id, form.get("text", ""), error)


async def elders_visit(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Return a visit to who speaks for its elder: never to its volunteer as such.

    Raises NotFound, NotAllowed.
    """
    found = await care.visit(uow, actor, visit_id)
    await care.speaks_for(uow, actor, found.elder_id, action="view_visit")
    return found


@get(COMPLAINTS, opt=CONCERNED, include_in_schema=False)
async def complaints(request: SignedIn) -> Response[str]:
    """Show the complaints: to the desk all, those that wait first; to a volunteer what concerns them."""
    async with visit(request) as (uow, visitor):
        actor = visitor.actor
        reads = actor.has(*READERS)
        waiting = await care.open_complaints(uow, actor) if reads else []
        known = {each.id for each in waiting}
        latest = [each for each in await care.latest_complaints(uow, actor) if each.id not in known]
        visits = {each.visit_id: await care.visit(uow, actor, each.visit_id) for each in (*waiting, *latest)}
        return page(
            request, visitor, "complaints.html", waiting=waiting, latest=latest, visits=visits, reads=reads
        )


@get("/complaints/{complaint_id:uuid}", opt=CONCERNED, include_in_schema=False)
async def complaint(request: SignedIn, complaint_id: FromPath[UUID]) -> Response[str]:
    """Show one complaint, what was decided, and what comes next."""
    async with visit(request) as (uow, visitor):
        return await show_complaint(request, uow, visitor, complaint_id)


async def show_complaint(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    complaint_id: UUID,
    said: str = "",
    refused: DomainError | None = None,
) -> Response[str]:
    """Return a complaint's page. The volunteer reads what of and what was found, not who complained."""
    actor = visitor.actor
    case = await care.case(uow, actor, complaint_id)
    told = case.complaint
    mine = actor.person_id == told.volunteer_id
    decides = actor.has(*STAFF) and not mine
    named = await people.people_by_id(uow, [told.complained_by])
    may_appeal = (
        told.state is ComplaintState.UPHELD
        and told.appeal is None
        and (mine or actor.has(*STAFF))
        and case.appeal_until is not None
        and uow.clock.now() <= case.appeal_until
    )
    return page(
        request,
        visitor,
        "complaint.html",
        refused=refused,
        case=case,
        complaint=told,
        visit=case.visit,
        mine=mine,
        complained_by="" if mine else named[told.complained_by].name,
        step=told.to_do if decides and told.to_do in (ToDo.HEAR, ToDo.DECIDE, ToDo.DECIDE_APPEAL) else None,
        outlook=outlook_told(visitor.words, case),
        may_appeal=may_appeal,
        appeal_open=told.appeal is AppealState.OPEN,
        said=said,
        reads=actor.has(*READERS),
        back=COMPLAINTS,
    )


@post("/complaints/{complaint_id:uuid}/appeal", opt=may(Role.VOLUNTEER, *STAFF), include_in_schema=False)
async def appeal(request: SignedIn, complaint_id: FromPath[UUID]) -> Response[Any]:
    """Appeal against what was upheld: by the volunteer, or a coordinator who is told by phone."""

    async def work(uow: UnitOfWork, actor: Actor, text: str) -> None:
        await care.appeal(uow, actor, complaint_id, note=text)

    return await _step(request, complaint_id, work, done="appealed")


@post("/complaints/{complaint_id:uuid}/{step:str}", opt=may(*STAFF), include_in_schema=False)
async def judge(request: SignedIn, complaint_id: FromPath[UUID], step: FromPath[str]) -> Response[Any]:
    """Hear a complaint, decide it, or decide the appeal against it."""
    upheld = (await read_form(request)).get("upheld", "")

    async def work(uow: UnitOfWork, actor: Actor, text: str) -> None:
        if step == "hear":
            await care.hear(uow, actor, complaint_id, answer=text)
            return
        if upheld not in ("yes", "no"):
            raise InvalidValue(field="upheld", rule="known_value")
        decide = care.decide_appeal if step == "decide-appeal" else care.decide
        await decide(uow, actor, complaint_id, upheld=upheld == "yes", finding=text)

    return await _step(request, complaint_id, work, done="settled")


async def _step(request: SignedIn, complaint_id: UUID, act: Any, *, done: str) -> Response[Any]:
    form = await read_form(request)
    text = form.get("text", "")

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await act(uow, actor, text)
        return f"{COMPLAINTS}/{complaint_id}?done={done}"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_complaint(request, uow, visitor, complaint_id, text, error)


ROUTES = [complain_form, complain, complaints, complaint, appeal, judge]
