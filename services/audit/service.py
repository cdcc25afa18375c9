"""The questions an auditor asks of a period, and the sample to ask the elders by.

A period is of recorded time: its entries are a contiguous range of numbers, nothing that was recorded in it
can slip out by saying that it happened at another time, and every question reads that range and no more. A
period that has not ended grows; the range of numbers does not, and a sample can be drawn by it again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TypeVar
from uuid import UUID

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.journal import EntryKind, SourceKind
from pointsbank.domain.points import MILLI, MINUTES_PER_HOUR
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.sampling import WEIGHTS, Draw, require_weights
from pointsbank.platform.clock import local_day
from pointsbank.platform.database import UnitOfWork
from services.audit import circles, store
from services.audit.views import (
    Confirmations,
    Drawn,
    EntryBrief,
    Flow,
    LongDay,
    Named,
    Page,
    Period,
    Reversal,
    ReversalGroup,
    ReversalGroups,
    Rings,
    Sample,
    SelfActed,
    WeakConfirmer,
)
from services.ledger import service as ledger
from services.people import service as people
from services.people.views import PersonInfo

PAGE_MAX = 200
PERIOD_DAYS_MAX = 400
"""A period holds a year and some days: a question reads its entries one by one."""

REVERSALS_MAX = 10_000
FLOWS_MAX = 20_000
GRID_LINES_MAX = 1_000
RANKED_MAX = 100_000
"""How far a ranked answer can be paged through."""

EXPECTED_OF_ONESELF = frozenset(
    {EntryKind.HOLD, EntryKind.CAPTURE, EntryKind.VOID, EntryKind.GIFT, EntryKind.DONATION}
)
"""Kinds whose actor is their subject every day: members order, cancel, give and donate for themselves, and a
redemption's end cites the member who ordered. What brings somebody points is decided by somebody else."""

NAMED_AMOUNTS = frozenset(
    {
        EntryKind.EARNING,
        EntryKind.GIFT,
        EntryKind.DONATION,
        EntryKind.GRANT,
        EntryKind.ADJUSTMENT,
        EntryKind.REVERSAL,
    }
)
"""Kinds whose amount somebody names or brings about. Holds and what follows from them have the price of what
is ordered; expiry and settlement are machines' work at night."""

NIGHT = (time(22), time(6))
ROUND_POINTS = 10
WEAK_STRENGTH_MAX = 2
"""A witness's word, or a paper record: the weaker half of ``visit.STRENGTH``."""

Item = TypeVar("Item")


async def period(uow: UnitOfWork, since: datetime, until: datetime) -> Period:
    """Return the period of recorded time [since, until). Raises InvalidValue."""
    for field, moment in (("since", since), ("until", until)):
        if moment.tzinfo is None:
            raise InvalidValue(field=field, rule="timezone")
    if until <= since:
        raise InvalidValue(field="until", rule="after_from")
    if until - since > timedelta(days=PERIOD_DAYS_MAX):
        raise InvalidValue(field="until", rule=f"within_{PERIOD_DAYS_MAX}_days")
    return Period(
        since,
        until,
        await store.last_entry_before(uow, since),
        await store.last_entry_before(uow, until),
        (await people.community(uow)).timezone,
    )


async def period_of_days(uow: UnitOfWork, first: date, last: date) -> Period:
    """Return the period of the local days ``first`` to ``last``, both included. Raises InvalidValue."""
    if last < first:
        raise InvalidValue(field="until", rule="after_from")
    timezone = (await people.community(uow)).timezone
    return await period(uow, local_day(first, timezone)[0], local_day(last, timezone)[1])


async def period_of_entries(uow: UnitOfWork, after: int, through: int, *, field: str = "entries") -> Period:
    """Return the period of the entries numbered after < n <= through.

    Raises InvalidValue, of ``field``: such as when not all of them are recorded.
    """
    if not 0 <= after < through:
        raise InvalidValue(field=field, rule="entry_range")
    moments = await store.recorded_at(uow, [after + 1, through])
    if after + 1 not in moments or through not in moments:
        raise InvalidValue(field=field, rule="recorded_entries")
    since, last = moments[after + 1], moments[through]
    if last - since > timedelta(days=PERIOD_DAYS_MAX):
        raise InvalidValue(field=field, rule=f"within_{PERIOD_DAYS_MAX}_days")
    timezone = (await people.community(uow)).timezone
    return Period(since, last + timedelta(microseconds=1), after, through, timezone)


def entry_range(text: str) -> tuple[int, int]:
    """Return after and through for a range such as ``17-230``, both included. Raises InvalidValue."""
    first, dash, last = text.strip().partition("-")
    if not (dash and all(each.isascii() and each.isdigit() and len(each) < 17 for each in (first, last))):
        raise InvalidValue(field="entries", rule="entry_range")
    return int(first) - 1, int(last)


async def self_acted(uow: UnitOfWork, asked: Period) -> list[SelfActed]:
    """Return how many entries people posted about themselves, by kind: what nobody expects first."""
    found = await store.self_kinds(uow, asked.after, asked.through)
    counted = [SelfActed(kind, count, kind in EXPECTED_OF_ONESELF) for kind, count in found.items()]
    return sorted(counted, key=lambda each: (each.expected, -each.entries, each.kind))


async def self_entries(
    uow: UnitOfWork, asked: Period, *, kind: EntryKind | None = None, after: int = 0, limit: int = 50
) -> Page[EntryBrief]:
    """Return entries whose actor is their subject: of one kind, or of every kind where it is not expected.

    after: number of the last entry seen.
    """
    kinds = [kind] if kind is not None else [each for each in EntryKind if each not in EXPECTED_OF_ONESELF]
    limit = _limit(limit)
    numbers = await store.self_numbers(
        uow, max(asked.after, after), asked.through, kinds=[each.value for each in kinds], limit=limit + 1
    )
    return await _briefs(uow, numbers, limit)


async def reversals(uow: UnitOfWork, asked: Period, *, after: int = 0, limit: int = 50) -> Page[Reversal]:
    """Return reversals in order of number, with what they take back and why. after: number seen last."""
    limit = _limit(limit)
    found = await _reversals(uow, max(asked.after, after), asked.through, limit + 1)
    return Page(tuple(found[:limit]), found[limit - 1].number if len(found) > limit else None)


async def reversal_groups(uow: UnitOfWork, asked: Period) -> ReversalGroups:
    """Return reversals by kind of what they take back, reason and who decided; the most first.

    Counts the first ``REVERSALS_MAX`` of the period, and says whether there are more.
    """
    sums: dict[tuple[str, str | None, UUID], list[int]] = defaultdict(lambda: [0, 0, 0])
    found = await _reversals(uow, asked.after, asked.through, REVERSALS_MAX + 1)
    for each in found[:REVERSALS_MAX]:
        total = sums[each.reversed_kind, each.reason, each.actor_ref]
        total[0] += 1
        total[1] += each.milli_points
        total[2] += each.minutes
    groups = [ReversalGroup(*key, *total) for key, total in sums.items()]
    groups.sort(key=lambda each: (-each.entries, -each.milli_points, str(each)))
    return ReversalGroups(tuple(groups), len(found) <= REVERSALS_MAX)


async def _reversals(uow: UnitOfWork, after: int, through: int, limit: int) -> list[Reversal]:
    rows = await store.reversals(uow, after, through, limit=limit)
    decided = [row["source_id"] for row in rows if row["source_kind"] == SourceKind.REVERSAL]
    reasons = await store.reasons(uow, decided) if decided else {}
    return [Reversal(**row, reason=reasons.get(row["source_id"])) for row in rows]


async def day_cap_minutes(uow: UnitOfWork) -> int:
    """Return the minutes that the policy in force today credits for a day at most."""
    return (await ledger.policy_on(uow, await people.local_today(uow))).caps.day_minutes


async def long_days(
    uow: UnitOfWork, asked: Period, *, over_minutes: int | None = None, after: int = 0, limit: int = 50
) -> Page[LongDay]:
    """Return volunteers' local days with more than ``over_minutes`` of confirmed service, the longest first.

    The days of visits whose entries were recorded in the period, each counted whole, less the visits whose
    earning was wholly taken back. over_minutes: the policy's cap of a day unless given. after: how many were
    seen.
    """
    threshold = await day_cap_minutes(uow) if over_minutes is None else over_minutes
    if not 0 <= threshold <= 24 * MINUTES_PER_HOUR:
        raise InvalidValue(field="threshold_minutes", rule="between_0_and_1440")
    skip, limit = _skip(after), _limit(limit)
    rows = await store.long_days(
        uow,
        asked.after,
        asked.through,
        timezone=asked.timezone,
        over_minutes=threshold,
        limit=limit + 1,
        skip=skip,
    )
    return _ranked([LongDay(**row) for row in rows], skip, limit)


async def rings(uow: UnitOfWork, asked: Period) -> Rings:
    """Return pairs and rings of up to four members who earn by each other's word or send gifts round.

    See :mod:`services.audit.circles`; the ``FLOWS_MAX`` largest flows of the period are looked at.
    """
    rows = await store.flows(uow, asked.after, asked.through, limit=FLOWS_MAX + 1)
    flows = [Flow(**row) for row in rows[:FLOWS_MAX]]
    found = await asyncio.to_thread(circles.rings, flows)
    return Rings(found.rings, found.complete and len(rows) <= FLOWS_MAX)


async def round_at_night(
    uow: UnitOfWork, asked: Period, *, multiple_points: int = ROUND_POINTS, after: int = 0, limit: int = 50
) -> Page[EntryBrief]:
    """Return entries that moved round points and happened or were recorded at night (``NIGHT``, local time).

    Round is what an entry moves in all: a gift of points from several lots has a line for each of them.
    multiple_points: what counts as round, a multiple of so many points. after: number of the last entry seen.
    """
    if not 1 <= multiple_points <= MILLI * MILLI:
        raise InvalidValue(field="multiple_points", rule="between_1_and_1000000")
    limit = _limit(limit)
    numbers = await store.round_at_night(
        uow,
        max(asked.after, after),
        asked.through,
        kinds=[each.value for each in sorted(NAMED_AMOUNTS)],
        multiple=multiple_points * MILLI,
        timezone=asked.timezone,
        night=NIGHT,
        limit=limit + 1,
    )
    return await _briefs(uow, numbers, limit)


async def confirmations(uow: UnitOfWork, asked: Period) -> list[Confirmations]:
    """Return how the visits behind the period's entries were confirmed, by small grid and method."""
    rows = await store.confirmations(uow, asked.after, asked.through, limit=GRID_LINES_MAX)
    return [Confirmations(**row) for row in rows]


async def weak_confirmers(
    uow: UnitOfWork, asked: Period, *, after: int = 0, limit: int = 50
) -> Page[WeakConfirmer]:
    """Return who confirmed by a weak method, the most often first. after: how many were seen."""
    skip, limit = _skip(after), _limit(limit)
    rows = await store.weak_confirmers(
        uow, asked.after, asked.through, weak_max=WEAK_STRENGTH_MAX, limit=limit + 1, skip=skip
    )
    return _ranked([WeakConfirmer(**row) for row in rows], skip, limit)


async def sample(
    uow: UnitOfWork, asked: Period, *, seed: str, size: int, weights: dict[int, int] | None = None
) -> Sample:
    """Draw earning entries of a period, those that were confirmed weakly more often.

    size: how many; fewer when there are not so many. weights: tickets by strength (0: no visit stands behind
    the entry). The draw is that of :mod:`pointsbank.domain.sampling`: the same seed draws the same entries.
    An entry that was taken back takes part, and says so when it is drawn: who draws again after a reversal
    draws the same, and what was taken back is asked about like any other. Raises InvalidValue.
    """
    weights = dict(WEIGHTS if weights is None else weights)
    require_weights(weights)
    draw = Draw(seed, uow.community_id, size)
    async for page in store.population(uow, asked.after, asked.through):
        for number, strength in page:
            draw.offer(number, weights[strength])
    numbers = draw.drawn()
    rows = await store.drawn(uow, numbers)
    return Sample(
        seed=seed,
        size=size,
        community_id=uow.community_id,
        period=asked,
        weights=weights,
        population=draw.seen,
        tickets=draw.tickets,
        drawn=tuple(
            Drawn(place=place, weight=weights[rows[number]["strength"]], **rows[number])
            for place, number in enumerate(numbers, start=1)
        ),
    )


async def numbered(uow: UnitOfWork, drawn: Sample) -> dict[UUID, Named]:
    """Return by what number each person of a sample goes, by person's id and by pseudonym."""
    return {key: Named(_number(person)) for key, person in (await _people_of(uow, drawn)).items()}


async def named(uow: UnitOfWork, drawn: Sample, actor: Actor) -> dict[UUID, Named]:
    """Return the same with names and phones, for who may see them. Raises NotAllowed."""
    actor.require(*READERS, action="view_person")
    return {
        key: Named(_number(person), person.name, person.phone)
        for key, person in (await _people_of(uow, drawn)).items()
    }


async def _people_of(uow: UnitOfWork, drawn: Sample) -> dict[UUID, PersonInfo]:
    ids = {
        person
        for each in drawn.drawn
        for person in (each.elder_id, each.volunteer_id, each.confirmer_id)
        if person is not None
    }
    by_ref = await people.people_by_ledger_ref(uow, sorted({each.volunteer_ref for each in drawn.drawn}))
    return {**await people.people_by_id(uow, sorted(ids)), **by_ref}


def _number(person: PersonInfo) -> str:
    return person.member_number or person.ledger_ref.hex[:8]


async def _briefs(uow: UnitOfWork, numbers: Sequence[int], limit: int) -> Page[EntryBrief]:
    shown = numbers[:limit]
    found = [EntryBrief(**row) for row in await store.briefs(uow, shown)]
    return Page(tuple(found), shown[-1] if len(numbers) > limit else None)


def _ranked(found: Sequence[Item], skip: int, limit: int) -> Page[Item]:
    return Page(tuple(found[:limit]), skip + limit if len(found) > limit else None)


def _limit(limit: int) -> int:
    return max(1, min(limit, PAGE_MAX))


def _skip(after: int) -> int:
    if after > RANKED_MAX:
        raise InvalidValue(field="after", rule=f"at_most_{RANKED_MAX}")
    return max(0, after)
