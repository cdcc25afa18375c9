"""A verification holds the tree, its proofs and every seal against the entries."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import chain, merkle
from pointsbank.platform.database import Database
from services.ledger import policy_store
from services.ledger.proof import merkle_store, seal_form, seals, tree
from services.ledger.proof.verification import Fault
from tests.ledgers import NOON, tamper
from tests.long_journal import ENTRIES, seal, told, verified


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
