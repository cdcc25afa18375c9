"""What an auditor may find, planted: visits of any strength, gifts, reversals, entries at any hour."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, Transfer, journal_entry
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.roles import Role
from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.audit import service as audit
from services.audit.views import Period
from services.care.records import OutcomeKind, VisitRecord, record_visits
from services.ledger import service as ledger
from services.people import service as people
from services.people.service import NewPerson, PersonInfo
from tests.worlds import World

WEEK = timedelta(days=7)
"""What is planted lies within so long of the clock; see :func:`recent`."""


async def neighbours(database: Database, world: World, count: int) -> list[PersonInfo]:
    """Take in ``count`` people who are elders and volunteers both: each may serve and be served."""
    async with database.unit_of_work(world.community_id) as uow:
        ids = await people.add_people(
            uow,
            [
                NewPerson(
                    name=f"测试邻{place}",
                    phone=f"1540001{place:04d}",
                    building_id=world.elder.building_id,
                    member_number=f"N{place:03d}",
                    roles={Role.ELDER: None, Role.VOLUNTEER: None},
                )
                for place in range(1, count + 1)
            ],
        )
        found = await people.people_by_id(uow, ids)
    return [found[person_id] for person_id in ids]


async def visited(
    database: Database,
    world: World,
    volunteer: PersonInfo,
    elder: PersonInfo,
    confirmer: PersonInfo,
    *,
    start: datetime,
    minutes: int = 60,
    method: ConfirmationMethod = ConfirmationMethod.ELDER,
) -> int:
    """Record a confirmed visit and return the number of its entry."""
    async with database.unit_of_work(world.community_id) as uow:
        record = VisitRecord(
            volunteer_id=volunteer.id,
            elder_id=elder.id,
            kind="companionship",
            started_at=start,
            ended_at=start + timedelta(minutes=minutes),
            confirmer_id=confirmer.id,
            content_key=sha256(f"{volunteer.id}{start}".encode()).digest(),
            method=method,
            confirmed_at=uow.clock.now(),
        )
        (outcome,) = await record_visits(uow, [record])
        assert outcome.kind is OutcomeKind.RECORDED, outcome
        return (await ledger.entries(uow, newest_first=True, limit=1))[0].number


async def posted(
    database: Database,
    world: World,
    kind: EntryKind,
    transfer: Transfer,
    *,
    actor: UUID,
    subject: UUID,
    occurred_at: datetime | None = None,
    source_kind: SourceKind = SourceKind.VISIT,
) -> int:
    """Post an entry of one transfer that no other document stands behind, and return its number."""
    source = uuid7()
    async with database.unit_of_work(world.community_id) as uow:
        recorded = await ledger.post(
            uow,
            journal_entry(
                kind,
                [transfer],
                origin=Origin(source_kind, source, actor, subject, 1),
                key=f"planted:{source}",
                occurred_at=occurred_at or uow.clock.now(),
            ),
        )
    return recorded.number


async def earned(
    database: Database,
    world: World,
    member: PersonInfo,
    milli_points: int,
    *,
    actor: PersonInfo,
    occurred_at: datetime | None = None,
) -> int:
    """Post an earning without a visit, on ``actor``'s word, and return its number."""
    return await posted(
        database,
        world,
        EntryKind.EARNING,
        Transfer(accounts.issuance(Commodity.POINT), accounts.available(member.ledger_ref), milli_points),
        actor=actor.ledger_ref,
        subject=member.ledger_ref,
        occurred_at=occurred_at,
    )


async def given(
    database: Database, world: World, giver: PersonInfo, taker: PersonInfo, milli_points: int
) -> int:
    """Post a gift and return its number."""
    return await posted(
        database,
        world,
        EntryKind.GIFT,
        Transfer(accounts.available(giver.ledger_ref), accounts.available(taker.ledger_ref), milli_points),
        actor=giver.ledger_ref,
        subject=giver.ledger_ref,
        source_kind=SourceKind.GIFT,
    )


async def taken_back(database: Database, number: int, *, actor: PersonInfo, amount: int | None = None) -> int:
    """Reverse an entry, whole unless an amount of its points is given, and return the reversal's number."""
    async with database.unit_of_work(1) as uow:
        back = None if amount is None else MilliPoints(amount)
        return (await ledger.reverse(uow, number, actor=actor.ledger_ref, amount=back)).number


async def recent(database: Database, world: World, clock: FixedClock) -> Period:
    """Return the period of the last week, up to now."""
    async with database.unit_of_work(world.community_id) as uow:
        return await audit.period(uow, clock.now() - WEEK, clock.now() + timedelta(minutes=1))
