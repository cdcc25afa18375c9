"""An elder's pages: the passbook, who came, and whether it was so. Family may open what is about visits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import SIGNED_IN, may
from api.dependencies import SignedIn
from api.web.complaining import elders_visit
from api.web.forms import Work, do_once, read_form, see_other
from api.web.pages import page
from api.web.visitor import Visitor, home_while_acting, visit
from pointsbank.domain import accounts
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.feedback import Again, Side
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.redemption import ENDED
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.visit import ATTENDED, EARLY_CHECK_IN_MAX, VisitState
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import VisitInfo
from services.ledger import lots
from services.ledger import service as ledger
from services.matching import service as matching
from services.settlement import service as settlement

ELDERS = may(Role.ELDER, Role.COORDINATOR)
SHOWN_MAX = 20
EXPIRES_SOON = timedelta(days=92)
COMPLAINABLE = (VisitState.DONE, VisitState.CONFIRMED)
WAITING = frozenset({RequestState.OPEN, RequestState.OFFERED, RequestState.ACCEPTED})


@get("/elder", opt=ELDERS, include_in_schema=False)
async def passbook(request: SignedIn) -> Response[str]:
    """Show the balance, who comes next, and what waits for the elder."""
    async with visit(request) as (uow, visitor):
        return await show_passbook(request, uow, visitor)


async def show_passbook(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    """Return the elder's first page."""
    elder, actor = visitor.subject, visitor.actor
    codes = [accounts.available(elder.ledger_ref), accounts.held(elder.ledger_ref)]
    balances = await ledger.balances(uow, codes)
    visits = await care.visits_of_elder(uow, actor, elder.id, limit=SHOWN_MAX)
    requests = await care.requests_of_elder(uow, actor, elder.id, limit=SHOWN_MAX)
    orders = await settlement.redemptions_of(uow, elder.id, limit=SHOWN_MAX)
    coming = [each for each in visits if each.state in (VisitState.PLANNED, VisitState.UNDER_WAY)]
    return page(
        request,
        visitor,
        "elder_home.html",
        refused=refused,
        available=balances[codes[0]],
        held=balances[codes[1]],
        expiring=(await lots.fold(uow, elder.ledger_ref)).expiring(visitor.words.today + EXPIRES_SOON),
        door_code=await _door_code(uow, visitor, coming),
        to_confirm=[each for each in visits if each.state is VisitState.DONE],
        coming=sorted(coming, key=lambda each: each.planned_start),
        waiting=[each for each in requests if each.state in WAITING],
        orders=[each for each in orders if each.state not in ENDED],
    )


@get("/elder/visits", opt=SIGNED_IN, include_in_schema=False)
async def past_visits(request: SignedIn) -> Response[Any]:
    """Show who came lately; each visit has a page of its own."""
    async with visit(request, for_family=True) as (uow, visitor):
        if Role.ELDER not in visitor.subject.roles:
            return see_other(visitor.home)
        visits = await care.visits_of_elder(uow, visitor.actor, visitor.subject.id, limit=SHOWN_MAX)
        came = [each for each in visits if each.state in ATTENDED]
        return page(request, visitor, "elder_visits.html", visits=came, back=home_while_acting(request))


@get("/elder/visits/{visit_id:uuid}", opt=SIGNED_IN, include_in_schema=False)
async def who_came(request: SignedIn, visit_id: FromPath[UUID]) -> Response[str]:
    """Show a visit and ask whether it was so."""
    async with visit(request, for_family=True) as (uow, visitor):
        found = await elders_visit(uow, visitor.actor, visit_id)
        return await show_who_came(request, uow, visitor, found)


async def show_who_came(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, found: VisitInfo, refused: DomainError | None = None
) -> Response[str]:
    """Return the page of one visit: whether it was so, and after it whether the two should meet again."""
    said = {each.side: each.again for each in await care.feedback_on(uow, visitor.actor, found.id)}
    complaints = await care.complaints_on(uow, visitor.actor, found.id)
    return page(
        request,
        visitor,
        "confirm.html",
        refused=refused,
        visit=found,
        said=said.get(Side.ELDER),
        ask_again=found.state in ATTENDED,
        complaints=complaints,
        may_complain=found.state in COMPLAINABLE and not any(each.stands for each in complaints),
        back=home_while_acting(request),
    )


async def _door_code(uow: UnitOfWork, visitor: Visitor, coming: list[VisitInfo]) -> care.DoorCode | None:
    """Return the code to show at the door while somebody is expected or there; to the elder alone."""
    soon = uow.clock.now() + EARLY_CHECK_IN_MAX
    if visitor.by_proxy or not any(each.planned_start <= soon for each in coming):
        return None
    return await care.door_code(uow, visitor.actor, visitor.subject.id)


@post("/elder/visits/{visit_id:uuid}/confirm", opt=SIGNED_IN, include_in_schema=False)
async def confirm(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Confirm a visit: the volunteer's minutes and points are posted."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await elders_visit(uow, actor, visit_id)
        await care.confirm(uow, actor, visit_id)
        return f"/elder/visits/{visit_id}?done=confirmed"

    return await _on_visit(request, visit_id, work, await read_form(request))


@post("/elder/visits/{visit_id:uuid}/again", opt=SIGNED_IN, include_in_schema=False)
async def again(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Note whether the elder wants the volunteer to come again."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        said = form.get("again", "")
        if said not in set(Again):
            raise InvalidValue(field="again", rule="known_value")
        await elders_visit(uow, actor, visit_id)
        await matching.give_feedback(uow, actor, visit_id, again=Again(said))
        return f"{home_while_acting(request)}?done=feedback_given"

    return await _on_visit(request, visit_id, work, form)


async def _on_visit(request: SignedIn, visit_id: UUID, work: Work, form: dict[str, str]) -> Response[Any]:
    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request, for_family=True) as (uow, visitor):
            found = await elders_visit(uow, visitor.actor, visit_id)
            return await show_who_came(request, uow, visitor, found, error)


ROUTES = [passbook, past_visits, who_came, confirm, again]
