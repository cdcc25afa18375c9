"""Asking for help step by step, and the page of what was asked: for elders, their family and coordinators.

The steps of asking stand in the address (kind, day, time: nothing personal), so that every step is a plain
link and the way back loses nothing. An elder is asked for a part of the day first: it need not be a minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import SIGNED_IN
from api.dependencies import SignedIn
from api.web.forms import do_once, kept_key, read_form
from api.web.pages import page
from api.web.visitor import Visitor, home_while_acting, meet, visit
from pointsbank.domain.asked_time import AskedTime, Slot, SlotOn, When, asked_time
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.help_request import NEXT, DuplicateRequest, RequestState
from pointsbank.domain.language import LANGUAGES
from pointsbank.domain.policy import Policy, ServiceKind
from pointsbank.domain.preferences import GenderWanted, Preferences
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import AskForHelp
from services.ledger import service as ledger
from services.matching import service as matching

DAYS_SHOWN = 8
HOURS_SHOWN = range(8, 20)
CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
WHO: Mapping[str, Preferences] = {
    "any": Preferences(),
    "rather_woman": Preferences(GenderWanted.FEMALE),
    "rather_man": Preferences(GenderWanted.MALE),
    "only_woman": Preferences(GenderWanted.FEMALE, gender_hard=True),
    "only_man": Preferences(GenderWanted.MALE, gender_hard=True),
}
"""Who should come, as a form says it."""

EMPTY = {"kind": "", "day": "", "time": "", "note": "", "who": "any", "language": "", "same": ""}


@get("/elder/ask", opt=SIGNED_IN, include_in_schema=False)
async def ask(request: SignedIn) -> Response[str]:
    """Show the next step of asking for help: kind, day, time, check."""
    draft = {name: request.query_params.get(name, "") for name in ("kind", "day", "time")}
    async with visit(request, for_family=True) as (uow, visitor):
        return await show_ask(request, uow, visitor, draft)


async def show_ask(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    draft: dict[str, str],
    refused: DomainError | None = None,
) -> Response[str]:
    """Return the first step of ``draft`` that is still open; a part that cannot be is asked for again."""
    words, now = visitor.words, uow.clock.now()
    policy = await ledger.policy_on(uow, words.today)
    facts: dict[str, Any] = {"draft": EMPTY | draft, "refused": refused}
    kind, day = policy.kinds.get(draft["kind"]), _day(draft["day"], words.today)
    if kind is None:
        kinds = sorted(policy.kinds.values(), key=lambda each: each.code)
        return page(request, visitor, "ask.html", step="kind", kinds=kinds, back=visitor.home, **facts)
    if day is None:
        days = [words.today + timedelta(days=each) for each in range(DAYS_SHOWN)]
        return page(request, visitor, "ask.html", step="day", days=days, back="/elder/ask", **facts)
    when = _when(visitor, day, draft["time"])
    if when is None:
        return page(
            request,
            visitor,
            "ask.html",
            step="time",
            slots=_slots_left(visitor, policy, kind, day, now),
            times=[f"{hour:02d}:00" for hour in HOURS_SHOWN if words.moment(day, hour, 0) > now],
            back=_asked(kind=kind.code),
            **facts,
        )
    return page(
        request,
        visitor,
        "ask.html",
        step="check",
        asked_day=day,
        slot=when.slot if isinstance(when, SlotOn) else None,
        starts_at=None if isinstance(when, SlotOn) else when,
        length_asked=kind.expected_minutes,
        spoken=LANGUAGES,
        who=list(WHO),
        similar=isinstance(refused, DuplicateRequest),
        back=_asked(kind=kind.code, day=day.isoformat()),
        **(facts | kept_key(draft)),
    )


@post("/elder/ask", opt=SIGNED_IN, include_in_schema=False)
async def send_ask(request: SignedIn) -> Response[Any]:
    """Ask for help; then the request's own page, with the number to read out."""
    draft = {"kind": "", "day": "", "time": ""} | await read_form(request)
    try:

        async def work(uow: UnitOfWork, actor: Actor) -> str:
            visitor = await meet(uow, request, for_family=True)
            day = _day(draft["day"], visitor.words.today)
            when = _when(visitor, day, draft["time"]) if day is not None else None
            if when is None:
                raise InvalidValue(field="starts_at", rule="date_and_time")
            kind = (await ledger.policy_on(uow, visitor.words.today)).kind(draft["kind"])
            command = AskForHelp(
                elder_id=visitor.subject.id,
                kind=kind.code,
                starts_at=when,
                minutes=kind.expected_minutes,
                note=draft.get("note") or None,
                preferences=_preferences(draft),
                even_if_similar=draft.get("even") == "1",
            )
            asked = await matching.offer_if_urgent(uow, await care.ask(uow, actor, command))
            return f"/elder/requests/{asked.id}?done=asked"

        return await do_once(request, work, key=draft.get("key", ""))
    except DomainError as error:
        async with visit(request, for_family=True) as (uow, visitor):
            return await show_ask(request, uow, visitor, draft, error)


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
        can_cancel=RequestState.CANCELLED in NEXT[found.state],
        sure=request.query_params.get("sure") == "1",
    )


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


def _preferences(draft: Mapping[str, str]) -> Preferences:
    who, language = WHO.get(draft.get("who", ""), Preferences()), draft.get("language", "")
    return Preferences(
        who.gender_wanted,
        who.gender_hard,
        language if language in LANGUAGES else None,
        draft.get("same") == "1",
    )


def _day(text: str, today: date) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day >= today else None


def _when(visitor: Visitor, day: date, text: str) -> SlotOn | datetime | None:
    if text in list(Slot):
        return SlotOn(day, Slot(text))
    found = CLOCK.fullmatch(text)
    return visitor.words.moment(day, int(found[1]), int(found[2])) if found else None


def _slots_left(
    visitor: Visitor, policy: Policy, kind: ServiceKind, day: date, now: datetime
) -> list[AskedTime]:
    """Return the parts of the day in which a visit of this kind can still begin."""
    left = []
    for slot in Slot:
        when: When = SlotOn(day, slot)
        try:
            left.append(
                asked_time(
                    when,
                    kind.expected_minutes,
                    slots=policy.slots,
                    timezone=visitor.community.timezone,
                    now=now,
                )
            )
        except InvalidValue:
            continue
    return left


def _asked(**parts: str) -> str:
    return f"/elder/ask?{urlencode(parts)}"


ROUTES = [ask, send_ask, asked, cancel_request]
