"""Refunds of what was served: proposed by a coordinator, decided by somebody else."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.wire import PAGE_DEFAULT, AfterId, Asked, Limit, Told, WholeNumber
from api.idempotency import KEYED
from pointsbank.domain.decision import DecisionState
from pointsbank.domain.redemption import QUANTITY_MAX
from pointsbank.domain.refund import RefundReason
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.settlement import refunds
from services.settlement.refunds import ProposeRefund


class RefundAsked(Asked):
    """What is to be given back. ``quantity``: of how many portions; of all that were served unless named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "bad_quality", "quantity": 1}]})
    reason: RefundReason
    quantity: Annotated[int, WholeNumber(1, QUANTITY_MAX)] | None = None


class RefundAnswer(Told):
    """A refund as it stands. ``booked_on``, ``entry_number``: of the entry that gave the points back.

    ``proposed_by`` is null where the partner said so and no coordinator has taken it up by proposing it.
    """

    id: UUID
    redemption_id: UUID
    partner: str
    milli_points: int
    fen: int
    service_date: date
    reason: RefundReason
    state: DecisionState
    proposed_by: UUID | None
    proposed_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    booked_on: date | None
    entry_number: int | None


class RefundPage(Told):
    """Refunds in order of proposal. ``next_after`` is null on the last page."""

    items: list[RefundAnswer]
    next_after: UUID | None


@post(
    "/redemptions/{redemption_id:uuid}/refunds",
    opt=may(*STAFF) | KEYED,
    operation_id="propose_refund",
    status_code=CREATED,
)
async def propose(
    request: SignedIn, redemption_id: FromPath[UUID], data: JSONBody[RefundAsked]
) -> Response[RefundAnswer]:
    """Propose to give back what a served order cost; somebody else decides it."""

    async def work(uow: UnitOfWork, actor: Actor) -> RefundAnswer:
        command = ProposeRefund(redemption_id, data.reason, data.quantity)
        return RefundAnswer.of(await refunds.propose(uow, actor, command))

    return await change(request, work, status=CREATED)


@get("/refunds", opt=may(*READERS), operation_id="list_refunds")
async def list_refunds(
    request: SignedIn,
    in_state: Annotated[DecisionState | None, QueryParameter(name="state", description="only these")] = None,
    after: AfterId = None,
    limit: Limit = PAGE_DEFAULT,
) -> RefundPage:
    """List refunds in order of proposal."""

    async def work(uow: UnitOfWork, _actor: Actor) -> RefundPage:
        found = await refunds.refunds(uow, state=in_state, after=after, limit=limit)
        items = [RefundAnswer.of(each) for each in found]
        return RefundPage(items=items, next_after=items[-1].id if len(items) == limit else None)

    return await read(request, work)


@post(
    "/refunds/{refund_id:uuid}/approve",
    opt=may(*READERS) | KEYED,
    operation_id="approve_refund",
    status_code=200,
)
async def approve(request: SignedIn, refund_id: FromPath[UUID]) -> Response[RefundAnswer]:
    """Approve what somebody else proposed: the points go back in the same commit."""

    async def work(uow: UnitOfWork, actor: Actor) -> RefundAnswer:
        return RefundAnswer.of(await refunds.approve(uow, actor, refund_id))

    return await change(request, work)


@post(
    "/refunds/{refund_id:uuid}/refuse",
    opt=may(*READERS) | KEYED,
    operation_id="refuse_refund",
    status_code=200,
)
async def refuse(request: SignedIn, refund_id: FromPath[UUID]) -> Response[RefundAnswer]:
    """Refuse what somebody else proposed: nothing moves."""

    async def work(uow: UnitOfWork, actor: Actor) -> RefundAnswer:
        return RefundAnswer.of(await refunds.refuse(uow, actor, refund_id))

    return await change(request, work)


router = Router("/", route_handlers=[propose, list_refunds, approve, refuse], tags=["settlement"])
