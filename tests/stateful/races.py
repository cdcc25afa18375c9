"""One race, run against whatever can pay: many spenders, few accounts, every payment checked after."""

from __future__ import annotations

import asyncio
import random
from typing import Protocol
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.accounts import AccountCode

MEMBERS = [UUID(int=1_000 + number) for number in range(6)]
CODES = [accounts.available(member) for member in MEMBERS]
START = 1_000


class Pays(Protocol):
    """What is raced: pays and says whether it did, and tells balances."""

    async def pay(self, source: AccountCode, target: AccountCode, amount: int, key: str) -> bool:
        """Move the amount if the source has it."""
        ...

    async def balances(self) -> dict[AccountCode, int]:
        """Return every balance."""
        ...


async def race(pays: Pays, *, spenders: int = 24, payments: int = 20) -> list[str]:
    """Let all spend at once, and return what is wrong afterwards: nothing, if the ledger holds.

    Every member begins with ``START``; what was told as paid must be what moved.
    """
    paid: dict[AccountCode, int] = dict.fromkeys(CODES, START)
    outcomes: set[bool] = set()

    async def spend(spender: int) -> None:
        dice = random.Random(spender)
        for step in range(payments):
            source, target = dice.sample(CODES, 2)
            amount = dice.randint(1, START)
            done = await pays.pay(source, target, amount, f"{spender}-{step}")
            outcomes.add(done)
            if done:
                paid[source] -= amount
                paid[target] += amount

    await asyncio.gather(*(spend(spender) for spender in range(spenders)))
    found = await pays.balances()
    faults = [f"{code.owner.int} is overdrawn" for code in CODES if found[code] < 0]
    faults += [f"{code.owner.int} was paid otherwise" for code in CODES if found[code] != paid[code]]
    if sum(found.values()) != START * len(CODES):
        faults.append("points came or went")
    if outcomes != {True, False}:
        faults.append("the race met one outcome only")
    return faults
