"""Deciding what another person proposed, from the coordinator's desk: approved or refused with one press."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.web.coordinator import BOARD, show_board
from api.web.forms import Work, do_once, read_form
from api.web.visitor import visit
from pointsbank.domain.errors import DomainError
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import decisions, policies


async def _decided(request: SignedIn, work: Work) -> Response[Any]:
    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_board(request, uow, visitor, error)


@post("/decisions/{decision_id:uuid}/approve", opt=may(*STAFF), include_in_schema=False)
async def approve(request: SignedIn, decision_id: FromPath[UUID]) -> Response[Any]:
    """Approve a decision: its entry is posted."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await decisions.approve(uow, actor, decision_id)
        return f"{BOARD}?done=approved"

    return await _decided(request, work)


@post("/decisions/{decision_id:uuid}/refuse", opt=may(*STAFF), include_in_schema=False)
async def refuse(request: SignedIn, decision_id: FromPath[UUID]) -> Response[Any]:
    """Refuse a decision: nothing is posted."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await decisions.refuse(uow, actor, decision_id)
        return f"{BOARD}?done=turned_down"

    return await _decided(request, work)


@post("/policies/{number:int}/approve", opt=may(*STAFF), include_in_schema=False)
async def approve_policy(request: SignedIn, number: FromPath[int]) -> Response[Any]:
    """Approve a policy version."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await policies.approve(uow, actor, policies.known_number(number))
        return f"{BOARD}?done=approved"

    return await _decided(request, work)


@post("/policies/{number:int}/refuse", opt=may(*STAFF), include_in_schema=False)
async def refuse_policy(request: SignedIn, number: FromPath[int]) -> Response[Any]:
    """Refuse a policy version."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await policies.refuse(uow, actor, policies.known_number(number))
        return f"{BOARD}?done=turned_down"

    return await _decided(request, work)


ROUTES = [approve, refuse, approve_policy, refuse_policy]
