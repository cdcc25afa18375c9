"""The drawn sample on a real journal: the same for everybody, weak confirmations first, nobody else's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pointsbank.domain.sampling import WEIGHTS, best_ticket
from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.audit import service as audit
from services.audit import store
from services.ledger import service as ledger
from tests.auditing import earned, given, recent, visited
from tests.worlds import NINE_ON_MONDAY, World, small_world


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NINE_ON_MONDAY)
    database.clock = clock
    return clock


@pytest.fixture
async def world(database: Database, clock: FixedClock) -> World:
    """A world with ten visits of every strength, an earning without a visit, a gift and a reversal."""
    world = await small_world(database)
    methods = (ConfirmationMethod.ELDER, ConfirmationMethod.COORDINATOR, ConfirmationMethod.RECORD)
    for place in range(10):
        await visited(
            database,
            world,
            (world.volunteer, world.second_volunteer)[place % 2],
            world.elder,
            world.coordinator if place % 3 else world.elder,
            start=NINE_ON_MONDAY - timedelta(hours=2 * place + 3),
            method=methods[place % 3],
        )
    await earned(database, world, world.volunteer, 4_000, actor=world.coordinator)
    await given(database, world, world.volunteer, world.elder, 1_000)
    return world


async def test_anybody_with_the_seed_draws_the_same_entries_from_the_journal(
    database: Database, clock: FixedClock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "POPULATION_PAGE", 3)  # several pages
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        drawn = await audit.sample(uow, period, seed="灯笼", size=4)
        again = await audit.sample(uow, period, seed="灯笼", size=4)
        other = await audit.sample(uow, period, seed="lantern", size=4)
        numbers = [entry.number for entry in await ledger.entries(uow, limit=200) if entry.kind == "earning"]
        strengths = {
            number: strength
            async for page in store.population(uow, period.after, period.through)
            for number, strength in page
        }
    assert drawn == again
    assert drawn.drawn != other.drawn
    assert sorted(strengths) == numbers
    assert drawn.population == len(numbers) == 11
    assert drawn.tickets == sum(WEIGHTS[each] for each in strengths.values())
    by_hand = sorted(numbers, key=lambda n: best_ticket("灯笼", 1, n, WEIGHTS[strengths[n]]))[:4]
    assert [each.number for each in drawn.drawn] == by_hand
    assert [each.place for each in drawn.drawn] == [1, 2, 3, 4]


async def test_a_weight_of_zero_leaves_a_strength_out(
    database: Database, clock: FixedClock, world: World
) -> None:
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        drawn = await audit.sample(uow, period, seed="a", size=50, weights={4: 0, 3: 0, 2: 0, 1: 1, 0: 1})
    assert {each.strength for each in drawn.drawn} == {0, 1}
    assert drawn.population == len(drawn.drawn) == 4


async def test_a_drawn_entry_says_what_its_visit_was_and_one_without_a_visit_says_so(
    database: Database, clock: FixedClock, world: World
) -> None:
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        drawn = await audit.sample(uow, period, seed="a", size=50)
    bare = next(each for each in drawn.drawn if each.strength == 0)
    assert (bare.volunteer_ref, bare.elder_id, bare.milli_points) == (world.volunteer.ledger_ref, None, 4_000)
    paper = next(each for each in drawn.drawn if each.strength == 1)
    assert (paper.elder_id, paper.minutes, paper.milli_points, paper.method) == (
        world.elder.id,
        60,
        1_000,
        "record",
    )


async def test_another_communitys_entries_never_take_part(
    database: Database, clock: FixedClock, world: World
) -> None:
    other = await small_world(database, 2)
    await earned(database, other, other.volunteer, 1_000, actor=other.coordinator)
    period = await recent(database, other, clock)
    async with database.unit_of_work(2) as uow:
        drawn = await audit.sample(uow, period, seed="a", size=50)
    assert drawn.population == 1
    assert drawn.drawn[0].volunteer_ref == other.volunteer.ledger_ref
