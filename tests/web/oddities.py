"""A small world with something for each of an auditor's questions."""

from __future__ import annotations

from datetime import timedelta

from pointsbank.domain.visit import ConfirmationMethod
from services.ledger import service as ledger
from tests.auditing import earned, given, neighbours, visited
from tests.web.conftest import Site
from tests.worlds import NINE_ON_MONDAY


async def plant(site: Site) -> None:
    """Plant own earnings, a reversal, a long day, a pair, a ring of three, night work, weak confirmations."""
    database, world = site.database, site.world
    a, b, c, d, e = await neighbours(database, world, 5)
    day = NINE_ON_MONDAY - timedelta(days=2)
    await visited(database, world, a, b, b, start=day, minutes=240)
    await visited(database, world, b, a, a, start=day + timedelta(hours=5), minutes=180)
    for place, (volunteer, elder) in enumerate(((c, d), (d, e), (e, c))):
        await visited(
            database,
            world,
            volunteer,
            elder,
            world.building_leader,
            start=day + timedelta(hours=3 * place),
            minutes=90,
            method=(ConfirmationMethod.WITNESS, ConfirmationMethod.RECORD)[place % 2],
        )
    for hours in (0, 5):
        await visited(
            database,
            world,
            world.volunteer,
            (world.elder, world.second_elder)[hours > 0],
            (world.elder, world.second_elder)[hours > 0],
            start=NINE_ON_MONDAY - timedelta(days=1, hours=-hours),
            minutes=235,
        )
    await earned(database, world, world.volunteer, 12_000, actor=world.volunteer)
    night = await earned(
        database,
        world,
        world.second_volunteer,
        20_000,
        actor=world.coordinator,
        occurred_at=NINE_ON_MONDAY - timedelta(hours=10),
    )
    async with database.unit_of_work(world.community_id) as uow:
        await ledger.reverse(uow, night, actor=world.coordinator.ledger_ref)
    await given(database, world, world.volunteer, world.elder, 2_000)
