"""Service already rendered, recorded in bulk: from paper, and from the demo world.

Everything is judged and written a chunk at a time; a chunk is one unit of work, so that a crash leaves
whole chunks only and the content keys let the rest go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from pointsbank.domain import accounts
from pointsbank.domain.earning import earning_entry
from pointsbank.domain.errors import NotFound
from pointsbank.domain.journal import JournalEntry
from pointsbank.domain.points import MilliPoints, Minutes
from pointsbank.domain.policy import EarnedSoFar, Earning, Policy
from pointsbank.domain.refusal import Refusal
from pointsbank.domain.roles import Role
from pointsbank.domain.service_record import RecordSweep, ServedPeriod, fault_of
from pointsbank.domain.visit import STRENGTH, ConfirmationMethod
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import records_store as store
from services.care.taken import taken
from services.ledger import lots
from services.ledger import service as ledger
from services.people import service as people
from services.people.views import PersonInfo

RECORDS_CHUNK = 2_000
"""How many records to give :func:`record_visits` at once: one batch of the ledger."""


class OutcomeKind(StrEnum):
    """What became of a record."""

    RECORDED = "recorded"
    ALREADY = "already"  # the same content was recorded before, or stands earlier in the same call
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class VisitRecord:
    """One visit that took place and was confirmed. The instants are aware.

    content_key: 32 bytes, the same whenever the same record comes again. label: what to call the record
    when another overlaps it (a row number). confirmed_at: None for the moment of recording.
    """

    volunteer_id: UUID
    elder_id: UUID
    kind: str
    started_at: datetime
    ended_at: datetime
    confirmer_id: UUID
    content_key: bytes
    method: ConfirmationMethod = ConfirmationMethod.RECORD
    confirmed_at: datetime | None = None
    help_request_id: UUID | None = None
    label: str = ""

    @property
    def period(self) -> ServedPeriod:
        """The record as the domain judges it."""
        return ServedPeriod(
            self.volunteer_id, self.elder_id, self.confirmer_id, self.started_at, self.ended_at
        )


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """The answer to one record. ``visit_id`` unless refused (in a judgement: unless it would be new)."""

    kind: OutcomeKind
    visit_id: UUID | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class _Judged:
    outcome: RecordOutcome
    policy: Policy | None = None
    day: date | None = None


async def judge_visits(
    uow: UnitOfWork, records: Sequence[VisitRecord], sweep: RecordSweep
) -> list[RecordOutcome]:
    """Say what :func:`record_visits` would do with each record, in order, and write nothing.

    ``records`` come in order of volunteer, start, end and content key, over as many calls as it takes
    with the same ``sweep``: it remembers what those before them took.
    """
    return [judged.outcome for judged in await _judge(uow, records, await _people(uow, records), sweep)]


async def record_visits(uow: UnitOfWork, records: Sequence[VisitRecord]) -> list[RecordOutcome]:
    """Record confirmed visits and what they earn, and return an outcome for each, in order.

    Within a volunteer the records are taken in order of start, whatever their order here. Refused by name:
    records that overlap another or a visit of the bank, that pass the day's cap, that end before they
    start or in the future, of people unknown or without the volunteer's role, confirmed by the volunteer,
    of a kind the policy of the day does not know. The caps of the year and of the account clip what is
    earned, and what they clip is stored.
    """
    order = sorted(range(len(records)), key=lambda place: _in_time(records[place]))
    ordered = [records[place] for place in order]
    known = await _people(uow, records)
    await people.lock_people(uow, sorted({record.volunteer_id for record in records} & known.keys()))
    judged = await _judge(uow, ordered, known, RecordSweep())
    accepted = [(record, judge) for record, judge in zip(ordered, judged, strict=True) if judge.policy]
    visits = await _post(uow, accepted, {person.id: person.ledger_ref for person in known.values()})
    outcomes = [RecordOutcome(OutcomeKind.REFUSED)] * len(records)
    for place, record, verdict in zip(order, ordered, judged, strict=True):
        visit_id = visits.get(record.content_key)
        outcomes[place] = verdict.outcome
        if verdict.outcome.kind is not OutcomeKind.REFUSED and visit_id is not None:
            outcomes[place] = RecordOutcome(verdict.outcome.kind, visit_id)
    return outcomes


def _in_time(record: VisitRecord) -> tuple[UUID, datetime, datetime, bytes]:
    return record.volunteer_id, record.started_at, record.ended_at, record.content_key


async def _people(uow: UnitOfWork, records: Sequence[VisitRecord]) -> dict[UUID, PersonInfo]:
    ids = {person for r in records for person in (r.volunteer_id, r.elder_id, r.confirmer_id)}
    return await people.people_by_id(uow, sorted(ids))


async def _judge(
    uow: UnitOfWork, records: Sequence[VisitRecord], known: dict[UUID, PersonInfo], sweep: RecordSweep
) -> list[_Judged]:
    """Judge records in order; a policy stands beside those that are to be written."""
    now = uow.clock.now()
    timezone = (await people.community(uow)).timezone
    seen: dict[bytes, UUID | None] = dict(
        await store.known_keys(uow, [record.content_key for record in records])
    )
    sound = [r for r in records if r.content_key not in seen and fault_of(r.period, now=now) is None]
    policies = await _policies(uow, {local_date(record.ended_at, timezone) for record in sound})
    busy = await taken(uow, [record.period for record in sound], timezone)
    answers: list[_Judged] = []
    for record in records:
        if record.content_key in seen or record.content_key == sweep.last_key:
            answers.append(_Judged(RecordOutcome(OutcomeKind.ALREADY, seen.get(record.content_key))))
            continue
        refusal = fault_of(record.period, now=now) or _unfit(record, known)
        if refusal is not None:
            answers.append(_refused(refusal))
            continue
        day = local_date(record.ended_at, timezone)
        policy = policies.get(day)
        if policy is None:
            answers.append(_refused(Refusal("end", "no_policy_that_day", {"day": day.isoformat()})))
        elif record.kind not in policy.kinds:
            answers.append(_refused(Refusal("kind", "unknown_kind", {"kind": record.kind})))
        elif visit := busy.across(record.period):
            facts = _when(visit.checked_in_at, visit.checked_out_at, timezone)
            answers.append(_refused(Refusal("start", "overlaps_visit", facts)))
        else:
            refusal = sweep.take(
                record.period,
                day,
                key=record.content_key,
                label=record.label,
                bank_minutes=busy.credited[record.volunteer_id, day],
                day_cap=policy.caps.day_minutes,
            )
            if refusal is None:
                seen[record.content_key] = None
                answers.append(_Judged(RecordOutcome(OutcomeKind.RECORDED), policy, day))
            else:
                answers.append(_refused(refusal))
    return answers


def _refused(refusal: Refusal) -> _Judged:
    return _Judged(RecordOutcome(OutcomeKind.REFUSED, refusal=refusal))


def _when(start: datetime, end: datetime | None, timezone: str) -> dict[str, str]:
    zone = ZoneInfo(timezone)
    return {
        "from": start.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
        "to": end.astimezone(zone).strftime("%Y-%m-%d %H:%M") if end is not None else "…",
    }


def _unfit(record: VisitRecord, known: dict[UUID, PersonInfo]) -> Refusal | None:
    """What is wrong with who takes part, or None."""
    for field, person in (
        ("volunteer", record.volunteer_id),
        ("elder", record.elder_id),
        ("confirmer", record.confirmer_id),
    ):
        if person not in known:
            return Refusal(field, "unknown_person")
    if Role.VOLUNTEER not in known[record.volunteer_id].roles:
        return Refusal("volunteer", "not_a_volunteer")
    return None


def _span(first: date, end: date, timezone: str) -> tuple[datetime, datetime]:
    """The instants at which two local days begin."""
    zone = ZoneInfo(timezone)
    return datetime.combine(first, time(), zone), datetime.combine(end, time(), zone)


async def _policies(uow: UnitOfWork, days: Iterable[date]) -> dict[date, Policy]:
    """Return the policy of each day that has one.

    Versions take effect in order, so two days of one version have no other between them: a few look-ups
    answer for any number of days.
    """
    ordered = sorted(days)
    found: dict[int, Policy | None] = {}

    async def at(place: int) -> Policy | None:
        if place not in found:
            try:
                found[place] = await ledger.policy_on(uow, ordered[place])
            except NotFound:
                found[place] = None
        return found[place]

    spans = [(0, len(ordered) - 1)] if ordered else []
    while spans:
        low, high = spans.pop()
        first, last = await at(low), await at(high)
        if (first and first.version) == (last and last.version):
            found.update(dict.fromkeys(range(low, high + 1), first))
        elif high - low > 1:
            middle = (low + high) // 2
            spans += [(low, middle), (middle, high)]
    return {day: policy for place, day in enumerate(ordered) if (policy := found[place]) is not None}


class _SoFar:
    """What each volunteer has before the next record, kept up as records of one call are taken."""

    def __init__(self) -> None:
        self.day: dict[tuple[UUID, date], int] = defaultdict(int)
        self.year: dict[tuple[UUID, int], int] = defaultdict(int)
        self.account: dict[UUID, int] = defaultdict(int)

    def before(self, volunteer: UUID, day: date) -> EarnedSoFar:
        return EarnedSoFar(
            day_minutes=Minutes(self.day[volunteer, day]),
            year_milli_points=MilliPoints(self.year[volunteer, day.year]),
            account_milli_points=MilliPoints(self.account[volunteer]),
        )

    def add(self, volunteer: UUID, day: date, earning: Earning) -> None:
        self.day[volunteer, day] += earning.minutes
        self.year[volunteer, day.year] += earning.milli_points
        self.account[volunteer] += earning.milli_points


async def _so_far(
    uow: UnitOfWork, accepted: Sequence[tuple[VisitRecord, _Judged]], refs: dict[UUID, UUID]
) -> _SoFar:
    timezone = (await people.community(uow)).timezone
    so_far = _SoFar()
    records = [record for record, _ in accepted]
    so_far.day.update((await taken(uow, [record.period for record in records], timezone)).credited)
    volunteers = {record.volunteer_id for record in records}
    for year in sorted({judged.day.year for _, judged in accepted if judged.day is not None}):
        members = {v.volunteer_id for v, j in accepted if j.day is not None and j.day.year == year}
        span = _span(date(year, 1, 1), date(year + 1, 1, 1), timezone)
        earned = await ledger.earned_between_many(uow, [refs[member] for member in members], *span)
        so_far.year.update({(member, year): earned[refs[member]] for member in members})
    codes = {v: (accounts.available(refs[v]), accounts.held(refs[v])) for v in volunteers}
    balances = await ledger.balances(uow, [code for pair in codes.values() for code in pair])
    so_far.account.update({v: sum(balances[code] for code in pair) for v, pair in codes.items()})
    return so_far


async def _post(
    uow: UnitOfWork, accepted: Sequence[tuple[VisitRecord, _Judged]], refs: dict[UUID, UUID]
) -> dict[bytes, UUID]:
    """Post what the accepted records earn and store their visits; return the visits' ids by content key."""
    if not accepted:
        return {}
    await lots.lock(uow)  # what the caps count must still be so when the entries are posted
    so_far = await _so_far(uow, accepted, refs)
    now = uow.clock.now()
    visits: list[tuple[VisitRecord, UUID, Policy, Earning, JournalEntry | None]] = []
    for record, judged in accepted:
        assert judged.policy is not None, "accepted records were judged under a policy"
        assert judged.day is not None, "and on a day"
        visit_id = uuid7()
        earning = judged.policy.earning(
            record.kind, record.period.minutes, so_far.before(record.volunteer_id, judged.day)
        )
        so_far.add(record.volunteer_id, judged.day, earning)
        entry = earning_entry(
            visit_id,
            earning,
            volunteer=refs[record.volunteer_id],
            confirmer=refs[record.confirmer_id],
            policy_version=judged.policy.version,
            occurred_at=record.ended_at,
            expires_on=judged.policy.expires_on(judged.day),
        )
        visits.append((record, visit_id, judged.policy, earning, entry))
    entries = [entry for *_, entry in visits if entry is not None]
    verdicts = await ledger.post_many(uow, entries)
    numbers: dict[str, int | None] = {}
    for entry, verdict in zip(entries, verdicts, strict=True):
        if verdict.error is not None:
            raise verdict.error
        numbers[entry.key] = verdict.number
    await store.insert_confirmed(
        uow,
        [
            store.ConfirmedVisit(
                id=visit_id,
                help_request_id=record.help_request_id,
                volunteer_id=record.volunteer_id,
                elder_id=record.elder_id,
                kind=record.kind,
                started_at=record.started_at,
                ended_at=record.ended_at,
                minutes=record.period.minutes,
                confirmed_by=record.confirmer_id,
                confirmation_method=record.method.value,
                strength=STRENGTH[record.method],
                confirmed_at=record.confirmed_at or now,
                policy_version=policy.version,
                credited_minutes=earning.minutes,
                clipped_milli_points=earning.clipped_milli_points,
                entry_number=numbers[entry.key] if entry is not None else None,
                content_key=record.content_key,
            )
            for record, visit_id, policy, earning, entry in visits
        ],
    )
    return {record.content_key: visit_id for record, visit_id, *_ in visits}
