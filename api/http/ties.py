"""Who speaks for an elder, and who is not sent to one."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import JSONBody
from pydantic import ConfigDict

from api.auth import SIGNED_IN, may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.help_requests import ElderId
from api.http.wire import Asked, Told
from pointsbank.domain.preferences import ExclusionReason, Relation
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.matching import service as matching

EXAMPLE = "01890a5d-ac96-774b-bcce-b302099a8057"


class TellFamily(Asked):
    """Who is what to which elder. ``elder_id``: yourself unless named; ``member_id``: likewise."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"member_id": EXAMPLE, "relation": "child"}]})
    elder_id: UUID | None = None
    member_id: UUID | None = None
    relation: Relation


class FamilyPair(Asked):
    """An elder and somebody of their family."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"elder_id": EXAMPLE, "member_id": EXAMPLE}]})
    elder_id: UUID
    member_id: UUID


class Exclude(Asked):
    """Whom an elder will not have. ``elder_id``: yourself unless named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"volunteer_id": EXAMPLE}]})
    elder_id: UUID | None = None
    volunteer_id: UUID
    reason: ExclusionReason = ExclusionReason.ASKED


class LiftExclusion(Asked):
    """Whom an elder will have again. ``elder_id``: yourself unless named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"volunteer_id": EXAMPLE}]})
    elder_id: UUID | None = None
    volunteer_id: UUID


class TieAnswer(Told):
    """A family tie; it counts once ``confirmed_at`` is set."""

    elder_id: UUID
    elder_name: str
    member_id: UUID
    member_name: str
    relation: Relation
    told_at: datetime
    confirmed_by: UUID | None
    confirmed_at: datetime | None


class TiePage(Told):
    """Family ties."""

    items: list[TieAnswer]


class ExclusionAnswer(Told):
    """A volunteer who is not sent to an elder."""

    elder_id: UUID
    volunteer_id: UUID
    volunteer_name: str
    reason: ExclusionReason
    set_by: UUID
    set_at: datetime


class ExclusionPage(Told):
    """Who is not sent to an elder."""

    items: list[ExclusionAnswer]


def _ties(found: list[care.TieInfo]) -> TiePage:
    return TiePage(items=[TieAnswer.of(info) for info in found])


@post("/family", opt=SIGNED_IN, operation_id="tell_family", status_code=CREATED)
async def tell(request: SignedIn, data: JSONBody[TellFamily]) -> Response[TieAnswer]:
    """Say that somebody is family of an elder; a coordinator confirms it."""

    async def work(uow: UnitOfWork, actor: Actor) -> TieAnswer:
        elder_id, member_id = data.elder_id or actor.person_id, data.member_id or actor.person_id
        return TieAnswer.of(await care.tell_family(uow, actor, elder_id, member_id, data.relation))

    return await change(request, work, status=CREATED)


@post("/family/confirm", opt=may(*STAFF), operation_id="confirm_family", status_code=200)
async def confirm(request: SignedIn, data: JSONBody[FamilyPair]) -> Response[TieAnswer]:
    """Confirm a family tie: the member may then ask and cancel for the elder."""

    async def work(uow: UnitOfWork, actor: Actor) -> TieAnswer:
        return TieAnswer.of(await care.confirm_family(uow, actor, data.elder_id, data.member_id))

    return await change(request, work)


@post("/family/end", opt=SIGNED_IN, operation_id="end_family", status_code=200)
async def end(request: SignedIn, data: JSONBody[FamilyPair]) -> Response[TiePage]:
    """End a family tie; answer with what is left of the elder's, or the caller's own."""

    async def work(uow: UnitOfWork, actor: Actor) -> TiePage:
        await care.end_family(uow, actor, data.elder_id, data.member_id)
        if actor.person_id == data.member_id:
            return _ties(await care.elders_of(uow, actor))
        return _ties(await care.family_of(uow, actor, data.elder_id))

    return await change(request, work)


@get("/family", opt=SIGNED_IN, operation_id="list_family")
async def family(request: SignedIn, elder_id: ElderId = None) -> TiePage:
    """List an elder's family."""

    async def work(uow: UnitOfWork, actor: Actor) -> TiePage:
        return _ties(await care.family_of(uow, actor, elder_id or actor.person_id))

    return await read(request, work)


@get("/family/elders", opt=SIGNED_IN, operation_id="list_elders_of_family")
async def elders(request: SignedIn) -> TiePage:
    """List the elders whose family the caller is."""

    async def work(uow: UnitOfWork, actor: Actor) -> TiePage:
        return _ties(await care.elders_of(uow, actor))

    return await read(request, work)


@get("/family/to-confirm", opt=may(*STAFF), operation_id="list_family_to_confirm")
async def to_confirm(request: SignedIn) -> TiePage:
    """List the family ties that wait for a coordinator."""

    async def work(uow: UnitOfWork, actor: Actor) -> TiePage:
        return _ties(await care.family_to_confirm(uow, actor))

    return await read(request, work)


@post("/exclusions", opt=SIGNED_IN, operation_id="exclude_volunteer", status_code=CREATED)
async def exclude(request: SignedIn, data: JSONBody[Exclude]) -> Response[ExclusionPage]:
    """Have a volunteer not be sent to an elder any more: what they have agreed for later is called off."""

    async def work(uow: UnitOfWork, actor: Actor) -> ExclusionPage:
        elder_id = data.elder_id or actor.person_id
        await matching.exclude(uow, actor, elder_id, data.volunteer_id, data.reason)
        return await _exclusions(uow, actor, elder_id)

    return await change(request, work, status=CREATED)


@post("/exclusions/lift", opt=SIGNED_IN, operation_id="lift_exclusion", status_code=200)
async def lift(request: SignedIn, data: JSONBody[LiftExclusion]) -> Response[ExclusionPage]:
    """Let a volunteer be sent to an elder again."""

    async def work(uow: UnitOfWork, actor: Actor) -> ExclusionPage:
        elder_id = data.elder_id or actor.person_id
        await care.lift_exclusion(uow, actor, elder_id, data.volunteer_id)
        return await _exclusions(uow, actor, elder_id)

    return await change(request, work)


@get("/exclusions", opt=SIGNED_IN, operation_id="list_exclusions")
async def exclusions(request: SignedIn, elder_id: ElderId = None) -> ExclusionPage:
    """List who is not sent to an elder."""

    async def work(uow: UnitOfWork, actor: Actor) -> ExclusionPage:
        return await _exclusions(uow, actor, elder_id or actor.person_id)

    return await read(request, work)


async def _exclusions(uow: UnitOfWork, actor: Actor, elder_id: UUID) -> ExclusionPage:
    found = await care.exclusions_of(uow, actor, elder_id)
    return ExclusionPage(items=[ExclusionAnswer.of(info) for info in found])


ROUTES: list[Any] = [tell, confirm, end, family, elders, to_confirm, exclude, lift, exclusions]
