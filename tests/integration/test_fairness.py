"""The fairness report's figures against a world small enough to reckon by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from pointsbank.domain.errors import NotAllowed
from pointsbank.domain.fairness import AgeBand, Service
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.care import service as care
from services.matching import fairness_store
from services.matching.fairness import FairnessInfo, fairness
from tests.worlds import NINE_ON_MONDAY, World, ask_for_help, done_visit, planned_visit, small_world

DAY = 24 * 60


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NINE_ON_MONDAY - timedelta(days=40))


@pytest.fixture
async def bank(app_url: str, clock: FixedClock) -> AsyncIterator[Database]:
    bank = Database(app_url, clock=clock)
    yield bank
    await bank.close()


@pytest.fixture
async def world(bank: Database, clock: FixedClock, owner_url: str) -> World:
    """One visit forty days ago; a week ago one visit and one nobody came to; one called off, one ahead."""
    world = await small_world(bank)
    owner = await asyncpg.connect(owner_url)
    # Eighty on the day of the second visit, and not a day before.
    await owner.execute(
        "UPDATE bank.people SET born_on = '1946-02-24' WHERE community_id = 1 AND id = $1", world.elder.id
    )
    await owner.close()
    await done_visit(bank, clock, world, starts_in=timedelta(hours=3))
    clock.move_to(NINE_ON_MONDAY - timedelta(days=7))
    await done_visit(bank, clock, world, starts_in=timedelta(days=1), lasts=40)
    clock.move_to(NINE_ON_MONDAY - timedelta(days=7))
    await ask_for_help(bank, world, elder=world.second_elder, kind="repair", starts_in=timedelta(hours=5))
    await ask_for_help(bank, world, kind="shopping", starts_in=timedelta(days=9))
    off = await ask_for_help(bank, world, elder=world.second_elder, starts_in=timedelta(days=2))
    clock.move_to(NINE_ON_MONDAY)
    async with bank.unit_of_work(1) as uow:
        await care.cancel_request(uow, world.second_elder.actor, off.id)
        await care.expire_requests(uow)
    return world


async def told(bank: Database, world: World) -> FairnessInfo:
    async with bank.unit_of_work(1) as uow:
        return await fairness(uow, world.auditor.actor)


async def test_the_report_counts_what_happened_in_four_weeks(bank: Database, world: World) -> None:
    found = await told(bank, world)
    report = found.report
    assert (found.last - found.first, found.complete) == (timedelta(days=27), True)
    # Waited: a day for the visit, five hours in vain, a week until now for what is still ahead.
    assert report.community == Service(3, 2, 1, DAY, 7 * DAY, 7 * DAY)
    grids = {group.key: group.service for group in report.grids}
    assert len(grids) == 16
    assert grids[1] == Service(2, 1, 1, DAY, 7 * DAY, 7 * DAY)
    assert grids[6] == Service(1, 1, 0, 300, 300, 300)
    kinds = {group.key: group.service.rate for group in report.kinds}
    assert (kinds["companionship"], kinds["repair"], kinds["shopping"]) == (1_000, 0, None)


async def test_ages_are_those_of_the_day_the_help_was_for(bank: Database, world: World) -> None:
    bands = {group.key: group.service.requests for group in (await told(bank, world)).report.bands}
    assert bands == {
        AgeBand.UNDER_70: 0,
        AgeBand.SEVENTIES: 0,
        AgeBand.EIGHTIES: 2,
        AgeBand.NINETY_UP: 0,
        AgeBand.UNKNOWN: 1,
    }


async def test_load_counts_those_who_say_when_they_are_free(bank: Database, world: World) -> None:
    load = (await told(bank, world)).report.load
    assert (load.volunteers, load.visits, load.minutes, load.idle) == (2, 1, 40, 1)
    assert (load.busiest, load.busiest_share, load.gini) == (1, 1_000, 500)


async def test_a_visit_that_is_only_agreed_is_none_yet(bank: Database, world: World) -> None:
    before = (await told(bank, world)).report
    await planned_visit(bank, world)
    after = (await told(bank, world)).report
    assert after.community.requests == before.community.requests + 1
    assert (after.community.visited, after.load.visits) == (before.community.visited, before.load.visits)


async def test_another_community_counts_for_nothing(bank: Database, world: World) -> None:
    other = await small_world(bank, 2)
    async with bank.unit_of_work(2) as uow:
        found = await fairness(uow, other.coordinator.actor)
    assert (found.report.community.requests, found.report.load.visits) == (0, 0)


async def test_only_who_reads_the_books_is_told(bank: Database, world: World) -> None:
    for person in (world.elder, world.volunteer, world.grid_leader):
        async with bank.unit_of_work(1) as uow:
            with pytest.raises(NotAllowed):
                await fairness(uow, person.actor)


async def test_a_requests_visits_are_reached_by_their_key(owner_url: str, world: World) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("SET enable_seqscan = off")
    since = NINE_ON_MONDAY - timedelta(days=28)
    plan = await owner.fetch(
        "EXPLAIN " + fairness_store.ASKINGS, 1, list(fairness_store.COUNTED), since, 10, "Asia/Shanghai"
    )
    text = "\n".join(row[0] for row in plan)
    await owner.close()
    assert "Seq Scan" not in text
    assert "uq_visits_help_request" in text
