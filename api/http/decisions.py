"""What two people decide: adjustments, reversals, grants, and versions of the policy."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.wire import NUMBER_MAX, PAGE_DEFAULT, AfterId, Asked, Day, Limit, Told, WholeNumber
from api.idempotency import KEYED
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.decision import DecisionKind, DecisionReason, DecisionState
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.points import AMOUNT_MAX
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import decisions, policies
from services.ledger.views import DecisionInfo


class Propose(Asked):
    """What a coordinator proposes.

    ``adjustment``: ``member_id`` and ``amount`` (below zero to take; milli-points, or minutes with that
    ``commodity``). ``grant``: ``member_id`` and ``amount``, from the pool. ``reversal``: ``entry_number``,
    and ``amount`` for a part of its milli-points.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "reversal", "reason": "not_rendered", "entry_number": 7},
                {
                    "kind": "adjustment",
                    "reason": "wrong_hours",
                    "member_id": "0197c5a0-0000-7000-8000-000000000001",
                    "amount": 500,
                },
            ]
        }
    )
    kind: DecisionKind
    reason: DecisionReason
    member_id: UUID | None = None
    commodity: Commodity = Commodity.POINT
    amount: Annotated[int, WholeNumber(-AMOUNT_MAX, AMOUNT_MAX)] | None = None
    entry_number: Annotated[int, WholeNumber(1, NUMBER_MAX)] | None = None


class DecisionAnswer(Told):
    """A decision as it stands. Refs are pseudonyms; ``posted_number`` is the entry that carried it out."""

    id: UUID
    kind: DecisionKind
    reason: DecisionReason
    member_ref: UUID
    commodity: Commodity
    amount: int | None
    entry_number: int | None
    state: DecisionState
    proposed_by: UUID
    proposed_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    posted_number: int | None


class DecisionPage(Told):
    """Decisions in order of proposal. ``next_after`` is null on the last page."""

    items: list[DecisionAnswer]
    next_after: UUID | None


class ProposePolicy(Asked):
    """A version of the community's rules. ``effective_from``: a local day, today at the earliest."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"effective_from": "2026-12-01", "body": DEFAULT_POLICY}]}
    )
    effective_from: Day
    body: dict[str, Any]


class PolicyAnswer(Told):
    """A version of the community's rules. Whoever proposed it did not approve it, the founding's apart."""

    version: int
    effective_from: date
    body: dict[str, Any]
    proposed_by: UUID
    approved_by: UUID
    created_at: datetime


class PolicyProposalAnswer(Told):
    """A version on its way. ``version``: its number, once it is approved."""

    number: int
    effective_from: date
    body: dict[str, Any]
    state: DecisionState
    proposed_by: UUID
    proposed_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    version: int | None


class PoliciesAnswer(Told):
    """Every version and every proposal, newest first."""

    in_force: int
    versions: list[PolicyAnswer]
    proposals: list[PolicyProposalAnswer]


async def _proposed(uow: UnitOfWork, actor: Actor, data: Propose) -> DecisionInfo:
    if data.kind is DecisionKind.REVERSAL:
        if data.entry_number is None:
            raise InvalidValue(field="entry_number", rule="missing")
        if data.member_id is not None:
            raise InvalidValue(field="member_id", rule="of_the_entry")
        return await decisions.propose_reversal(
            uow, actor, data.entry_number, reason=data.reason, amount=data.amount
        )
    if data.entry_number is not None:
        raise InvalidValue(field="entry_number", rule="only_reversals")
    if data.member_id is None:
        raise InvalidValue(field="member_id", rule="missing")
    if data.amount is None:
        raise InvalidValue(field="amount", rule="missing")
    if data.kind is DecisionKind.GRANT:
        return await decisions.propose_grant(
            uow, actor, data.member_id, amount=data.amount, reason=data.reason
        )
    return await decisions.propose_adjustment(
        uow, actor, data.member_id, amount=data.amount, reason=data.reason, commodity=data.commodity
    )


@post("/decisions", opt=may(*STAFF) | KEYED, operation_id="propose_decision", status_code=CREATED)
async def propose(request: SignedIn, data: JSONBody[Propose]) -> Response[DecisionAnswer]:
    """Propose an adjustment, a reversal or a grant; somebody else decides it."""

    async def work(uow: UnitOfWork, actor: Actor) -> DecisionAnswer:
        return DecisionAnswer.of(await _proposed(uow, actor, data))

    return await change(request, work, status=CREATED)


@get("/decisions", opt=may(*READERS), operation_id="list_decisions")
async def list_decisions(
    request: SignedIn,
    in_state: Annotated[DecisionState | None, QueryParameter(name="state", description="only these")] = None,
    after: AfterId = None,
    limit: Limit = PAGE_DEFAULT,
) -> DecisionPage:
    """List decisions in order of proposal."""

    async def work(uow: UnitOfWork, _actor: Actor) -> DecisionPage:
        found = await decisions.decisions(uow, state=in_state, after=after, limit=limit)
        items = [DecisionAnswer.of(each) for each in found]
        return DecisionPage(items=items, next_after=items[-1].id if len(items) == limit else None)

    return await read(request, work)


@post("/decisions/{decision_id:uuid}/approve", opt=may(*READERS) | KEYED, operation_id="approve_decision")
async def approve(request: SignedIn, decision_id: FromPath[UUID]) -> Response[DecisionAnswer]:
    """Approve what somebody else proposed: its entry is posted in the same commit."""

    async def work(uow: UnitOfWork, actor: Actor) -> DecisionAnswer:
        return DecisionAnswer.of(await decisions.approve(uow, actor, decision_id))

    return await change(request, work)


@post("/decisions/{decision_id:uuid}/refuse", opt=may(*READERS) | KEYED, operation_id="refuse_decision")
async def refuse(request: SignedIn, decision_id: FromPath[UUID]) -> Response[DecisionAnswer]:
    """Refuse what somebody else proposed: nothing is posted."""

    async def work(uow: UnitOfWork, actor: Actor) -> DecisionAnswer:
        return DecisionAnswer.of(await decisions.refuse(uow, actor, decision_id))

    return await change(request, work)


@get("/policies", opt=may(*READERS), operation_id="list_policies")
async def list_policies(request: SignedIn) -> PoliciesAnswer:
    """List every version of the community's rules, and what has been proposed."""

    async def work(uow: UnitOfWork, _actor: Actor) -> PoliciesAnswer:
        return PoliciesAnswer(
            in_force=(await policies.in_force(uow)).version,
            versions=[PolicyAnswer.of(each) for each in await policies.versions(uow)],
            proposals=[PolicyProposalAnswer.of(each) for each in await policies.proposals(uow)],
        )

    return await read(request, work)


@post("/policies", opt=may(*STAFF) | KEYED, operation_id="propose_policy", status_code=CREATED)
async def propose_policy(request: SignedIn, data: JSONBody[ProposePolicy]) -> Response[PolicyProposalAnswer]:
    """Propose a version of the community's rules; somebody else approves it."""

    async def work(uow: UnitOfWork, actor: Actor) -> PolicyProposalAnswer:
        return PolicyProposalAnswer.of(
            await policies.propose(uow, actor, effective_from=data.effective_from, body=data.body)
        )

    return await change(request, work, status=CREATED)


@post("/policies/{number:int}/approve", opt=may(*READERS) | KEYED, operation_id="approve_policy")
async def approve_policy(request: SignedIn, number: FromPath[int]) -> Response[PolicyProposalAnswer]:
    """Approve a proposal somebody else made: it becomes the next version."""

    async def work(uow: UnitOfWork, actor: Actor) -> PolicyProposalAnswer:
        return PolicyProposalAnswer.of(await policies.approve(uow, actor, policies.known_number(number)))

    return await change(request, work)


@post("/policies/{number:int}/refuse", opt=may(*READERS) | KEYED, operation_id="refuse_policy")
async def refuse_policy(request: SignedIn, number: FromPath[int]) -> Response[PolicyProposalAnswer]:
    """Refuse a proposal somebody else made."""

    async def work(uow: UnitOfWork, actor: Actor) -> PolicyProposalAnswer:
        return PolicyProposalAnswer.of(await policies.refuse(uow, actor, policies.known_number(number)))

    return await change(request, work)


router = Router(
    "/",
    route_handlers=[
        propose,
        list_decisions,
        approve,
        refuse,
        list_policies,
        propose_policy,
        approve_policy,
        refuse_policy,
    ],
    tags=["decisions"],
)
