"""Pairing runs and the offers they make."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath
from pydantic import Field

from api.auth import may
from api.dependencies import CREATED, SignedIn, change, desk, read
from api.http.help_requests import HelpRequestAnswer
from api.http.visits import VisitAnswer
from api.http.wire import Told
from pointsbank.domain.offer import OfferState
from pointsbank.domain.pairing.plan_form import written_plan
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.matching import service as matching
from services.matching.views import PairingRunInfo


class OfferAnswer(Told):
    """A request offered to a volunteer. distance: 0 same small grid, 1 same big grid, 2 next to it."""

    id: UUID
    volunteer_id: UUID
    request: HelpRequestAnswer
    distance: int
    starts_at: datetime
    ends_at: datetime
    state: OfferState
    offered_at: datetime
    expires_at: datetime


class OfferPage(Told):
    """The offers a volunteer can answer now, soonest visit first."""

    items: list[OfferAnswer]


class DeclinedAnswer(Told):
    """An offer that was declined."""

    id: UUID
    state: Literal[OfferState.DECLINED] = OfferState.DECLINED


class UnpairedAnswer(Told):
    """A request nobody could take, and how many volunteers each reason kept away."""

    request_id: UUID
    blocked: dict[str, int]


class PairingRunAnswer(Told):
    """What a pairing run came to."""

    id: UUID
    engine: str
    ran_at: datetime
    paired: int
    unpaired: int
    blocked: list[UnpairedAnswer] = Field(description="the unpaired requests, by reason")
    worth: int | None = Field(description="of all visits planned")
    bound: int | None = Field(description="no plan is worth more")
    kept: int | None = Field(description="offers that stood before and were kept")
    moved: int | None = Field(description="offers that stood before and were not kept")
    left_out: int = Field(description="requests that wait beyond the most a run takes on")


class PairingRunPage(Told):
    """The latest pairing runs, newest first."""

    items: list[PairingRunAnswer]


class RunReasonsAnswer(Told):
    """A pairing run, and its plan: each pair's worth term by term and the best alternative, each unpaired
    request's obstacles. ``replayable``: what the run was given is still kept."""

    run: PairingRunAnswer
    replayable: bool
    plan: dict[str, Any]


def run_answer(run: PairingRunInfo) -> PairingRunAnswer:
    """Return a pairing run as answered."""
    return PairingRunAnswer(
        id=run.id,
        engine=run.engine,
        ran_at=run.ran_at,
        paired=run.paired,
        unpaired=run.unpaired,
        blocked=[
            UnpairedAnswer(
                request_id=request_id, blocked={str(reason): count for reason, count in reasons.items()}
            )
            for request_id, reasons in run.blocked.items()
        ],
        worth=run.worth,
        bound=run.bound,
        kept=run.kept,
        moved=run.moved,
        left_out=run.left_out,
    )


@get("/offers", opt=may(Role.VOLUNTEER), operation_id="list_offers")
async def offers(request: SignedIn) -> OfferPage:
    """List the offers that wait for the caller's answer."""

    async def work(uow: UnitOfWork, actor: Actor) -> OfferPage:
        found = await matching.offers_of(uow, actor.person_id)
        return OfferPage(items=[OfferAnswer.of(offer) for offer in found])

    return await read(request, work)


@post(
    "/offers/{offer_id:uuid}/accept",
    opt=may(Role.VOLUNTEER, *STAFF),
    operation_id="accept_offer",
    status_code=200,
)
async def accept(request: SignedIn, offer_id: FromPath[UUID]) -> Response[VisitAnswer]:
    """Accept an offer: the visit is planned. Of several who try, one succeeds."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        return VisitAnswer.of(await matching.accept_offer(uow, actor, offer_id))

    return await change(request, work)


@post(
    "/offers/{offer_id:uuid}/decline",
    opt=may(Role.VOLUNTEER, *STAFF),
    operation_id="decline_offer",
    status_code=200,
)
async def decline(request: SignedIn, offer_id: FromPath[UUID]) -> Response[DeclinedAnswer]:
    """Decline an offer: the request goes to the next volunteer at once, or is open again."""

    async def work(uow: UnitOfWork, actor: Actor) -> DeclinedAnswer:
        await matching.decline_offer(uow, actor, offer_id)
        return DeclinedAnswer(id=offer_id)

    return await change(request, work)


@post(
    "/visits/{visit_id:uuid}/withdraw",
    opt=may(Role.VOLUNTEER, *STAFF),
    operation_id="withdraw_visit",
    status_code=200,
)
async def withdraw(request: SignedIn, visit_id: FromPath[UUID]) -> Response[VisitAnswer]:
    """Give up a planned visit before its start: the request goes to the next volunteer, or is open again."""

    async def work(uow: UnitOfWork, actor: Actor) -> VisitAnswer:
        await matching.withdraw(uow, actor, visit_id)
        return VisitAnswer.of(await care.visit(uow, actor, visit_id))

    return await change(request, work)


@post("/pairing-runs", opt=may(*STAFF), operation_id="run_pairing", status_code=CREATED)
async def run_pairing(request: SignedIn) -> Response[PairingRunAnswer]:
    """Pair the open requests that lie ahead with volunteers and make offers."""
    async with matching.thought(desk(request).database, request.auth.community_id, replan=True) as decided:

        async def work(uow: UnitOfWork, _actor: Actor) -> PairingRunAnswer:
            return run_answer(await decided.publish(uow))

        return await change(request, work, status=CREATED)


@get("/pairing-runs", opt=may(*STAFF), operation_id="list_pairing_runs")
async def pairing_runs(request: SignedIn) -> PairingRunPage:
    """List the latest pairing runs."""

    async def work(uow: UnitOfWork, _actor: Actor) -> PairingRunPage:
        return PairingRunPage(items=[run_answer(run) for run in await matching.pairing_runs(uow)])

    return await read(request, work)


@get("/pairing-runs/{run_id:uuid}", opt=may(*READERS), operation_id="get_pairing_run")
async def pairing_run(request: SignedIn, run_id: FromPath[UUID]) -> RunReasonsAnswer:
    """Return what a pairing run decided and why; its full input is kept for the policy's days only."""

    async def work(uow: UnitOfWork, actor: Actor) -> RunReasonsAnswer:
        found = await matching.run_reasons(uow, actor, run_id)
        return RunReasonsAnswer(
            run=run_answer(found.info), replayable=found.replayable, plan=written_plan(found.plan)
        )

    return await read(request, work)


router = Router(
    "/",
    route_handlers=[offers, accept, decline, withdraw, run_pairing, pairing_runs, pairing_run],
    tags=["matching"],
)
