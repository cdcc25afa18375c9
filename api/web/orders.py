"""Spending points and reading one's statement: for every member, in large type."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn, desk
from api.web.forms import Work, do_once, kept_key, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.decision import DecisionState
from pointsbank.domain.errors import DomainError
from pointsbank.domain.meals import SCORE_MAX, SCORE_MIN, Diet, MealWish, Mode, Tag
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.redemption import AHEAD_DAYS_MAX, NEXT, RedemptionState
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.ledger import lots
from services.ledger import service as ledger
from services.settlement import refunds
from services.settlement import service as settlement
from services.settlement.meals import feedback, menus
from services.settlement.meals.views import DishInfo
from services.settlement.service import Redeem
from services.settlement.views import RedemptionInfo

MEMBERS = may(Role.ELDER, Role.VOLUNTEER, Role.COORDINATOR)
EXPIRING_SHOWN = 6
MONTH = re.compile(r"(20\d{2})-(0[1-9]|1[0-2])")
REASONS = frozenset({"sold_out", "unknown_item", "closed", "price_differs", "late", "not_on_menu"})
"""Why a partner refuses an order; each has words."""


@get("/order", opt=MEMBERS, include_in_schema=False)
async def order(request: SignedIn) -> Response[str]:
    """Show what points buy and what the canteen cooks on a day, or what was chosen to check."""
    query = request.query_params
    chosen = query.get("partner", ""), query.get("item", "")
    async with visit(request) as (_, visitor):
        today = visitor.words.today
    day = _order_day(query.get("day", ""), today)
    served = await menus.menu_of(desk(request).partners, request.auth.community_id, day)
    dish = _picked(served, query)
    async with visit(request) as (uow, visitor):
        return await show_order(request, uow, visitor, chosen, day=day, served=served, dish=dish)


async def show_order(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    chosen: tuple[str, str],
    refused: DomainError | None = None,
    day: date | None = None,
    served: Sequence[DishInfo] | None = (),
    dish: DishInfo | None = None,
    **facts: Any,
) -> Response[str]:
    """Return the menu; with ``chosen`` (partner, item), that item to check before it is ordered.

    served: the dishes of ``day``, None when the canteen does not answer. dish: the one that was chosen.
    """
    today = visitor.words.today
    items = await settlement.redeemable_items(uow, visitor.words.today)
    menu = {partner: list(sold) for partner, sold in groupby(items, key=lambda each: each.partner)}
    quotes = await settlement.quotes(uow, visitor.subject.id, day or today)
    return page(
        request,
        visitor,
        "order.html",
        refused=refused,
        available=await ledger.balance(uow, accounts.available(visitor.subject.ledger_ref)),
        menu=menu,
        quotes=quotes,
        chosen=next((each for each in items if (each.partner, each.code) == chosen), None),
        chosen_day=day or today,
        days=[today + timedelta(days=number) for number in range(AHEAD_DAYS_MAX + 1)],
        served=served,
        dish=dish,
        prices={
            code: quote.milli_points
            for (partner, code), quote in quotes.items()
            if partner == PartnerCode.CANTEEN
        },
        diets=list(Diet),
        modes=list(Mode),
        tags=frozenset(Tag),
        **facts,
    )


@post("/order", opt=MEMBERS, include_in_schema=False)
async def send_order(request: SignedIn) -> Response[Any]:
    """Set the points aside and order; then the order's own page, with the voucher."""
    form = await read_form(request)
    chosen = form.get("partner", ""), form.get("item", "")
    async with visit(request) as (_, visitor):
        member_id = visitor.subject.id

    day = _order_day(form.get("day", ""), visitor.words.today)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        wish = _wish(form) if chosen[0] == PartnerCode.CANTEEN else None
        command = Redeem(member_id, *chosen, business_date=day, meal=wish)
        ordered = await settlement.redeem(uow, actor, command)
        return f"/orders/{ordered.id}?done=ordered"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        served = await menus.menu_of(desk(request).partners, request.auth.community_id, day)
        kept: dict[str, Any] = {"day": day, "served": served, "dish": _picked(served, form), **kept_key(form)}
        async with visit(request) as (uow, visitor):
            return await show_order(request, uow, visitor, chosen, error, **kept)


def _order_day(text: str, today: date) -> date:
    """Return the day a person chose, or today when it is none of those that can be ordered for."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return today
    return day if today <= day <= today + timedelta(days=AHEAD_DAYS_MAX) else today


def _picked(served: Sequence[DishInfo] | None, query: Mapping[str, str]) -> DishInfo | None:
    asked = query.get("dish"), query.get("point")
    return next((each for each in served or () if (each.dish, each.point) == asked), None)


def _wish(form: Mapping[str, str]) -> MealWish | None:
    """Return how a meal is wanted; None for a set that is fetched at the counter, as it comes."""
    mode = Mode.DELIVERY if form.get("mode") == Mode.DELIVERY else Mode.DINE_IN
    diet = Diet(form["diet"]) if form.get("diet") in set(Diet) else None
    dish, point = form.get("dish") or None, form.get("point") or None
    if dish is None and diet is None and mode is Mode.DINE_IN:
        return None
    return MealWish(mode, dish, point, diet)


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
        said=await feedback.feedback(uow, visitor.actor, redemption_id),
        eaten=found.state is RedemptionState.FULFILLED and found.partner == PartnerCode.CANTEEN,
        scores=range(SCORE_MAX, SCORE_MIN - 1, -1),
        complaint_max=feedback.COMPLAINT_MAX,
        may_refund=await _may_refund(uow, visitor, found),
        refund_reasons=list(RefundReason),
    )


async def _may_refund(uow: UnitOfWork, visitor: Visitor, order: RedemptionInfo) -> bool:
    """Tell whether the visitor may propose to give back what an order cost."""
    if order.state is not RedemptionState.FULFILLED or not visitor.actor.has(*STAFF):
        return False
    told = await refunds.refunds_of(uow, order.id)
    return order.member_id != visitor.actor.person_id and all(
        each.state is DecisionState.REFUSED for each in told
    )


@post("/orders/{redemption_id:uuid}/rating", opt=MEMBERS, include_in_schema=False)
async def rate_order(request: SignedIn, redemption_id: FromPath[UUID]) -> Response[Any]:
    """Note with one tap how the meal was liked."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        score = int(form["score"]) if form.get("score", "").isdecimal() else 0
        await feedback.rate(uow, actor, redemption_id, score)
        return f"/orders/{redemption_id}?done=feedback_given"

    return await _said(request, redemption_id, form, work)


@post("/orders/{redemption_id:uuid}/complaint", opt=MEMBERS, include_in_schema=False)
async def complain_of_order(request: SignedIn, redemption_id: FromPath[UUID]) -> Response[Any]:
    """File a complaint about the meal."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await feedback.complain(uow, actor, redemption_id, form.get("complaint", ""))
        return f"/orders/{redemption_id}?done=complained"

    return await _said(request, redemption_id, form, work)


async def _said(request: SignedIn, redemption_id: UUID, form: Mapping[str, str], work: Work) -> Response[Any]:
    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_ordered(request, uow, visitor, redemption_id, error)


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


ROUTES = [order, send_order, ordered, cancel_order, rate_order, complain_of_order, statement]
