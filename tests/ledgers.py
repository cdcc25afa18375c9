"""A bare community with a journal, for tests that need no people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import text

from pointsbank.domain import accounts, journal
from pointsbank.domain.accounts import AccountCode, Commodity
from pointsbank.domain.journal import ENDS_A_HOLD, EntryKind, JournalEntry, Origin, SourceKind, Transfer
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform.database import Database
from services.ledger import service

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
NOBODY = UUID(int=0)


async def bare_ledger(database: Database, community_id: int = 1) -> None:
    """Write a community with an empty journal and the default policy."""
    async with database.unit_of_work(community_id) as uow:
        await (await uow.session.connection()).execute(
            text("INSERT INTO bank.communities VALUES (:id, :code, 'test', 'Asia/Shanghai', now())"),
            {"id": community_id, "code": f"test-{community_id}"},
        )
        await service.open_ledger(uow)
        await service.add_policy(
            uow,
            effective_from=date(2020, 1, 1),
            body=DEFAULT_POLICY,
            proposed_by=NOBODY,
            approved_by=NOBODY,
        )


def origin(subject: UUID = NOBODY, source: UUID | None = None) -> Origin:
    """An origin that cites policy version 1."""
    return Origin(
        source_kind=SourceKind.VISIT,
        source_id=source or uuid4(),
        actor=NOBODY,
        subject=subject,
        policy_version=1,
    )


def entry(key: str, transfers: Sequence[Transfer], *, kind: EntryKind = EntryKind.EARNING) -> JournalEntry:
    """An entry that happened at noon, from a source that is always the same."""
    return journal.journal_entry(
        kind,
        transfers,
        origin=origin(source=UUID(int=7)),
        key=key,
        occurred_at=NOON,
        ends_hold=UUID(int=8) if kind in ENDS_A_HOLD else None,
    )


def grant(member: UUID, amount: int, key: str) -> JournalEntry:
    """``amount`` milli-points from issuance to a member."""
    return entry(key, [Transfer(accounts.issuance(Commodity.POINT), accounts.available(member), amount)])


def move(source: AccountCode, target: AccountCode, amount: int, key: str) -> JournalEntry:
    """``amount`` from one account to another."""
    return entry(key, [Transfer(source, target, amount)], kind=EntryKind.HOLD)


async def tamper(owner: asyncpg.Connection, statement: str) -> None:
    """Do what only one who owns the database can: switch the walls off and rewrite the past."""
    tables = ("journal_lines", "balances", "accounts", "seals", "merkle_nodes")
    async with owner.transaction():
        for table in tables:
            await owner.execute(f"ALTER TABLE bank.{table} DISABLE TRIGGER USER")
        await owner.execute(statement)
        for table in tables:
            await owner.execute(f"ALTER TABLE bank.{table} ENABLE TRIGGER USER")
