"""Pages for an elder's family: the elders they speak for; and the coordinator's word that they may."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from api.auth import SIGNED_IN, may
from api.dependencies import SignedIn
from api.web.coordinator import BOARD, acting, show_board
from api.web.forms import do_once, read_form, see_other, uuid_of
from api.web.pages import page
from api.web.visitor import FAMILY_HOME, visit
from pointsbank.domain.errors import DomainError, NotAllowed
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.domain.visit import ATTENDED
from pointsbank.platform.database import UnitOfWork
from services.care import service as care

SHOWN_MAX = 20
CAME_SHOWN = 5
WAITING = frozenset({RequestState.OPEN, RequestState.OFFERED, RequestState.ACCEPTED})


@get(FAMILY_HOME, opt=SIGNED_IN, include_in_schema=False)
async def family(request: SignedIn) -> Response[str]:
    """Show the elders whose family the visitor is, and what has been asked for them."""
    async with visit(request) as (uow, visitor):
        ties = await care.elders_of(uow, visitor.actor)
        confirmed = [tie for tie in ties if tie.confirmed_at is not None]
        asked = {
            tie.elder_id: [
                each
                for each in await care.requests_of_elder(uow, visitor.actor, tie.elder_id, limit=SHOWN_MAX)
                if each.state in WAITING
            ]
            for tie in confirmed
        }
        came = {
            tie.elder_id: [
                each
                for each in await care.visits_of_elder(uow, visitor.actor, tie.elder_id, limit=SHOWN_MAX)
                if each.state in ATTENDED
            ][:CAME_SHOWN]
            for tie in confirmed
        }
        unconfirmed = [tie for tie in ties if tie.confirmed_at is None]
        return page(
            request, visitor, "family.html", ties=confirmed, unconfirmed=unconfirmed, asked=asked, came=came
        )


@post("/family/act-for", opt=SIGNED_IN, include_in_schema=False)
async def act_for(request: SignedIn) -> Response[None]:
    """Begin to ask for an elder of the family. Raises NotFound, NotAllowed."""
    elder_id = uuid_of((await read_form(request)).get("elder", ""), what="person")
    async with visit(request) as (uow, visitor):
        if not await care.is_family(uow, elder_id, visitor.actor.person_id):
            raise NotAllowed(action="ask_for_help")
    return acting(request, str(elder_id), see_other("/elder/ask"))


@post("/coordinator/family/confirm", opt=may(*STAFF), include_in_schema=False)
async def confirm(request: SignedIn) -> Response[Any]:
    """Confirm that somebody is family of an elder."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        pair = [uuid_of(form.get(name, ""), what="person") for name in ("elder", "member")]
        await care.confirm_family(uow, actor, *pair)
        return f"{BOARD}?done=approved"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_board(request, uow, visitor, error)


ROUTES = [family, act_for, confirm]
