"""The demo world from one seed, built through the services on an empty, migrated database.

The partners must answer: their books are filled over their own signed HTTP, so that reconciliation has two
sides. The platform's worker may run meanwhile; nothing that it looks for is left lying half-done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from pointsbank.platform.clock import FixedClock, local_date
from pointsbank.platform.database import Database
from seeds import past, settlers
from seeds import today as living
from seeds.geography import TIMEZONE, geography
from seeds.history import Past, local, station_visits, weeks_before
from seeds.menus import write_menus
from seeds.oddities import plant_oddities
from seeds.partners import Doors, PartnerAddresses, open_doors
from seeds.residents import population
from seeds.scale import FULL, SEED, SMALL
from seeds.world import World, WorldSummary, summarise

__all__ = ["WorldSummary", "build_demo_world"]


async def build_demo_world(
    app_url: str,
    *,
    small: bool,
    today: date,
    canteen_url: str,
    canteen_secret: str,
    station_url: str,
    station_secret: str,
    progress: Callable[[str, int, int], None],
    seed: int = SEED,
) -> WorldSummary:
    """Build the demo world that ends on ``today`` and return what stands in it.

    app_url: the database, as the application's role; it must be migrated and without communities. today: the
    community's local day; the past before it is the same for the same seed. progress: called with a step's
    name (``ground``, ``people``, ``weeks``, ``today``), what is done and what there is.
    Raises ValueError for a day that has not come, WorldFailed when a service refuses a seed,
    PartnerUnavailable, CanteenRefused or StationRefused when a partner does not answer as agreed.
    """
    if today > local_date(datetime.now(UTC), TIMEZONE):
        raise ValueError("today: a day that has not come")
    scale = SMALL if small else FULL
    weeks = weeks_before(today, scale.weeks)
    clock = FixedClock(local(weeks[0][0] - timedelta(days=1), 9 * 60))
    written_as_past, written_now = Database(app_url, clock=clock), Database(app_url)
    people = population(geography(scale), scale, seed=seed, today=today)
    world = World(written_as_past, written_now, clock, scale, seed, people, progress)
    addresses = PartnerAddresses(canteen_url, canteen_secret, station_url, station_secret)
    try:
        async with open_doors(addresses) as doors:
            await _build(world, Past(people, seed=seed, today=today), doors, weeks, today)
        return await summarise(world)
    finally:
        await written_as_past.close()
        await written_now.close()


async def _build(world: World, drawn: Past, doors: Doors, weeks: list[tuple[date, ...]], today: date) -> None:
    await settlers.settle_ground(world)
    await settlers.settle_people(world)
    await past.introduce(world, doors.partners)
    await write_menus(doors.canteen, today)
    for number, days in enumerate(weeks):
        world.progress("weeks", number, len(weeks))
        last = days is weeks[-1]
        await past.live_week(world, drawn, days, doors, waiting=world.scale.waiting if last else 0)
        await past.settle_week(world, days, doors.partners)
    await plant_oddities(world, weeks[-1])
    world.progress("weeks", len(weeks), len(weeks))
    visitors = station_visits(world.scale, seed=world.seed, today=today)
    await past.count_visitors(world, visitors, doors.station)
    world.progress("today", 0, 1)
    await living.live_today(world, drawn)
    world.progress("today", 1, 1)
