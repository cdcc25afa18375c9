"""Each ledger invariant holds in the database too, for code that goes around the domain."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import InsufficientPoints
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.batch import pack
from services.ledger.proof import seals
from services.ledger.proof.verification import Fault, Verification, verify
from services.ledger.store import APPLY
from tests.ledgers import NOON, bare_ledger, grant, move

MEMBER, OTHER = UUID(int=101), UUID(int=102)


@pytest.fixture
async def ledger(database: Database) -> Database:
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    async with database.unit_of_work(1) as uow:
        for number in range(3):
            await service.post(uow, grant(MEMBER, 100, f"g{number}"))
    return database


@pytest.fixture
async def owner(ledger: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The database's owner, who may do what the application may not."""
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def app(ledger: Database, app_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The application's role on a bare connection."""
    connection = await asyncpg.connect(app_url)
    await connection.execute("SET pointsbank.community_id = '1'")
    yield connection
    await connection.close()


async def verified(ledger: Database, file: Path | None = None) -> Verification:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        return await verify(uow, seals=seals.read_seals(file) if file else None)


def faults(verification: Verification) -> list[Fault]:
    return [finding.fault for finding in verification.findings]


# 1. An entry balances to zero in every commodity: each line gives one account what it takes from another.

COPY_OF_ONE = """
INSERT INTO bank.journal_lines
       (number, amount, debit_after, credit_after, occurred_at, recorded_at, reverses, community_id,
        policy_version, debit, credit, kind, source_kind, expires_on, line, id, source_id, actor_ref,
        subject_ref, hash, debit_before, credit_before)
SELECT {number}, {amount}, debit_after, credit_after, occurred_at, recorded_at, reverses, community_id,
       policy_version, {debit}, credit, kind, source_kind, expires_on, {line}, {id}, source_id, actor_ref,
       subject_ref, hash, debit_before, credit_before
  FROM bank.journal_lines WHERE number = 1
"""
A_COPY = {"number": 4, "amount": "amount", "debit": "debit", "line": 1, "id": "gen_random_uuid()"}


@pytest.mark.parametrize("change", [{"debit": "credit"}, {"amount": 0}, {"amount": -1}])
async def test_the_database_refuses_a_line_that_moves_nothing_between_two_accounts(
    owner: asyncpg.Connection, change: dict[str, object]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="ck_journal_lines_sound"):
        await owner.execute(COPY_OF_ONE.format(**(A_COPY | change)))


async def test_a_line_cannot_move_one_commodity_into_another(ledger: Database) -> None:
    entry = grant(MEMBER, 5, "mixed")
    (moved,) = entry.transfers
    mixed = copy.copy(moved)
    object.__setattr__(mixed, "target", accounts.service(MEMBER))
    object.__setattr__(entry, "transfers", (mixed,))
    with pytest.raises(asyncpg.CheckViolationError, match="moves one commodity"):
        async with ledger.unit_of_work(1) as uow:
            await service.post(uow, entry)


async def test_every_line_of_an_entry_says_the_same_of_it(ledger: Database, app: asyncpg.Connection) -> None:
    first = grant(MEMBER, 5, "two-lines")
    both = replace(first, transfers=first.transfers * 2)
    columns = list(pack(1, [both]))
    ids, refs, kinds = columns[3:6]
    for place, changed in (
        (3, [ids[0], uuid4()]),
        (4, [*refs[:5], uuid4()]),
        (5, [*kinds[:2], "gift", "gift"]),
    ):
        forged = [*columns[:place], changed, *columns[place + 1 :]]
        with pytest.raises(asyncpg.CheckViolationError, match="say the same of it"):
            await app.fetchrow(APPLY, 1, NOON, *forged, False)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_what_a_batch_says_it_moves_is_what_its_lines_move(
    ledger: Database, app: asyncpg.Connection, place: int
) -> None:
    columns = list(pack(1, [grant(MEMBER, 5, "moves")]))
    columns[1] = [each + (number == place) for number, each in enumerate(columns[1])]
    with pytest.raises(asyncpg.CheckViolationError, match="the moves of a batch are not its lines"):
        await app.fetchrow(APPLY, 1, NOON, *columns, False)
    assert (await verified(ledger)).sound


@pytest.mark.parametrize(
    "forged",
    [
        [(1, 1), (1, 2), (3, 1)],  # an entry is left out
        [(1, 1), (2, 2), (3, 1)],  # a second line without a first
        [(1, 1), (2, 9), (3, 1)],
        [(1, 1), (1, 1), (2, 1)],  # one entry twice
        [(1, 1), (None, 1), (3, 1)],
        [(1, 1), (2, None), (3, 1)],
        [(1, 1), (7, 1), (3, 1)],
    ],
)
@pytest.mark.parametrize("special", [False, True])
async def test_entries_and_their_lines_are_numbered_without_a_gap(
    ledger: Database, app: asyncpg.Connection, forged: list[tuple[int | None, int | None]], special: bool
) -> None:
    columns = list(pack(1, [grant(MEMBER, 5, f"n{number}") for number in range(3)]))
    for place, (entry, line) in enumerate(forged):
        columns[2][5 * place + 2], columns[2][5 * place + 3] = entry, line
    if special:
        columns[12] = [NOON] * 3
    with pytest.raises(asyncpg.CheckViolationError):
        await app.fetchrow(APPLY, 1, NOON, *columns, False)
    assert (await verified(ledger)).sound


async def test_every_line_of_an_entry_was_recorded_at_the_same_moment(
    ledger: Database, app: asyncpg.Connection
) -> None:
    first = grant(MEMBER, 5, "two-moments")
    columns = list(pack(1, [replace(first, transfers=first.transfers * 2)], recorded=[NOON]))
    columns[12] = [NOON, NOON + timedelta(seconds=1)]
    with pytest.raises(asyncpg.CheckViolationError, match="say the same of it"):
        await app.fetchrow(APPLY, 1, NOON, *columns, False)


@pytest.mark.parametrize(("kind", "reverses"), [("reversal", None), ("earning", 1)])
async def test_a_reversal_and_nothing_else_names_the_entry_it_takes_back(
    app: asyncpg.Connection, kind: str, reverses: int | None
) -> None:
    columns = list(pack(1, [move(accounts.available(MEMBER), accounts.issuance(Commodity.POINT), 5, "back")]))
    columns[5] = [kind, "reversal"]
    columns[9] = [reverses] if reverses else None
    with pytest.raises(asyncpg.CheckViolationError, match="names the entry it takes back"):
        await app.fetchrow(APPLY, 1, NOON, *columns, False)


async def test_a_chain_begins_with_the_hash_that_its_number_gives(owner: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="ck_ledger_heads_genesis"):
        await owner.execute(
            "INSERT INTO bank.ledger_heads (community_id, hash, algorithm, recorded_at)"
            " VALUES (2, sha256('another'), 'sha256-1', now())"
        )


async def test_nothing_is_recorded_in_the_future(ledger: Database, app: asyncpg.Connection) -> None:
    columns = list(pack(1, [grant(MEMBER, 5, "later")], recorded=[NOON.replace(year=2999)]))
    with pytest.raises(asyncpg.CheckViolationError, match="recorded in the future"):
        await app.fetchrow(APPLY, 1, NOON, *columns, False)


# 2. No account passes its floor.


async def test_the_database_refuses_a_balance_below_its_floor(owner: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="ck_balances_floor"):
        await owner.execute("UPDATE bank.balances SET balance = -1 WHERE commodity = 'POINT' AND floor = 0")


async def test_an_account_of_a_member_cannot_be_opened_with_another_floor(app: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="ck_accounts_floor"):
        await app.execute(
            "SELECT bank.open_accounts(1, now(), ARRAY[$1::uuid], ARRAY['member_available'], ARRAY[$1::uuid],"
            " ARRAY['POINT'], ARRAY[-500::bigint])",
            uuid4(),
        )


async def test_a_balance_cannot_be_given_another_floor_than_its_account(owner: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owner.execute("UPDATE bank.balances SET floor = -9 WHERE floor = 0")


async def test_sixteen_connections_spending_the_same_twenty_accounts_never_overdraw(
    ledger: Database, app_url: str
) -> None:
    members = [UUID(int=1_000 + number) for number in range(20)]
    async with ledger.unit_of_work(1) as uow:
        await service.post_many(uow, [grant(member, 1_000, f"start-{member}") for member in members])
    shared = Database(app_url, clock=FixedClock(NOON), pool_size=16)
    refused = 0

    async def spend(worker: int) -> None:
        nonlocal refused
        dice = random.Random(worker)
        for step in range(25):
            payer, payee = dice.sample(members, 2)
            entry = move(
                accounts.available(payer), accounts.available(payee), dice.randint(1, 900), f"{worker}-{step}"
            )
            try:
                async with shared.unit_of_work(1) as uow:
                    await service.post(uow, entry)
            except InsufficientPoints:
                refused += 1

    try:
        await asyncio.gather(*(spend(worker) for worker in range(16)))
        async with shared.unit_of_work(1) as uow:
            balances = await service.balances(uow, [accounts.available(member) for member in members])
    finally:
        await shared.close()
    assert min(balances.values()) >= 0
    assert sum(balances.values()) == 20 * 1_000
    assert 0 < refused < 16 * 25, "both outcomes must have been met"
    assert (await verified(ledger)).sound


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


# 4. An idempotency key is unique within a community.


async def test_the_database_refuses_a_second_entry_under_one_key(owner: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UniqueViolationError, match="uq_journal_lines_id"):
        await owner.execute(COPY_OF_ONE.format(**(A_COPY | {"id": "id"})))


async def test_twenty_posts_of_one_key_at_once_post_one_entry(ledger: Database) -> None:
    async def post() -> bool:
        async with ledger.unit_of_work(1) as uow:
            return (await service.post(uow, grant(OTHER, 5, "same"))).already

    answers = await asyncio.gather(*(post() for _ in range(20)))
    assert sorted(answers) == [False] + [True] * 19
    async with ledger.unit_of_work(1) as uow:
        assert await service.balance(uow, accounts.available(OTHER)) == 5


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


# 6. Every entry names its kind, source, actor, subject and policy.


@pytest.mark.parametrize(
    "column",
    ["kind", "source_kind", "source_id", "actor_ref", "subject_ref", "policy_version", "occurred_at"],
)
async def test_no_entry_can_be_without_its_origin(owner: asyncpg.Connection, column: str) -> None:
    nullable = await owner.fetchval(
        """
        SELECT is_nullable FROM information_schema.columns
         WHERE table_schema = 'bank' AND table_name = 'journal_lines' AND column_name = $1
        """,
        column,
    )
    assert nullable == "NO"


async def test_an_entry_cannot_cite_a_policy_that_does_not_exist(ledger: Database) -> None:
    entry = grant(MEMBER, 1, "cites")
    entry = replace(entry, origin=replace(entry.origin, policy_version=99))
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="policy version 99"):
        async with ledger.unit_of_work(1) as uow:
            await service.post(uow, entry)


# 7. Every entry lies under the hash chain, and seals hold the chain from outside.


async def tamper(owner: asyncpg.Connection, statement: str) -> None:
    """Do what only one who owns the database can: switch the walls off and rewrite the past."""
    tables = ("journal_lines", "balances", "accounts", "seals", "merkle_nodes")
    async with owner.transaction():
        for table in tables:
            await owner.execute(f"ALTER TABLE bank.{table} DISABLE TRIGGER USER")
        await owner.execute(statement)
        for table in tables:
            await owner.execute(f"ALTER TABLE bank.{table} ENABLE TRIGGER USER")


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
