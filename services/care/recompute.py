"""Earning entries derived again from their visits, as they were decided.

An entry's amounts follow from its visit (kind, minutes, end), the version it cites, and what the volunteer
had before it: minutes credited that day, points of the year (of either what was not taken back by then),
points in the account, all as of the entry before. Whatever else the journal says was not earned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pointsbank.domain.earning import earning_entry
from pointsbank.domain.journal import EntryKind, SourceKind
from pointsbank.domain.points import Minutes
from pointsbank.domain.policy import EarnedSoFar, Policy
from pointsbank.platform.clock import local_date, local_day, local_year
from pointsbank.platform.database import UnitOfWork
from services.care import visit_store
from services.ledger import history
from services.ledger import policies as ledger_policies
from services.ledger import service as ledger
from services.ledger.history import BeforeEntry, Stood
from services.ledger.views import EntryInfo, PolicyVersionInfo
from services.people import service as people
from services.people.views import PersonInfo

PAGE = 200

Rules = Sequence[tuple[PolicyVersionInfo, Policy]]
"""Every version of the policy, with when it was added."""

Progress = Callable[[int], None]
"""Is told the number of the last entry looked at."""


class EarningFault(StrEnum):
    """What does not follow from an earning's source."""

    NO_VISIT = "no_visit"  # it cites no confirmed visit
    ANOTHER_ENTRY = "another_entry"  # its visit was paid by another entry
    WRONG_MEMBER = "wrong_member"  # it concerns somebody else than the visit's volunteer
    WRONG_POLICY = "wrong_policy"  # not the version by which it was to be judged
    WRONG_TIME = "wrong_time"  # it happened at another time than the visit's end
    WRONG_AMOUNTS = "wrong_amounts"  # what it moves, from whom to whom, until when
    WRONG_CLIPPED = "wrong_clipped"  # what the visit says the caps left and took


@dataclass(frozen=True, slots=True)
class EarningDifference:
    """One earning entry that is not what it should be. recorded, derived: in words for an auditor."""

    number: int
    fault: EarningFault
    recorded: str
    derived: str


async def recompute_earnings(
    uow: UnitOfWork, *, since: date | None = None, progress: Progress | None = None
) -> AsyncIterator[EarningDifference]:
    """Yield every difference between recorded earnings and what they follow from, in order of number.

    since: only entries recorded from that local day on. Holds one page of entries at a time, however long
    the journal is. Run it in a snapshot, so that nothing moves meanwhile.
    """
    timezone = (await people.community(uow)).timezone
    after = 0 if since is None else await ledger.last_number_before(uow, local_day(since, timezone)[0])
    rules = [(each, await ledger.policy(uow, each.version)) for each in await ledger_policies.versions(uow)]
    while page := await ledger.entries(uow, after=after, limit=PAGE, kind=EntryKind.EARNING):
        for difference in await _compare(uow, page, rules, timezone):
            yield difference
        after = page[-1].number
        if progress is not None:
            progress(after)


async def _compare(
    uow: UnitOfWork, page: Sequence[EntryInfo], rules: Rules, timezone: str
) -> list[EarningDifference]:
    policies = {policy.version: policy for _, policy in rules}
    sources = [entry.source_id for entry in page if entry.source_kind == SourceKind.VISIT]
    visits = {row["id"]: row for row in await visit_store.visits(uow, sources)}
    volunteers = await people.people_by_id(uow, sorted({row["volunteer_id"] for row in visits.values()}))
    found: list[EarningDifference] = []
    sound: list[tuple[EntryInfo, dict[str, Any], PersonInfo]] = []
    for entry in page:
        visit = visits.get(entry.source_id)
        if visit is None or visit["checked_out_at"] is None or visit["confirmed_at"] is None:
            found.append(EarningDifference(entry.number, EarningFault.NO_VISIT, _moves(entry), "nothing"))
            continue
        volunteer = volunteers[visit["volunteer_id"]]
        wrong = _misplaced(entry, visit, volunteer, rules, timezone)
        if wrong is None:
            sound.append((entry, visit, volunteer))
        else:
            found.append(wrong)
    for (entry, visit, volunteer), so_far in zip(sound, await _so_far(uow, sound, timezone), strict=True):
        found += _derived(entry, visit, volunteer, policies[entry.policy_version], so_far, timezone)
    return sorted(found, key=lambda difference: difference.number)


def _misplaced(
    entry: EntryInfo, visit: dict[str, Any], volunteer: PersonInfo, rules: Rules, timezone: str
) -> EarningDifference | None:
    """Return what of an entry's particulars does not fit its visit, or None."""
    day = local_date(visit["checked_out_at"], timezone)
    if visit["entry_number"] != entry.number:
        return EarningDifference(
            entry.number, EarningFault.ANOTHER_ENTRY, _moves(entry), f"entry {visit['entry_number']}"
        )
    if entry.subject_ref != volunteer.ledger_ref:
        return EarningDifference(
            entry.number, EarningFault.WRONG_MEMBER, str(entry.subject_ref), str(volunteer.ledger_ref)
        )
    decided_by = _version_for(visit["kind"], day, entry.recorded_at, rules)
    if not entry.policy_version == visit["policy_version"] == decided_by:
        return EarningDifference(
            entry.number,
            EarningFault.WRONG_POLICY,
            f"version {entry.policy_version}, the visit version {visit['policy_version']}",
            f"version {decided_by} for {visit['kind']} on {day}",
        )
    if entry.occurred_at != visit["checked_out_at"]:
        return EarningDifference(
            entry.number,
            EarningFault.WRONG_TIME,
            entry.occurred_at.isoformat(),
            visit["checked_out_at"].isoformat(),
        )
    return None


def _version_for(kind: str, day: date, at: datetime, rules: Rules) -> int | None:
    """Return the version by which service of ``kind`` on ``day`` was to be judged at that moment.

    As :func:`services.ledger.service.policy_for_kind` finds it, among the versions there were.
    """
    fitting = [
        (policy.effective_from, policy.version)
        for version, policy in rules
        if version.created_at <= at and policy.effective_from <= day and kind in policy.kinds
    ]
    return max(fitting)[1] if fitting else None


def _derived(
    entry: EntryInfo,
    visit: dict[str, Any],
    volunteer: PersonInfo,
    policy: Policy,
    so_far: EarnedSoFar,
    timezone: str,
) -> list[EarningDifference]:
    """Return how an entry and its visit's own word differ from what the visit earns."""
    earning = policy.earning(visit["kind"], Minutes(visit["minutes"]), so_far)
    made = earning_entry(
        visit["id"],
        earning,
        volunteer=volunteer.ledger_ref,
        confirmer=entry.actor_ref,
        policy_version=policy.version,
        occurred_at=entry.occurred_at,
        expires_on=policy.expires_on(local_date(visit["checked_out_at"], timezone)),
    )
    found: list[EarningDifference] = []
    derived = [
        (transfer.source, transfer.target, transfer.amount, transfer.expires_on)
        for transfer in (made.transfers if made is not None else ())
    ]
    recorded = [
        (transfer.source, transfer.target, transfer.amount, day)
        for transfer, day in zip(entry.transfers, _days(entry), strict=True)
    ]
    if recorded != derived:
        found.append(
            EarningDifference(
                entry.number, EarningFault.WRONG_AMOUNTS, _told(recorded), _told(derived) or "nothing"
            )
        )
    said = (visit["credited_minutes"], visit["clipped_milli_points"] or 0)
    if said != (earning.minutes, earning.clipped_milli_points):
        found.append(
            EarningDifference(
                entry.number,
                EarningFault.WRONG_CLIPPED,
                f"{said[0]} minutes credited, {said[1]} milli-points clipped",
                f"{earning.minutes} minutes credited, {earning.clipped_milli_points} milli-points clipped",
            )
        )
    return found


async def _so_far(
    uow: UnitOfWork, sound: Sequence[tuple[EntryInfo, dict[str, Any], PersonInfo]], timezone: str
) -> list[EarnedSoFar]:
    """Return what each volunteer had just before each entry."""
    if not sound:
        return []
    days = [local_date(visit["checked_out_at"], timezone) for _, visit, _ in sound]
    asked = [
        BeforeEntry(volunteer.ledger_ref, entry.number, local_year(day, timezone))
        for (entry, _, volunteer), day in zip(sound, days, strict=True)
    ]
    stood: list[Stood] = await history.stood_before(uow, asked)
    span: tuple[datetime, datetime] = (local_day(min(days), timezone)[0], local_day(max(days), timezone)[1])
    credited: dict[tuple[UUID, date], list[tuple[int, int]]] = defaultdict(list)
    rows = await visit_store.credited(uow, sorted({volunteer.id for *_, volunteer in sound}), *span)
    back = await ledger.minutes_taken_back(uow, [row["entry_number"] for row in rows])
    for row in rows:
        moved = credited[row["volunteer_id"], local_date(row["checked_out_at"], timezone)]
        moved.append((row["entry_number"], row["credited_minutes"]))
        if row["entry_number"] in back:
            by, minutes = back[row["entry_number"]]
            moved.append((by, -minutes))
    return [
        EarnedSoFar(
            day_minutes=Minutes(
                sum(minutes for number, minutes in credited[volunteer.id, day] if number < entry.number)
            ),
            year_milli_points=before.year,
            account_milli_points=before.account,
        )
        for (entry, _, volunteer), day, before in zip(sound, days, stood, strict=True)
    ]


def _days(entry: EntryInfo) -> list[date | None]:
    return [leg.expires_on for leg in entry.legs[1::2]]


def _moves(entry: EntryInfo) -> str:
    return _told(
        [
            (transfer.source, transfer.target, transfer.amount, day)
            for transfer, day in zip(entry.transfers, _days(entry), strict=True)
        ]
    )


def _told(moves: Sequence[tuple[Any, Any, int, date | None]]) -> str:
    return "; ".join(
        f"{source.kind} to {target.kind} of {str(target.owner)[:8]}: {amount} {target.commodity}"
        + (f" until {day}" if day is not None else "")
        for source, target, amount, day in moves
    )
