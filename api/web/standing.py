"""The same meal every weekday: asked for, looked at, left out for a day, ended."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.dependencies import SignedIn
from api.web.forms import Work, do_once, read_form
from api.web.orders import MEMBERS, REASONS
from api.web.pages import page
from api.web.visitor import visit
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.meals import Diet, Mode
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import UnitOfWork
from services.settlement import service as settlement
from services.settlement.meals import standing

PROBLEMS = frozenset({"insufficient_points", "daily_limit_reached", *REASONS})
"""Why a day could not be ordered, where there are words for it; everything else is ``other``."""

WORKDAYS = frozenset(range(5))
WEEKS_SHOWN = 4


@get("/standing", opt=MEMBERS, include_in_schema=False)
async def show(request: SignedIn) -> Response[str]:
    """Show the standing orders and the form for a new one."""
    return await _page(request)


async def _page(request: SignedIn, refused: DomainError | None = None) -> Response[str]:
    async with visit(request) as (uow, visitor):
        today = visitor.words.today
        items = await settlement.redeemable_items(uow, today)
        return page(
            request,
            visitor,
            "standing.html",
            refused=refused,
            orders=await standing.standing_of(uow, visitor.actor, visitor.subject.id),
            items=[each for each in items if each.partner == PartnerCode.CANTEEN],
            modes=list(Mode),
            diets=list(Diet),
            workdays=WORKDAYS,
            first=today + timedelta(days=1),
            until=today + timedelta(weeks=WEEKS_SHOWN),
            today=today,
            problems=PROBLEMS,
        )


@post("/standing", opt=MEMBERS, include_in_schema=False)
async def ask(request: SignedIn) -> Response[Any]:
    """Ask for a meal on every chosen weekday."""
    form = await read_form(request)
    async with visit(request) as (_, visitor):
        member_id = visitor.subject.id

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        command = standing.AskStanding(
            member_id=member_id,
            item=form.get("item", ""),
            weekdays=tuple(day for day in range(7) if f"weekday.{day}" in form),
            first=_day(form, "first"),
            until=_day(form, "until"),
            mode=Mode.DELIVERY if form.get("mode") == Mode.DELIVERY else Mode.DINE_IN,
            diet=Diet(form["diet"]) if form.get("diet") in set(Diet) else None,
        )
        await standing.ask(uow, actor, command)
        return "/standing?done=ordered"

    return await _do(request, form, work)


@post("/standing/{standing_id:uuid}/skip", opt=MEMBERS, include_in_schema=False)
async def skip(request: SignedIn, standing_id: FromPath[UUID]) -> Response[Any]:
    """Leave a day out."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await standing.skip(uow, actor, standing_id, _day(form, "day"))
        return "/standing"

    return await _do(request, form, work)


@post("/standing/{standing_id:uuid}/end", opt=MEMBERS, include_in_schema=False)
async def end(request: SignedIn, standing_id: FromPath[UUID]) -> Response[Any]:
    """End a standing order."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await standing.end(uow, actor, standing_id)
        return "/standing?done=order_cancelled"

    return await _do(request, form, work)


async def _do(request: SignedIn, form: dict[str, str], work: Work) -> Response[Any]:
    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        return await _page(request, error)


def _day(form: dict[str, str], name: str) -> date:
    try:
        return date.fromisoformat(form.get(name, ""))
    except ValueError:
        raise InvalidValue(field=name, rule="plausible_date") from None


ROUTES = [show, ask, skip, end]
