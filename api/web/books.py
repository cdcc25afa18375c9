"""The books: trial balance, journal, verification, settlement batches and differences. For who may read."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import may
from api.dependencies import SignedIn, desk
from api.gate import RECOMPUTING
from api.web.forms import do_once, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from api.web.words import Words
from pointsbank.domain.errors import DomainError
from pointsbank.domain.journal import EntryKind
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger
from services.ledger.exchange.exports import Format
from services.ledger.proof import last_verification, seals
from services.ledger.proof.last_verification import LastVerification
from services.ledger.proof.verification import Verification, verify_recent
from services.people import service as people
from services.settlement import batches, reconciliation

BOOKS, SETTLEMENT = "/books", "/books/settlement"
ENTRIES_SHOWN = 25
BATCHES_SHOWN = 60
FINDINGS_SHOWN = 3
SEALS_SHOWN = 5


@get(BOOKS, opt=may(*READERS), include_in_schema=False)
async def books(request: SignedIn) -> Response[str]:
    """Show the trial balance and the journal, newest first, and the seals.

    With ``verify=1`` the newest entries are recomputed; all of them are by the command line, and what that
    found last is told. Raises TooManyReaders.
    """
    sought, after = request.query_params.get("kind", ""), request.query_params.get("after", "")
    kind = EntryKind(sought) if sought in list(EntryKind) else None
    start = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
    verified: Verification | None = None
    at = desk(request)
    data = at.settings.data
    if request.query_params.get("verify") == "1":
        async with (
            RECOMPUTING.enter(),
            at.database.unit_of_work(request.auth.community_id, snapshot=True) as snapshot,
        ):
            verified = await verify_recent(snapshot, public_key=seals.known_key(data))
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
            last=_last(visitor.words, last_verification.recall(data, uow.community_id), uow.clock.now()),
            seals=[
                each | {"at": datetime.fromisoformat(each["sealed_at"])}
                for each in await seals.newest(uow, limit=SEALS_SHOWN)
            ],
            code=(await people.community(uow)).code,
        )


def _told(words: Words, verified: Verification) -> dict[str, Any]:
    if verified.sound:
        sentence = words.t(
            "books.sound" if verified.since == 1 else "books.sound_since",
            entries=words.whole(verified.entries - verified.since + 1),
            since=verified.since,
            head=verified.head_hash.hex()[:16],
        )
    else:
        found = "; ".join(
            f"{words.t(f'fault.{each.fault}')} ({each.where})" for each in verified.findings[:FINDINGS_SHOWN]
        )
        count = len(verified.findings) + verified.omitted
        sentence = words.t("books.unsound", count=count, findings=found)
    return {"sound": verified.sound, "sentence": sentence}


def _last(words: Words, last: LastVerification | None, now: datetime) -> dict[str, Any] | None:
    """Tell what the last whole verification found, and whether it is one to rely on."""
    if last is None:
        return None
    at = f"{words.day(last.at)} {words.clock(last.at)}"
    if last.failed:
        sentence = words.t("books.last_failed", at=at, reason=last.failed)
    elif not last.sound:
        sentence = words.t("books.last_unsound", at=at, entries=words.whole(last.entries), faults=last.faults)
    elif last.is_stale(now):
        sentence = words.t("books.last_stale", at=at)
    else:
        sentence = words.t("books.last_sound", at=at, entries=words.whole(last.entries))
    return {"sound": last.sound and not last.is_stale(now), "sentence": sentence}


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
