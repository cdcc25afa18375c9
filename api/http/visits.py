"""Visits: told, attended on somebody's word, confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, QueryParameter

from api.auth import SIGNED_IN, may
from api.dependencies import SignedIn, change, read
from api.http.wire import PAGE_DEFAULT, AfterId, Limit, Told
from api.idempotency import KEYED
from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.domain.visit import CancelledWhy, ConfirmationMethod, VisitState
from pointsbank.platform.database import UnitOfWork
from services.care import service as care

PRESENT = may(Role.VOLUNTEER, Role.BUILDING_LEADER, Role.GRID_LEADER, *STAFF)
"""Who may say that a volunteer has come or gone; the service judges whose."""


class VisitAnswer(Told):
    """A visit. ``credited_minutes`` is what the caps left of ``minutes``; ``entry_number`` its entry.

    ``late_minutes``: how late the check-in was. ``overlap_with``: a visit of the volunteer at the same time,
    until a coordinator has settled it. ``recorded_by``: who recorded it afterwards. ``also_confirmed_by``:
    who confirmed a long one first; while ``state`` is ``done``, one more has to. ``evidence``: what audit
    samples by. ``cancelled_why``: for whom a planned one was called off; ``cancelled_late``: with less notice
    than the policy asks for, which only a volunteer's own withdrawal is weighed for.
    """

    id: UUID
    help_request_id: UUID | None
    volunteer_id: UUID
    volunteer_name: str
    elder_id: UUID
    elder_name: str
    address: str
    kind: str
    planned_start: datetime
    planned_end: datetime
    checked_in_at: datetime | None
    checked_out_at: datetime | None
    minutes: int | None
    state: VisitState
    confirmed_by: UUID | None
    confirmation_method: ConfirmationMethod | None
    strength: int | None
    confirmed_at: datetime | None
    policy_version: int | None
    credited_minutes: int | None
    clipped_minutes: int | None
    clipped_milli_points: int | None
    entry_number: int | None
    carer: int
    late_minutes: int
    check_in_method: AttendanceMethod | None
    check_out_method: AttendanceMethod | None
    overlap_with: UUID | None
    nobody_home: bool
    recorded_by: UUID | None
    also_confirmed_by: UUID | None
    also_method: ConfirmationMethod | None
    also_confirmed_at: datetime | None
    tier: int | None
    evidence: int | None
    times_by: UUID | None
    times_why: str | None
    cancelled_by: UUID | None
    cancelled_at: datetime | None
    cancelled_why: CancelledWhy | None
    cancelled_late: bool


class VisitPage(Told):
    """Visits. ``next_after`` is null on the last page."""

    items: list[VisitAnswer]
    next_after: UUID | None


def visit_page(found: Sequence[care.VisitInfo], limit: int) -> VisitPage:
    """Return a page of visits; a full one may have another after it."""
    items = [VisitAnswer.of(info) for info in found]
    return VisitPage(items=items, next_after=items[-1].id if len(items) == limit else None)


@get("/visits", opt=SIGNED_IN, operation_id="list_visits")
async def visits(
    request: SignedIn,
    volunteer_id: Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")] = None,
    after: AfterId = None,
    limit: Limit = PAGE_DEFAULT,
) -> VisitPage:
    """List a volunteer's visits, newest first."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitPage:
        found = await care.visits_of_volunteer(
            uow, actor, volunteer_id or actor.person_id, after=after, limit=limit
        )
        return visit_page(found, limit)

    return await read(request, work)


@get("/visits/to-confirm", opt=SIGNED_IN, operation_id="list_visits_to_confirm")
async def to_confirm(request: SignedIn, after: AfterId = None, limit: Limit = PAGE_DEFAULT) -> VisitPage:
    """List the visits that wait for the caller's confirmation."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitPage:
        return visit_page(await care.visits_to_confirm(uow, actor, after=after, limit=limit), limit)

    return await read(request, work)


@get("/visits/{visit_id:uuid}", opt=SIGNED_IN, operation_id="get_visit")
async def visit(request: SignedIn, visit_id: FromPath[UUID]) -> VisitAnswer:
    """Return one visit, to whom it concerns."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await care.visit(uow, actor, visit_id))

    return await read(request, work)


@post(
    "/visits/{visit_id:uuid}/check-in",
    opt=PRESENT,
    operation_id="check_in",
    status_code=200,
)
async def check_in(request: SignedIn, visit_id: FromPath[UUID]) -> Response[VisitAnswer]:
    """Record that the volunteer has come, on their own word, a leader's who sees them, or a call-back."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await care.check_in(uow, actor, visit_id))

    return await change(request, work)


@post(
    "/visits/{visit_id:uuid}/check-out",
    opt=PRESENT,
    operation_id="check_out",
    status_code=200,
)
async def check_out(request: SignedIn, visit_id: FromPath[UUID]) -> Response[VisitAnswer]:
    """Record that the volunteer has gone, likewise."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await care.check_out(uow, actor, visit_id))

    return await change(request, work)


@post(
    "/visits/{visit_id:uuid}/confirm",
    opt=SIGNED_IN | KEYED,
    operation_id="confirm_visit",
    status_code=200,
)
async def confirm(request: SignedIn, visit_id: FromPath[UUID]) -> Response[VisitAnswer]:
    """Confirm a visit: its minutes and points are posted, once as many have as its length asks for.

    Never by who is paid. Above 8 hours two people with a coordinator among them, above 12 two coordinators
    (the policy's figures); after the first of them the visit is still ``done``.
    """

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await care.confirm(uow, actor, visit_id))

    return await change(request, work)


@post(
    "/visits/{visit_id:uuid}/nobody-home",
    opt=PRESENT,
    operation_id="report_nobody_home",
    status_code=200,
)
async def nobody_home(request: SignedIn, visit_id: FromPath[UUID]) -> Response[VisitAnswer]:
    """Record that the volunteer came and nobody was at home: held against nobody."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await care.nobody_home(uow, actor, visit_id))

    return await change(request, work)


router = Router(
    "/",
    route_handlers=[visits, to_confirm, visit, check_in, check_out, confirm, nobody_home],
    tags=["visits"],
)
