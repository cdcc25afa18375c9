"""The books: trial balance, journal, verification, settlement batches and differences. For who may read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn, desk
from api.web.forms import do_once, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from api.web.words import Words
from pointsbank.domain.errors import DomainError
from pointsbank.domain.journal import EntryKind
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger
from services.ledger.exports import Format
from services.ledger.verification import Verification, verify
from services.settlement import batches, reconciliation

BOOKS, SETTLEMENT = "/books", "/books/settlement"
ENTRIES_SHOWN = 25
BATCHES_SHOWN = 60
FINDINGS_SHOWN = 3


@get(BOOKS, opt=may(*READERS), include_in_schema=False)
async def books(request: SignedIn) -> Response[str]:
    """Show the trial balance and the journal, newest first; with ``verify=1``, recompute the chain."""
    sought, after = request.query_params.get("kind", ""), request.query_params.get("after", "")
    kind = EntryKind(sought) if sought in list(EntryKind) else None
    start = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
    verified: Verification | None = None
    if request.query_params.get("verify") == "1":
        async with desk(request).database.unit_of_work(request.auth.community_id, snapshot=True) as snapshot:
            verified = await verify(snapshot)
    async with visit(request) as (uow, visitor):
        entries = await ledger.entries(uow, after=start, limit=ENTRIES_SHOWN, kind=kind, newest_first=True)
        return page(
            request,
            visitor,
            "books.html",
            trial=await ledger.trial_balance(uow),
            entries=entries,
            kind=kind.value if kind else "",
            kinds=[each.value for each in EntryKind],
            more=entries[-1].number if len(entries) == ENTRIES_SHOWN else None,
            formats=[each.value for each in Format],
            verification=_told(visitor.words, verified) if verified else None,
        )


def _told(words: Words, verified: Verification) -> dict[str, Any]:
    if verified.sound:
        sentence = words.t(
            "books.sound", entries=words.whole(verified.entries), head=verified.head_hash.hex()[:16]
        )
    else:
        found = "; ".join(
            f"{words.t(f'fault.{each.fault}')} ({each.where})" for each in verified.findings[:FINDINGS_SHOWN]
        )
        sentence = words.t("books.unsound", count=len(verified.findings), findings=found)
    return {"sound": verified.sound, "sentence": sentence}


@get(SETTLEMENT, opt=may(*READERS), include_in_schema=False)
async def settlements(request: SignedIn) -> Response[str]:
    """Show frozen batches, and the differences that wait for somebody."""
    async with visit(request) as (uow, visitor):
        return await show_settlements(request, uow, visitor)


async def show_settlements(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    refused: DomainError | None = None,
    draft: dict[str, str] | None = None,
) -> Response[str]:
    """Return the settlement page. draft: the ``id`` and ``text`` of a resolution that was refused."""
    return page(
        request,
        visitor,
        "settlement.html",
        refused=refused,
        batches=await batches.batches(uow, limit=BATCHES_SHOWN),
        differences=await reconciliation.differences(uow, only_open=True),
        may_resolve=visitor.actor.has(*STAFF),
        draft=draft,
    )


@post("/books/settlement/differences/{difference_id:uuid}/resolve", opt=may(*STAFF), include_in_schema=False)
async def resolve(request: SignedIn, difference_id: FromPath[UUID]) -> Response[Any]:
    """Close a difference with a reason."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await reconciliation.resolve_difference(uow, actor, difference_id, form.get("text", ""))
        return f"{SETTLEMENT}?done=resolved"

    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        draft = {"id": str(difference_id), "text": form.get("text", "")}
        async with visit(request) as (uow, visitor):
            return await show_settlements(request, uow, visitor, error, draft)


ROUTES = [books, settlements, resolve]
