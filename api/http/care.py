"""Help requests: asked, told, cancelled; and the board."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import SIGNED_IN, may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.wire import (
    PAGE_DEFAULT,
    AfterNumber,
    Asked,
    Code,
    Limit,
    Moment,
    Told,
    WholeNumber,
    text,
)
from pointsbank.domain.help_request import MINUTES_MAX, MINUTES_MIN, RequestState
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.care import service as care

NOTE_MAX = 500
URGENCY_MAX = 3

ElderId = Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")]


class AskForHelp(Asked):
    """What an elder asks for. ``elder_id``: yourself unless named (a coordinator asks for others)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "companionship",
                    "starts_at": "2026-11-24T09:00:00+08:00",
                    "minutes": 60,
                    "urgency": 0,
                }
            ]
        }
    )
    elder_id: UUID | None = None
    kind: Code
    starts_at: Moment
    minutes: Annotated[int, WholeNumber(MINUTES_MIN, MINUTES_MAX)]
    urgency: Annotated[int, WholeNumber(0, URGENCY_MAX)] = 0
    note: Annotated[str, text(NOTE_MAX)] | None = None


class HelpRequestAnswer(Told):
    """A help request. ``number`` is short enough to be read out on the telephone."""

    id: UUID
    number: int
    elder_id: UUID
    elder_name: str
    building: str
    small_grid: int
    asked_by: UUID
    by_proxy: bool
    kind: str
    starts_at: datetime
    ends_at: datetime
    urgency: int
    note: str | None
    state: RequestState
    asked_at: datetime


class HelpRequestPage(Told):
    """Help requests, newest first. ``next_after`` is null on the last page."""

    items: list[HelpRequestAnswer]
    next_after: int | None


class BoardLineAnswer(Told):
    """One small grid's requests by state; ``late``: about to start, or started, with nobody there."""

    small_grid: int
    name: str
    big_grid: int
    open: int
    offered: int
    accepted: int
    under_way: int
    to_confirm: int
    late: int


class BoardAnswer(Told):
    """Every small grid once, in order of number."""

    items: list[BoardLineAnswer]


@post("/help-requests", opt=may(Role.ELDER, *STAFF), operation_id="ask_for_help", status_code=CREATED)
async def ask(request: SignedIn, data: JSONBody[AskForHelp]) -> Response[HelpRequestAnswer]:
    """Ask for help, for yourself or as a proxy."""

    async def work(uow: UnitOfWork, actor: Actor) -> HelpRequestAnswer:
        command = care.AskForHelp(
            elder_id=data.elder_id or actor.person_id,
            kind=data.kind,
            starts_at=data.starts_at,
            minutes=data.minutes,
            urgency=data.urgency,
            note=data.note,
        )
        return HelpRequestAnswer.of(await care.ask(uow, actor, command))

    return await change(request, work, status=CREATED)


@get("/help-requests", opt=SIGNED_IN, operation_id="list_help_requests")
async def requests(
    request: SignedIn, elder_id: ElderId = None, after: AfterNumber = 0, limit: Limit = PAGE_DEFAULT
) -> HelpRequestPage:
    """List an elder's requests, newest first."""

    async def work(uow: UnitOfWork, actor: Actor) -> HelpRequestPage:
        found = await care.requests_of_elder(
            uow, actor, elder_id or actor.person_id, after=after or None, limit=limit
        )
        items = [HelpRequestAnswer.of(info) for info in found]
        return HelpRequestPage(items=items, next_after=items[-1].number if len(items) == limit else None)

    return await read(request, work)


@get("/help-requests/{request_id:uuid}", opt=SIGNED_IN, operation_id="get_help_request")
async def help_request(request: SignedIn, request_id: FromPath[UUID]) -> HelpRequestAnswer:
    """Return one request, to its elder or to who may read the community."""

    async def work(uow: UnitOfWork, actor: Actor) -> HelpRequestAnswer:
        return HelpRequestAnswer.of(await care.request(uow, actor, request_id))

    return await read(request, work)


@post(
    "/help-requests/{request_id:uuid}/cancel",
    opt=may(Role.ELDER, *STAFF),
    operation_id="cancel_help_request",
    status_code=200,
)
async def cancel(request: SignedIn, request_id: FromPath[UUID]) -> Response[HelpRequestAnswer]:
    """Cancel a request for which nobody has come yet."""

    async def work(uow: UnitOfWork, actor: Actor) -> HelpRequestAnswer:
        return HelpRequestAnswer.of(await care.cancel_request(uow, actor, request_id))

    return await change(request, work)


@get("/board", opt=may(*READERS), operation_id="get_board")
async def board(request: SignedIn) -> BoardAnswer:
    """Return the requests under way, by small grid."""

    async def work(uow: UnitOfWork, _actor: Actor) -> BoardAnswer:
        return BoardAnswer(items=[BoardLineAnswer.of(line) for line in await care.board(uow)])

    return await read(request, work)


router = Router("/", route_handlers=[ask, requests, help_request, cancel, board], tags=["help requests"])
