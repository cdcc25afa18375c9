"""Complaints about visits, appeals, and the sanctions that follow."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import SIGNED_IN, may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.wire import PAGE_DEFAULT, AfterId, Asked, Limit, Told, text
from pointsbank.domain.complaint import AppealState, ComplaintState, ToDo
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.domain.visit_rules import BarKind, Ground
from pointsbank.platform.database import UnitOfWork
from services.care import service as care

TEXT_MAX = 500


class Complain(Asked):
    """What is wrong with a visit. ``false_record``: it was recorded afterwards, and never was."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ground": "not_rendered"}]})
    ground: Ground
    note: Annotated[str, text(TEXT_MAX)] | None = None


class Hear(Asked):
    """What the volunteer says to it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"answer": "says it was the day before"}]})
    answer: Annotated[str, text(TEXT_MAX)]


class Decide(Asked):
    """Whether it is upheld, and what was found."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"upheld": True, "finding": "nobody came"}]})
    upheld: bool
    finding: Annotated[str, text(TEXT_MAX)]


class Appeal(Asked):
    """Why the decision is wrong."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "the neighbour saw me"}]})
    note: Annotated[str, text(TEXT_MAX)]


class ComplaintAnswer(Told):
    """A complaint as it stands; ``to_do`` is what people have to do next.

    ``reversal_id``, ``restoring_points_id`` and ``restoring_minutes_id`` are decisions: a second person
    approves them, and only then they are posted. To the volunteer it is about, ``complained_by`` and ``note``
    are null: they are told what of and what was found, never by whom or in which words.
    """

    id: UUID
    visit_id: UUID
    volunteer_id: UUID
    complained_by: UUID | None
    ground: Ground
    note: str | None
    state: ComplaintState
    filed_at: datetime
    heard_by: UUID | None
    heard_at: datetime | None
    answer: str | None
    decided_by: UUID | None
    decided_at: datetime | None
    finding: str | None
    reversal_id: UUID | None
    appeal: AppealState | None
    appealed_by: UUID | None
    appealed_at: datetime | None
    appeal_note: str | None
    appeal_decided_by: UUID | None
    appeal_decided_at: datetime | None
    appeal_finding: str | None
    restoring_points_id: UUID | None
    restoring_minutes_id: UUID | None
    to_do: ToDo

    @classmethod
    def to(cls, actor: Actor, info: object) -> ComplaintAnswer:
        """Return the answer as ``actor`` may read it, whatever else they are in the community."""
        told = cls.of(info)
        if actor.person_id != told.volunteer_id:
            return told
        return told.model_copy(update={"complained_by": None, "note": None})


class ComplaintPage(Told):
    """Complaints in order of filing. ``next_after`` is null on the last page."""

    items: list[ComplaintAnswer]
    next_after: UUID | None


class SanctionAnswer(Told):
    """What somebody is kept from, until when and why; ``lifted_at`` when an appeal was upheld."""

    id: UUID
    person_id: UUID
    kind: BarKind
    from_at: datetime
    until_at: datetime
    why: str
    complaint_id: UUID
    decided_by: UUID
    lifted_by: UUID | None
    lifted_at: datetime | None


class SanctionsAnswer(Told):
    """A person's sanctions, newest first."""

    items: list[SanctionAnswer]


@post("/visits/{visit_id:uuid}/complaints", opt=SIGNED_IN, operation_id="complain", status_code=CREATED)
async def complain(
    request: SignedIn, visit_id: FromPath[UUID], data: JSONBody[Complain]
) -> Response[ComplaintAnswer]:
    """Complain about a visit: one that is not confirmed yet cannot be until it is decided.

    By the elder, their family, a leader of their grid, a coordinator or an auditor.
    """

    async def work(uow: UnitOfWork, actor: Actor) -> ComplaintAnswer:
        return ComplaintAnswer.of(
            await care.complain(uow, actor, visit_id, ground=data.ground, note=data.note)
        )

    return await change(request, work, status=CREATED)


@get("/complaints", opt=SIGNED_IN, operation_id="list_complaints")
async def complaints(
    request: SignedIn,
    visit_id: Annotated[UUID | None, QueryParameter(description="only those about this visit")] = None,
    after: AfterId = None,
    limit: Limit = PAGE_DEFAULT,
) -> ComplaintPage:
    """List complaints: all for who reads the community, else those that concern the caller."""

    async def work(uow: UnitOfWork, actor: Actor) -> ComplaintPage:
        found = await care.complaints(uow, actor, visit_id=visit_id, after=after, limit=limit)
        items = [ComplaintAnswer.to(actor, each) for each in found]
        return ComplaintPage(items=items, next_after=items[-1].id if len(items) == limit else None)

    return await read(request, work)


@post("/complaints/{complaint_id:uuid}/hear", opt=may(*STAFF), operation_id="hear_complaint", status_code=200)
async def hear(
    request: SignedIn, complaint_id: FromPath[UUID], data: JSONBody[Hear]
) -> Response[ComplaintAnswer]:
    """Note what the volunteer says to a complaint."""

    async def work(uow: UnitOfWork, actor: Actor) -> ComplaintAnswer:
        return ComplaintAnswer.of(await care.hear(uow, actor, complaint_id, answer=data.answer))

    return await change(request, work)


@post(
    "/complaints/{complaint_id:uuid}/decide",
    opt=may(*STAFF),
    operation_id="decide_complaint",
    status_code=200,
)
async def decide(
    request: SignedIn, complaint_id: FromPath[UUID], data: JSONBody[Decide]
) -> Response[ComplaintAnswer]:
    """Uphold or dismiss a complaint that was heard, as somebody who has no part in it.

    Upheld, the policy says what follows: the entry is proposed to be taken back, the volunteer is barred.
    """

    async def work(uow: UnitOfWork, actor: Actor) -> ComplaintAnswer:
        return ComplaintAnswer.of(
            await care.decide(uow, actor, complaint_id, upheld=data.upheld, finding=data.finding)
        )

    return await change(request, work)


@post(
    "/complaints/{complaint_id:uuid}/appeal",
    opt=may(Role.VOLUNTEER, *STAFF),
    operation_id="appeal",
    status_code=200,
)
async def appeal(
    request: SignedIn, complaint_id: FromPath[UUID], data: JSONBody[Appeal]
) -> Response[ComplaintAnswer]:
    """Appeal against an upheld complaint, once, within the policy's days."""

    async def work(uow: UnitOfWork, actor: Actor) -> ComplaintAnswer:
        return ComplaintAnswer.to(actor, await care.appeal(uow, actor, complaint_id, note=data.note))

    return await change(request, work)


@post(
    "/complaints/{complaint_id:uuid}/decide-appeal",
    opt=may(*STAFF),
    operation_id="decide_appeal",
    status_code=200,
)
async def decide_appeal(
    request: SignedIn, complaint_id: FromPath[UUID], data: JSONBody[Decide]
) -> Response[ComplaintAnswer]:
    """Uphold or dismiss an appeal, as another coordinator than decided the complaint."""

    async def work(uow: UnitOfWork, actor: Actor) -> ComplaintAnswer:
        return ComplaintAnswer.of(
            await care.decide_appeal(uow, actor, complaint_id, upheld=data.upheld, finding=data.finding)
        )

    return await change(request, work)


@get("/sanctions", opt=SIGNED_IN, operation_id="list_sanctions")
async def sanctions(
    request: SignedIn,
    person_id: Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")] = None,
) -> SanctionsAnswer:
    """List a person's sanctions, newest first."""

    async def work(uow: UnitOfWork, actor: Actor) -> SanctionsAnswer:
        found = await care.sanctions_of(uow, actor, person_id or actor.person_id)
        return SanctionsAnswer(items=[SanctionAnswer.of(each) for each in found])

    return await read(request, work)


router = Router(
    "/",
    route_handlers=[complain, complaints, hear, decide, appeal, decide_appeal, sanctions],
    tags=["complaints"],
)
