"""No statement of the posting or statement path scans a table that grows.

The plans are taken from the server itself while the real functions run (auto_explain, nested statements
included), as the application's role, on tables that no statistics were ever gathered for: the worst a plan
cached on an empty table can be.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.hold import Hold
from pointsbank.domain.journal import EntryKind, JournalEntry, Transfer
from pointsbank.domain.points import MilliPoints
from pointsbank.platform import roles
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.ids import uuid7
from services.ledger import expiry, giving, history, holds, lot_store, lots, service, store
from services.ledger.history import BeforeEntry
from tests.ledgers import NOBODY, NOON, bare_ledger, entry, grant, move, origin

GROW = {"journal_lines", "balances", "accounts", "holds"}
MEMBERS = [UUID(int=100 + number) for number in range(400)]
ROUNDS = 6


@dataclass
class Plans:
    """Every plan that was run, as the server tells."""

    nodes: list[dict[str, Any]] = field(default_factory=list)

    def take(self, _connection: object, message: asyncpg.PostgresLogMessage) -> None:
        found = re.search(r"plan:\s*(\{.*)", message.message or "", re.DOTALL)
        if found:
            self.nodes += _flat(json.loads(found[1])["Plan"])


def _flat(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _flat(child)


@pytest.fixture
async def watched(
    servers: Any, owner_url: str, database: Database
) -> AsyncIterator[tuple[UnitOfWork, Plans]]:
    """A unit of work whose every plan is kept, in the application's role."""
    database.clock = FixedClock(NOON)
    await bare_ledger(database)
    admin = Database(roles.with_database(servers.admin_url, roles.database_name(owner_url)), pool_size=1)
    admin.clock = database.clock
    plans = Plans()
    try:
        async with admin.unit_of_work(1) as uow:
            connection = await uow.connection()
            try:
                await connection.execute("LOAD 'auto_explain'")
            except asyncpg.PostgresError:
                pytest.skip("the test server has no auto_explain, or its role may not load it")
            for name, value in (
                ("log_min_duration", "0"),
                ("log_nested_statements", "on"),
                ("log_analyze", "on"),
                ("log_timing", "off"),
                ("log_level", "notice"),
                ("log_format", "json"),
                ("log_parameter_max_length", "0"),
            ):
                await connection.execute(f"SET auto_explain.{name} = '{value}'")
            await connection.execute(f"SET ROLE {roles.APP}")
            connection.add_log_listener(plans.take)
            yield uow, plans
            connection.remove_log_listener(plans.take)
    finally:
        await admin.close()


async def grown(uow: UnitOfWork) -> None:
    """Post in the very session that planned on empty tables, until a scan would stand out."""
    for round_ in range(ROUNDS):
        entries = [grant(member, 100, f"g{round_}-{member}") for member in MEMBERS]
        entries += [
            move(accounts.available(giver), accounts.available(getter), 1, f"m{round_}-{giver}")
            for giver, getter in pairwise(MEMBERS)
        ]
        await service.post_many(uow, entries)


def most_read(plans: Plans) -> int:
    """The most rows any node took from, or threw away of, a table that grows."""
    return max(
        int(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
            * (node["Actual Loops"] if "Rows Removed by Filter" in node else 1)
        )
        for node in plans.nodes
        if node.get("Relation Name") in GROW
    )


def scans(plans: Plans) -> list[str]:
    return [
        f"{node['Node Type']} on {node['Relation Name']}"
        for node in plans.nodes
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in GROW
    ]


async def test_posting_stays_index_look_ups_on_tables_that_were_empty_when_it_was_planned(
    watched: tuple[UnitOfWork, Plans],
) -> None:
    uow, plans = watched
    await grown(uow)
    plans.nodes.clear()
    await service.post_many(
        uow, [move(accounts.available(MEMBERS[0]), accounts.available(MEMBERS[1]), 1, "x")]
    )
    await service.post_many(
        uow, [move(accounts.available(MEMBERS[0]), accounts.available(MEMBERS[1]), 1, "x")]
    )
    assert len(plans.nodes) > 10, "the plans inside the function must have been seen"
    assert any(node.get("Index Name") == "uq_journal_lines_id" for node in plans.nodes)
    assert scans(plans) == []
    assert most_read(plans) <= 10, "a look-up reads what it looks up, however much there is"


async def test_holds_reversals_and_new_accounts_are_look_ups_too(
    watched: tuple[UnitOfWork, Plans],
) -> None:
    uow, plans = watched
    await grown(uow)
    plans.nodes.clear()
    hold = Hold(
        id=uuid7(),
        member=MEMBERS[0],
        partner=UUID(int=7),
        amount=MilliPoints(5),
        expires_at=NOON + timedelta(hours=1),
    )
    await holds.open_hold(uow, hold, origin(MEMBERS[0]))
    await holds.capture_hold(uow, hold.id, amount=MilliPoints(3), actor=NOBODY)
    await service.reverse(uow, 1, actor=NOBODY)
    assert scans(plans) == []
    assert most_read(plans) <= 20


async def test_a_statement_and_a_balance_of_the_past_read_no_more_than_their_lines(
    watched: tuple[UnitOfWork, Plans],
) -> None:
    uow, plans = watched
    await grown(uow)
    uow.clock.move_to(NOON + timedelta(days=3))  # type: ignore[attr-defined]
    code = accounts.available(MEMBERS[5])
    await service.post_many(uow, [grant(MEMBERS[5], 7, f"late-{number}") for number in range(4)])
    plans.nodes.clear()
    statement = await service.statement(uow, code, NOON + timedelta(days=2), NOON + timedelta(days=4))
    assert (len(statement.lines), statement.closing - statement.opening) == (4, 28)
    assert await service.balance_as_of(uow, code, NOON + timedelta(days=1)) == statement.opening
    assert await service.balance_as_happened(uow, code, NOON + timedelta(days=1)) == statement.closing
    assert await service.earned_between(uow, MEMBERS[5], NOON, NOON + timedelta(days=9)) > 0
    await service.entry(uow, 17)
    assert scans(plans) == []
    # One account of four hundred: the lines of its own few rounds at most, never the journal's thousands.
    assert most_read(plans) <= 3 * ROUNDS + 4


async def _by_lots(uow: UnitOfWork, member: UUID) -> None:
    """Everything that is read to decide by a member's lots, or to find whose are due."""
    day = NOON.date()
    await lots.fold(uow, member)
    await expiry.expire_member(uow, member, day)
    head = await lots.lock(uow)
    await lot_store.members_with_old_lots(
        uow, day, after_day=day - timedelta(days=1), after_entry=max(0, head - 2), through_entry=head
    )
    await giving.moved_this_year(uow, member, EntryKind.HOLD, day, "UTC", incoming=False)
    await history.stood_before(
        uow, [BeforeEntry(member, head, (NOON - timedelta(days=9), NOON + timedelta(days=9)))]
    )
    await store.reversed_by(uow, 3)


async def test_lots_expiry_and_what_was_given_read_the_member_s_own_lines_only(
    watched: tuple[UnitOfWork, Plans],
) -> None:
    uow, plans = watched
    for _ in range(6):  # so often that the server keeps one plan for all
        await _by_lots(uow, MEMBERS[5])
    await grown(uow)
    plans.nodes.clear()
    await _by_lots(uow, MEMBERS[5])
    assert len(plans.nodes) > 10
    assert scans(plans) == []
    assert most_read(plans) <= 3 * ROUNDS + 4


def several(round_: int) -> JournalEntry:
    """An entry whose five lines touch two accounts, as gifts out of several lots do."""
    giving = Transfer(accounts.available(MEMBERS[0]), accounts.available(MEMBERS[1]), 1)
    return entry(f"several-{round_}", [giving] * 5)


async def test_the_first_page_of_a_history_is_no_longer_for_entries_of_several_lines(
    watched: tuple[UnitOfWork, Plans],
) -> None:
    uow, plans = watched
    await grown(uow)
    await service.post_many(uow, [grant(MEMBERS[0], 10_000, "means")])
    await service.post_many(uow, [several(round_) for round_ in range(600)])
    number = (await store.account_numbers(uow, [accounts.available(MEMBERS[1])])).popitem()[1]
    plans.nodes.clear()
    lines = await store.lines(uow, number, after_entry=0, through_entry=2**62, limit=10)
    assert len(lines) == 10
    assert most_read(plans) <= 400, "of three thousand lines"


async def test_a_retry_looks_at_each_line_of_its_batch_a_few_times_and_not_at_all_for_each(
    watched: tuple[UnitOfWork, Plans],
) -> None:
    uow, plans = watched
    await service.post_many(uow, [grant(MEMBERS[0], 10_000, "means")])
    batch = [several(round_) for round_ in range(100)]
    posted = await service.post_many(uow, batch)
    plans.nodes.clear()
    assert [each.number for each in await service.post_many(uow, batch)] == [each.number for each in posted]
    looked_at = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in plans.nodes
        if node["Node Type"] == "Function Scan" and node.get("Function Name") == "generate_series"
    )
    assert 500 <= looked_at <= 3 * 500
