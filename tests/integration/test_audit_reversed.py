"""What was taken back counts no longer: not for a day, not in a ring, not as a confirmation."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.audit import service as audit
from tests.auditing import earned, neighbours, recent, taken_back, visited
from tests.worlds import NINE_ON_MONDAY, World, small_world


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NINE_ON_MONDAY)
    database.clock = clock
    return clock


@pytest.fixture
async def world(database: Database, clock: FixedClock) -> World:
    return await small_world(database)


async def test_what_was_wholly_taken_back_is_no_long_day_no_ring_and_no_confirmation(
    database: Database, clock: FixedClock, world: World
) -> None:
    a, b = await neighbours(database, world, 2)
    day = NINE_ON_MONDAY - timedelta(days=2)
    paper = ConfirmationMethod.RECORD
    await visited(database, world, a, b, b, start=day, minutes=240, method=paper)
    wrong = await visited(database, world, a, b, b, start=day + timedelta(hours=5), minutes=240, method=paper)
    back = await visited(database, world, b, a, a, start=day + timedelta(hours=10), minutes=120, method=paper)

    async def found() -> tuple[list[int], list[int], int, list[int]]:
        period = await recent(database, world, clock)
        async with database.unit_of_work(1) as uow:
            days = await audit.long_days(uow, period, over_minutes=200)
            rings = await audit.rings(uow, period)
            grids = await audit.confirmations(uow, period)
            weak = await audit.weak_confirmers(uow, period)
        return (
            [each.minutes for each in days.items],
            [each.milli_points for each in rings.rings],
            sum(each.visits for each in grids),
            [each.weak for each in weak.items],
        )

    assert await found() == ([480], [2_000], 3, [2, 1])
    await taken_back(database, wrong, actor=world.coordinator)
    assert await found() == ([240], [2_000], 2, [1, 1])
    await taken_back(database, back, actor=world.coordinator)
    assert await found() == ([240], [], 1, [1])


async def test_of_what_was_taken_back_in_part_the_rest_goes_round(
    database: Database, clock: FixedClock, world: World
) -> None:
    a, b = await neighbours(database, world, 2)
    day = NINE_ON_MONDAY - timedelta(days=2)
    await visited(database, world, a, b, b, start=day, minutes=240)
    part = await visited(database, world, b, a, a, start=day + timedelta(hours=10), minutes=180)
    await taken_back(database, part, actor=world.coordinator, amount=1_000)
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        (ring,) = (await audit.rings(uow, period)).rings
        days = await audit.long_days(uow, period, over_minutes=179)
        grids = await audit.confirmations(uow, period)
    assert sorted((flow.milli_points, flow.minutes) for flow in ring.flows) == [(2_000, 180), (4_000, 240)]
    assert sorted(each.minutes for each in days.items) == [180, 240]
    assert sum(each.visits for each in grids) == 2


async def test_an_entry_that_was_taken_back_stays_in_its_row_and_says_by_which(
    database: Database, clock: FixedClock, world: World
) -> None:
    first = await earned(database, world, world.volunteer, 1_000, actor=world.volunteer)
    second = await earned(database, world, world.volunteer, 1_000, actor=world.volunteer)
    back = await taken_back(database, first, actor=world.coordinator)
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        found = await audit.self_entries(uow, period)
    assert [(each.number, each.reversed_by) for each in found.items] == [(first, back), (second, None)]
