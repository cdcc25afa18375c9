"""Visits recorded afterwards: the volunteer's page, and the coordinator's queue of what was recorded."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.web.forms import do_once, kept_key, read_form, uuid_of
from api.web.moments import period_of
from api.web.naming import named
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.errors import DomainError
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.domain.visit_rules import Ground
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import Backfill
from services.ledger import service as ledger

PAST, QUEUE = "/volunteer/past-visits", "/coordinator/past-visits"
VISITS_SEEN = 200
DRAFT = {"elder": "", "volunteer": "", "kind": "", "day": "", "from": "", "to": "", "text": ""}


@get(PAST, opt=may(Role.VOLUNTEER), include_in_schema=False)
async def past_visits(request: SignedIn) -> Response[str]:
    """Show what a volunteer may record afterwards, and what became of what they recorded."""
    async with visit(request) as (uow, visitor):
        return await show_past(request, uow, visitor, {})


async def show_past(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    draft: dict[str, str],
    refused: DomainError | None = None,
) -> Response[str]:
    """Return the volunteer's page of past visits."""
    me = visitor.actor.person_id
    visits = await care.visits_of_volunteer(uow, visitor.actor, me, limit=VISITS_SEEN)
    room = await care.backfill_room(uow, visitor.actor, me)
    return page(
        request,
        visitor,
        "past_visits.html",
        refused=refused,
        room=room,
        open=not room.bars and room.used < room.a_month,
        elders=sorted({each.elder_id: each.elder_name for each in visits}.items(), key=lambda each: each[1]),
        kinds=await _kinds(uow, visitor),
        draft=DRAFT | draft,
        recorded=[each for each in visits if each.recorded_by is not None],
        **kept_key(draft),
    )


@post(PAST, opt=may(Role.VOLUNTEER), include_in_schema=False)
async def record(request: SignedIn) -> Response[Any]:
    """Record a visit of the volunteer's own that was not checked in."""
    form = await read_form(request)
    async with visit(request) as (_, visitor):
        pass

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        elder = uuid_of(form.get("elder", ""), what="person")
        seen = await care.visits_of_volunteer(uow, actor, actor.person_id, limit=VISITS_SEEN)
        if elder not in {each.elder_id for each in seen}:
            elder = uuid_of("", what="person")  # whom they never visited, they cannot name here
        await _record(uow, actor, visitor, form, volunteer_id=actor.person_id, elder_id=elder)
        return f"{PAST}?done=recorded"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_past(request, uow, visitor, form, error)


@get(QUEUE, opt=may(*STAFF), include_in_schema=False)
async def queue(request: SignedIn) -> Response[str]:
    """Show what was recorded afterwards and waits to be approved or found false."""
    async with visit(request) as (uow, visitor):
        return await show_queue(request, uow, visitor, {})


async def show_queue(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    draft: dict[str, str],
    refused: DomainError | None = None,
) -> Response[str]:
    """Return the queue of recorded visits."""
    found = await care.recorded_visits(uow, visitor.actor)
    complaints = {each.visit_id: each.id for each in await care.open_complaints(uow, visitor.actor)}
    return page(
        request,
        visitor,
        "recorded.html",
        refused=refused,
        recorded=found,
        complaints=complaints,
        me=visitor.actor.person_id,
        room=await care.backfill_room(uow, visitor.actor, visitor.actor.person_id),
        kinds=await _kinds(uow, visitor),
        draft=DRAFT | draft,
        **kept_key(draft),
    )


@post(QUEUE, opt=may(*STAFF), include_in_schema=False)
async def record_for(request: SignedIn) -> Response[Any]:
    """Record a visit for a volunteer who told it; another person then approves it."""
    form = await read_form(request)
    async with visit(request) as (_, visitor):
        pass

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        volunteer = await named(uow, actor, form.get("volunteer", ""), Role.VOLUNTEER, field="volunteer_id")
        elder = await named(uow, actor, form.get("elder", ""), Role.ELDER, field="elder_id")
        await _record(uow, actor, visitor, form, volunteer_id=volunteer, elder_id=elder)
        return f"{QUEUE}?done=recorded"

    return await _queued(request, work, form)


@post("/coordinator/past-visits/{visit_id:uuid}/approve", opt=may(*STAFF), include_in_schema=False)
async def approve(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Approve a recorded visit: it is confirmed, and posted once enough people have."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await care.confirm(uow, actor, visit_id)
        return f"{QUEUE}?done=approved"

    return await _queued(request, work, await read_form(request))


@post("/coordinator/past-visits/{visit_id:uuid}/false", opt=may(*STAFF), include_in_schema=False)
async def find_false(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Say that a recorded visit never was; another coordinator decides it."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        filed = await care.complain(
            uow, actor, visit_id, ground=Ground.FALSE_RECORD, note=form.get("text") or None
        )
        return f"/complaints/{filed.id}?done=settled"

    return await _queued(request, work, form)


async def _queued(request: SignedIn, work: Any, form: dict[str, str]) -> Response[Any]:
    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        draft = form if "day" in form else {}
        async with visit(request) as (uow, visitor):
            return await show_queue(request, uow, visitor, draft, error)


async def _record(
    uow: UnitOfWork,
    actor: Actor,
    visitor: Visitor,
    form: dict[str, str],
    *,
    volunteer_id: UUID,
    elder_id: UUID,
) -> None:
    start, end = period_of(visitor, form.get("day", ""), form.get("from", ""), form.get("to", ""))
    command = Backfill(volunteer_id, elder_id, form.get("kind", ""), started_at=start, ended_at=end)
    await care.backfill(uow, actor, command)


async def _kinds(uow: UnitOfWork, visitor: Visitor) -> list[str]:
    return sorted((await ledger.policy_on(uow, visitor.words.today)).kinds)


ROUTES = [past_visits, record, queue, record_for, approve, find_false]
