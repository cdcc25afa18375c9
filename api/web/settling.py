"""What a coordinator puts right on a visit's page: times, overlaps, no-shows; a complaint told by phone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.web.coordinator import show_visit
from api.web.forms import do_once, read_form
from api.web.moments import moment_of
from api.web.visitor import visit
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.domain.visit_rules import Ground
from pointsbank.platform.database import UnitOfWork
from services.care import service as care

Act = Callable[[UnitOfWork, Actor, dict[str, str]], Awaitable[object]]


async def _settled(request: SignedIn, visit_id: UUID, act: Act, done: str = "settled") -> Response[Any]:
    """Do what a button of the visit's page asks; a refusal is told on that page."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await act(uow, actor, form)
        return f"/visits/{visit_id}?done={done}"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_visit(request, uow, visitor, visit_id, error)


@post("/visits/{visit_id:uuid}/put-right", opt=may(*STAFF), include_in_schema=False)
async def put_right(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """State when a visit really took place."""
    async with visit(request) as (_, visitor):
        pass

    async def act(uow: UnitOfWork, actor: Actor, form: dict[str, str]) -> None:
        await care.put_right(
            uow,
            actor,
            visit_id,
            checked_in_at=moment_of(visitor, form.get("day", ""), form.get("from", ""), field="checked_in"),
            checked_out_at=moment_of(
                visitor, form.get("end_day", ""), form.get("to", ""), field="checked_out"
            ),
            why=form.get("why", ""),
        )

    return await _settled(request, visit_id, act)


@post("/visits/{visit_id:uuid}/let-stand", opt=may(*STAFF), include_in_schema=False)
async def let_stand(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Say that this visit stands, and those that overlap it do not."""

    async def act(uow: UnitOfWork, actor: Actor, _form: dict[str, str]) -> None:
        await care.settle_overlap(uow, actor, visit_id)

    return await _settled(request, visit_id, act)


@post("/visits/{visit_id:uuid}/excuse", opt=may(*STAFF), include_in_schema=False)
async def excuse(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Excuse who did not come."""

    async def act(uow: UnitOfWork, actor: Actor, _form: dict[str, str]) -> None:
        await care.excuse_no_show(uow, actor, visit_id)

    return await _settled(request, visit_id, act)


@post("/visits/{visit_id:uuid}/complain", opt=may(*STAFF), include_in_schema=False)
async def complain(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Note a complaint, told on the telephone."""

    async def act(uow: UnitOfWork, actor: Actor, form: dict[str, str]) -> None:
        said = form.get("ground", "")
        if said not in set(Ground):
            raise InvalidValue(field="ground", rule="known_value")
        await care.complain(uow, actor, visit_id, ground=Ground(said), note=form.get("text"))

    return await _settled(request, visit_id, act)


ROUTES = [put_right, let_stand, excuse, complain]
