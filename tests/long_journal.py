"""A journal long enough to be verified in several ranges."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind, JournalEntry, Transfer
from pointsbank.platform.database import Database
from services.ledger.proof import seals
from services.ledger.proof.verification import Fault, Verification, verify
from tests.ledgers import entry, grant, move

ENTRIES = 1_100
RANGE = 256
BORDER = 512
"""The last entry of the second range: the next one begins the third."""

MEMBERS = [UUID(int=200 + number) for number in range(9)]


def some_entries(count: int, seed: int = 1) -> list[JournalEntry]:
    """Grants, moves, and entries of two lines, over a few accounts."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        member = chance.choice(MEMBERS)
        if number < 50 or number % 3 == 0:
            made.append(grant(member, chance.randint(1, 900), f"e{number}"))
        elif number % 3 == 1:
            transfers = [
                Transfer(accounts.issuance(Commodity.MINUTE), accounts.service(member), 45),
                Transfer(accounts.issuance(Commodity.POINT), accounts.available(member), 750),
            ]
            made.append(entry(f"e{number}", transfers, kind=EntryKind.EARNING))
        else:
            other = MEMBERS[(MEMBERS.index(member) + 1) % len(MEMBERS)]
            made.append(move(accounts.available(member), accounts.available(other), 1, f"e{number}"))
    return made


async def verified(ledger: Database, **options: Any) -> Verification:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        return await verify(uow, range_entries=RANGE, **options)


async def seal(ledger: Database, directory: Path, number: int | None = None) -> None:
    async with ledger.unit_of_work(1) as uow:
        await seals.seal_head(uow, seals.load_key(directory), number=number)


def told(verification: Verification) -> list[tuple[Fault, str]]:
    return [(finding.fault, finding.where) for finding in verification.findings]  # type: ignore[misc]
