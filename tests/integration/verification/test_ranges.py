"""A verification over many ranges and several processes finds and names every kind of tampering."""

from __future__ import annotations

import gc
import weakref
from contextlib import aclosing
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.journal import EntryKind, Transfer
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.proof import journal_store, range_processes, seals
from services.ledger.proof.range_processes import RangeProcessFailed, check_in_processes
from services.ledger.proof.range_reading import Span
from services.ledger.proof.ranges import RangeResult
from services.ledger.proof.verification import Fault, Finding, Processes, verify
from tests.ledgers import entry, grant, tamper
from tests.long_journal import BORDER, ENTRIES, MEMBERS, RANGE, seal, told, verified


async def test_a_sound_journal_of_many_ranges_is_sound_here_and_in_processes(
    ledger: Database, app_url: str, tmp_path: Path
) -> None:
    for number in (1, 255, 256, 257, 700, 1_024, None):
        await seal(ledger, tmp_path, number)
    here = await verified(ledger)
    assert here.sound, here.findings
    assert (here.entries, here.seals, here.since) == (ENTRIES, 7, 1)
    assert here.lines > ENTRIES
    done: list[tuple[int, int]] = []
    beside = await verified(ledger, processes=Processes(app_url, 2), progress=lambda *each: done.append(each))
    assert beside == here
    assert done[-1] == (ENTRIES, ENTRIES)
    assert len(done) == 5


@pytest.mark.parametrize("number", [BORDER, BORDER + 1])
@pytest.mark.parametrize("processes", [0, 2])
async def test_an_entry_altered_at_a_border_of_ranges_is_named(
    ledger: Database, owner: asyncpg.Connection, app_url: str, number: int, processes: int
) -> None:
    await tamper(
        owner, f"UPDATE bank.journal_lines SET actor_ref = gen_random_uuid() WHERE number = {number}"
    )
    beside = Processes(app_url, processes) if processes else None
    found = await verified(ledger, processes=beside)
    assert told(found) == [(Fault.ENTRY_ALTERED, f"entry {number}")]


@pytest.mark.parametrize("number", [BORDER, BORDER + 1])
async def test_an_entry_missing_at_a_border_of_ranges_is_named(
    ledger: Database, owner: asyncpg.Connection, number: int
) -> None:
    await tamper(owner, f"DELETE FROM bank.journal_lines WHERE number = {number}")
    found = await verified(ledger)
    assert found.findings[0] == Finding(Fault.ENTRY_MISSING, f"entry {number}")
    assert Fault.ENTRY_ALTERED in {fault for fault, _ in told(found)}


async def test_a_whole_range_cut_out_is_named_by_its_first_entry(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    await tamper(owner, f"DELETE FROM bank.journal_lines WHERE number BETWEEN 257 AND {BORDER}")
    assert (await verified(ledger)).findings[0] == Finding(Fault.ENTRY_MISSING, "entry 257")


async def test_two_entries_swapped_are_found_at_the_first(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    await tamper(
        owner,
        "UPDATE bank.journal_lines SET number = number + 100000 WHERE number IN (600, 601);"
        "UPDATE bank.journal_lines SET number = 600 WHERE number = 100601;"
        "UPDATE bank.journal_lines SET number = 601 WHERE number = 100600;",
    )
    found = await verified(ledger)
    assert found.findings[0] == Finding(Fault.ENTRY_ALTERED, "entry 600")


async def test_a_balance_made_up_between_two_ranges_is_named(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    """Every line of an account raised alike from a border on: within the ranges all follows."""
    account = await owner.fetchval(
        "SELECT number FROM bank.accounts WHERE commodity = 'MINUTE' AND floor < 0"
    )
    first = await owner.fetchval(
        "SELECT min(number) FROM bank.journal_lines WHERE credit = $1 AND number > $2", account, BORDER
    )
    await tamper(
        owner,
        f"UPDATE bank.journal_lines SET credit_after = credit_after + 7"
        f" WHERE credit = {account} AND number > {BORDER}",
    )
    found = told(await verified(ledger))
    assert (Fault.RUNNING_BALANCE, f"entry {first}") in found
    assert [where for fault, where in found if fault is Fault.RUNNING_BALANCE] == [f"entry {first}"]


async def test_an_amount_altered_is_named_and_so_is_the_balance_that_no_longer_follows(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    await tamper(owner, "UPDATE bank.journal_lines SET amount = amount + 1 WHERE number = 700 AND line = 1")
    found = told(await verified(ledger))
    assert found[0] == (Fault.ENTRY_ALTERED, "entry 700")
    assert (Fault.RUNNING_BALANCE, "entry 700") in found
    assert Fault.BALANCE_MISMATCH in {fault for fault, _ in found}


async def test_a_second_line_altered_is_named_by_its_entry(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    number = await owner.fetchval("SELECT min(number) FROM bank.journal_lines WHERE line = 2")
    await tamper(
        owner,
        f"UPDATE bank.journal_lines SET expires_on = '2030-01-01' WHERE number = {number} AND line = 2",
    )
    assert told(await verified(ledger)) == [(Fault.ENTRY_ALTERED, f"entry {number}")]


async def test_since_begins_where_it_is_told_and_says_so(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await seal(ledger, tmp_path)
    whole = await verified(ledger)
    part = await verified(ledger, since=600)
    assert part.sound, part.findings
    assert (part.since, part.entries, part.head_hash) == (513, ENTRIES, whole.head_hash)
    assert part.merkle_root == whole.merkle_root
    assert part.seals == 1
    assert part.lines < whole.lines
    await tamper(
        owner, "UPDATE bank.journal_lines SET actor_ref = gen_random_uuid() WHERE number IN (100, 900)"
    )
    assert told(await verified(ledger, since=600)) == [(Fault.ENTRY_ALTERED, "entry 900")]
    assert len(told(await verified(ledger))) == 2


async def test_since_beyond_the_head_compares_the_head(ledger: Database) -> None:
    part = await verified(ledger, since=10**12)
    assert part.sound
    assert part.entries == ENTRIES
    with pytest.raises(InvalidValue):
        await verified(ledger, since=0)


async def test_a_balance_is_compared_since_then_too(ledger: Database, owner: asyncpg.Connection) -> None:
    await tamper(owner, "UPDATE bank.balances SET balance = balance + 1 WHERE floor = 0")
    found = await verified(ledger, since=600)
    assert {fault for fault, _ in told(found)} == {Fault.BALANCE_MISMATCH}


async def test_findings_are_bounded_and_the_rest_is_counted(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    await tamper(owner, "UPDATE bank.journal_lines SET subject_ref = gen_random_uuid()")
    found = await verified(ledger)
    assert len(found.findings) == 100
    assert len(found.findings) + found.omitted == ENTRIES
    assert found.findings[0] == Finding(Fault.ENTRY_ALTERED, "entry 1")


async def test_findings_are_told_in_order_of_entries(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    await seal(ledger, tmp_path / "other", 900)
    await tamper(owner, "UPDATE bank.journal_lines SET actor_ref = gen_random_uuid() WHERE number = 100")
    key = seals.load_key(tmp_path).public_key().public_bytes_raw()
    assert told(await verified(ledger, public_key=key)) == [
        (Fault.ENTRY_ALTERED, "entry 100"),
        (Fault.SEAL_FORGED, "entry 900"),
    ]


@pytest.mark.parametrize("since", [1, 600])
async def test_a_balance_below_its_accounts_floor_is_named(
    ledger: Database, owner: asyncpg.Connection, since: int
) -> None:
    number = await owner.fetchval(
        "SELECT max(l.number) FROM bank.journal_lines l JOIN bank.accounts a ON a.number = l.credit"
        " WHERE a.kind = 'member_available'"
    )
    await tamper(owner, f"UPDATE bank.journal_lines SET credit_after = -1 WHERE number = {number}")
    assert (Fault.BELOW_FLOOR, f"entry {number}") in told(await verified(ledger, since=since))


async def test_a_line_between_two_commodities_is_named(ledger: Database, owner: asyncpg.Connection) -> None:
    number = await owner.fetchval("SELECT min(number) FROM bank.journal_lines WHERE line = 2")
    await tamper(
        owner,
        "UPDATE bank.journal_lines SET debit = (SELECT max(number) FROM bank.accounts"
        f" WHERE commodity = 'MINUTE') WHERE number = {number} AND line = 2",
    )
    assert (Fault.COMMODITIES_MIXED, f"entry {number}") in told(await verified(ledger))


async def test_an_entry_that_gives_back_what_it_took_too_much_of_is_sound(ledger: Database) -> None:
    member, pool = accounts.available(UUID(int=300)), accounts.pool()
    async with ledger.unit_of_work(1) as uow:
        transfers = [
            Transfer(member, pool, 5),
            Transfer(accounts.issuance(Commodity.POINT), member, 5),
        ]
        await service.post(uow, entry("through", transfers, kind=EntryKind.EARNING))
    assert (await verified(ledger)).sound


async def test_no_result_of_a_range_is_kept_once_it_was_taken(
    ledger: Database, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_processes, "AHEAD", 1)
    spans = [Span(first + 1, min(first + RANGE, ENTRIES)) for first in range(0, ENTRIES, RANGE)]
    taken: list[weakref.ref[RangeResult]] = []
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        snapshot = await journal_store.export_snapshot(uow)
        async with aclosing(check_in_processes(app_url, 1, snapshot, spans, 1)) as results:
            async for result in results:
                taken.append(weakref.ref(result))
                del result
                gc.collect()
                assert sum(each() is not None for each in taken) <= 1
    assert len(taken) == len(spans)


def test_processes_start_where_the_program_is() -> None:
    assert (range_processes.ROOT / "services" / "ledger" / "proof").is_dir()


async def test_what_is_posted_meanwhile_does_not_disturb_it(ledger: Database, app_url: str) -> None:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        await service.balance(uow, accounts.issuance(Commodity.POINT))  # the snapshot is taken
        async with ledger.unit_of_work(1) as other:
            await service.post(other, grant(MEMBERS[0], 5, "meanwhile"))
        verification = await verify(uow, range_entries=RANGE, processes=Processes(app_url, 2))
    assert verification.sound, verification.findings
    assert verification.entries == ENTRIES


async def test_a_process_that_cannot_reach_the_database_fails_the_verification(
    ledger: Database, app_url: str
) -> None:
    with pytest.raises(RangeProcessFailed):
        await verified(ledger, processes=Processes(app_url.replace("pointsbank_test", "nowhere"), 2))
