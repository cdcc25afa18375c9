"""Feedback after a visit, from either side."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from pydantic import ConfigDict

from api.auth import SIGNED_IN
from api.dependencies import SignedIn, change, read
from api.http.wire import Asked, Told, WholeNumber, text
from pointsbank.domain.feedback import FEEDBACK_NOTE_MAX, RATING_MAX, Again, Side
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.matching import service as matching


class GiveFeedback(Asked):
    """Whether the two should meet again, and if you like how it was, 1 to 5, and a word on it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"again": "yes", "rating": 5}]})
    again: Again
    rating: Annotated[int, WholeNumber(1, RATING_MAX)] | None = None
    note: Annotated[str, text(FEEDBACK_NOTE_MAX)] | None = None


class FeedbackAnswer(Told):
    """What one side of a visit says. ``side`` is whose word it is, ``given_by`` who gave it."""

    visit_id: UUID
    side: Side
    given_by: UUID
    again: Again
    rating: int | None
    note: str | None
    given_at: datetime
    changed_at: datetime


class FeedbackOnVisit(Told):
    """The feedback the caller may see: their own side's, or both for who reads the community."""

    items: list[FeedbackAnswer]


@post("/visits/{visit_id:uuid}/feedback", opt=SIGNED_IN, operation_id="give_feedback", status_code=200)
async def give(
    request: SignedIn, visit_id: FromPath[UUID], data: JSONBody[GiveFeedback]
) -> Response[FeedbackAnswer]:
    """Give your side's feedback on a visit, or change it within the policy's days.

    By the volunteer, the elder, their family, or a coordinator for the elder. ``no`` keeps the two apart.
    """

    async def work(uow: UnitOfWork, actor: Actor) -> FeedbackAnswer:
        return FeedbackAnswer.of(
            await matching.give_feedback(
                uow, actor, visit_id, again=data.again, rating=data.rating, note=data.note
            )
        )

    return await change(request, work)


@get("/visits/{visit_id:uuid}/feedback", opt=SIGNED_IN, operation_id="get_feedback")
async def told(request: SignedIn, visit_id: FromPath[UUID]) -> FeedbackOnVisit:
    """Return the feedback on a visit that the caller may see."""

    async def work(uow: UnitOfWork, actor: Actor) -> FeedbackOnVisit:
        found = await care.feedback_on(uow, actor, visit_id)
        return FeedbackOnVisit(items=[FeedbackAnswer.of(each) for each in found])

    return await read(request, work)


router = Router("/", route_handlers=[give, told], tags=["visits"])
