"""What meals cost governments, and the hardship and household that is judged by: for staff and auditors."""

from __future__ import annotations

import io
from datetime import date
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn
from api.errors import RouteNotFound
from api.web.forms import do_once, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.domain.subsidy.parse import QUARTER_OF_THE_PRICE
from pointsbank.domain.subsidy.payers import Hardship
from pointsbank.platform.database import UnitOfWork
from services.people import service as people
from services.settlement.subsidies import claim_sheets, claims

CLAIMS = "/books/claims"
NAMED_TIERS = frozenset(tier["code"] for tier in QUARTER_OF_THE_PRICE["tiers"])
"""Groups that have words of ours; a group of a community's own is called by its code."""

WRITERS = {
    "csv": (claim_sheets.write_csv, "text/csv; charset=utf-8"),
    "xlsx": (
        claim_sheets.write_xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
}


@get(CLAIMS, opt=may(*READERS), include_in_schema=False)
async def claim(request: SignedIn) -> Response[str]:
    """Show what each payer owes for the meals of a month or quarter."""
    async with visit(request) as (uow, visitor):
        told, refused = None, None
        try:
            told = await claims.claim(uow, request.query_params.get("period") or None)
        except InvalidValue as error:
            refused = error
        return page(
            request,
            visitor,
            "claim.html",
            refused=refused,
            claim=told,
            formats=list(WRITERS),
            named_tiers=NAMED_TIERS,
        )


@get("/books/claims/{period:str}/{format_:str}", opt=may(*READERS), include_in_schema=False)
async def claim_file(request: SignedIn, period: FromPath[str], format_: FromPath[str]) -> Response[bytes]:
    """Send a claim as a table; with ``by=person`` a line for each pseudonym. Raises RouteNotFound."""
    if format_ not in WRITERS:
        raise RouteNotFound
    write, media_type = WRITERS[format_]
    by_person = request.query_params.get("by") == "person"
    async with visit(request) as (uow, visitor):
        told = await claims.claim(uow, period, by_person=by_person)
    file = io.BytesIO()
    write(told, visitor.words.t, file, by_person=by_person)
    return Response(
        file.getvalue(),
        media_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="claim-{told.period}.{format_}"',
            "Cache-Control": "no-store",
        },
    )


@get("/coordinator/people/{person_id:uuid}/standing", opt=may(*READERS), include_in_schema=False)
async def standing(request: SignedIn, person_id: FromPath[UUID]) -> Response[str]:
    """Show a resident's hardship and household, and what they were before."""
    async with visit(request) as (uow, visitor):
        return await show_standing(request, uow, visitor, person_id)


async def show_standing(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    person_id: UUID,
    refused: DomainError | None = None,
    **draft: str,
) -> Response[str]:
    """Return the page of one resident's standing. draft: what was filled in and refused."""
    found = await people.view_standings(uow, visitor.actor, person_id)
    now = people.standing_at(found, visitor.words.today)
    filled = {
        "hardship": now.hardship if now else None,
        "household": (now.household if now else None) or "",
        "effective_from": visitor.words.today.isoformat(),
    }
    return page(
        request,
        visitor,
        "person_standing.html",
        refused=refused,
        resident=await people.person(uow, person_id),
        standings=found,
        hardships=list(Hardship),
        draft=filled | draft,
        may_set=visitor.actor.has(*STAFF) and visitor.actor.person_id != person_id,
    )


@post("/coordinator/people/{person_id:uuid}/standing", opt=may(*STAFF), include_in_schema=False)
async def set_standing(request: SignedIn, person_id: FromPath[UUID]) -> Response[Any]:
    """Say what a resident's hardship and household are from a day on."""
    form = await read_form(request)
    given = {name: form.get(name, "").strip() for name in ("hardship", "household", "effective_from")}

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        if given["hardship"] and given["hardship"] not in set(Hardship):
            raise InvalidValue(field="hardship", rule="known_value")
        await people.set_standing(
            uow,
            actor,
            person_id,
            effective_from=_day(given["effective_from"]),
            hardship=Hardship(given["hardship"]) if given["hardship"] else None,
            household=given["household"] or None,
        )
        return f"/coordinator/people/{person_id}/standing?done=settled"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_standing(request, uow, visitor, person_id, error, **given)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(field="effective_from", rule="day") from None


ROUTES = [claim, claim_file, standing, set_standing]
