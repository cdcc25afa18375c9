"""Refunds: proposed from an order's page by a coordinator, decided by somebody else from the queue."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.web.forms import Work, do_once, read_form
from api.web.orders import show_ordered
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.decision import DecisionState
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.people import service as people
from services.settlement import refunds
from services.settlement.refunds import ProposeRefund

REFUNDS = "/books/refunds"


@post("/orders/{redemption_id:uuid}/refund", opt=may(*STAFF), include_in_schema=False)
async def propose(request: SignedIn, redemption_id: FromPath[UUID]) -> Response[Any]:
    """Propose to give back what an order cost."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        reason, portions = form.get("reason", ""), form.get("quantity", "")
        if reason not in set(RefundReason):
            raise InvalidValue(field="reason", rule="known_value")
        if portions and not (portions.isascii() and portions.isdecimal() and len(portions) < 4):
            raise InvalidValue(field="quantity", rule="within_order")
        quantity = int(portions) if portions else None
        await refunds.propose(uow, actor, ProposeRefund(redemption_id, RefundReason(reason), quantity))
        return f"{REFUNDS}?done=refund_proposed"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_ordered(request, uow, visitor, redemption_id, error)


@get(REFUNDS, opt=may(*READERS), include_in_schema=False)
async def proposed(request: SignedIn) -> Response[str]:
    """Show the refunds that wait to be decided."""
    async with visit(request) as (uow, visitor):
        return await show_refunds(request, uow, visitor)


async def show_refunds(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    """Return the queue of proposed refunds."""
    waiting = await refunds.refunds(uow, state=DecisionState.PROPOSED)
    proposers = await people.people_by_id(uow, [each.proposed_by for each in waiting if each.proposed_by])
    return page(
        request,
        visitor,
        "refunds.html",
        refused=refused,
        waiting=waiting,
        names={proposer: each.name for proposer, each in proposers.items()},
        me=visitor.actor.person_id,
        may_propose=visitor.actor.has(*STAFF),
    )


@post(f"{REFUNDS}/{{refund_id:uuid}}/approve", opt=may(*READERS), include_in_schema=False)
async def approve(request: SignedIn, refund_id: FromPath[UUID]) -> Response[Any]:
    """Approve a refund: the points go back."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await refunds.approve(uow, actor, refund_id)
        return f"{REFUNDS}?done=approved"

    return await _decided(request, work)


@post(f"{REFUNDS}/{{refund_id:uuid}}/refuse", opt=may(*READERS), include_in_schema=False)
async def refuse(request: SignedIn, refund_id: FromPath[UUID]) -> Response[Any]:
    """Refuse a refund: nothing moves."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await refunds.refuse(uow, actor, refund_id)
        return f"{REFUNDS}?done=turned_down"

    return await _decided(request, work)


async def _decided(request: SignedIn, work: Work) -> Response[Any]:
    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_refunds(request, uow, visitor, error)


ROUTES = [propose, proposed, approve, refuse]
