"""How long does somebody wait who asks now? Candidates, an offer at once, what a volunteer could take.

One community of 800 volunteers, a past of 40 visits each, 300 requests open for the coming days and as many
visits agreed. The reference of each case is the reading alone: ``SELECT 1``, then the very rows that the case
tells of the volunteers found, fetched bare by their keys in one statement a table, with nothing decided.

    uv run python -m tests.bench.bench_online [--quick] [--json FILE]
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.resident import PlaceKind
from pointsbank.domain.roles import Role
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database, UnitOfWork
from services.care import service as care
from services.care.service import AskForHelp
from services.founding import found_community
from services.matching import service as matching
from services.people import service as people
from services.people.service import NewBuilding, NewPerson, NewPlace
from tests.bench import form
from tests.bench.form import Rows, row
from tests.bench.ledger_world import world

VOLUNTEERS, ELDERS, REQUESTS, PAST = 800, 1_000, 300, 40
BUILDINGS_PER_GRID = 12
GRID_METRES = 300
NOW = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
"""Eight in the morning of a Monday in the community's time."""

KINDS = ("companionship", "shopping", "meal_delivery", "cleaning", "clinic_escort", "haircut", "repair")
STRETCHES = ((480, 720), (540, 690), (780, 1_020), (840, 1_080), (600, 1_200), (1_110, 1_290))
LIMIT_MS = 50

READ = (
    "SELECT * FROM bank.people WHERE community_id = 1 AND id = ANY ($1::uuid[])",
    "SELECT * FROM bank.person_roles WHERE community_id = 1 AND person_id = ANY ($1::uuid[])",
    "SELECT * FROM bank.free_hours WHERE community_id = 1 AND volunteer_id = ANY ($1::uuid[])",
    "SELECT * FROM bank.hours_exceptions WHERE community_id = 1 AND volunteer_id = ANY ($1::uuid[])",
    "SELECT * FROM bank.volunteer_skills WHERE community_id = 1 AND volunteer_id = ANY ($1::uuid[])",
    "SELECT * FROM bank.volunteer_limits WHERE community_id = 1 AND volunteer_id = ANY ($1::uuid[])",
    "SELECT * FROM bank.served_grids WHERE community_id = 1 AND volunteer_id = ANY ($1::uuid[])",
    "SELECT * FROM bank.spoken_languages WHERE community_id = 1 AND person_id = ANY ($1::uuid[])",
    "SELECT * FROM bank.visits WHERE community_id = 1 AND volunteer_id = ANY ($1::uuid[]) "
    "AND planned_start > '2026-02-22'",
)


@dataclass(frozen=True, slots=True)
class Community:
    """Who is there, and what waits."""

    volunteers: Sequence[UUID]
    requests: Sequence[UUID]
    urgent: Sequence[UUID]


async def settle(database: Database, owner_url: str, *, seed: int = 1) -> Community:
    """Found the community and let it have a past."""
    dice = random.Random(seed)
    await found_community(database, community_id=1, code="bench", name="测试社区")
    async with database.unit_of_work(1) as uow:
        await people.add_places(uow, [NewPlace(PlaceKind.ESTATE, "测试小区")])
        buildings = await people.add_buildings(
            uow,
            [
                NewBuilding(
                    "测试小区",
                    f"{grid}-{number}",
                    grid,
                    (grid - 1) % 4 * GRID_METRES + number * 20,
                    (grid - 1) // 4 * GRID_METRES + number * 20,
                )
                for grid in range(1, 17)
                for number in range(BUILDINGS_PER_GRID)
            ],
        )
        ids = await people.add_people(
            uow,
            [
                NewPerson(
                    name=f"测试{number}",
                    building_id=dice.choice(buildings),
                    roles={Role.VOLUNTEER if number < VOLUNTEERS else Role.ELDER: None},
                )
                for number in range(VOLUNTEERS + ELDERS)
            ],
        )
        volunteers, elders = ids[:VOLUNTEERS], ids[VOLUNTEERS:]
        await matching.add_free_hours_many(uow, {each: _week(dice) for each in volunteers})
        await matching.add_skills_many(
            uow,
            {
                each: [
                    skill
                    for skill, share in (("escort", 0.45), ("haircut", 0.12), ("repair", 0.2))
                    if dice.random() < share
                ]
                for each in volunteers
            },
        )
        requests = [await _ask(uow, dice, elder, urgency=0) for elder in elders[: 2 * REQUESTS]]
        await matching.run_pairing(uow)
    agreed = 0
    async with database.unit_of_work(1) as uow:
        for offer in (await matching.standing_offers(uow, requests)).values():
            if agreed < REQUESTS:
                actor = await people.actor_of(uow, offer.volunteer_id)
                await matching.accept_offer(uow, actor, offer.id)
                agreed += 1
        still = await care.requests_by_id(uow, requests)
        waiting = [each for each in requests if still[each].state in ("open", "offered")]
        urgent = [await _ask(uow, dice, elder, urgency=3) for elder in elders[2 * REQUESTS :]]
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.executemany(
            "INSERT INTO bank.visits (community_id, id, volunteer_id, elder_id, kind, planned_start, "
            "planned_end, checked_in_at, checked_out_at, minutes, state, created_at) "
            "VALUES (1, gen_random_uuid(), $1, $2, 'companionship', $3, $4, $3, $4, 60, 'done', $3)",
            [
                (each, dice.choice(elders), start, start + timedelta(hours=1))
                for each in volunteers
                for day in range(PAST)
                for start in [NOW - timedelta(days=1 + day, hours=dice.randrange(10))]
            ],
        )
        await owner.execute("ANALYZE")
    finally:
        await owner.close()
    return Community(volunteers, waiting, urgent)


def _week(dice: random.Random) -> list[FreeHour]:
    return [FreeHour(weekday, *dice.choice(STRETCHES)) for weekday in range(7) if dice.random() < 0.7]


async def _ask(uow: UnitOfWork, dice: random.Random, elder: UUID, *, urgency: int) -> UUID:
    starts_at = NOW + timedelta(days=dice.randrange(5), hours=1 + dice.randrange(10), minutes=30)
    command = AskForHelp(elder, dice.choice(KINDS), starts_at, dice.choice((30, 60, 90)), urgency)
    return (await care.ask(uow, await people.actor_of(uow, elder), command)).id


async def times(
    work: Callable[[UnitOfWork, UUID], Awaitable[object]], database: Database, ids: Sequence[UUID]
) -> list[float]:
    """Return the milliseconds of ``work`` for each id, in a unit of work of its own, sorted."""
    taken = []
    for each in ids:
        begun = time.perf_counter()
        async with database.unit_of_work(1) as uow:
            await work(uow, each)
        taken.append((time.perf_counter() - begun) * 1e3)
    return sorted(taken)


async def reading(database: Database, judged: Sequence[Sequence[UUID]]) -> float:
    """Return the median milliseconds of reading the rows of these volunteers and deciding nothing."""

    taken = []
    for ids in judged:
        begun = time.perf_counter()
        async with database.unit_of_work(1) as uow:
            connection = await uow.connection()
            await connection.fetch("SELECT 1")
            for statement in READ:
                await connection.fetch(statement, list(ids))
        taken.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(taken)


async def measure(rows: Rows, app_url: str, owner_url: str, *, quick: bool) -> None:
    """Measure every case."""
    database = Database(app_url, clock=FixedClock(NOW))
    try:
        here = await settle(database, owner_url)
        number = 30 if quick else 200
        asked = (here.requests * number)[:number]

        async def candidates(uow: UnitOfWork, request: UUID) -> object:
            return await matching.candidates_for(uow, request)

        await times(candidates, database, asked[:10])
        judged = []
        async with database.unit_of_work(1) as uow:
            for request in asked[:30]:
                judged.append([each.volunteer_id for each in await matching.candidates_for(uow, request, 50)])
            found = [await matching.candidates_for(uow, request) for request in asked[:30]]
        rows.add(row("volunteers", len(here.volunteers), ""))
        rows.add(row("candidates a request, mean of 30 (50 at most)", statistics.mean(map(len, judged)), ""))
        if not any(found):
            raise SystemExit("no request has a candidate: nothing was measured")
        reference = await reading(database, judged)
        taken = await times(candidates, database, asked)
        rows.add(
            row("ranked candidates, median", statistics.median(taken), "ms", reference),
            row("ranked candidates, 99th of 100", taken[int(len(taken) * 0.99) - 1], "ms", LIMIT_MS),
        )
        taken = await times(matching.offer_now, database, here.urgent[:number])
        rows.add(
            row("an urgent request's offer, median", statistics.median(taken), "ms", reference),
            row("an urgent request's offer, 99th of 100", taken[int(len(taken) * 0.99) - 1], "ms", LIMIT_MS),
        )
        taken = await times(matching.takeable, database, here.volunteers[:number])
        rows.add(row("what a volunteer could take, median", statistics.median(taken), "ms", reference))
    finally:
        await database.close()


def main() -> None:
    """Run the benchmark and print its table."""
    chosen = form.options("bench_online")
    rows = Rows()
    with world() as here:
        asyncio.run(measure(rows, here.app_url, here.owner_url, quick=chosen.quick))
    form.report("Requests that cannot wait", rows.all, chosen)


if __name__ == "__main__":
    main()
