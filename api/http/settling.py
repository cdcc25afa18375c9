"""What a coordinator puts right about visits, and visits recorded afterwards."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from pydantic import ConfigDict

from api.auth import may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.visits import VisitAnswer, VisitPage, visit_page
from api.http.wire import PAGE_DEFAULT, AfterId, Asked, Code, Limit, Moment, text
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.care import service as care

WHY_MAX = 200


class PutRight(Asked):
    """When a visit really took place. ``checked_in_at``: as it is, unless given. ``why``: what one goes
    by."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"checked_out_at": "2026-11-24T10:05:00+08:00", "why": "told by the elder"}]
        }
    )
    checked_in_at: Moment | None = None
    checked_out_at: Moment
    why: Annotated[str, text(WHY_MAX)]


class RecordPastVisit(Asked):
    """A visit that took place without check-in. ``volunteer_id``: yourself unless named."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "elder_id": "0197c5a0-0000-7000-8000-000000000001",
                    "kind": "shopping",
                    "started_at": "2026-11-23T09:00:00+08:00",
                    "ended_at": "2026-11-23T09:45:00+08:00",
                }
            ]
        }
    )
    volunteer_id: UUID | None = None
    elder_id: UUID
    kind: Code
    started_at: Moment
    ended_at: Moment


@get("/visits/unsettled", opt=may(*READERS), operation_id="list_unsettled_visits")
async def unsettled(request: SignedIn, after: AfterId = None, limit: Limit = PAGE_DEFAULT) -> VisitPage:
    """List the visits that wait for a coordinator: never checked out, disputed, overlapping another."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitPage:
        return visit_page(await care.unsettled_visits(uow, actor, after=after, limit=limit), limit)

    return await read(request, work)


@post("/visits/{visit_id:uuid}/put-right", opt=may(*STAFF), operation_id="put_visit_right", status_code=200)
async def put_right(
    request: SignedIn, visit_id: FromPath[UUID], data: JSONBody[PutRight]
) -> Response[VisitAnswer]:
    """State when a visit really took place; it waits to be confirmed then. Never by who is paid."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(
            await care.put_right(
                uow,
                actor,
                visit_id,
                checked_in_at=data.checked_in_at,
                checked_out_at=data.checked_out_at,
                why=data.why,
            )
        )

    return await change(request, work)


@post("/visits/{visit_id:uuid}/let-stand", opt=may(*STAFF), operation_id="settle_overlap", status_code=200)
async def let_stand(request: SignedIn, visit_id: FromPath[UUID]) -> Response[VisitAnswer]:
    """Say that this visit stands: those of the volunteer that overlap it are cancelled."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await care.settle_overlap(uow, actor, visit_id))

    return await change(request, work)


@post("/visits/{visit_id:uuid}/excuse", opt=may(*STAFF), operation_id="excuse_no_show", status_code=200)
async def excuse(request: SignedIn, visit_id: FromPath[UUID]) -> Response[VisitAnswer]:
    """Excuse a volunteer who did not come: it counts against nobody."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await care.excuse_no_show(uow, actor, visit_id))

    return await change(request, work)


@post("/past-visits", opt=may(Role.VOLUNTEER, *STAFF), operation_id="record_past_visit", status_code=CREATED)
async def record(request: SignedIn, data: JSONBody[RecordPastVisit]) -> Response[VisitAnswer]:
    """Record a visit afterwards, within the policy's days and number; elder or coordinator confirm it.

    A false one cancels its hours and bars its volunteer from recording more.
    """

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        command = care.Backfill(
            volunteer_id=data.volunteer_id or actor.person_id,
            elder_id=data.elder_id,
            kind=data.kind,
            started_at=data.started_at,
            ended_at=data.ended_at,
        )
        return VisitAnswer.of(await care.backfill(uow, actor, command))

    return await change(request, work, status=CREATED)


router = Router("/", route_handlers=[unsettled, put_right, let_stand, excuse, record], tags=["visits"])
