"""A verification follows each account from entry to entry, across ranges and from where it begins."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind, Transfer
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.proof import range_reading
from services.ledger.proof.verification import Fault, Processes, Verification, verify
from tests.ledgers import entry, grant, move, tamper
from tests.long_journal import BORDER, ENTRIES, MEMBERS, RANGE, told, verified


@pytest.mark.parametrize("told_before", ["0", "debit_before - 1", "number", "number + 1", "-1"])
async def test_a_line_that_tells_another_entry_before_it_is_named(
    ledger: Database, owner: asyncpg.Connection, told_before: str
) -> None:
    member = await owner.fetchval("SELECT debit FROM bank.journal_lines WHERE number = 100")
    number = await owner.fetchval(
        "SELECT max(number) FROM bank.journal_lines WHERE debit = $1 AND number < $2", member, BORDER
    )
    await tamper(
        owner,
        f"UPDATE bank.journal_lines SET debit_before = {told_before} WHERE number = {number} AND line = 1",
    )
    assert told(await verified(ledger)) == [(Fault.HISTORY_BROKEN, f"entry {number}")]


@pytest.mark.parametrize("processes", [0, 2])
async def test_a_line_left_out_of_a_history_between_two_ranges_is_named(
    ledger: Database, owner: asyncpg.Connection, app_url: str, processes: int
) -> None:
    """The first line of an account in a range passes over the last one of the range before."""
    account = await owner.fetchval(
        "SELECT number FROM bank.accounts WHERE commodity = 'MINUTE' AND floor < 0"
    )
    first, before = await owner.fetchrow(
        "SELECT number, credit_before FROM bank.journal_lines WHERE credit = $1 AND number > $2"
        " ORDER BY number LIMIT 1",
        account,
        BORDER,
    )
    assert 0 < before <= BORDER
    await tamper(
        owner,
        "UPDATE bank.journal_lines SET credit_before = (SELECT credit_before FROM bank.journal_lines"
        f" WHERE number = {before} AND line = 1) WHERE number = {first} AND credit = {account}",
    )
    beside = Processes(app_url, processes) if processes else None
    assert told(await verified(ledger, processes=beside)) == [(Fault.HISTORY_BROKEN, f"entry {first}")]


async def test_a_history_is_followed_through_all_that_is_read_of_a_range(
    ledger: Database, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_reading, "LINES_AT_ONCE", 16)  # whatever the connection hands over is checked

    async def of_one_range() -> Verification:
        async with ledger.unit_of_work(1, snapshot=True) as uow:
            return await verify(uow, range_entries=8 * RANGE)

    assert (await of_one_range()).sound
    account = await owner.fetchval(
        "SELECT number FROM bank.accounts WHERE commodity = 'MINUTE' AND floor < 0"
    )
    await tamper(
        owner,
        f"UPDATE bank.journal_lines SET credit_before = credit_before - 1 WHERE credit = {account}",
    )
    found = await of_one_range()
    assert {fault for fault, _ in told(found)} == {Fault.HISTORY_BROKEN}
    assert len(found.findings) + found.omitted == await owner.fetchval(
        "SELECT count(*) FROM bank.journal_lines WHERE credit = $1", account
    )


async def test_a_first_line_that_tells_an_entry_before_it_is_named(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    number = await owner.fetchval("SELECT max(number) FROM bank.journal_lines WHERE debit_before = 0")
    await tamper(
        owner, f"UPDATE bank.journal_lines SET debit_before = 1 WHERE number = {number} AND debit_before = 0"
    )
    assert told(await verified(ledger)) == [(Fault.HISTORY_BROKEN, f"entry {number}")]


@pytest.mark.parametrize("since", [1, 600])
@pytest.mark.parametrize("change", ["last_number - 1", "last_number + 1", "0"])
async def test_an_account_whose_history_is_told_to_end_elsewhere_is_named(
    ledger: Database, owner: asyncpg.Connection, since: int, change: str
) -> None:
    account = await owner.fetchval("SELECT account_id FROM bank.balances WHERE last_number = $1", ENTRIES)
    await tamper(owner, f"UPDATE bank.balances SET last_number = {change} WHERE account_id = '{account}'")
    assert told(await verified(ledger, since=since)) == [(Fault.HISTORY_BROKEN, f"account {account}")]


@pytest.mark.parametrize(("since", "last"), [(1, 1), (600, 513), (600, -1)])
async def test_an_account_that_was_not_used_has_no_history(
    ledger: Database, owner: asyncpg.Connection, since: int, last: int
) -> None:
    async with ledger.unit_of_work(1) as uow:
        refused = move(accounts.available(UUID(int=300)), accounts.pool(), 1, "more than there is")
        assert [each.number for each in await service.post_many(uow, [refused])] == [None]
    assert (await verified(ledger, since=since)).sound
    account = await owner.fetchval("SELECT account_id FROM bank.balances WHERE last_number = 0")
    await tamper(owner, f"UPDATE bank.balances SET last_number = {last} WHERE account_id = '{account}'")
    assert told(await verified(ledger, since=since)) == [(Fault.HISTORY_BROKEN, f"account {account}")]


@pytest.mark.parametrize("told_before", [0, -1, 513])
async def test_since_a_first_line_must_tell_an_entry_that_can_have_been_before(
    ledger: Database, owner: asyncpg.Connection, told_before: int
) -> None:
    account = await owner.fetchval(
        "SELECT number FROM bank.accounts WHERE commodity = 'MINUTE' AND floor < 0"
    )
    first = await owner.fetchval(
        "SELECT min(number) FROM bank.journal_lines WHERE credit = $1 AND number > $2", account, BORDER
    )
    await tamper(
        owner,
        f"UPDATE bank.journal_lines SET credit_before = {told_before}"
        f" WHERE number = {first} AND credit = {account}",
    )
    assert told(await verified(ledger, since=600)) == [(Fault.HISTORY_BROKEN, f"entry {first}")]


async def test_since_the_entry_before_the_start_is_taken_as_it_is_told(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    first, before = await owner.fetchrow(
        "SELECT number, credit_before FROM bank.journal_lines WHERE number > $1 AND credit_before <= $1"
        " ORDER BY number DESC LIMIT 1",
        BORDER,
    )
    await tamper(
        owner,
        f"UPDATE bank.journal_lines SET credit_before = {before - 1}"
        f" WHERE number = {first} AND credit_before = {before}",
    )
    assert (await verified(ledger, since=600)).sound
    assert told(await verified(ledger)) == [(Fault.HISTORY_BROKEN, f"entry {first}")]


async def test_lines_of_an_entry_that_touch_one_account_all_tell_the_entry_before_it(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    issuance, pool, member = (
        accounts.issuance(Commodity.POINT),
        accounts.pool(),
        accounts.available(MEMBERS[0]),
    )
    several = [
        Transfer(issuance, member, 500),
        Transfer(issuance, pool, 40),
        Transfer(member, pool, 30),
        Transfer(pool, member, 20),
    ]
    async with ledger.unit_of_work(1) as uow:
        await service.post_many(
            uow, [entry(f"several{each}", several, kind=EntryKind.EARNING) for each in range(3)]
        )
        await service.post(uow, grant(MEMBERS[0], 5, "after"))
    found = await verified(ledger)
    assert found.sound, found.findings
    number = ENTRIES + 2
    lines = await owner.fetch(
        "SELECT debit_before, credit_before FROM bank.journal_lines WHERE number = $1", number
    )
    assert {tuple(line) for line in lines} == {(number - 1, number - 1)}
    await tamper(
        owner, f"UPDATE bank.journal_lines SET credit_before = number WHERE number = {number} AND line = 3"
    )
    assert told(await verified(ledger)) == [(Fault.HISTORY_BROKEN, f"entry {number}")]


async def test_a_refused_entry_is_in_no_history(ledger: Database) -> None:
    poor = accounts.available(UUID(int=300))
    async with ledger.unit_of_work(1) as uow:
        await service.post_many(
            uow,
            [
                grant(MEMBERS[0], 5, "before"),
                move(poor, accounts.available(MEMBERS[0]), 10**12, "too much"),
                grant(MEMBERS[0], 5, "behind"),
            ],
        )
    found = await verified(ledger)
    assert found.sound, found.findings
    assert found.entries == ENTRIES + 2
