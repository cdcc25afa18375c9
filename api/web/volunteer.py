"""A volunteer's first page: offers, what they could take, visits, hours and points."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.http.door import count_attempt
from api.web.forms import do_once, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain import accounts
from pointsbank.domain.attendance import AttendanceMethod, Proof
from pointsbank.domain.complaint import AppealState
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.feedback import Again, Side
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.visit import VisitState
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.ledger import service as ledger
from services.matching import service as matching

VOLUNTEERS = may(Role.VOLUNTEER)
HOME = "/volunteer"
SHOWN_MAX = 30
PAST_SHOWN = 10
CODE_MAX = 10
"""Whatever is longer was read off a card."""

TAKEABLE_SHOWN = 5
DECIDED_LATELY = timedelta(days=30)
NOW = frozenset({VisitState.PLANNED, VisitState.UNDER_WAY, VisitState.DONE})


Attend = Callable[..., Awaitable[care.VisitInfo]]


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
        takeable=await matching.takeable(uow, me.id, limit=TAKEABLE_SHOWN),
        visits=sorted((each for each in visits if each.state in NOW), key=lambda each: each.planned_start),
        now=uow.clock.now(),
        past=past,
        concerned=await _concerned(uow, visitor),
        unsaid=await care.without_feedback(uow, [each.id for each in past], Side.VOLUNTEER),
    )


async def _concerned(uow: UnitOfWork, visitor: Visitor) -> bool:
    """Tell whether a complaint about the volunteer is open, or was decided lately."""
    lately = uow.clock.now() - DECIDED_LATELY
    return any(
        each.decided_at is None or each.appeal is AppealState.OPEN or each.decided_at > lately
        for each in await care.latest_complaints(uow, visitor.actor, own=True)
        if each.volunteer_id == visitor.actor.person_id
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
    proof = proof_of((await read_form(request)).get("code", ""))

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


def proof_of(typed: str) -> Proof | None:
    """Return what was read at the door: the six digits of the code, or what the card says; None: nothing."""
    secret = "".join(typed.split())
    if not secret:
        return None
    method = AttendanceMethod.CARD if len(secret) > CODE_MAX else AttendanceMethod.CODE
    return Proof(method, secret)


@post("/volunteer/visits/{visit_id:uuid}/nobody-home", opt=VOLUNTEERS, include_in_schema=False)
async def nobody_home(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Say that nobody is at home."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await care.nobody_home(uow, actor, visit_id)
        return f"{HOME}?done=nobody_home"

    return await _did(request, work)


@post("/volunteer/visits/{visit_id:uuid}/withdraw", opt=VOLUNTEERS, include_in_schema=False)
async def withdraw(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Give up a planned visit: somebody else will be asked."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await matching.withdraw(uow, actor, visit_id)
        return f"{HOME}?done=withdrawn"

    return await _did(request, work)


@post("/volunteer/visits/{visit_id:uuid}/again", opt=VOLUNTEERS, include_in_schema=False)
async def again(request: SignedIn, visit_id: FromPath[UUID]) -> Response[Any]:
    """Note whether the volunteer would go there again."""
    said = (await read_form(request)).get("again", "")

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        if said not in set(Again):
            raise InvalidValue(field="again", rule="known_value")
        await matching.give_feedback(uow, actor, visit_id, again=Again(said))
        return f"{HOME}?done=feedback_given"

    return await _did(request, work)


@post("/volunteer/requests/{request_id:uuid}/take", opt=VOLUNTEERS, include_in_schema=False)
async def take(request: SignedIn, request_id: FromPath[UUID]) -> Response[Any]:
    """Take an open request: the visit is planned."""

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await matching.take(uow, actor, request_id)
        return f"{HOME}?done=accepted"

    return await _did(request, work)


ROUTES = [day_book, accept, decline, take, check_in, check_out, nobody_home, withdraw, again]
