"""A verification over many ranges and several processes finds and names every kind of tampering."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts, chain, merkle
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.journal import EntryKind, JournalEntry, Transfer
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import policy_store, service
from services.ledger.proof import (
    journal_store,
    merkle_store,
    range_processes,
    range_reading,
    seal_form,
    seals,
    tree,
)
from services.ledger.proof.range_processes import RangeProcessFailed, check_in_processes
from services.ledger.proof.range_reading import Span
from services.ledger.proof.ranges import RangeResult
from services.ledger.proof.verification import Fault, Finding, Processes, Verification, verify
from tests.integration.test_ledger_walls import tamper
from tests.ledgers import NOON, bare_ledger, entry, grant, move

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


@pytest.fixture
async def ledger(database: Database) -> Database:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    async with database.unit_of_work(1) as uow:
        verdicts = await service.post_many(uow, some_entries(ENTRIES))
        assert [verdict.number for verdict in verdicts] == list(range(1, ENTRIES + 1))
    return database


@pytest.fixture
async def owner(ledger: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


async def verified(ledger: Database, **options: Any) -> Verification:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        return await verify(uow, range_entries=RANGE, **options)


async def seal(ledger: Database, directory: Path, number: int | None = None) -> None:
    async with ledger.unit_of_work(1) as uow:
        await seals.seal_head(uow, seals.load_key(directory), number=number)


def told(verification: Verification) -> list[tuple[Fault, str]]:
    return [(finding.fault, finding.where) for finding in verification.findings]  # type: ignore[misc]


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


async def test_the_root_is_the_one_over_the_chain_at_every_entrys_last_line(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        hashes = await merkle_store.entry_hashes(uow, 1, ENTRIES)
    assert len(hashes) == ENTRIES
    naive = merkle.root([merkle.leaf_hash(each) for each in hashes])
    assert (await verified(ledger)).merkle_root == naive
    async with ledger.unit_of_work(1) as uow:
        await tree.extend(uow, ENTRIES)
        assert await tree.Tree(uow, ENTRIES).root() == naive


@pytest.mark.parametrize("size", [1, 255, 256, 257, 777, 1_024, ENTRIES])
async def test_every_proof_from_stored_nodes_holds(ledger: Database, size: int) -> None:
    async with ledger.unit_of_work(1) as uow:
        await tree.extend(uow, size)
        grown = tree.Tree(uow, size)
        root = await grown.root()
        hashes = await merkle_store.entry_hashes(uow, 1, size)
        for number in {1, 2, 200, 256, 257, 600, size} & set(range(1, size + 1)):
            leaf = merkle.leaf_hash(hashes[number - 1])
            proof = await grown.inclusion(number)
            assert merkle.holds_inclusion(leaf, number - 1, size, proof, root)
        for old in {1, 100, 256, 300} & set(range(1, size + 1)):
            older = merkle.root([merkle.leaf_hash(each) for each in hashes[:old]])
            assert merkle.holds_consistency(old, size, older, root, await grown.consistency(old))


async def test_a_proof_reads_a_few_tiles_and_not_the_journal(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        await tree.extend(uow, ENTRIES)
        grown = tree.Tree(uow, ENTRIES)
        await grown.root()
        await grown.inclusion(300)
        await grown.inclusion(310)
        read = {key: len(tile) for key, tile in grown._tiles.items()}
    assert read == {(0, 4): ENTRIES % 256, (0, 1): 256, (1, 0): 4}


async def test_only_what_is_new_is_read_when_the_tree_is_extended(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        await tree.extend(uow, 600)
        await tree.extend(uow, 1_100)
        assert await merkle_store.last_place(uow, 1) == 3
        assert await merkle_store.last_place(uow, 2) == -1


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


async def test_a_stored_node_of_the_tree_that_was_altered_is_named(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await seal(ledger, tmp_path)
    await tamper(owner, "UPDATE bank.merkle_nodes SET hash = sha256('x') WHERE level = 1 AND place = 2")
    assert told(await verified(ledger)) == [(Fault.MERKLE_MISMATCH, "node 1/2")]


async def test_a_stored_node_of_the_tree_that_is_gone_is_named(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await seal(ledger, tmp_path)
    await tamper(owner, "DELETE FROM bank.merkle_nodes WHERE place = 1")
    assert told(await verified(ledger)) == [(Fault.MERKLE_MISMATCH, "node 1/1")]
    async with ledger.unit_of_work(1) as uow:
        with pytest.raises(tree.TreeIncomplete):
            await tree.Tree(uow, ENTRIES).root()


async def test_a_tail_cut_off_with_the_head_put_back_is_found_by_the_seal(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await seal(ledger, tmp_path)
    await tamper(
        owner,
        "DELETE FROM bank.journal_lines WHERE number > 1000;"
        "UPDATE bank.ledger_heads SET entry_number = 1000, hash = (SELECT hash FROM bank.journal_lines"
        " WHERE number = 1000 ORDER BY line DESC LIMIT 1);"
        "UPDATE bank.balances b SET last_number = (SELECT coalesce(max(number), 0) FROM bank.journal_lines"
        " WHERE b.account_number IN (debit, credit));"
        "UPDATE bank.balances b SET balance ="
        " coalesce(bank.balance_at(b.community_id, b.account_number, 1000), 0);",
    )
    assert told(await verified(ledger)) == [(Fault.SEAL_MISMATCH, f"entry {ENTRIES}")]


@pytest.mark.parametrize("column", ["merkle_root", "hash", "signature"])
async def test_a_copy_of_a_seal_that_was_altered_no_longer_carries_its_signature(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path, column: str
) -> None:
    await seal(ledger, tmp_path)
    await tamper(owner, f"UPDATE bank.seals SET {column} = sha256('x')")
    assert told(await verified(ledger)) == [(Fault.SEAL_FORGED, f"entry {ENTRIES}")]


async def test_a_seal_signed_by_another_key_is_forged_to_who_knows_the_key(
    ledger: Database, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    await seal(ledger, tmp_path / "other")
    key = seals.load_key(tmp_path).public_key().public_bytes_raw()
    assert (await verified(ledger)).sound
    assert told(await verified(ledger, public_key=key)) == [(Fault.SEAL_FORGED, f"entry {ENTRIES}")]


@pytest.mark.parametrize("number", [256, 700, ENTRIES])
async def test_a_seal_of_another_root_than_the_entries_give_is_not_met(
    ledger: Database, tmp_path: Path, number: int
) -> None:
    async with ledger.unit_of_work(1) as uow:
        good = seal_form.parsed(await seals.seal_head(uow, seals.load_key(tmp_path), number=number), None)
    assert (await verified(ledger, seals=[good])).sound
    other = replace(good, merkle_root=bytes(32))
    assert told(await verified(ledger, seals=[other])) == [(Fault.SEAL_MISMATCH, f"entry {number}")]
    other = replace(good, hash=bytes(32))
    assert told(await verified(ledger, seals=[other])) == [(Fault.SEAL_MISMATCH, f"entry {number}")]


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


async def test_a_kept_seal_by_another_key_is_forged_to_who_knows_the_key(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with ledger.unit_of_work(1) as uow:
        kept = seal_form.parsed(await seals.seal_head(uow, seals.load_key(other)), None)
    await tamper(owner, "DELETE FROM bank.seals")
    key = seals.load_key(tmp_path).public_key().public_bytes_raw()
    found = told(await verified(ledger, seals=[kept], public_key=key))
    assert (Fault.SEAL_FORGED, f"entry {ENTRIES}") in found


async def test_seals_taken_away_are_missed_by_the_nodes_that_only_sealing_stores(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await seal(ledger, tmp_path, 300)
    await seal(ledger, tmp_path)
    await tamper(owner, "DELETE FROM bank.seals WHERE entry_number > 300")
    assert told(await verified(ledger)) == [(Fault.SEALS_MISSING, "entry 1024")]


async def test_fewer_seals_than_were_sent_away_are_missed(ledger: Database, tmp_path: Path) -> None:
    async with ledger.unit_of_work(1) as uow:
        kept = seal_form.parsed(await seals.seal_head(uow, seals.load_key(tmp_path)), None)
    assert (await verified(ledger, seals=[kept], sent=1)).sound
    found = await verified(ledger, seals=[kept], sent=2)
    assert told(found) == [(Fault.SEALS_MISSING, "seal 2")]
    assert (found.seals, found.seals_kept, found.seals_stored) == (1, 1, 1)


async def test_a_kept_seal_of_nothing_must_be_of_this_journals_beginning(
    ledger: Database, tmp_path: Path
) -> None:
    async with ledger.unit_of_work(1) as uow:
        some = seal_form.parsed(await seals.seal_head(uow, seals.load_key(tmp_path), number=1), None)
    nothing = replace(some, entry_number=0, hash=chain.genesis(1), merkle_root=merkle.EMPTY)
    assert (await verified(ledger, seals=[nothing])).sound
    other = replace(nothing, hash=chain.genesis(2))
    assert told(await verified(ledger, seals=[other])) == [(Fault.SEAL_MISMATCH, "entry 0")]


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


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE bank.policy_versions SET body = body || '{"hold_hours": 1}'""",
        "UPDATE bank.policy_versions SET effective_from = effective_from - 1",
    ],
)
async def test_rules_altered_behind_a_seal_are_told(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path, change: str
) -> None:
    await seal(ledger, tmp_path)
    assert (await verified(ledger)).sound
    await tamper(
        owner,
        f"ALTER TABLE bank.policy_versions DISABLE TRIGGER USER; {change};"
        "ALTER TABLE bank.policy_versions ENABLE TRIGGER USER",
    )
    assert told(await verified(ledger)) == [(Fault.POLICY_ALTERED, f"entry {ENTRIES}")]


async def test_a_version_of_the_rules_that_came_later_leaves_older_seals_good_and_so_do_seals_without(
    ledger: Database, tmp_path: Path
) -> None:
    await seal(ledger, tmp_path, 500)
    async with ledger.unit_of_work(1) as uow:
        known = await policy_store.get(uow, 1)
        assert known is not None
        await policy_store.insert(
            uow, 2, known.effective_from + timedelta(days=1), known.body, UUID(int=1), UUID(int=2)
        )
    await seal(ledger, tmp_path)
    async with ledger.unit_of_work(1) as uow:
        newest = seal_form.checked((await seals.newest(uow))[0], None)
    old = seal_form.checked(
        seal_form.sign(
            seals.load_key(tmp_path),
            community_id=1,
            entry_number=ENTRIES,
            hash_=newest.hash,
            merkle_root=newest.merkle_root,
            algorithm="sha256",
            sealed_at=NOON,
        ),
        None,
    )
    assert old.policies is None
    found = await verified(ledger, seals=[old])
    assert found.sound, found.findings


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
