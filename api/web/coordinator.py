"""The coordinator's desk: the board by grid, pairing, people, acting for a resident; the witnesses' page."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath

from api.auth import SIGNED_IN, may
from api.dependencies import SignedIn, desk
from api.web.drafts import DESK_ASK
from api.web.forms import do_once, read_form, see_other, uuid_of
from api.web.pages import page
from api.web.visitor import (
    AUDIT_HOME,
    ELDER_HOME,
    FAMILY_HOME,
    FOR_COOKIE,
    FOR_SECONDS,
    LEADERS,
    PEOPLE,
    Visitor,
    visit,
)
from api.web.waiting import waiting
from pointsbank.domain.errors import DomainError, NotFound
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.domain.visit import VisitState
from pointsbank.domain.visit_rules import Ground
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import RequestInfo, VisitInfo
from services.matching import service as matching
from services.people import service as people

BOARD = "/coordinator"
CONFIRM = "/confirm"
FOUND_MAX = 20
REQUESTS_SHOWN = 100
TO_CONFIRM_SHOWN = 20
PAGE_MAX = 200
WAITING = (RequestState.OPEN, RequestState.OFFERED, RequestState.ACCEPTED, RequestState.UNDER_WAY)
ROLES_SOUGHT = (Role.ELDER, Role.VOLUNTEER, Role.BUILDING_LEADER, Role.GRID_LEADER, Role.COORDINATOR)


@get(BOARD, opt=may(*READERS), include_in_schema=False)
async def board(request: SignedIn) -> Response[Any]:
    """Show what waits, grid by grid."""
    if not request.user.has(*STAFF):
        return see_other(AUDIT_HOME)
    async with visit(request) as (uow, visitor):
        return await show_board(request, uow, visitor)


async def show_board(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    """Return the board: counts, requests by small grid, visits to confirm."""
    lines = await care.board(uow)
    requests = await care.requests_in(uow, visitor.actor, WAITING, limit=REQUESTS_SHOWN)
    names = {line.small_grid: line.name for line in lines}
    by_grid = sorted(requests, key=lambda each: (each.small_grid, each.starts_at))
    to_confirm = await care.visits_to_confirm(uow, visitor.actor, limit=TO_CONFIRM_SHOWN)
    return page(
        request,
        visitor,
        "board.html",
        refused=refused,
        counts={
            state: sum(getattr(line, state) for line in lines)
            for state in ("open", "offered", "accepted", "under_way", "late", "to_confirm")
        },
        grids=[
            (_called(visitor, names.get(grid, str(grid))), list(asked))
            for grid, asked in groupby(by_grid, key=_grid)
        ],
        more_requests=len(requests) == REQUESTS_SHOWN,
        limit=REQUESTS_SHOWN,
        to_confirm=to_confirm,
        unsettled=await care.unsettled_visits(uow, visitor.actor, limit=TO_CONFIRM_SHOWN),
        waiting=await waiting(uow, visitor),
        overdue=await care.waiting_for(uow, visitor.actor),
        family=await care.family_to_confirm(uow, visitor.actor),
        recorded=len(await care.recorded_visits(uow, visitor.actor)),
        complaints=len(await care.open_complaints(uow, visitor.actor)),
        run=_run(request),
    )


def _called(visitor: Visitor, name: str) -> str:
    """Return what a small grid is called; one without a name has its number."""
    return visitor.words.t("board.grid", number=name) if name.isdigit() else name


def _grid(request: RequestInfo) -> int:
    return request.small_grid


def _run(request: SignedIn) -> tuple[int, int] | None:
    counts = [request.query_params.get(name, "") for name in ("paired", "unpaired")]
    if not all(count.isascii() and count.isdigit() and len(count) < 7 for count in counts):
        return None
    return int(counts[0]), int(counts[1])


@post("/coordinator/pairing", opt=may(*STAFF), include_in_schema=False)
async def pair(request: SignedIn) -> Response[Any]:
    """Pair the open requests with free volunteers, and offer them."""
    key, community_id = (await read_form(request)).get("key", ""), request.auth.community_id
    try:
        async with matching.thought(desk(request).database, community_id, replan=True) as decided:

            async def work(uow: UnitOfWork, _actor: Actor) -> str:
                run = await decided.publish(uow)
                if run.paired or run.unpaired:
                    return f"{BOARD}/pairing/{run.id}"
                return f"{BOARD}?paired=0&unpaired=0"

            return await do_once(request, work, key=key)
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_board(request, uow, visitor, error)


@get(PEOPLE, opt=may(*STAFF), include_in_schema=False)
async def people_search(request: SignedIn) -> Response[str]:
    """Show the search for a resident."""
    async with visit(request) as (_, visitor):
        return page(request, visitor, "people.html", **_search(), found=None)


@post(PEOPLE, opt=may(*STAFF), include_in_schema=False, status_code=200)
async def find_people(request: SignedIn) -> Response[str]:
    """Show who was found. By POST, so that no name stands in an address or a log; nothing changes."""
    form = await read_form(request)
    text, sought = form.get("text", ""), form.get("role", "")
    role = Role(sought) if sought in ROLES_SOUGHT else None
    async with visit(request) as (uow, visitor):
        found = await people.search_people(uow, visitor.actor, text, role, FOUND_MAX)
        return page(request, visitor, "people.html", **_search(text, sought), found=found)


def _search(text: str = "", role: str = "") -> dict[str, Any]:
    return {
        "text": text,
        "role": role,
        "roles": [each.value for each in ROLES_SOUGHT],
        "limit": FOUND_MAX,
    }


@post("/coordinator/act-for", opt=may(*STAFF), include_in_schema=False)
async def act_for(request: SignedIn) -> Response[None]:
    """Begin to act for a resident: their pages open, and say so on top. Raises NotFound.

    With ``then=ask`` in the form, by asking for help for them.
    """
    form = await read_form(request)
    person_id = uuid_of(form.get("person", ""), what="person")
    async with visit(request) as (uow, visitor):
        await people.view_person(uow, visitor.actor, person_id)
    return acting(request, str(person_id), see_other(DESK_ASK if form.get("then") == "ask" else ELDER_HOME))


@post("/coordinator/act-for/end", opt=SIGNED_IN, include_in_schema=False)
async def end_acting(request: SignedIn) -> Response[None]:
    """Stop acting for a resident."""
    return acting(request, None, see_other(BOARD if request.user.has(*STAFF) else FAMILY_HOME))


def acting(request: SignedIn, person: str | None, answer: Response[None]) -> Response[None]:
    """Return ``answer`` with whom the visitor acts for from now on; None: nobody."""
    answer.set_cookie(
        Cookie(
            key=FOR_COOKIE,
            value=person or "",
            max_age=FOR_SECONDS if person else 0,
            path="/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    )
    return answer


@get(CONFIRM, opt=may(*STAFF, *LEADERS), include_in_schema=False)
async def witness(request: SignedIn) -> Response[str]:
    """Show the visits a building or grid leader can witness."""
    async with visit(request) as (uow, visitor):
        return await show_witness(request, uow, visitor)


async def show_witness(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    """Return the list of visits to confirm, and for a grid leader of what waits too long."""
    found = await care.visits_to_confirm(uow, visitor.actor, limit=PAGE_MAX)
    told = visitor.actor.has(*STAFF, Role.GRID_LEADER)
    overdue = await care.waiting_for(uow, visitor.actor) if told else []
    return page(request, visitor, "witness.html", refused=refused, to_confirm=found, overdue=overdue)


@get("/visits/{visit_id:uuid}", opt=may(*READERS, *LEADERS), include_in_schema=False)
async def visit_page(request: SignedIn, visit_id: FromPath[UUID]) -> Response[str]:
    """Show one visit, to be confirmed by who is not paid by it."""
    async with visit(request) as (uow, visitor):
        return await show_visit(request, uow, visitor, visit_id)


async def show_visit(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    visit_id: UUID,
    refused: DomainError | None = None,
) -> Response[str]:
    """Return a visit's page: what a leader may witness, and what a coordinator may settle."""
    found = await _visit(uow, visitor, visit_id)
    may_settle = visitor.actor.has(*STAFF) and visitor.actor.person_id != found.volunteer_id
    reads = visitor.actor.has(*READERS)
    zone = ZoneInfo(visitor.community.timezone)
    return page(
        request,
        visitor,
        "visit.html",
        refused=refused,
        visit=found,
        may_confirm=found.state is VisitState.DONE and visitor.actor.has(*STAFF, *LEADERS),
        may_settle=may_settle,
        began=(found.checked_in_at or found.planned_start).astimezone(zone),
        ended=(found.checked_out_at or found.planned_end).astimezone(zone),
        complaints=await care.complaints(uow, visitor.actor, visit_id=visit_id) if reads else [],
        grounds=[each for each in Ground if found.recorded_by or each is not Ground.FALSE_RECORD],
        back=_back(visitor),
    )


async def _visit(uow: UnitOfWork, visitor: Visitor, visit_id: UUID) -> VisitInfo:
    """Return the visit to a coordinator, or to a leader who may witness it. Raises NotFound, NotAllowed."""
    if visitor.actor.has(*READERS):
        return await care.visit(uow, visitor.actor, visit_id)
    for found in await care.visits_to_confirm(uow, visitor.actor, limit=PAGE_MAX):
        if found.id == visit_id and found.state is VisitState.DONE:
            return found
    raise NotFound(what="visit")


def _back(visitor: Visitor) -> str:
    if visitor.actor.has(*STAFF):
        return BOARD
    return CONFIRM if visitor.actor.has(*LEADERS) else AUDIT_HOME


@post("/visits/{visit_id:uuid}/confirm", opt=may(*STAFF, *LEADERS), include_in_schema=False)
async def confirm_visit(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Confirm a visit after a call-back, or as its witness."""
    back = BOARD if request.user.has(*STAFF) else CONFIRM

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await care.confirm(uow, actor, visit_id)
        return f"{back}?done=confirmed"

    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            show = show_board if visitor.actor.has(*STAFF) else show_witness
            return await show(request, uow, visitor, error)


ROUTES = [
    board,
    pair,
    people_search,
    find_people,
    act_for,
    end_acting,
    witness,
    visit_page,
    confirm_visit,
]
