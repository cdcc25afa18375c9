"""What stood in the ledger when an entry was decided: for whoever decides again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.points import MilliPoints
from pointsbank.platform.database import UnitOfWork
from services.ledger import lot_store, store


@dataclass(frozen=True, slots=True)
class BeforeEntry:
    """Asks what a member (a pseudonym) had just before an entry. year: the one that the entry counts to."""

    member: UUID
    number: int
    year: tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Stood:
    """Milli-points a member had earned that year, and had in the account (set aside ones included)."""

    year: MilliPoints
    account: MilliPoints


async def stood_before(uow: UnitOfWork, asked: Sequence[BeforeEntry]) -> list[Stood]:
    """Return, for each, what stood before that entry, in order. A few statements for all of them."""
    members = {each.member for each in asked}
    codes = [code(member) for member in members for code in (accounts.available, accounts.held)]
    numbers = await store.account_numbers(uow, codes)
    starts = {year: await store.last_entry_before(uow, year[0]) for year in {each.year for each in asked}}
    available = [numbers.get(accounts.available(each.member), 0) for each in asked]
    held = [numbers.get(accounts.held(each.member), 0) for each in asked]
    earned = await store.earned(
        uow,
        [
            store.Earned(account, starts[each.year], *each.year, before=each.number)
            for account, each in zip(available, asked, strict=True)
        ],
    )
    balances = await lot_store.balances_at(
        uow,
        [
            (account, each.number - 1)
            for column in (available, held)
            for account, each in zip(column, asked, strict=True)
        ],
    )
    return [
        Stood(MilliPoints(year), MilliPoints(balances[place] + balances[place + len(asked)]))
        for place, year in enumerate(earned)
    ]
