"""The proof at the door: the elder's code, the printed card, and check-in and check-out with either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from pydantic import ConfigDict

from api.auth import may
from api.dependencies import CREATED, SignedIn, change, desk, read
from api.http.visits import VisitAnswer
from api.http.wire import Asked, Told, text
from api.idempotency import READS
from pointsbank.domain.attendance import AttendanceMethod, Proof
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.care import service as care

SECRET_MAX = 100

Attend = Callable[..., Awaitable[care.VisitInfo]]


class ShowProof(Asked):
    """What the volunteer brings: ``code``, the six digits on the elder's page; ``card``, what its QR says."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"method": "code", "secret": "287082"}]})
    method: Literal["code", "card"]
    secret: Annotated[str, text(SECRET_MAX)]


class DoorCodeAnswer(Told):
    """The code to show at the door. ``seconds_left``: how long it still stands, of ``seconds``."""

    code: str
    seconds_left: int
    seconds: int


class IssueCard(Asked):
    """Whose door the card is for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"elder_id": "0197c5a0-0000-7000-8000-000000000001"}]}
    )
    elder_id: UUID


class DoorCardAnswer(Told):
    """What the card's QR says. It is told this once; asking again makes a new card and ends this one."""

    token: str


@get("/door-code", opt=may(Role.ELDER), operation_id="get_door_code")
async def code(request: SignedIn) -> DoorCodeAnswer:
    """Return the code at the caller's own door: six digits that change (RFC 6238)."""

    async def work(uow: UnitOfWork, actor: Actor) -> DoorCodeAnswer:
        return DoorCodeAnswer.of(await care.door_code(uow, actor, actor.person_id))

    return await read(request, work)


@post("/door-cards", opt=may(*STAFF) | READS, operation_id="issue_door_card", status_code=CREATED)
async def issue_card(request: SignedIn, data: JSONBody[IssueCard]) -> DoorCardAnswer:
    """Issue a card for an elder's door; the one before is good no longer. The answer is not kept anywhere."""

    async def work(uow: UnitOfWork, actor: Actor) -> DoorCardAnswer:
        return DoorCardAnswer(token=await care.issue_card(uow, actor, data.elder_id))

    return await read(request, work)


@post(
    "/visits/{visit_id:uuid}/check-in/proof",
    opt=may(Role.VOLUNTEER),
    operation_id="check_in_with_proof",
    status_code=200,
)
async def check_in(
    request: SignedIn, visit_id: FromPath[UUID], data: JSONBody[ShowProof]
) -> Response[VisitAnswer]:
    """Record that the volunteer has come, proved by the code or the card at the door.

    A code is good once. After too many wrong ones: 429 ``too_many_attempts``.
    """
    return await _attend(request, visit_id, data, care.check_in)


@post(
    "/visits/{visit_id:uuid}/check-out/proof",
    opt=may(Role.VOLUNTEER),
    operation_id="check_out_with_proof",
    status_code=200,
)
async def check_out(
    request: SignedIn, visit_id: FromPath[UUID], data: JSONBody[ShowProof]
) -> Response[VisitAnswer]:
    """Record that the volunteer has gone, proved likewise."""
    return await _attend(request, visit_id, data, care.check_out)


async def _attend(
    request: SignedIn, visit_id: UUID, data: ShowProof, attend: Attend
) -> Response[VisitAnswer]:
    proof = Proof(AttendanceMethod(data.method), data.secret)
    await count_attempt(request, visit_id, proof)

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await attend(uow, actor, visit_id, proof=proof))

    return await change(request, work)


async def count_attempt(request: SignedIn, visit_id: UUID, proof: Proof) -> None:
    """Count an attempt with a code in a commit of its own, before the code is looked at.

    Raises NotFound, NotAllowed, TooManyAttempts.
    """
    if proof.method is not AttendanceMethod.CODE:
        return
    async with desk(request).database.unit_of_work(request.auth.community_id) as uow:
        await care.begin_attempt(uow, request.user, visit_id)


router = Router("/", route_handlers=[code, issue_card, check_in, check_out], tags=["visits"])
