"""Hardship and household of a resident, each from a day on: what a meal's subsidy is judged by."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody
from pydantic import ConfigDict

from api.auth import SIGNED_IN, may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.wire import Asked, Day, Told, text
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.domain.subsidy.payers import Hardship
from pointsbank.platform.database import UnitOfWork
from services.people import service as people


class SetStanding(Asked):
    """What a resident is from a day on.

    ``household``: division of the household register, 4 digits a city, 6 a district, 9 a town; null: unknown.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"effective_from": "2026-03-01", "hardship": "low_income", "household": "440703"}]
        }
    )
    effective_from: Day
    hardship: Hardship | None = None
    household: Annotated[str, text(9)] | None = None


class PersonStandingAnswer(Told):
    """What a resident is from a day on. ``set_by``: null when it came with a roster."""

    effective_from: date
    hardship: Hardship | None
    household: str | None
    set_by: UUID | None
    set_at: datetime


class PersonStandingPage(Told):
    """A resident's standings, the one that counts for a day before those it replaced, latest day first."""

    items: list[PersonStandingAnswer]


@post("/people/{person_id:uuid}/standings", opt=may(*STAFF), operation_id="set_standing", status_code=CREATED)
async def set_standing(
    request: SignedIn, person_id: FromPath[UUID], data: JSONBody[SetStanding]
) -> Response[PersonStandingAnswer]:
    """Say what a resident's hardship and household are from a day on; earlier orders keep their split."""

    async def work(uow: UnitOfWork, actor: Actor) -> PersonStandingAnswer:
        return PersonStandingAnswer.of(
            await people.set_standing(
                uow,
                actor,
                person_id,
                effective_from=data.effective_from,
                hardship=data.hardship,
                household=data.household,
            )
        )

    return await change(request, work, status=CREATED)


@get("/people/{person_id:uuid}/standings", opt=SIGNED_IN, operation_id="list_standings")
async def standings(request: SignedIn, person_id: FromPath[UUID]) -> PersonStandingPage:
    """List a resident's standings, to themselves or to who may read the community."""

    async def work(uow: UnitOfWork, actor: Actor) -> PersonStandingPage:
        found = await people.view_standings(uow, actor, person_id)
        return PersonStandingPage(items=[PersonStandingAnswer.of(each) for each in found])

    return await read(request, work)


router = Router("/", route_handlers=[set_standing, standings], tags=["people"])
