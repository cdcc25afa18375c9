"""What waits in the outbox: dead letters for a coordinator to retry or close, and the partners' circuits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from pydantic import ConfigDict

from api.auth import may
from api.dependencies import SignedIn, change, read
from api.http.wire import PAGE_DEFAULT, AfterId, Asked, Limit, Told, text
from pointsbank.domain.circuit import CircuitState
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform import dead_letters
from pointsbank.platform.database import UnitOfWork
from services.settlement.circuits import circuits


class CircuitAnswer(Told):
    """Whether a partner is called. ``failures``: in a row."""

    partner: str
    state: CircuitState
    failures: int
    next_call_at: datetime | None
    last_error: str | None


class OutboxAnswer(Told):
    """What waits. ``oldest``: when the oldest that is still to be done was recorded."""

    undone: int
    dead: int
    oldest: datetime | None
    circuits: list[CircuitAnswer]


class DeadLetterAnswer(Told):
    """An intent that failed too often. ``subject_id``: what it is about, by its topic."""

    id: UUID
    topic: str
    subject_id: UUID
    created_at: datetime
    dead_at: datetime
    attempts: int
    error: str | None


class DeadLetterPage(Told):
    """Dead letters, the oldest first. ``next_after`` is null on the last page."""

    items: list[DeadLetterAnswer]
    next_after: UUID | None


class CloseLetter(Asked):
    """Why a dead letter will not be carried out."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "The canteen confirmed by telephone that it was served."}]}
    )
    reason: Annotated[str, text(dead_letters.REASON_LENGTH_MAX)]


class LettersDecided(Told):
    """How many dead letters were given new tries, or closed."""

    letters: int


@get("/outbox", opt=may(*READERS), operation_id="show_outbox")
async def show(request: SignedIn) -> OutboxAnswer:
    """Tell how much waits, and which partners are left alone."""

    async def work(uow: UnitOfWork, _actor: Actor) -> OutboxAnswer:
        waits = await dead_letters.backlog(uow)
        return OutboxAnswer(
            undone=waits.undone,
            dead=waits.dead,
            oldest=waits.oldest,
            circuits=[CircuitAnswer.of(each) for each in await circuits(uow)],
        )

    return await read(request, work)


@get("/outbox/dead-letters", opt=may(*READERS), operation_id="list_dead_letters")
async def list_letters(
    request: SignedIn, after: AfterId = None, limit: Limit = PAGE_DEFAULT
) -> DeadLetterPage:
    """List what failed too often and nobody has decided on."""

    async def work(uow: UnitOfWork, _actor: Actor) -> DeadLetterPage:
        found = await dead_letters.letters(uow, after=after, limit=limit)
        items = [DeadLetterAnswer.of(each) for each in found]
        return DeadLetterPage(items=items, next_after=items[-1].id if len(items) == limit else None)

    return await read(request, work)


@post(
    "/outbox/dead-letters/{letter_id:uuid}/retry",
    opt=may(*STAFF),
    operation_id="retry_dead_letter",
    status_code=200,
)
async def retry(request: SignedIn, letter_id: FromPath[UUID]) -> Response[LettersDecided]:
    """Give a dead letter new tries."""

    async def work(uow: UnitOfWork, _actor: Actor) -> LettersDecided:
        return LettersDecided(letters=await dead_letters.retry(uow, [letter_id]))

    return await change(request, work)


@post(
    "/outbox/dead-letters/{letter_id:uuid}/close",
    opt=may(*STAFF),
    operation_id="close_dead_letter",
    status_code=200,
)
async def close(
    request: SignedIn, letter_id: FromPath[UUID], data: JSONBody[CloseLetter]
) -> Response[LettersDecided]:
    """Decide that a dead letter will not be carried out, with the reason."""

    async def work(uow: UnitOfWork, actor: Actor) -> LettersDecided:
        await dead_letters.close(uow, letter_id, by=actor.person_id, reason=data.reason)
        return LettersDecided(letters=1)

    return await change(request, work)


router = Router("/", route_handlers=[show, list_letters, retry, close], tags=["outbox"])
