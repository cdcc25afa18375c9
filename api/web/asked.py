"""The page of one thing that was asked for, with the number to read out on the telephone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import SIGNED_IN
from api.dependencies import SignedIn
from api.web.drafts import WHO
from api.web.forms import do_once, read_form
from api.web.pages import page
from api.web.visitor import Visitor, home_while_acting, visit
from pointsbank.domain.errors import DomainError
from pointsbank.domain.help_request import NEXT, RequestState
from pointsbank.domain.language import LANGUAGES
from pointsbank.domain.preferences import Preferences
from pointsbank.domain.roles import Actor
from pointsbank.domain.waiting import URGENCY_MAX
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import RequestInfo


@get("/elder/requests/{request_id:uuid}", opt=SIGNED_IN, include_in_schema=False)
async def asked(request: SignedIn, request_id: FromPath[UUID]) -> Response[str]:
    """Show a help request with its number."""
    async with visit(request, for_family=True) as (uow, visitor):
        return await show_request(request, uow, visitor, request_id)


async def show_request(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    request_id: UUID,
    refused: DomainError | None = None,
) -> Response[str]:
    """Return the page of one help request."""
    found = await care.request(uow, visitor.actor, request_id)
    return page(
        request,
        visitor,
        "request.html",
        refused=refused,
        asked=found,
        urgent=URGENCY_MAX,
        spoken=LANGUAGES,
        wanted=_wanted(found),
        can_cancel=RequestState.CANCELLED in NEXT[found.state],
        sure=request.query_params.get("sure") == "1",
    )


def _wanted(asked: RequestInfo) -> str:
    """Return who was wanted, as the form said it."""
    preferences = Preferences(asked.gender_wanted, asked.gender_hard)
    return next((name for name, each in WHO.items() if each == preferences), "any")


@post("/elder/requests/{request_id:uuid}/cancel", opt=SIGNED_IN, include_in_schema=False)
async def cancel_request(request: SignedIn, request_id: FromPath[UUID]) -> Response[Any]:
    """Call a help request off."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await care.cancel_request(uow, actor, request_id)
        return f"{home_while_acting(request)}?done=request_cancelled"

    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request, for_family=True) as (uow, visitor):
            return await show_request(request, uow, visitor, request_id, error)


ROUTES = [asked, cancel_request]
