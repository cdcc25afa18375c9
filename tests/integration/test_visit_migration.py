"""The schema of visits goes up and down on data, and keeps every hour."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg

from pointsbank.domain.visit_rules import Ground
from pointsbank.platform import migrations
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.care import jobs
from services.care import service as care
from tests.integration.test_attendance import two_carers
from tests.worlds import NINE_ON_MONDAY, done_visit, planned_visit, small_world

SCRIPTS = "services:migrations"


async def test_visits_of_every_state_go_back_to_the_schema_before_and_forth_again(
    app_url: str, owner_url: str
) -> None:
    clock = FixedClock(NINE_ON_MONDAY)
    bank = Database(app_url, clock=clock)
    world = await small_world(bank)
    pair = await two_carers(bank, world)
    clock.move_to(pair[0].planned_start)
    for act in (care.check_in, care.check_out, care.confirm):
        for person, visit in zip((world.volunteer, world.second_volunteer), pair, strict=True):
            async with bank.unit_of_work(1) as uow:
                by = world.elder if act is care.confirm else person
                await act(uow, by.actor, visit.id)
        clock.move_to(clock.now() + timedelta(hours=1))
    disputed = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        await care.complain(uow, world.elder.actor, disputed.id, ground=Ground.CONDUCT)
    await planned_visit(bank, world)
    clock.move_to(clock.now() + timedelta(days=1))
    async with bank.unit_of_work(1) as uow:
        assert await jobs.tend_visits(uow) == 1
    await bank.close()
    before = await _told(owner_url)
    assert before == [("confirmed", 2, 2), ("disputed", 1, 1), ("no_show_volunteer", 1, 1)]
    await asyncio.to_thread(migrations.downgrade, owner_url, SCRIPTS, "0006")
    assert await _told(owner_url) == [("cancelled", 1, 1), ("confirmed", 2, 1), ("done", 1, 1)]
    await asyncio.to_thread(migrations.upgrade, owner_url, SCRIPTS)
    assert await asyncio.to_thread(migrations.check, owner_url, SCRIPTS) == []


async def _told(owner_url: str) -> list[tuple[str, int, int]]:
    """How many visits there are by state, and how many of them have a request."""
    connection = await asyncpg.connect(owner_url)
    try:
        rows = await connection.fetch(
            "SELECT state, count(*), count(help_request_id) FROM bank.visits GROUP BY state ORDER BY state"
        )
    finally:
        await connection.close()
    return [tuple(row) for row in rows]
