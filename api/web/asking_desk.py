"""Asking on the telephone: the coordinator has all of it in one form, and reads it back before it is sent."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from api.auth import may
from api.dependencies import SignedIn
from api.web.asking import CLOCKS, QUARTERS, show_ask
from api.web.drafts import (
    CLOCK,
    DESK_ASK,
    ENDS,
    SOON,
    WEEKDAYS,
    WHO,
    Draft,
    day_of,
    read_draft,
    rule_of,
    when_of,
    wide_windows,
)
from api.web.forms import read_form, see_other
from api.web.pages import page
from api.web.visitor import PEOPLE, Visitor, visit
from pointsbank.domain.asked_time import Slot, asked_time
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.help_request import AHEAD_MAX
from pointsbank.domain.language import LANGUAGES
from pointsbank.domain.roles import STAFF
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger


@get(DESK_ASK, opt=may(*STAFF), include_in_schema=False)
async def form_empty(request: SignedIn) -> Response[Any]:
    """Show the form, for the resident the coordinator acts for."""
    async with visit(request) as (uow, visitor):
        if not visitor.by_proxy:
            return see_other(PEOPLE)
        return await show_form(request, uow, visitor, read_draft(request.query_params))


@post(DESK_ASK, opt=may(*STAFF), include_in_schema=False, status_code=200)
async def form_filled(request: SignedIn) -> Response[Any]:
    """Read the form back before it is sent, or show it again to be changed. Nothing is kept yet."""
    form = await read_form(request)
    draft = read_draft(form)
    async with visit(request) as (uow, visitor):
        if not visitor.by_proxy:
            return see_other(PEOPLE)
        if form.get("change"):
            return await show_form(request, uow, visitor, draft)
        try:
            await _require_whole(uow, visitor, draft)
        except DomainError as error:
            return await show_form(request, uow, visitor, draft, error)
        return await show_ask(request, uow, visitor, draft, form=form)


async def show_form(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, draft: Draft, refused: DomainError | None = None
) -> Response[str]:
    """Return the form with what was said so far."""
    policy, today = await ledger.policy_on(uow, visitor.words.today), visitor.words.today
    wide = wide_windows(policy.slots)
    first, dash, last = draft.time.partition("-")
    known = draft.time in wide.values() or draft.time in list(Slot)
    return page(
        request,
        visitor,
        "ask_desk.html",
        refused=refused,
        draft=draft,
        kinds=sorted(policy.kinds.values(), key=lambda each: each.code),
        today=today,
        last=today + AHEAD_MAX,
        soon=SOON,
        wide=wide,
        slots=list(Slot),
        way="between" if dash and not known else "at" if CLOCK.fullmatch(draft.time) else draft.time,
        between=(first, last) if dash and not known else ("09:00", "12:00"),
        hour=first if CLOCK.fullmatch(draft.time) else "09:00",
        clocks=CLOCKS,
        quarters=QUARTERS,
        who=list(WHO),
        spoken=LANGUAGES,
        weekdays=WEEKDAYS,
        ends=ENDS,
    )


async def _require_whole(uow: UnitOfWork, visitor: Visitor, draft: Draft) -> None:
    """Check that the draft says all that is needed. Raises DomainError."""
    words = visitor.words
    policy = await ledger.policy_on(uow, words.today)
    kind, day = policy.kind(draft.kind), day_of(draft.day, words.today)
    when = when_of(draft.time, day, draft.length(kind), words) if day is not None else None
    if day is None or when is None:
        raise InvalidValue(field="starts_at", rule="date_and_time")
    asked_time(when, draft.length(kind), slots=policy.slots, timezone=words.timezone, now=uow.clock.now())
    if draft.weekdays:
        rule_of(draft, day)


ROUTES = [form_empty, form_filled]
