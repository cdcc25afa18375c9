"""Spending points and reading one's statement: for every member, in large type."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.web.forms import do_once, kept_key, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.errors import DomainError
from pointsbank.domain.redemption import NEXT, RedemptionState
from pointsbank.domain.roles import Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.ledger import lots
from services.ledger import service as ledger
from services.settlement import service as settlement
from services.settlement.service import Redeem

MEMBERS = may(Role.ELDER, Role.VOLUNTEER, Role.COORDINATOR)
EXPIRING_SHOWN = 6
MONTH = re.compile(r"(20\d{2})-(0[1-9]|1[0-2])")
REASONS = frozenset({"sold_out", "unknown_item", "closed", "price_differs"})
"""Why a partner refuses an order; each has words."""


@get("/order", opt=MEMBERS, include_in_schema=False)
async def order(request: SignedIn) -> Response[str]:
    """Show what points buy, or the chosen item to check."""
    chosen = request.query_params.get("partner", ""), request.query_params.get("item", "")
    async with visit(request) as (uow, visitor):
        return await show_order(request, uow, visitor, chosen)


async def show_order(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    chosen: tuple[str, str],
    refused: DomainError | None = None,
    **facts: Any,
) -> Response[str]:
    """Return the menu; with ``chosen`` (partner, item), that item to check before it is ordered."""
    items = await settlement.redeemable_items(uow, visitor.words.today)
    menu = {partner: list(sold) for partner, sold in groupby(items, key=lambda each: each.partner)}
    return page(
        request,
        visitor,
        "order.html",
        refused=refused,
        available=await ledger.balance(uow, accounts.available(visitor.subject.ledger_ref)),
        menu=menu,
        quotes=await settlement.quotes(uow, visitor.subject.id, visitor.words.today),
        chosen=next((each for each in items if (each.partner, each.code) == chosen), None),
        **facts,
    )


@post("/order", opt=MEMBERS, include_in_schema=False)
async def send_order(request: SignedIn) -> Response[Any]:
    """Set the points aside and order; then the order's own page, with the voucher."""
    form = await read_form(request)
    chosen = form.get("partner", ""), form.get("item", "")
    async with visit(request) as (_, visitor):
        member_id = visitor.subject.id

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        ordered = await settlement.redeem(uow, actor, Redeem(member_id, *chosen))
        return f"/orders/{ordered.id}?done=ordered"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_order(request, uow, visitor, chosen, error, **kept_key(form))


@get("/orders/{redemption_id:uuid}", opt=MEMBERS, include_in_schema=False)
async def ordered(request: SignedIn, redemption_id: FromPath[UUID]) -> Response[str]:
    """Show an order with its voucher."""
    async with visit(request) as (uow, visitor):
        return await show_ordered(request, uow, visitor, redemption_id)


async def show_ordered(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    redemption_id: UUID,
    refused: DomainError | None = None,
) -> Response[str]:
    """Return the page of one order."""
    found = await settlement.redemption(uow, visitor.actor, redemption_id)
    return page(
        request,
        visitor,
        "redemption.html",
        refused=refused,
        order=found,
        reasons=REASONS,
        can_cancel=RedemptionState.CANCELLED in NEXT[found.state] and not found.cancelling,
        sure=request.query_params.get("sure") == "1",
    )


@post("/orders/{redemption_id:uuid}/cancel", opt=MEMBERS, include_in_schema=False)
async def cancel_order(request: SignedIn, redemption_id: FromPath[UUID]) -> Response[Any]:
    """Call an order off; the points come back when the partner has not handed it over."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await settlement.cancel_redemption(uow, actor, redemption_id)
        return f"/orders/{redemption_id}?done=order_cancelled"

    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_ordered(request, uow, visitor, redemption_id, error)


@get("/statement", opt=MEMBERS, include_in_schema=False)
async def statement(request: SignedIn) -> Response[str]:
    """Show one month of the passbook, as the bank recorded it."""
    async with visit(request) as (uow, visitor):
        words, member = visitor.words, visitor.subject
        first = _month(request.query_params.get("month", ""), words.today)
        later = (first + timedelta(days=31)).replace(day=1)
        available = accounts.available(member.ledger_ref)
        served = accounts.service(member.ledger_ref)
        balances = await ledger.balances(uow, [available, served])
        book = await ledger.statement(uow, available, _begin(visitor, first), _begin(visitor, later))
        assert book.commodity is Commodity.POINT
        return page(
            request,
            visitor,
            "statement.html",
            available=balances[available],
            served=balances[served],
            book=book,
            expiring=(await lots.fold(uow, member.ledger_ref)).expiring()[:EXPIRING_SHOWN],
            first=first,
            before=(first - timedelta(days=1)).strftime("%Y-%m"),
            after=later.strftime("%Y-%m") if later <= words.today else None,
        )


def _begin(visitor: Visitor, day: date) -> datetime:
    return visitor.words.moment(day, 0, 0)


def _month(text: str, today: date) -> date:
    """Return the first of the month that ``text`` names, never a later one than today's."""
    found = MONTH.fullmatch(text)
    first = date(int(found[1]), int(found[2]), 1) if found else today.replace(day=1)
    return min(first, today.replace(day=1))


ROUTES = [order, send_order, ordered, cancel_order, statement]
