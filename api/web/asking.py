"""Asking for help step by step, and the page of what was asked: for elders, their family and coordinators.

The steps of asking stand in the address (kind, day, time: nothing personal), so that every step is a plain
link and the way back loses nothing. A stretch of the day is asked for first: it need not be a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from litestar import Response, get, post

from api.auth import SIGNED_IN
from api.dependencies import SignedIn
from api.web.drafts import (
    ASK,
    DAYS_OFFERED,
    ENDS,
    SOON,
    WEEKDAYS,
    WHO,
    Draft,
    as_last_time,
    clock,
    day_of,
    left_of,
    one_off,
    read_draft,
    weekdays_of,
    weekly,
    when_of,
    wide_windows,
)
from api.web.forms import do_once, kept_key, read_form
from api.web.pages import page
from api.web.visitor import Visitor, meet, visit
from pointsbank.domain.asked_time import AskedTime, Slot, Timing, When, asked_time
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.help_request import AHEAD_MAX, RequestState
from pointsbank.domain.language import LANGUAGES
from pointsbank.domain.policy import Policy, ServiceKind
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.domain.waiting import URGENCY_MAX, waiting_since
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import SeriesInfo
from services.ledger import service as ledger
from services.matching import service as matching

DAYS_SHOWN = 8
HOURS = [f"{hour:02d}:00" for hour in range(8, 20)]
CLOCKS = [clock(minute) for minute in range(6 * 60, 22 * 60 + 1, 30)]
QUARTERS = [clock(minute) for minute in range(6 * 60, 22 * 60 + 1, 15)]
LAST_SHOWN = 3
LOOKED_BACK = 30
STEPS = ("part", "hour", "who", "often")
"""What an address may ask to be shown instead of the next step."""


@get(ASK, opt=SIGNED_IN, include_in_schema=False)
async def ask(request: SignedIn) -> Response[str]:
    """Show the next step of asking for help: kind, how soon, day, time, check."""
    async with visit(request, for_family=True) as (uow, visitor):
        return await show_ask(request, uow, visitor, read_draft(request.query_params))


async def show_ask(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    draft: Draft,
    refused: DomainError | None = None,
    *,
    form: Mapping[str, str] | None = None,
) -> Response[str]:
    """Return the first step of ``draft`` that is still open; a part that cannot be is asked for again.

    form: what was sent, for a draft that comes by POST.
    """
    policy, today = await ledger.policy_on(uow, visitor.words.today), visitor.words.today
    kind, asked = policy.kinds.get(draft.kind), request.query_params.get("step", "")
    if draft.soon == "today" and not draft.day:
        draft = replace(draft, day=today.isoformat())
    day, when = day_of(draft.day, today), None
    if kind is None:
        step, facts = "kind", await _kinds(uow, visitor, policy)
    elif day is None:
        step, facts = _day_step(kind, draft, today)
    else:
        try:
            when = when_of(draft.time, day, draft.length(kind), visitor.words)
        except InvalidValue as error:
            refused = refused or error
        if when is None:
            step, facts = _time_step(asked, uow, visitor, policy, kind, day, draft)
        elif asked in ("who", "often") and refused is None:
            step, facts = asked, {"back": draft.address()}
        else:
            step, facts = "check", await _check(uow, visitor, policy, kind, day, when, draft)
    desk = form is not None and form.get("desk") == "1"
    return page(
        request,
        visitor,
        "ask.html",
        refused=refused,
        step=step,
        stage={"soon": "day", "who": "check", "often": "check"}.get(step, step),
        draft=draft,
        kind=kind,
        desk=desk,
        soon=SOON,
        spoken=LANGUAGES,
        who=list(WHO),
        weekdays=WEEKDAYS,
        ends=ENDS,
        urgent=URGENCY_MAX,
        **(facts | kept_key(dict(form or {}))),
    )


async def _kinds(uow: UnitOfWork, visitor: Visitor, policy: Policy) -> dict[str, Any]:
    """Return the kinds to choose from, and what was asked for lately, to be asked for again."""
    found = await care.requests_of_elder(uow, visitor.actor, visitor.subject.id, limit=LOOKED_BACK)
    lately: dict[str, Draft] = {}
    for each in found:
        if each.kind in policy.kinds and each.state is not RequestState.CANCELLED:
            lately.setdefault(each.kind, as_last_time(each, visitor.words))
    return {
        "kinds": sorted(policy.kinds.values(), key=lambda each: each.code),
        "lately": list(lately.values())[:LAST_SHOWN],
        "series": await _standing(uow, visitor),
        "on_phone": visitor.by_proxy and visitor.actor.has(*STAFF),
        "back": visitor.home,
    }


def _day_step(kind: ServiceKind, draft: Draft, today: date) -> tuple[str, dict[str, Any]]:
    if kind.timing is not Timing.FIXED and draft.soon not in SOON:
        return "soon", {"back": ASK}
    days = [today + timedelta(days=each) for each in range(DAYS_OFFERED.get(draft.soon, DAYS_SHOWN))]
    return "day", {
        "days": days,
        "first": today,
        "last": today + AHEAD_MAX,
        "any_day": draft.soon not in DAYS_OFFERED,
        "back": draft.address(soon="", day="") if draft.soon else ASK,
    }


def _time_step(
    way: str, uow: UnitOfWork, visitor: Visitor, policy: Policy, kind: ServiceKind, day: date, draft: Draft
) -> tuple[str, dict[str, Any]]:
    """Return the ways in which a time can be said: widest first, an hour first for an appointment."""
    now, words = uow.clock.now(), visitor.words

    def left(texts: Mapping[str, str]) -> dict[str, Any]:
        return left_of(texts, day, kind, policy=policy, words=words, now=now)

    if way not in ("part", "hour"):
        way = "part" if draft.time else "hour" if kind.timing is Timing.FIXED else "wide"
    wide = left(wide_windows(policy.slots))
    if len({(first, last) for _, first, last in wide.values()}) < len(wide):
        wide.pop("daytime", None)
    return "time", {
        "way": way,
        "wide": wide | left({"evening": Slot.EVENING.value}),
        "slots": left({each.value: each.value for each in Slot}),
        "hours": left({each: each for each in HOURS}),
        "clocks": CLOCKS,
        "quarters": list(left({each: each for each in QUARTERS})),
        "back": draft.address(time="", day="", soon="" if draft.soon == "today" else draft.soon),
    }


async def _check(
    uow: UnitOfWork,
    visitor: Visitor,
    policy: Policy,
    kind: ServiceKind,
    day: date,
    when: When,
    draft: Draft,
) -> dict[str, Any]:
    """Return what the page reads back before anything is sent."""
    now, words, elder_id = uow.clock.now(), visitor.words, visitor.subject.id
    urgency, time, like = draft.urgency(kind, day, words.today), None, None
    asked = one_off(draft, kind, day, when, elder_id=elder_id, today=words.today, meant=False)
    try:
        time = asked_time(when, asked.minutes, slots=policy.slots, timezone=words.timezone, now=now)
        like = None if draft.weekdays else await care.similar(uow, visitor.actor, asked)
    except InvalidValue:
        pass  # it is told when it is sent
    return {
        "asked_day": day,
        "time": time,
        "length_asked": asked.minutes,
        "urgency": urgency,
        "told_at": _told_at(time, urgency, policy, uow),
        "like": like,
        "series": [each for each in await _standing(uow, visitor) if _shares_a_day(each, draft)],
        "back": draft.address(time=""),
    }


def _told_at(time: AskedTime | None, urgency: int, policy: Policy, uow: UnitOfWork) -> Any:
    """Return the moment at which the grid leader is told that nobody has said yes yet."""
    if time is None:
        return None
    since = waiting_since(uow.clock.now(), time.earliest_start, policy.waiting)
    told = since + timedelta(minutes=policy.waiting.grid_leader_minutes[urgency])
    return told if told < time.latest_start else None


async def _standing(uow: UnitOfWork, visitor: Visitor) -> list[SeriesInfo]:
    found = await care.series_of(uow, visitor.actor, visitor.subject.id)
    return [each for each in found if each.coming]


def _shares_a_day(series: SeriesInfo, draft: Draft) -> bool:
    days = {WEEKDAYS[each] for each in weekdays_of(series)}
    return series.kind == draft.kind and bool(days & set(draft.weekdays))


@post(ASK, opt=SIGNED_IN, include_in_schema=False)
async def send_ask(request: SignedIn) -> Response[Any]:
    """Ask for help, once or every week; then the page of it, with the number to read out."""
    form = await read_form(request)
    draft = read_draft(form)
    try:

        async def work(uow: UnitOfWork, actor: Actor) -> str:
            visitor = await meet(uow, request, for_family=True)
            words, elder_id = visitor.words, visitor.subject.id
            kind = (await ledger.policy_on(uow, words.today)).kind(draft.kind)
            day = day_of(draft.day, words.today)
            when = when_of(draft.time, day, draft.length(kind), words) if day is not None else None
            if day is None or when is None:
                raise InvalidValue(field="starts_at", rule="date_and_time")
            if draft.weekdays:
                series = await care.ask_series(uow, actor, weekly(draft, kind, day, when, elder_id=elder_id))
                return f"/elder/series/{series.id}?done=asked"
            meant = form.get("even") == "1"
            command = one_off(draft, kind, day, when, elder_id=elder_id, today=words.today, meant=meant)
            asked = await matching.offer_if_urgent(uow, await care.ask(uow, actor, command))
            return f"/elder/requests/{asked.id}?done=asked"

        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request, for_family=True) as (uow, visitor):
            return await show_ask(request, uow, visitor, draft, error, form=form)


ROUTES = [ask, send_ask]
