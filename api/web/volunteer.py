"""A volunteer's pages: offers, visits, hours and points, and when they are free."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.http.door import count_attempt
from api.web.forms import do_once, read_form, see_other
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain import accounts
from pointsbank.domain.attendance import AttendanceMethod, Proof
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.feedback import Again, Side
from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.visit import VisitState
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.ledger import service as ledger
from services.matching import service as matching

VOLUNTEERS = may(Role.VOLUNTEER)
HOME, HOURS = "/volunteer", "/volunteer/hours"
SHOWN_MAX = 30
PAST_SHOWN = 10
NOW = frozenset({VisitState.PLANNED, VisitState.UNDER_WAY, VisitState.DONE})


Attend = Callable[..., Awaitable[care.VisitInfo]]


class PartOfDay(NamedTuple):
    """A part of the day in minutes from midnight: what belongs to it, and what a new tick means."""

    begins: int
    ends: int
    free_from: int
    free_to: int


PARTS_OF_DAY = {
    "morning": PartOfDay(0, 720, 480, 720),
    "afternoon": PartOfDay(720, 1080, 720, 1080),
    "evening": PartOfDay(1080, 1440, 1080, 1320),
}


@get(HOME, opt=VOLUNTEERS, include_in_schema=False)
async def day_book(request: SignedIn) -> Response[str]:
    """Show hours, points, offers and visits."""
    async with visit(request) as (uow, visitor):
        return await show_day_book(request, uow, visitor)


async def show_day_book(
    request: SignedIn, uow: UnitOfWork, visitor: Visitor, refused: DomainError | None = None
) -> Response[str]:
    """Return the volunteer's first page."""
    me = visitor.person
    codes = [accounts.service(me.ledger_ref), accounts.available(me.ledger_ref), accounts.held(me.ledger_ref)]
    balances = await ledger.balances(uow, codes)
    visits = await care.visits_of_volunteer(uow, visitor.actor, me.id, limit=SHOWN_MAX)
    past = [each for each in visits if each.state is VisitState.CONFIRMED][:PAST_SHOWN]
    return page(
        request,
        visitor,
        "volunteer_home.html",
        refused=refused,
        person=me,
        served=balances[codes[0]],
        available=balances[codes[1]],
        held=balances[codes[2]],
        offers=await matching.offers_of(uow, me.id),
        visits=sorted((each for each in visits if each.state in NOW), key=lambda each: each.planned_start),
        now=uow.clock.now(),
        past=past,
        unsaid=await care.without_feedback(uow, [each.id for each in past], Side.VOLUNTEER),
    )


async def _did(request: SignedIn, work: Any) -> Response[Any]:
    """Do what a button of the first page asks; a refusal is told on that page."""
    try:
        return await do_once(request, work, key=(await read_form(request)).get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_day_book(request, uow, visitor, error)


@post("/volunteer/offers/{offer_id:uuid}/accept", opt=VOLUNTEERS, include_in_schema=False)
async def accept(request: SignedIn, offer_id: FromPath[UUID]) -> Response[Any]:
    """Accept an offer: the visit is planned."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await matching.accept_offer(uow, actor, offer_id)
        return f"{HOME}?done=accepted"

    return await _did(request, work)


@post("/volunteer/offers/{offer_id:uuid}/decline", opt=VOLUNTEERS, include_in_schema=False)
async def decline(request: SignedIn, offer_id: FromPath[UUID]) -> Response[Any]:
    """Decline an offer: somebody else will be asked."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await matching.decline_offer(uow, actor, offer_id)
        return f"{HOME}?done=declined"

    return await _did(request, work)


@post("/volunteer/visits/{visit_id:uuid}/check-in", opt=VOLUNTEERS, include_in_schema=False)
async def check_in(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Begin a visit now, with the code at the door if there is one."""
    return await _attend(request, visit_id, care.check_in, "checked_in")


@post("/volunteer/visits/{visit_id:uuid}/check-out", opt=VOLUNTEERS, include_in_schema=False)
async def check_out(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """End a visit now, likewise."""
    return await _attend(request, visit_id, care.check_out, "checked_out")


async def _attend(request: SignedIn, visit_id: UUID, attend: Attend, done: str) -> Response[Any]:
    code = (await read_form(request)).get("code", "").replace(" ", "")
    proof = Proof(AttendanceMethod.CODE, code) if code else None

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await attend(uow, actor, visit_id, proof=proof)
        return f"{HOME}?done={done}"

    try:
        if proof is not None:
            await count_attempt(request, visit_id, proof)
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_day_book(request, uow, visitor, error)
    return await _did(request, work)


@post("/volunteer/visits/{visit_id:uuid}/nobody-home", opt=VOLUNTEERS, include_in_schema=False)
async def nobody_home(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Say that nobody is at home."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await care.nobody_home(uow, actor, visit_id)
        return f"{HOME}?done=nobody_home"

    return await _did(request, work)


@post("/volunteer/visits/{visit_id:uuid}/again", opt=VOLUNTEERS, include_in_schema=False)
async def again(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Note whether the volunteer would go there again."""
    said = (await read_form(request)).get("again", "")

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        if said not in set(Again):
            raise InvalidValue(field="again", rule="known_value")
        await care.give_feedback(uow, actor, visit_id, again=Again(said))
        return f"{HOME}?done=feedback_given"

    return await _did(request, work)


@get(HOURS, opt=VOLUNTEERS, include_in_schema=False)
async def hours(request: SignedIn) -> Response[str]:
    """Show in which parts of the week the volunteer is free."""
    async with visit(request) as (uow, visitor):
        week = await matching.free_hours_of(uow, visitor.person.id)
        free = {
            (each.weekday, name)
            for each in week
            for name, part in PARTS_OF_DAY.items()
            if each.from_minute < part.ends and part.begins < each.to_minute
        }
        return page(request, visitor, "hours.html", parts_of_day=list(PARTS_OF_DAY), free=free)


@post(HOURS, opt=VOLUNTEERS, include_in_schema=False)
async def save_hours(request: SignedIn) -> Response[None]:
    """Save the ticked parts of the week; hours that were named more finely within one are kept."""
    ticked = {str(value) for value in (await request.form()).getall("free", [])}
    async with visit(request) as (uow, visitor):
        before = await matching.free_hours_of(uow, visitor.person.id)
        week: list[FreeHour] = []
        for weekday in range(7):
            for name, part in PARTS_OF_DAY.items():
                if f"{weekday}-{name}" in ticked:
                    week += _hours_within(before, weekday, part)
        await matching.set_free_hours(uow, visitor.person.id, week)
    return see_other(HOURS, {"done": "hours_saved"})


def _hours_within(before: list[FreeHour], weekday: int, part: PartOfDay) -> list[FreeHour]:
    kept = [
        FreeHour(weekday, max(each.from_minute, part.begins), min(each.to_minute, part.ends))
        for each in before
        if each.weekday == weekday and each.from_minute < part.ends and part.begins < each.to_minute
    ]
    return kept or [FreeHour(weekday, part.free_from, part.free_to)]


ROUTES = [day_book, accept, decline, check_in, check_out, nobody_home, again, hours, save_hours]
