"""An elder's pages: the passbook, and confirming who came."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.web.forms import do_once, read_form
from api.web.pages import page
from api.web.visitor import ELDER_HOME, Visitor, visit
from pointsbank.domain import accounts
from pointsbank.domain.errors import DomainError
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.redemption import ENDED
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.visit import VisitState
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.ledger import lots
from services.ledger import service as ledger
from services.settlement import service as settlement

ELDERS = may(Role.ELDER, Role.COORDINATOR)
SHOWN_MAX = 20
EXPIRES_SOON = timedelta(days=92)
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
        to_confirm=[each for each in visits if each.state is VisitState.DONE],
        coming=sorted(coming, key=lambda each: each.planned_start),
        waiting=[each for each in requests if each.state in WAITING],
        orders=[each for each in orders if each.state not in ENDED],
    )


@get("/elder/visits/{visit_id:uuid}", opt=ELDERS, include_in_schema=False)
async def who_came(request: SignedIn, visit_id: FromPath[UUID]) -> Response[str]:
    """Show a visit and ask whether it was so."""
    async with visit(request) as (uow, visitor):
        found = await care.visit(uow, visitor.actor, visit_id)
        return page(request, visitor, "confirm.html", visit=found, back=ELDER_HOME)


@post("/elder/visits/{visit_id:uuid}/confirm", opt=ELDERS, include_in_schema=False)
async def confirm(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Confirm a visit: the volunteer's minutes and points are posted."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await care.confirm(uow, actor, visit_id)
        return f"{ELDER_HOME}?done=confirmed"

    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_passbook(request, uow, visitor, error)


ROUTES = [passbook, who_came, confirm]
