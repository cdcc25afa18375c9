"""Points with days, for tests of what expires, is given or is decided."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from typing import Any

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, Transfer, journal_entry
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.ledger import lots
from services.ledger import service as ledger
from services.people import service as people
from services.people.service import PersonInfo
from tests.worlds import World


async def new_rules(database: Database, world: World, **changes: Any) -> int:
    """The next version of the policy, in force from today; return its number."""
    async with database.unit_of_work(world.community_id) as uow:
        return await ledger.add_policy(
            uow,
            effective_from=await people.local_today(uow),
            body=copy.deepcopy(DEFAULT_POLICY) | changes,
            proposed_by=world.coordinator.ledger_ref,
            approved_by=world.auditor.ledger_ref,
        )


async def earn(database: Database, world: World, person: PersonInfo, amount: int, until: date | None) -> int:
    """Give somebody a lot by an earning that no visit stands behind; return the entry's number."""
    async with database.unit_of_work(world.community_id) as uow:
        source = uuid7()
        moved = Transfer(
            accounts.issuance(Commodity.POINT), accounts.available(person.ledger_ref), amount, until
        )
        entry = journal_entry(
            EntryKind.EARNING,
            [moved],
            origin=Origin(SourceKind.VISIT, source, world.coordinator.ledger_ref, person.ledger_ref, 1),
            key=f"lot:{source}",
            occurred_at=uow.clock.now(),
        )
        return (await ledger.post(uow, entry)).number


async def left(database: Database, world: World, person: PersonInfo) -> list[tuple[date | None, int, int]]:
    """(last day, available, held) of each lot somebody has, once they agree with the balances."""
    async with database.unit_of_work(world.community_id) as uow:
        folded = await lots.fold(uow, person.ledger_ref)
        codes = [accounts.available(person.ledger_ref), accounts.held(person.ledger_ref)]
        balances = await ledger.balances(uow, codes)
        assert (folded.available, folded.held) == (balances[codes[0]], balances[codes[1]])
        return [(lot.expires_on, lot.available, lot.held) for lot in folded.lots()]


async def today(database: Database, world: World) -> date:
    """The community's day."""
    async with database.unit_of_work(world.community_id) as uow:
        return await people.local_today(uow)


def days(number: int) -> timedelta:
    """So many days."""
    return timedelta(days=number)
