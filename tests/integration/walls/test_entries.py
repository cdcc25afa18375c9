"""What an entry can be holds in the database too, for code that goes around the domain."""

from __future__ import annotations

import asyncio
import copy
import random
from dataclasses import replace
from datetime import timedelta
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
from services.ledger.store import APPLY
from tests.integration.walls.support import MEMBER, OTHER, verified
from tests.ledgers import NOON, grant, move

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
