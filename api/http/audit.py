"""The questions an auditor asks of a period of recorded time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Annotated, TypeVar
from uuid import UUID

from litestar import Router, get
from litestar.params import QueryParameter

from api.auth import may
from api.dependencies import SignedIn, read
from api.http.moments import require_moments
from api.http.sample import sample
from api.http.wire import PAGE_DEFAULT, AfterNumber, Limit, Told
from pointsbank.domain.journal import EntryKind
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.database import UnitOfWork
from services.audit import service as audit
from services.audit.views import Period


class AuditedEntry(Told):
    """An entry in one line. ``milli_points`` and ``minutes``: what it moved of each.

    ``reversed_by``: number of the entry that took it back, whole or in part; null where none did.
    """

    number: int
    kind: EntryKind
    source_kind: str
    source_id: UUID
    actor_ref: UUID
    subject_ref: UUID
    occurred_at: datetime
    recorded_at: datetime
    milli_points: int
    minutes: int
    reversed_by: int | None


class AuditedEntryPage(Told):
    """Entries in order of number. ``next_after`` is null on the last page."""

    items: list[AuditedEntry]
    next_after: int | None


class SelfActedKind(Told):
    """Entries of one kind whose actor is their subject; ``expected``: members do that every day."""

    kind: EntryKind
    entries: int
    expected: bool


class SelfActedAnswer(Told):
    """Every kind counted, what nobody expects first; ``items``: those entries (or those of ``kind``)."""

    kinds: list[SelfActedKind]
    items: list[AuditedEntry]
    next_after: int | None


class AuditedReversal(Told):
    """A reversal and what it takes back. ``reason``: of the decision it cites; null when it cites none."""

    number: int
    reverses: int
    reversed_kind: EntryKind
    reason: str | None
    actor_ref: UUID
    subject_ref: UUID
    occurred_at: datetime
    recorded_at: datetime
    milli_points: int
    minutes: int


class ReversalGroupAnswer(Told):
    """Reversals of one kind of entry, for one reason, by one person."""

    reversed_kind: EntryKind
    reason: str | None
    actor_ref: UUID
    entries: int
    milli_points: int
    minutes: int


class ReversalsAnswer(Told):
    """Reversals in groups, the largest first, and one by one in order of number.

    ``groups_complete``: false when there are more than are counted in groups.
    """

    groups: list[ReversalGroupAnswer]
    groups_complete: bool
    items: list[AuditedReversal]
    next_after: int | None


class LongDayAnswer(Told):
    """A volunteer's local day. ``minutes``: confirmed; ``credited_minutes``: what the caps left of them.

    Visits whose earning was wholly taken back do not count.
    """

    volunteer_ref: UUID
    day: date
    visits: int
    minutes: int
    credited_minutes: int
    last_entry: int


class LongDayPage(Told):
    """Days beyond the threshold, the longest first. ``next_after`` is null on the last page."""

    threshold_minutes: int
    items: list[LongDayAnswer]
    next_after: int | None


class FlowAnswer(Told):
    """What went from one to another, less what was taken back: earned on the giver's word, or given."""

    giver: UUID
    taker: UUID
    entries: int
    milli_points: int
    minutes: int
    last_entry: int


class RingAnswer(Told):
    """Members who pass something round. ``milli_points``: the smallest of the flows: it went all the way."""

    members: list[UUID]
    flows: list[FlowAnswer]
    milli_points: int


class RingPage(Told):
    """Rings of two to four, the strongest first. ``complete``: false when weaker ones were left out."""

    items: list[RingAnswer]
    complete: bool
    next_after: int | None


class ConfirmationsLine(Told):
    """Visits confirmed in one way in one small grid. ``strength``: 4 (the elder) to 1 (a paper record)."""

    small_grid: int | None
    method: ConfirmationMethod
    strength: int
    visits: int
    minutes: int
    last_entry: int


class WeakConfirmerAnswer(Told):
    """Who confirmed weakly (strength 2 or less), how often, of how many."""

    confirmer_ref: UUID
    weak: int
    visits: int
    weak_minutes: int
    last_entry: int


class ConfirmationsAnswer(Told):
    """Confirmations by small grid and method; ``items``: who gave weak ones, the most often first."""

    grids: list[ConfirmationsLine]
    items: list[WeakConfirmerAnswer]
    next_after: int | None


Since = Annotated[datetime, QueryParameter(description="recorded from then on")]
Until = Annotated[datetime, QueryParameter(description="and before then; at most 400 days later")]
AfterRank = Annotated[
    int, QueryParameter(ge=0, le=audit.RANKED_MAX, description="`next_after` of the page before")
]

Answer = TypeVar("Answer", bound=Told)


async def _of_period(
    request: SignedIn,
    since: datetime,
    until: datetime,
    ask: Callable[[UnitOfWork, Period], Awaitable[Answer]],
) -> Answer:
    require_moments(since=since, until=until)

    async def work(uow: UnitOfWork, _actor: Actor) -> Answer:
        return await ask(uow, await audit.period(uow, since, until))

    return await read(request, work)


@get("/self-acted", opt=may(*READERS), operation_id="list_self_acted_entries")
async def self_acted(
    request: SignedIn,
    since: Since,
    until: Until,
    kind: Annotated[EntryKind | None, QueryParameter(description="only these")] = None,
    after: AfterNumber = 0,
    limit: Limit = PAGE_DEFAULT,
) -> SelfActedAnswer:
    """Count entries whose actor is also their subject, and list those where nobody expects it."""

    async def ask(uow: UnitOfWork, period: Period) -> SelfActedAnswer:
        found = await audit.self_entries(uow, period, kind=kind, after=after, limit=limit)
        return SelfActedAnswer(
            kinds=[SelfActedKind.of(each) for each in await audit.self_acted(uow, period)],
            items=[AuditedEntry.of(each) for each in found.items],
            next_after=found.next_after,
        )

    return await _of_period(request, since, until, ask)


@get("/reversals", opt=may(*READERS), operation_id="list_reversals")
async def reversals(
    request: SignedIn, since: Since, until: Until, after: AfterNumber = 0, limit: Limit = PAGE_DEFAULT
) -> ReversalsAnswer:
    """Group reversals by what they take back, why and who decided, and list them."""

    async def ask(uow: UnitOfWork, period: Period) -> ReversalsAnswer:
        found = await audit.reversals(uow, period, after=after, limit=limit)
        grouped = await audit.reversal_groups(uow, period)
        return ReversalsAnswer(
            groups=[ReversalGroupAnswer.of(each) for each in grouped.groups],
            groups_complete=grouped.complete,
            items=[AuditedReversal.of(each) for each in found.items],
            next_after=found.next_after,
        )

    return await _of_period(request, since, until, ask)


@get("/long-days", opt=may(*READERS), operation_id="list_long_days")
async def long_days(
    request: SignedIn,
    since: Since,
    until: Until,
    threshold_minutes: Annotated[
        int | None, QueryParameter(ge=0, le=1440, description="the policy's cap of a day unless named")
    ] = None,
    after: AfterRank = 0,
    limit: Limit = PAGE_DEFAULT,
) -> LongDayPage:
    """List volunteers' local days with more confirmed minutes than the threshold, the longest first."""

    async def ask(uow: UnitOfWork, period: Period) -> LongDayPage:
        over = await audit.day_cap_minutes(uow) if threshold_minutes is None else threshold_minutes
        found = await audit.long_days(uow, period, over_minutes=over, after=after, limit=limit)
        return LongDayPage(
            threshold_minutes=over,
            items=[LongDayAnswer.of(each) for each in found.items],
            next_after=found.next_after,
        )

    return await _of_period(request, since, until, ask)


@get("/rings", opt=may(*READERS), operation_id="list_rings")
async def rings(
    request: SignedIn, since: Since, until: Until, after: AfterRank = 0, limit: Limit = PAGE_DEFAULT
) -> RingPage:
    """List pairs and rings of up to four members who earn by each other's word or send gifts round."""

    async def ask(uow: UnitOfWork, period: Period) -> RingPage:
        found = await audit.rings(uow, period)
        through = after + limit
        return RingPage(
            items=[RingAnswer.of(each) for each in found.rings[after:through]],
            complete=found.complete,
            next_after=through if len(found.rings) > through else None,
        )

    return await _of_period(request, since, until, ask)


@get("/round-at-night", opt=may(*READERS), operation_id="list_round_amounts_at_night")
async def round_at_night(
    request: SignedIn,
    since: Since,
    until: Until,
    multiple_points: Annotated[
        int, QueryParameter(ge=1, le=1_000_000, description="round is a multiple of so many points")
    ] = audit.ROUND_POINTS,
    after: AfterNumber = 0,
    limit: Limit = PAGE_DEFAULT,
) -> AuditedEntryPage:
    """List entries of round points that happened or were recorded between 22:00 and 06:00 local time."""

    async def ask(uow: UnitOfWork, period: Period) -> AuditedEntryPage:
        found = await audit.round_at_night(
            uow, period, multiple_points=multiple_points, after=after, limit=limit
        )
        return AuditedEntryPage(
            items=[AuditedEntry.of(each) for each in found.items], next_after=found.next_after
        )

    return await _of_period(request, since, until, ask)


@get("/confirmations", opt=may(*READERS), operation_id="list_confirmations")
async def confirmations(
    request: SignedIn, since: Since, until: Until, after: AfterRank = 0, limit: Limit = PAGE_DEFAULT
) -> ConfirmationsAnswer:
    """Count confirmations by small grid, method and strength, and list who gave the weak ones."""

    async def ask(uow: UnitOfWork, period: Period) -> ConfirmationsAnswer:
        found = await audit.weak_confirmers(uow, period, after=after, limit=limit)
        return ConfirmationsAnswer(
            grids=[ConfirmationsLine.of(each) for each in await audit.confirmations(uow, period)],
            items=[WeakConfirmerAnswer.of(each) for each in found.items],
            next_after=found.next_after,
        )

    return await _of_period(request, since, until, ask)


router = Router(
    "/audit",
    route_handlers=[self_acted, reversals, long_days, rings, round_at_night, confirmations, sample],
    tags=["audit"],
)
