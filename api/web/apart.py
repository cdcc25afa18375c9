"""Who is kept apart: the pairs that no visit is planned for, set with a reason, and lifted."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post

from api.auth import may
from api.dependencies import SignedIn
from api.web.forms import do_once, kept_key, read_form, uuid_of
from api.web.naming import named
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.preferences import ExclusionReason
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.matching import service as matching

APART = "/coordinator/apart"
DRAFT = {"elder": "", "volunteer": "", "reason": ""}


@get(APART, opt=may(*READERS), include_in_schema=False)
async def apart(request: SignedIn) -> Response[str]:
    """Show who is kept apart, and who said that they would rather not meet again."""
    async with visit(request) as (uow, visitor):
        return await show_apart(request, uow, visitor, {})


async def show_apart(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    draft: dict[str, str],
    refused: DomainError | None = None,
) -> Response[str]:
    """Return the list of pairs that are kept apart."""
    return page(
        request,
        visitor,
        "apart.html",
        refused=refused,
        pairs=await care.pairs_apart(uow, visitor.actor),
        not_again=await care.said_not_again(uow, visitor.actor),
        reasons=list(ExclusionReason),
        changes=visitor.actor.has(*STAFF),
        draft=DRAFT | draft,
        **kept_key(draft),
    )


@post(APART, opt=may(*STAFF), include_in_schema=False)
async def keep_apart(request: SignedIn) -> Response[Any]:
    """Keep an elder and a volunteer apart from now on; what they have agreed for later is called off."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        if form.get("reason", "") not in set(ExclusionReason):
            raise InvalidValue(field="reason", rule="known_value")
        elder = await named(uow, actor, form.get("elder", ""), Role.ELDER, field="elder_id")
        volunteer = await named(uow, actor, form.get("volunteer", ""), Role.VOLUNTEER, field="volunteer_id")
        await matching.exclude(uow, actor, elder, volunteer, ExclusionReason(form["reason"]))
        return f"{APART}?done=settled"

    return await _done(request, work, form, form)


@post("/coordinator/apart/lift", opt=may(*STAFF), include_in_schema=False)
async def lift(request: SignedIn) -> Response[Any]:
    """Let a volunteer be sent to an elder again."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        pair = [uuid_of(form.get(name, ""), what="person") for name in ("elder", "volunteer")]
        await care.lift_exclusion(uow, actor, *pair)
        return f"{APART}?done=settled"

    return await _done(request, work, form, {})


async def _done(request: SignedIn, work: Any, form: dict[str, str], draft: dict[str, str]) -> Response[Any]:
    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_apart(request, uow, visitor, draft, error)


ROUTES = [apart, keep_apart, lift]
