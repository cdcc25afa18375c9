"""What the journal keeps holds in the database too, for code that goes around the domain."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.proof import seals
from services.ledger.proof.verification import Fault
from tests.integration.walls.support import MEMBER, faults, verified
from tests.ledgers import grant, tamper

# 3. The journal is append-only.

APPEND_ONLY = (
    *("journal_lines", "accounts", "seals", "merkle_nodes", "policy_versions"),
    *("settlement_batches", "settlement_lines", "reconciliations", "partner_events"),
)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("change", ["UPDATE bank.{} SET community_id = 1", "DELETE FROM bank.{}"])
async def test_the_applications_role_has_no_right_to_change_the_journal(
    app: asyncpg.Connection, table: str, change: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(change.format(table))


@pytest.mark.parametrize("table", ["journal_lines", "balances", "accounts"])
async def test_the_applications_role_cannot_write_the_journal_but_through_its_one_way(
    app: asyncpg.Connection, table: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(f"INSERT INTO bank.{table} SELECT * FROM bank.{table}")


async def test_the_applications_role_cannot_set_a_balance_or_move_the_head(app: asyncpg.Connection) -> None:
    for statement in (
        "UPDATE bank.balances SET balance = 9",
        "UPDATE bank.ledger_heads SET entry_number = 9",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "change", ["UPDATE bank.{} SET community_id = 1", "DELETE FROM bank.{}", "TRUNCATE bank.{} CASCADE"]
)
async def test_triggers_refuse_even_the_owner(owner: asyncpg.Connection, table: str, change: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await owner.execute(change.format(table))


# 5. Balances equal the sum of postings.


async def test_a_balance_that_is_not_the_sum_of_its_postings_is_found(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    await tamper(owner, "UPDATE bank.balances SET balance = balance + 1 WHERE floor = 0")
    assert faults(await verified(ledger)) == [Fault.BALANCE_MISMATCH]


async def test_the_database_refuses_a_new_account_with_a_balance(owner: asyncpg.Connection) -> None:
    account = uuid4()
    await owner.execute(
        "INSERT INTO bank.accounts VALUES (1, $1, 9, 'member_held', $2, 'POINT', 0, now())", account, uuid4()
    )
    with pytest.raises(asyncpg.CheckViolationError, match="is not what was posted"):
        await owner.execute("INSERT INTO bank.balances VALUES (1, $1, 9, 5, 0, 'POINT')", account)


# 7. Every entry lies under the hash chain, and seals hold the chain from outside.


async def test_an_untouched_journal_verifies(ledger: Database) -> None:
    verification = await verified(ledger)
    assert verification.sound
    assert (verification.entries, verification.lines) == (3, 3)


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'hold'",
        "source_kind = 'redemption'",
        "source_id = gen_random_uuid()",
        "actor_ref = gen_random_uuid()",
        "subject_ref = gen_random_uuid()",
        "policy_version = policy_version + 1",
        "occurred_at = occurred_at - interval '1 microsecond'",
        "recorded_at = recorded_at + interval '1 day'",
        "expires_on = '2030-01-01'",
        "amount = amount * 2",
        "id = gen_random_uuid()",
    ],
)
async def test_a_changed_column_of_an_entry_is_found_and_named(
    ledger: Database, owner: asyncpg.Connection, change: str
) -> None:
    await tamper(owner, f"UPDATE bank.journal_lines SET {change} WHERE number = 2")
    findings = (await verified(ledger)).findings
    assert (findings[0].fault, findings[0].where) == (Fault.ENTRY_ALTERED, "entry 2")


async def test_an_account_given_to_somebody_else_is_found(
    ledger: Database, owner: asyncpg.Connection
) -> None:
    await tamper(owner, "UPDATE bank.accounts SET owner_ref = gen_random_uuid() WHERE floor = 0")
    assert Fault.ACCOUNT_ALTERED in faults(await verified(ledger))


async def test_an_entry_cut_out_of_the_middle_is_found(ledger: Database, owner: asyncpg.Connection) -> None:
    await tamper(owner, "DELETE FROM bank.journal_lines WHERE number = 2")
    assert Fault.ENTRY_MISSING in faults(await verified(ledger))


async def test_a_tail_cut_off_is_found_by_the_head(ledger: Database, owner: asyncpg.Connection) -> None:
    await tamper(owner, "DELETE FROM bank.journal_lines WHERE number = 3")
    assert Fault.HEAD_MISMATCH in faults(await verified(ledger))


async def test_a_past_rewritten_with_all_its_hashes_no_longer_fits_the_seal(
    ledger: Database, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    file = seals.seals_file(tmp_path, 1)
    async with ledger.unit_of_work(1) as uow:
        line = await seals.seal_head(uow, seals.load_key(tmp_path))
    seals.append_seal(file, line)
    assert (await verified(ledger, file)).sound

    await tamper(
        owner,
        "DELETE FROM bank.journal_lines; DELETE FROM bank.seals;"
        "UPDATE bank.balances SET balance = 0, last_number = 0;"
        "UPDATE bank.ledger_heads SET entry_number = 0,"
        "       hash = sha256(convert_to('pointsbank:1', 'UTF8'))",
    )
    async with ledger.unit_of_work(1) as uow:
        for number in range(3):
            await service.post(uow, grant(MEMBER, 999, f"g{number}"))
    assert (await verified(ledger)).sound, "inside the database the forgery is perfect"
    assert faults(await verified(ledger, file)) == [Fault.SEAL_MISMATCH]


def test_a_seal_whose_text_was_changed_does_not_hold(tmp_path: Path) -> None:
    key = seals.load_key(tmp_path)
    assert seals.load_key(tmp_path).private_bytes_raw() == key.private_bytes_raw()
    file = tmp_path / "seals.jsonl"
    file.write_text('{"entry_number": 1, "signature": "00", "public_key": "' + "00" * 32 + '"}\n')
    with pytest.raises(seals.SealUnreadable):
        seals.read_seals(file)


# 9. Personal data lives outside the ledger.


async def test_the_ledger_has_no_column_for_personal_data(owner: asyncpg.Connection) -> None:
    columns = await owner.fetch(
        """
        SELECT table_name, column_name, data_type FROM information_schema.columns
         WHERE table_schema = 'bank' AND table_name IN ('accounts', 'balances', 'journal_lines', 'holds',
               'ledger_heads', 'seals', 'merkle_nodes')
        """
    )
    texts = {
        row["column_name"] for row in columns if "char" in row["data_type"] or row["data_type"] == "text"
    }
    assert texts == {"kind", "commodity", "algorithm", "state"}, "kinds of a line are enumerated"
    references = await owner.fetch(
        """
        SELECT conname FROM pg_constraint
         WHERE contype = 'f' AND confrelid = 'bank.people'::regclass
           AND conrelid::regclass::text IN ('bank.accounts', 'bank.journal_lines', 'bank.holds')
        """
    )
    assert references == [], "erasing a person must not break the chain"


# Row-level security, the second wall between communities.


async def test_another_communitys_rows_cannot_be_read_or_written(
    ledger: Database, app: asyncpg.Connection
) -> None:
    await app.execute("SET pointsbank.community_id = '2'")
    assert await app.fetchval("SELECT count(*) FROM bank.journal_lines") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await app.execute(
            "INSERT INTO bank.merkle_nodes VALUES (1, 1, 0, sha256('x'))",
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="another community"):
        await app.execute(
            "SELECT bank.open_accounts(1, now(), ARRAY[$1::uuid], ARRAY['member_held'], ARRAY[$1::uuid],"
            " ARRAY['POINT'], ARRAY[0::bigint])",
            uuid4(),
        )


async def test_the_one_way_into_the_journal_refuses_another_community(ledger: Database) -> None:
    async with ledger.unit_of_work(2) as uow:
        uow.community_id = 1  # as a bug would
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="another community"):
            await service.post(uow, grant(MEMBER, 1, "x"))


async def test_minutes_and_points_are_issued_from_accounts_of_their_own(ledger: Database) -> None:
    async with ledger.unit_of_work(1) as uow:
        assert await service.balance(uow, accounts.issuance(Commodity.POINT)) == -300
        assert await service.balance(uow, accounts.issuance(Commodity.MINUTE)) == 0
