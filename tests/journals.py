"""Journals with something of everything in them, for exports, imports and checks."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from pointsbank.domain import accounts, journal
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.hold import Hold
from pointsbank.domain.journal import EntryKind, JournalEntry, Origin, SourceKind, Transfer
from pointsbank.domain.points import MilliPoints
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.ledger import holds, service
from services.ledger.exchange.exports import Format, export
from services.ledger.exchange.source import Books, Part
from tests.ledgers import NOON, bare_ledger

MEMBERS = tuple(UUID(int=0x0192_0000_0000_7000_8000_0000_0000_0000 + n) for n in range(1, 7))
PARTNER = UUID(int=0x0192_0000_0000_7000_8000_0000_0000_00AA)
COORDINATOR = UUID(int=0x0192_0000_0000_7000_8000_0000_0000_00BB)
POINTS, MINUTES = accounts.issuance(Commodity.POINT), accounts.issuance(Commodity.MINUTE)
LOT_ENDS = date(2027, 12, 31)
BACKDATED = timedelta(days=40)


def origin(kind: SourceKind, subject: UUID, *, policy: int = 1) -> Origin:
    """An origin from a document of its own, by the coordinator."""
    return Origin(kind, uuid7(), COORDINATOR, subject, policy)


def earning(member: UUID, minutes: int, *, at: datetime = NOON, policy: int = 1) -> JournalEntry:
    """Minutes and a lot of points for a visit that ended at ``at``."""
    source = origin(SourceKind.VISIT, member, policy=policy)
    return journal.journal_entry(
        EntryKind.EARNING,
        [
            Transfer(MINUTES, accounts.service(member), minutes),
            Transfer(POINTS, accounts.available(member), minutes * 170 + 1, LOT_ENDS),
        ],
        origin=source,
        key=f"visit:{source.source_id}",
        occurred_at=at,
    )


async def fill(database: Database, entries: int, community_id: int = 1) -> None:
    """Add so many earnings."""
    async with database.unit_of_work(community_id) as uow:
        verdicts = await service.post_many(
            uow, [earning(MEMBERS[n % 6], n % 90 + 10) for n in range(entries)]
        )
        assert all(verdict.error is None for verdict in verdicts)


async def varied_journal(database: Database, community_id: int = 1) -> None:
    """Write a community whose journal has entries of every kind, late ones, and holds in every state."""
    await bare_ledger(database, community_id)
    async with database.unit_of_work(community_id) as uow:
        await service.add_policy(
            uow,
            effective_from=date(2027, 6, 1),
            body=DEFAULT_POLICY | {"hold_hours": 5},
            proposed_by=MEMBERS[0],
            approved_by=MEMBERS[1],
        )
    await fill(database, 30, community_id)
    async with database.unit_of_work(community_id) as uow:
        first, second, third = MEMBERS[:3]
        taken_back = await service.post(uow, earning(third, 61, at=NOON - BACKDATED, policy=2))
        await service.post(
            uow,
            journal.reversal(
                taken_back.number,
                [Transfer(accounts.available(third), POINTS, 1_000)],
                origin=origin(SourceKind.REVERSAL, third),
                occurred_at=NOON,
            ),
        )
        pool, expired = accounts.pool(), accounts.expired()
        for kind, source, moved in (
            (
                EntryKind.GIFT,
                SourceKind.GIFT,
                Transfer(accounts.available(first), accounts.available(second), 7),
            ),
            (EntryKind.DONATION, SourceKind.GIFT, Transfer(accounts.available(first), pool, 500)),
            (EntryKind.GRANT, SourceKind.GRANT, Transfer(pool, accounts.available(third), 250, LOT_ENDS)),
            (EntryKind.EXPIRY, SourceKind.EXPIRY_RUN, Transfer(accounts.available(second), expired, 3)),
            (EntryKind.ADJUSTMENT, SourceKind.ADJUSTMENT, Transfer(POINTS, accounts.available(first), 1)),
        ):
            await service.post(
                uow,
                journal.journal_entry(
                    kind,
                    [moved],
                    origin=origin(source, first),
                    key=f"{kind}:{uuid7()}",
                    occurred_at=NOON,
                ),
            )
    await _holds(database, community_id)
    async with database.unit_of_work(community_id) as uow:
        await service.post(
            uow,
            journal.journal_entry(
                EntryKind.SETTLEMENT,
                [
                    Transfer(accounts.partner_earned(PARTNER), accounts.partner_settled(PARTNER), 600),
                    Transfer(accounts.subsidy_fund(), accounts.partner_receivable(PARTNER), 1_250),
                ],
                origin=origin(SourceKind.SETTLEMENT_BATCH, PARTNER),
                key=f"settlement:{uuid7()}",
                occurred_at=NOON,
            ),
        )
    await fill(database, 7, community_id)


async def _holds(database: Database, community_id: int) -> None:
    async with database.unit_of_work(community_id) as uow:
        now = uow.clock.now()
        opened = []
        for place, member in enumerate((*MEMBERS[:3], MEMBERS[0])):
            source = origin(SourceKind.REDEMPTION, member)
            hold = Hold(
                id=source.source_id,
                member=member,
                partner=PARTNER,
                amount=MilliPoints(1_000 + place),
                expires_at=now - timedelta(hours=1) if place == 2 else now + timedelta(hours=1),
            )
            await holds.open_hold(uow, hold, source)
            opened.append(hold.id)
        await holds.capture_hold(uow, opened[0], amount=MilliPoints(600), actor=PARTNER)
        await holds.void_hold(uow, opened[1], actor=COORDINATOR)
        await holds.expire_hold(uow, opened[2], actor=COORDINATOR)


async def exported(
    database: Database,
    format_: Format,
    path: Path,
    *,
    community_id: int = 1,
    part: Part | None = None,
    seals: tuple[dict[str, object], ...] = (),
) -> Books:
    """Export a journal into ``path``, words being the catalogue's keys."""
    with path.open("wb") as file:
        async with database.unit_of_work(community_id, snapshot=True) as uow:
            return await export(uow, format_, file, say=lambda key: key, part=part or Part(), seals=seals)
