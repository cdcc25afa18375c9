"""Points expire by lot: when, whose, once, and never under the feet of somebody who spends them."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.hold import Hold
from pointsbank.domain.journal import EntryKind, InsufficientPoints, Origin, SourceKind
from pointsbank.domain.points import MilliPoints
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.ledger import expiry, holds, lot_store
from services.ledger import service as ledger
from tests.givings import days, earn, left, new_rules, today
from tests.worlds import NINE_ON_MONDAY, World, done_visit, small_world, volunteer_of

YESTERDAY, TODAY, TOMORROW = date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NINE_ON_MONDAY)
    database.clock = clock
    return clock


@pytest.fixture
async def world(database: Database, clock: FixedClock) -> World:
    return await small_world(database)


async def balance(database: Database, account: accounts.AccountCode) -> int:
    async with database.unit_of_work(1) as uow:
        return await ledger.balance(uow, account)


async def expiries(database: Database) -> list[tuple[int, UUID, UUID, UUID]]:
    async with database.unit_of_work(1) as uow:
        found = await ledger.entries(uow, kind=EntryKind.EXPIRY)
        return [(each.legs[1].amount, each.subject_ref, each.actor_ref, each.source_id) for each in found]


async def hold(database: Database, world: World, amount: int) -> UUID:
    async with database.unit_of_work(1) as uow:
        member = world.volunteer.ledger_ref
        opened = Hold(
            id=uuid7(),
            member=member,
            partner=uuid7(),
            amount=MilliPoints(amount),
            expires_at=uow.clock.now() + days(60),
        )
        await holds.open_hold(uow, opened, Origin(SourceKind.REDEMPTION, opened.id, member, member, 1))
        return opened.id


async def test_a_confirmed_visit_earns_points_that_last_as_long_as_the_policy_says(
    database: Database, clock: FixedClock, world: World
) -> None:
    await new_rules(database, world, points_expire_months=24)
    visit = await done_visit(database, clock, world)
    async with database.unit_of_work(1) as uow:
        await care.confirm(uow, world.elder.actor, visit.id)
    earner = world.volunteer if visit.volunteer_id == world.volunteer.id else world.second_volunteer
    assert volunteer_of(world, visit.volunteer_id).ledger_ref == earner.ledger_ref
    assert await left(database, world, earner) == [(date(2028, 3, 31), 1_000, 0)]


async def test_points_leave_the_day_after_their_last_and_not_before(
    database: Database, clock: FixedClock, world: World
) -> None:
    await earn(database, world, world.volunteer, 3_000, TODAY)
    await earn(database, world, world.volunteer, 2_000, None)
    assert await expiry.expire_lots(database, 1) == 0
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=14, minutes=59))  # one minute before midnight there
    assert await expiry.expire_lots(database, 1) == 0
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=15))
    assert await expiry.expire_lots(database, 1) == 1
    assert await left(database, world, world.volunteer) == [(None, 2_000, 0)]
    assert await balance(database, accounts.expired()) == 3_000
    run = expiry.run_id(1, TOMORROW)
    assert await expiries(database) == [(3_000, world.volunteer.ledger_ref, accounts.COMMUNITY_OWNER, run)]


async def test_a_sweep_that_runs_again_finds_nothing_more_to_take(
    database: Database, clock: FixedClock, world: World
) -> None:
    await earn(database, world, world.volunteer, 3_000, YESTERDAY)
    assert await expiry.expire_lots(database, 1) == 1
    assert await expiry.expire_lots(database, 1) == 0
    async with database.unit_of_work(1) as uow:  # a crash before how far it had run was noted
        assert await expiry.expire_member(uow, world.volunteer.ledger_ref, TODAY) is None
    assert len(await expiries(database)) == 1


async def test_two_sweeps_at_once_take_what_is_due_once(
    database: Database, clock: FixedClock, world: World
) -> None:
    for member in (world.volunteer, world.second_volunteer):
        await earn(database, world, member, 3_000, YESTERDAY)
    done = await asyncio.gather(*(expiry.expire_lots(database, 1) for _ in range(4)))
    assert sum(done) == 2
    assert sorted(amount for amount, *_ in await expiries(database)) == [3_000, 3_000]


async def test_what_a_late_record_brings_with_a_day_that_has_passed_goes_with_the_next_sweep(
    database: Database, clock: FixedClock, world: World
) -> None:
    await earn(database, world, world.volunteer, 1_000, YESTERDAY)
    assert await expiry.expire_lots(database, 1) == 1
    await earn(database, world, world.volunteer, 2_000, date(2025, 1, 31))
    assert await expiry.expire_lots(database, 1) == 1
    assert await balance(database, accounts.expired()) == 3_000


async def test_a_hold_keeps_its_points_past_their_day_and_a_void_gives_them_to_the_next_sweep(
    database: Database, clock: FixedClock, world: World
) -> None:
    await earn(database, world, world.volunteer, 3_000, TODAY)
    await earn(database, world, world.volunteer, 2_000, None)
    held = await hold(database, world, 3_000)
    clock.move_to(NINE_ON_MONDAY + days(1))
    assert await expiry.expire_lots(database, 1) == 0
    assert await left(database, world, world.volunteer) == [(TODAY, 0, 3_000), (None, 2_000, 0)]
    async with database.unit_of_work(1) as uow:
        await holds.void_hold(uow, held, actor=world.volunteer.ledger_ref)
    assert await left(database, world, world.volunteer) == [(TODAY, 3_000, 0), (None, 2_000, 0)]
    assert await expiry.expire_lots(database, 1) == 1
    assert await left(database, world, world.volunteer) == [(None, 2_000, 0)]


async def test_what_a_partial_capture_releases_too_late_goes_with_the_next_sweep(
    database: Database, clock: FixedClock, world: World
) -> None:
    await earn(database, world, world.volunteer, 3_000, TODAY)
    held = await hold(database, world, 3_000)
    clock.move_to(NINE_ON_MONDAY + days(1))
    await expiry.expire_lots(database, 1)
    async with database.unit_of_work(1) as uow:
        await holds.capture_hold(uow, held, amount=MilliPoints(1_000), actor=world.volunteer.ledger_ref)
    assert await expiry.expire_lots(database, 1) == 1
    assert await balance(database, accounts.expired()) == 2_000
    assert await left(database, world, world.volunteer) == []


async def test_spending_and_expiring_at_once_never_take_the_same_points(
    database: Database, clock: FixedClock, world: World
) -> None:
    """Points that are due and points that stay; twelve orders race the sweep for them."""
    for _ in range(10):
        await earn(database, world, world.volunteer, 500, YESTERDAY)
        await earn(database, world, world.volunteer, 500, None)

    async def spend() -> int:
        try:
            await hold(database, world, 700)
        except InsufficientPoints:
            return 0
        return 700

    async def sweep() -> int:
        await asyncio.sleep(0.01)
        return await expiry.expire_lots(database, 1)

    *spent, _ = await asyncio.gather(*(spend() for _ in range(12)), sweep())
    expired = await balance(database, accounts.expired())
    lots = await left(database, world, world.volunteer)
    assert sum(held for *_, held in lots) == sum(spent)
    assert sum(spent) + expired + sum(available for _, available, _ in lots) == 10_000
    assert all(available == 0 for day, available, _ in lots if day == YESTERDAY), "nothing due is left"
    # First-expiring first: what was due was spent or has expired, and nothing else has.
    assert expired == 5_000 - sum(held for day, _, held in lots if day == YESTERDAY)


async def test_who_decides_by_lots_is_not_overtaken_by_who_spends_them(
    database: Database, clock: FixedClock, world: World
) -> None:
    await earn(database, world, world.volunteer, 1_000, YESTERDAY)
    spending: asyncio.Task[UUID] | None = None
    async with database.unit_of_work(1) as uow:
        await lot_store.lock_ledger(uow)
        spending = asyncio.create_task(hold(database, world, 400))
        await asyncio.sleep(0.2)
        assert not spending.done(), "the ledger is locked: nobody posts between the reading and the posting"
        await expiry.expire_member(uow, world.volunteer.ledger_ref, await today(database, world))
    with pytest.raises(InsufficientPoints):
        await spending


async def test_members_with_old_lots_are_found_by_indexes_that_hold_only_such_lines(
    owner_url: str, database: Database, clock: FixedClock, world: World
) -> None:
    for _ in range(30):
        await earn(database, world, world.volunteer, 100, None)
    await earn(database, world, world.volunteer, 100, YESTERDAY)
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.fetch(
            f"""
            EXPLAIN SELECT l.debit FROM bank.journal_lines l
             WHERE l.community_id = 1 AND l.number > 5 AND l.number <= 1000 AND ({lot_store.OLD_LOTS})
            UNION
            SELECT l.debit FROM bank.journal_lines l WHERE l.community_id = 1
               AND l.expires_on > '2026-01-01' AND l.expires_on <= '2026-03-01' AND l.expires_on IS NOT NULL
            """
        )
        told = "\n".join(row[0] for row in plan)
        assert "ix_journal_lines_old_lots" in told
        assert "ix_journal_lines_expires_on" in told
        assert "Seq Scan" not in told
        kept = await connection.fetchval(
            f"SELECT count(*) FROM bank.journal_lines l WHERE ({lot_store.OLD_LOTS})"
        )
        assert kept == 1, "lines without a day, or with one still to come, are in no such index"
    finally:
        await connection.close()


async def test_a_member_with_nothing_has_no_lots(database: Database, clock: FixedClock, world: World) -> None:
    assert await left(database, world, world.elder) == []
