"""The door: the elder's code and printed card, and check-in and check-out on somebody else's word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import segno
from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import SIGNED_IN, may
from api.dependencies import SignedIn
from api.errors import RouteNotFound
from api.web.forms import do_once, read_form, see_other
from api.web.pages import page
from api.web.visitor import LEADERS, Visitor, home_while_acting, visit
from pointsbank.domain.errors import DomainError, NotAllowed
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.care import service as care

DOOR, ATTEND = "/elder/door", "/attendance"
BLOCK = 4
"""Digits of a card are printed in blocks, as on a bank card."""

STEPS: Mapping[str, Callable[[UnitOfWork, Actor, UUID], Awaitable[care.VisitInfo]]] = {
    "check-in": care.check_in,
    "check-out": care.check_out,
    "nobody-home": care.nobody_home,
}
SAID = {"check-in": "attended_in", "check-out": "attended_out", "nobody-home": "nobody_home"}


@get(DOOR, opt=SIGNED_IN, include_in_schema=False)
async def door(request: SignedIn) -> Response[Any]:
    """Show the code at the elder's own door; to a coordinator who acts for them, the way to a card."""
    async with visit(request, for_family=True) as (uow, visitor):
        return await show_door(request, uow, visitor)


async def show_door(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[Any]:
    """Return the page of an elder's door."""
    if Role.ELDER not in visitor.subject.roles:
        return see_other(visitor.home)
    try:
        code = await care.door_code(uow, visitor.actor, visitor.subject.id)
    except NotAllowed:
        code = None
    return page(
        request,
        visitor,
        "door.html",
        refused=refused,
        code=code,
        issues=visitor.by_proxy and visitor.actor.has(*STAFF),
        back=home_while_acting(request),
    )


@post("/elder/door/card", opt=may(*STAFF), include_in_schema=False, status_code=200)
async def card(request: SignedIn) -> Response[Any]:
    """Issue a card for the door of the elder one acts for, and show it once, to be printed.

    It is kept nowhere, not even for a form that is sent again: that makes a new card, and ends this one.
    """
    try:
        async with visit(request) as (uow, visitor):
            token = await care.issue_card(uow, visitor.actor, visitor.subject.id)
        return page(
            request,
            visitor,
            "card.html",
            blocks=[token[at : at + BLOCK] for at in range(0, len(token), BLOCK)],
            qr=segno.make_qr(token).svg_inline(border=2, omitsize=True),
            back=DOOR,
        )
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_door(request, uow, visitor, error)


@get(ATTEND, opt=may(*STAFF, *LEADERS), include_in_schema=False)
async def attendance(request: SignedIn) -> Response[str]:
    """Show the visits that can be checked in or out for a volunteer without a phone."""
    async with visit(request) as (uow, visitor):
        return await show_attendance(request, uow, visitor)


async def show_attendance(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    """Return the list of visits that begin soon or go on."""
    return page(
        request,
        visitor,
        "attendance.html",
        refused=refused,
        visits=await care.visits_to_attend(uow, visitor.actor),
        calls=visitor.actor.has(*STAFF),
        now=uow.clock.now(),
    )


@post("/attendance/{visit_id:uuid}/{step:str}", opt=may(*STAFF, *LEADERS), include_in_schema=False)
async def attend(request: SignedIn, visit_id: FromPath[UUID], step: FromPath[str]) -> Response[Any]:
    """Note that a volunteer has come or gone: as a leader who saw it, or a coordinator who telephoned."""
    if step not in STEPS:
        raise RouteNotFound

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await STEPS[step](uow, actor, visit_id)
        return f"{ATTEND}?done={SAID[step]}"

    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_attendance(request, uow, visitor, error)


ROUTES = [door, card, attendance, attend]
