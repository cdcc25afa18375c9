"""The page of what waits: partners that are left alone, and what failed too often and needs somebody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.web.forms import do_once, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.errors import DomainError
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform import dead_letters
from pointsbank.platform.database import UnitOfWork
from services.settlement import service as redemptions
from services.settlement.circuits import circuits

OUTBOX = "/coordinator/outbox"
TOPICS = {
    redemptions.REQUEST: "request",
    redemptions.CANCEL: "cancel",
    redemptions.INTRODUCE: "introduce",
    **{topic: word.value for word, topic in redemptions.HEARD.items()},
}
"""What each topic is called on the page, as the rest of a key ``outbox.topic.…``."""


@get(OUTBOX, opt=may(*READERS), include_in_schema=False)
async def outbox(request: SignedIn) -> Response[str]:
    """Show what waits, the partners' circuits, and the dead letters."""
    async with visit(request) as (uow, visitor):
        return await show_outbox(request, uow, visitor)


async def show_outbox(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    refused: DomainError | None = None,
    draft: dict[str, str] | None = None,
) -> Response[str]:
    """Return the page. draft: the ``id`` and ``text`` of a closing that was refused."""
    return page(
        request,
        visitor,
        "outbox.html",
        refused=refused,
        waits=await dead_letters.backlog(uow),
        letters=await dead_letters.letters(uow),
        topics=TOPICS,
        circuits=await circuits(uow),
        may_decide=visitor.actor.has(*STAFF),
        draft=draft,
    )


@post(OUTBOX + "/{letter_id:uuid}/{step:str}", opt=may(*STAFF), include_in_schema=False)
async def decide(request: SignedIn, letter_id: FromPath[UUID], step: FromPath[str]) -> Response[Any]:
    """Try a dead letter again, or close it with a reason."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        if step == "retry":
            await dead_letters.retry(uow, [letter_id])
            return f"{OUTBOX}?done=tried_again"
        await dead_letters.close(uow, letter_id, by=actor.person_id, reason=form.get("text", ""))
        return f"{OUTBOX}?done=resolved"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        draft = {"id": str(letter_id), "text": form.get("text", "")}
        async with visit(request) as (uow, visitor):
            return await show_outbox(request, uow, visitor, error, draft)


ROUTES = [outbox, decide]
