"""Points that change hands: gifts, donations; and until when a member's points last."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import SIGNED_IN
from api.dependencies import CREATED, SignedIn, change, read
from api.http.wire import Asked, Told, WholeNumber
from api.idempotency import KEYED
from pointsbank.domain.points import AMOUNT_MAX
from pointsbank.domain.roles import READERS, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import giving, lots
from services.people import service as people

MilliPointsAsked = Annotated[int, WholeNumber(1, AMOUNT_MAX)]


class Give(Asked):
    """Points for another member. ``giver_id``: yourself unless named (a coordinator may name another)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"receiver_id": "0197c5a0-0000-7000-8000-000000000001", "milli_points": 10_000},
            ]
        }
    )
    giver_id: UUID | None = None
    receiver_id: UUID
    milli_points: MilliPointsAsked


class Donate(Asked):
    """Points for the community's pool. ``giver_id``: yourself unless named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"milli_points": 10_000}]})
    giver_id: UUID | None = None
    milli_points: MilliPointsAsked


class PortionAnswer(Told):
    """So many milli-points that can be spent up to a last local day; null: for ever."""

    expires_on: date | None
    milli_points: int


class GivenAnswer(Told):
    """A gift or a donation (``receiver_id`` is null) as it stands in the journal at ``number``."""

    id: UUID
    number: int
    giver_id: UUID
    receiver_id: UUID | None
    milli_points: int
    portions: list[PortionAnswer]


class LotAnswer(Told):
    """What is left of points received together by entry ``number``. Milli-points."""

    number: int
    source_id: UUID
    expires_on: date | None
    available: int
    held: int


class LotsAnswer(Told):
    """A member's points by lot, the first to be spent first. The sums are the balances."""

    member_id: UUID
    available: int
    held: int
    lots: list[LotAnswer]


def _told(given: giving.Given) -> GivenAnswer:
    return GivenAnswer(
        id=given.id,
        number=given.number,
        giver_id=given.giver_id,
        receiver_id=given.receiver_id,
        milli_points=given.milli_points,
        portions=[PortionAnswer(expires_on=day, milli_points=amount) for day, amount in given.portions],
    )


@post("/gifts", opt=SIGNED_IN | KEYED, operation_id="give_points", status_code=CREATED)
async def give(request: SignedIn, data: JSONBody[Give]) -> Response[GivenAnswer]:
    """Give points to another member. They keep the days on which they expire."""

    async def work(uow: UnitOfWork, actor: Actor) -> GivenAnswer:
        return _told(
            await giving.give(
                uow,
                actor,
                data.giver_id or actor.person_id,
                data.receiver_id,
                milli_points=data.milli_points,
            )
        )

    return await change(request, work, status=CREATED)


@post("/donations", opt=SIGNED_IN | KEYED, operation_id="donate_points", status_code=CREATED)
async def donate(request: SignedIn, data: JSONBody[Donate]) -> Response[GivenAnswer]:
    """Give points to the community's pool, from which grants are made. They no longer expire."""

    async def work(uow: UnitOfWork, actor: Actor) -> GivenAnswer:
        giver = data.giver_id or actor.person_id
        return _told(await giving.donate(uow, actor, giver, milli_points=data.milli_points))

    return await change(request, work, status=CREATED)


@get("/lots", opt=SIGNED_IN, operation_id="list_lots")
async def list_lots(
    request: SignedIn,
    member_id: Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")] = None,
) -> LotsAnswer:
    """List a member's points by the day on which they expire."""

    async def work(uow: UnitOfWork, actor: Actor) -> LotsAnswer:
        member = member_id or actor.person_id
        actor.require_self_or(member, *READERS, action="view_lots")
        folded = await lots.fold(uow, (await people.person(uow, member)).ledger_ref)
        return LotsAnswer(
            member_id=member,
            available=folded.available,
            held=folded.held,
            lots=[LotAnswer.of(lot) for lot in folded.lots()],
        )

    return await read(request, work)


router = Router("/", route_handlers=[give, donate, list_lots], tags=["giving"])
