"""A settlement batch: its lines, who signs it, how it was paid, and the statement to sign on paper."""

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
from api.web.forms import Work, do_once, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.errors import DomainError, InvalidValue
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.domain.settlement import SIGNATURES, BatchState
from pointsbank.platform.database import UnitOfWork
from services.people import service as people
from services.settlement import batch_sheets, batches

BATCH = "/books/settlement/{batch_id:uuid}"
LINES_SHOWN = 100
WRITERS = {
    "csv": (batch_sheets.write_csv, "text/csv; charset=utf-8"),
    "xlsx": (
        batch_sheets.write_xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
}


@get(BATCH, opt=may(*READERS), include_in_schema=False)
async def batch(request: SignedIn, batch_id: FromPath[UUID]) -> Response[str]:
    """Show a batch with its lines, signatures and payment."""
    async with visit(request) as (uow, visitor):
        return await show_batch(request, uow, visitor, batch_id)


async def show_batch(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    batch_id: UUID,
    refused: DomainError | None = None,
    **draft: str,
) -> Response[str]:
    """Return the page of a batch. draft: a payment that was refused."""
    found = await batches.batch(uow, batch_id)
    standing = (await batches.standings(uow, [batch_id]))[batch_id]
    lines = await batches.batch_lines(
        uow, batch_id, after=_after(request.query_params.get("after", "")), limit=LINES_SHOWN
    )
    signers = await people.people_by_id(uow, [each.signed_by for each in standing.signatures])
    mine = any(each.signed_by == visitor.actor.person_id for each in standing.signatures)
    shown = len({line.redemption_id for line in lines})
    return page(
        request,
        visitor,
        "batch.html",
        refused=refused,
        batch=found,
        standing=standing,
        lines=lines,
        more=lines[-1].redemption_id if shown == LINES_SHOWN else None,
        signers={signer: each.name for signer, each in signers.items()},
        mine=mine,
        may_sign=standing.state is BatchState.FROZEN and not mine,
        is_last=len(standing.signatures) + 1 == SIGNATURES,
        may_pay=standing.state is BatchState.APPROVED and visitor.actor.has(*STAFF),
        may_refund=visitor.actor.has(*STAFF),
        formats=list(WRITERS),
        draft={"reference": "", "paid_on": visitor.words.today.isoformat()} | draft,
    )


def _after(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


@post(f"{BATCH}/sign", opt=may(*READERS), include_in_schema=False)
async def sign(request: SignedIn, batch_id: FromPath[UUID]) -> Response[Any]:
    """Sign a batch; the second person who does approves it."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await batches.sign(uow, actor, batch_id)
        return f"/books/settlement/{batch_id}?done=signed"

    return await _done(request, batch_id, work, form)


@post(f"{BATCH}/paid", opt=may(*STAFF), include_in_schema=False)
async def paid(request: SignedIn, batch_id: FromPath[UUID]) -> Response[Any]:
    """Note the bank's reference and the day a batch was paid."""
    form = await read_form(request)
    given = {name: form.get(name, "") for name in ("reference", "paid_on")}

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await batches.note_paid(
            uow, actor, batch_id, reference=given["reference"], paid_on=_day(given["paid_on"])
        )
        return f"/books/settlement/{batch_id}?done=paid"

    return await _done(request, batch_id, work, form, **given)


async def _done(
    request: SignedIn, batch_id: UUID, work: Work, form: dict[str, str], **draft: str
) -> Response[Any]:
    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request) as (uow, visitor):
            return await show_batch(request, uow, visitor, batch_id, error, **draft)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue(field="paid_on", rule="day") from None


@get(f"{BATCH}/{{format_:str}}", opt=may(*READERS), include_in_schema=False)
async def batch_file(request: SignedIn, batch_id: FromPath[UUID], format_: FromPath[str]) -> Response[bytes]:
    """Send a batch as the statement that is signed. Raises RouteNotFound."""
    if format_ not in WRITERS:
        raise RouteNotFound
    write, media_type = WRITERS[format_]
    async with visit(request) as (uow, visitor):
        told = await batch_sheets.batch_statement(uow, batch_id, community=visitor.community.name)
    file = io.BytesIO()
    write(told, visitor.words.t, file)
    name = f"batch-{told.batch.partner}-{told.batch.business_date}-{told.batch.sequence}.{format_}"
    return Response(
        file.getvalue(),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


ROUTES = [batch, sign, paid, batch_file]
