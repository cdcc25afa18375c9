"""The liability report is reckoned from the journal."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pointsbank.domain.errors import NotAllowed
from pointsbank.domain.liability import Age
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger.liability import report
from services.settlement import service
from services.settlement.service import Redeem
from tests.worlds import NINE_ON_MONDAY, give_points, small_world


async def test_what_is_left_is_the_newest_and_held_points_count(database: Database) -> None:
    clock = database.clock = FixedClock(NINE_ON_MONDAY - timedelta(days=400))
    world = await small_world(database)
    await give_points(database, world, world.elder, 12_000)
    clock.move_to(NINE_ON_MONDAY)
    await give_points(database, world, world.elder, 5_000)
    await give_points(database, world, world.volunteer, 3_000)
    async with database.unit_of_work(1) as uow:
        lunch = await service.redeem(uow, world.elder.actor, Redeem(world.elder.id, "canteen", "lunch_set"))
        told = await report(uow, world.coordinator.actor)
        assert told.by_age == {Age.QUARTER: 8_000, Age.YEAR: 0, Age.TWO_YEARS: 12_000, Age.OLDER: 0}
    async with database.unit_of_work(1) as uow:
        await service.cancel_redemption(uow, world.elder.actor, lunch.id)
        assert await report(uow, world.auditor.actor) == told, "what came back is as old as it was"
        with pytest.raises(NotAllowed):
            await report(uow, world.elder.actor)
