"""Who should not come again: an elder says it of somebody who was there, and may take it back."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from api.auth import SIGNED_IN
from api.dependencies import SignedIn
from api.web.forms import Work, do_once, read_form, uuid_of
from api.web.pages import page
from api.web.visitor import Visitor, meet, visit
from pointsbank.domain.errors import DomainError, NotFound
from pointsbank.domain.feedback import Again
from pointsbank.domain.preferences import ExclusionReason
from pointsbank.domain.roles import Actor
from pointsbank.domain.visit import ATTENDED
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import VisitInfo
from services.matching import service as matching

NOT_AGAIN = "/elder/not-again"
LOOKED_BACK = 50
SHOWN_MAX = 10


@get(NOT_AGAIN, opt=SIGNED_IN, include_in_schema=False)
async def apart(request: SignedIn) -> Response[str]:
    """Show who came lately, and who is not sent any more."""
    async with visit(request, for_family=True) as (uow, visitor):
        return await show_apart(request, uow, visitor)


async def show_apart(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    """Return the page; with ``?visit=`` the one question about who came on that visit."""
    elder_id = visitor.subject.id
    kept = await care.exclusions_of(uow, visitor.actor, elder_id)
    away = {each.volunteer_id for each in kept}
    came = [each for each in await _came(uow, visitor) if each.volunteer_id not in away]
    wanted = request.query_params.get("visit", "")
    return page(
        request,
        visitor,
        "not_again.html",
        refused=refused,
        kept=kept,
        came=came[:SHOWN_MAX],
        chosen=next((each for each in came if str(each.id) == wanted), None),
    )


async def _came(uow: UnitOfWork, visitor: Visitor) -> list[VisitInfo]:
    """Return the latest visit of each volunteer who was there."""
    found = await care.visits_of_elder(uow, visitor.actor, visitor.subject.id, limit=LOOKED_BACK)
    latest: dict[Any, VisitInfo] = {}
    for each in found:
        if each.state in ATTENDED:
            latest.setdefault(each.volunteer_id, each)
    return list(latest.values())


@post(NOT_AGAIN, opt=SIGNED_IN, include_in_schema=False)
async def keep_apart(request: SignedIn) -> Response[Any]:
    """Have who came on a visit not be sent any more; why need not be said."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        visitor = await meet(uow, request, for_family=True)
        found = await care.visit(uow, actor, uuid_of(form.get("visit", ""), what="visit"))
        if found.elder_id != visitor.subject.id:
            raise NotFound(what="visit")
        if form.get("why"):
            await matching.give_feedback(uow, actor, found.id, again=Again.NO, note=form["why"])
        await matching.exclude(uow, actor, found.elder_id, found.volunteer_id, ExclusionReason.ASKED)
        return f"{NOT_AGAIN}?done=kept_apart"

    return await _done(request, work, form)


@post(NOT_AGAIN + "/lift", opt=SIGNED_IN, include_in_schema=False)
async def lift(request: SignedIn) -> Response[Any]:
    """Let somebody be sent again."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        visitor = await meet(uow, request, for_family=True)
        volunteer_id = uuid_of(form.get("volunteer", ""), what="person")
        await care.lift_exclusion(uow, actor, visitor.subject.id, volunteer_id)
        return f"{NOT_AGAIN}?done=sent_again"

    return await _done(request, work, form)


async def _done(request: SignedIn, work: Work, form: dict[str, str]) -> Response[Any]:
    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request, for_family=True) as (uow, visitor):
            return await show_apart(request, uow, visitor, error)


ROUTES = [apart, keep_apart, lift]
