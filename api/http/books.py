"""The books: a member's statement, the journal, the trial balance, and whether all of it still holds."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from api.auth import SIGNED_IN, may
from api.dependencies import SignedIn, desk, read
from api.gate import RECOMPUTING
from api.http.wire import NUMBER_MAX, PAGE_DEFAULT, AfterNumber, Digest, Limit, Told, plausible
from pointsbank.domain import accounts
from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.journal import EntryKind
from pointsbank.domain.roles import READERS, Actor
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger
from services.ledger.proof import seals
from services.ledger.proof.verification import Fault, verify_recent
from services.people import service as people

STATEMENT_DAYS = 90
AHEAD_MAX = timedelta(minutes=1)
"""How far ahead of our clock the ledger may have recorded: a statement up to now leaves nothing out."""


class StatementOf(StrEnum):
    """Which of a member's accounts a statement is of."""

    POINTS = "points"  # milli-points to spend
    HELD = "held"  # milli-points set aside
    MINUTES = "minutes"  # minutes served


ACCOUNTS = {
    StatementOf.POINTS: accounts.available,
    StatementOf.HELD: accounts.held,
    StatementOf.MINUTES: accounts.service,
}


class StatementLineAnswer(Told):
    """One posting. ``occurred_at``: when it happened; ``recorded_at``: when the bank learned of it."""

    number: int
    kind: EntryKind
    source_kind: str
    source_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    policy_version: int
    amount: int
    balance_after: int
    expires_on: date | None


class StatementAnswer(Told):
    """An account over a period of recorded time. ``more``: later lines were left out; go on from the last."""

    commodity: Commodity
    since: datetime
    until: datetime
    opening: int
    lines: list[StatementLineAnswer]
    closing: int
    more: bool


class TrialBalanceLineAnswer(Told):
    """All accounts of one kind and commodity, summed."""

    kind: AccountKind
    commodity: Commodity
    accounts: int
    balance: int


class TrialBalanceAnswer(Told):
    """Every account. Within a commodity the lines sum to zero, or ``differences`` says by how much not."""

    lines: list[TrialBalanceLineAnswer]
    differences: dict[Commodity, int]
    balanced: bool


class EntryLegAnswer(Told):
    """One posting of an entry. ``owner_ref``: a pseudonym, a partner, or zeros for the community itself."""

    account_kind: AccountKind
    owner_ref: UUID
    commodity: Commodity
    amount: int
    balance_after: int
    expires_on: date | None


class JournalEntryAnswer(Told):
    """A recorded entry. It is never changed; a mistake is mended by an entry that ``reverses`` it."""

    number: int
    kind: EntryKind
    source_kind: str
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    policy_version: int
    occurred_at: datetime
    recorded_at: datetime
    reverses: int | None
    hash: Digest
    legs: list[EntryLegAnswer]


class JournalEntryPage(Told):
    """Entries in order of number. ``next_after`` is null on the last page."""

    items: list[JournalEntryAnswer]
    next_after: int | None


class FindingAnswer(Told):
    """One fault, and the entry or account that shows it."""

    fault: Fault
    where: str


class VerificationAnswer(Told):
    """The newest entries recomputed, from ``since`` on (all where it is 1).

    ``findings`` is in order; the first is where it broke; ``omitted`` further ones are not told.
    """

    entries: int
    lines: int
    accounts: int
    seals: int
    since: int
    head_hash: Digest
    merkle_root: Digest | None
    sound: bool
    findings: list[FindingAnswer]
    omitted: int


Since = Annotated[datetime | None, QueryParameter(description="90 days before `until` unless named")]
Until = Annotated[datetime | None, QueryParameter(description="now unless named")]


@get("/statement", opt=SIGNED_IN, operation_id="get_statement")
async def statement(
    request: SignedIn,
    of: Annotated[StatementOf, QueryParameter(description="which account")] = StatementOf.POINTS,
    member_id: Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")] = None,
    since: Since = None,
    until: Until = None,
) -> StatementAnswer:
    """Return an account's opening balance, lines and closing balance over [since, until) of recorded time."""
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidValue(field=name, rule="timezone")
        if moment is not None and not plausible(moment):
            raise InvalidValue(field=name, rule="plausible_date")

    async def work(uow: UnitOfWork, actor: Actor) -> StatementAnswer:
        member = actor.ledger_ref
        if member_id is not None:
            member = (await people.view_person(uow, actor, member_id)).ledger_ref
        end = until or uow.clock.now() + AHEAD_MAX
        start = since or end - timedelta(days=STATEMENT_DAYS)
        if end <= start:
            raise InvalidValue(field="until", rule="after_from")
        found = await ledger.statement(uow, ACCOUNTS[of](member), start, end)
        return StatementAnswer(
            commodity=found.commodity,
            since=found.from_,
            until=found.to,
            opening=found.opening,
            lines=[StatementLineAnswer.of(line) for line in found.lines],
            closing=found.closing,
            more=found.more,
        )

    return await read(request, work)


@get("/trial-balance", opt=may(*READERS), operation_id="get_trial_balance")
async def trial_balance(request: SignedIn) -> TrialBalanceAnswer:
    """Sum every account by kind and commodity."""

    async def work(uow: UnitOfWork, _actor: Actor) -> TrialBalanceAnswer:
        return TrialBalanceAnswer.of(await ledger.trial_balance(uow))

    return await read(request, work)


@get("/journal-entries", opt=may(*READERS), operation_id="list_journal_entries")
async def entries(
    request: SignedIn,
    kind: Annotated[EntryKind | None, QueryParameter(description="only these")] = None,
    after: AfterNumber = 0,
    limit: Limit = PAGE_DEFAULT,
) -> JournalEntryPage:
    """List recorded entries in order of number."""

    async def work(uow: UnitOfWork, _actor: Actor) -> JournalEntryPage:
        found = await ledger.entries(uow, after=after, limit=limit, kind=kind)
        items = [JournalEntryAnswer.of(entry) for entry in found]
        return JournalEntryPage(items=items, next_after=items[-1].number if len(items) == limit else None)

    return await read(request, work)


@get("/journal-entries/{number:int}", opt=may(*READERS), operation_id="get_journal_entry")
async def entry(request: SignedIn, number: FromPath[int]) -> JournalEntryAnswer:
    """Return one entry with its postings. Raises NotFound."""
    if not 0 < number <= NUMBER_MAX:
        raise NotFound(what="journal_entry")

    async def work(uow: UnitOfWork, _actor: Actor) -> JournalEntryAnswer:
        return JournalEntryAnswer.of(await ledger.entry(uow, number))

    return await read(request, work)


@get("/verification", opt=may(*READERS), operation_id="verify_books")
async def verification(request: SignedIn) -> VerificationAnswer:
    """Recompute the newest 20,000 entries from their rows: hashes, balances, tree and seals.

    All of it, however long, is recomputed by ``pointsbank audit verify``. One at a time. Raises
    TooManyReaders.
    """
    at = desk(request)
    key = seals.known_key(at.settings.data)
    async with (
        RECOMPUTING.enter(),
        at.database.unit_of_work(request.auth.community_id, snapshot=True) as uow,
    ):
        return VerificationAnswer.of(await verify_recent(uow, public_key=key))


router = Router("/", route_handlers=[statement, trial_balance, entries, entry, verification], tags=["books"])
