"""The drawn sample on a real journal: the same for everybody, weak confirmations first, nobody else's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pointsbank.domain.errors import InvalidValue
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


async def test_a_sample_is_drawn_again_by_its_entries_though_its_period_went_on(
    database: Database, clock: FixedClock, world: World
) -> None:
    async with database.unit_of_work(1) as uow:
        period = await audit.period(uow, clock.now() - timedelta(days=7), clock.now() + timedelta(hours=5))
        drawn = await audit.sample(uow, period, seed="a", size=4)
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=1))
    for _ in range(30):
        await earned(database, world, world.second_volunteer, 1_000, actor=world.coordinator)
    async with database.unit_of_work(1) as uow:
        grown = await audit.period(uow, period.since, period.until)
        other = await audit.sample(uow, grown, seed="a", size=4)
        same = await audit.period_of_entries(uow, period.after, period.through)
        again = await audit.sample(uow, same, seed="a", size=4)
    assert [each.number for each in other.drawn] != [each.number for each in drawn.drawn]
    assert (again.drawn, again.population, again.tickets) == (drawn.drawn, drawn.population, drawn.tickets)
    assert (same.since, same.until) == (NINE_ON_MONDAY, NINE_ON_MONDAY + timedelta(microseconds=1))


async def test_entries_are_a_range_of_what_is_recorded(
    database: Database, clock: FixedClock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audit.entry_range(" 17-230 ") == (16, 230)
    for text in ("", "17", "-5", "17-", "a-b", "1-2-3", "١-٢", "1-99999999999999999"):
        with pytest.raises(InvalidValue, match="entry_range"):
            audit.entry_range(text)
    async with database.unit_of_work(1) as uow:
        for after, through, rule in (
            (-1, 3, "entry_range"),
            (3, 3, "entry_range"),
            (0, 1_000, "recorded_entries"),
            (2**53 - 2, 2**53 - 1, "recorded_entries"),
        ):
            with pytest.raises(InvalidValue, match=rule):
                await audit.period_of_entries(uow, after, through)
    monkeypatch.setattr(audit, "PERIOD_DAYS_MAX", 2)
    clock.move_to(NINE_ON_MONDAY + timedelta(days=3))
    last = await earned(database, world, world.volunteer, 1_000, actor=world.coordinator)
    async with database.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue, match="within_2_days"):
            await audit.period_of_entries(uow, 0, last)


async def test_who_takes_an_entry_back_keeps_it_neither_out_of_the_sample_nor_unmarked(
    database: Database, clock: FixedClock, world: World
) -> None:
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        before = await audit.sample(uow, period, seed="a", size=4)
    taken = before.drawn[0].number
    async with database.unit_of_work(1) as uow:
        back = await ledger.reverse(uow, taken, actor=world.coordinator.ledger_ref)
    async with database.unit_of_work(1) as uow:
        after = await audit.sample(uow, period, seed="a", size=4)
    assert [each.number for each in after.drawn] == [each.number for each in before.drawn]
    assert [each.reversed_by for each in after.drawn] == [back.number, None, None, None]
