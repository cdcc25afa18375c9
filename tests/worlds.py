"""A small world for tests: one community with a few people, one of each kind, with artificial names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pointsbank.domain.accounts import Commodity, available, issuance, service
from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, Transfer, journal_entry
from pointsbank.domain.resident import PlaceKind
from pointsbank.domain.roles import Actor, Role
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.care.service import AskForHelp, RequestInfo, VisitInfo
from services.founding import found_community
from services.ledger import service as ledger
from services.matching import service as matching
from services.people import service as people
from services.people.service import NewBuilding, NewPerson, NewPlace, PersonInfo

NINE_ON_MONDAY = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
"""Nine in the morning of a Monday in the community's time (UTC+8)."""

WHOLE_WEEK = tuple(FreeHour(weekday, 0, 1440) for weekday in range(7))
GRIDS_WITH_A_BUILDING = (1, 2, 5, 6)


@dataclass(frozen=True, slots=True)
class World:
    """One community. Grid 1: elder, volunteer, leaders; grid 2: second volunteer; grid 6: second elder.

    Grids 1 and 2 are of one big grid, 2 and 6 are neighbours, 1 and 6 are too far apart to be paired.
    Both volunteers are always free and can do everything; ``.actor`` of a person acts as them.
    """

    community_id: int
    elder: PersonInfo
    second_elder: PersonInfo
    volunteer: PersonInfo
    second_volunteer: PersonInfo
    coordinator: PersonInfo
    auditor: PersonInfo
    building_leader: PersonInfo
    grid_leader: PersonInfo


async def small_world(database: Database, community_id: int = 1) -> World:
    """Found a community and take in its people; call it once for each community of a test."""
    await found_community(
        database, community_id=community_id, code=f"test-{community_id}", name=f"测试社区{community_id}"
    )
    async with database.unit_of_work(community_id) as uow:
        await people.add_places(uow, [NewPlace(PlaceKind.ESTATE, "测试小区")])
        buildings = await people.add_buildings(
            uow, [NewBuilding("测试小区", f"{grid}栋", grid) for grid in GRIDS_WITH_A_BUILDING]
        )
        building = dict(zip(GRIDS_WITH_A_BUILDING, buildings, strict=True))

        def new(number: int, name: str, grid: int, role: Role, role_grid: int | None = None) -> NewPerson:
            return NewPerson(
                name=name,
                phone=f"1540000{number:04d}",
                building_id=building[grid],
                room=f"{number}01",
                member_number=f"T{number:03d}",
                canteen_eligible=role is Role.ELDER,
                roles={role: role_grid},
            )

        ids = await people.add_people(
            uow,
            [
                new(1, "测试甲", 1, Role.ELDER),
                new(2, "测试乙", 6, Role.ELDER),
                new(3, "测试丙", 1, Role.VOLUNTEER),
                new(4, "测试丁", 2, Role.VOLUNTEER),
                new(5, "测试戊", 5, Role.COORDINATOR),
                new(6, "测试己", 5, Role.AUDITOR),
                new(7, "测试庚", 1, Role.BUILDING_LEADER, 1),
                new(8, "测试辛", 1, Role.GRID_LEADER, 1),
            ],
        )
        volunteers = ids[2:4]
        await matching.add_free_hours_many(uow, dict.fromkeys(volunteers, WHOLE_WEEK))
        await matching.add_skills_many(uow, dict.fromkeys(volunteers, ("escort", "haircut", "repair")))
        found = await people.people_by_id(uow, ids)
    return World(community_id, *(found[person_id] for person_id in ids))


async def give_points(
    database: Database, world: World, person: PersonInfo, milli_points: int, *, minutes: int = 0
) -> None:
    """Give somebody points (and minutes) by an earning entry that no visit stands behind."""
    moved = [Transfer(issuance(Commodity.POINT), available(person.ledger_ref), milli_points)]
    if minutes:
        moved.append(Transfer(issuance(Commodity.MINUTE), service(person.ledger_ref), minutes))
    async with database.unit_of_work(world.community_id) as uow:
        source = uuid7()
        await ledger.post(
            uow,
            journal_entry(
                EntryKind.EARNING,
                moved,
                origin=Origin(SourceKind.VISIT, source, world.coordinator.ledger_ref, person.ledger_ref, 1),
                key=f"gift:{source}",
                occurred_at=uow.clock.now(),
            ),
        )


async def ask_for_help(
    database: Database,
    world: World,
    *,
    elder: PersonInfo | None = None,
    kind: str = "companionship",
    starts_in: timedelta = timedelta(hours=3),
    minutes: int = 60,
    urgency: int = 0,
) -> RequestInfo:
    """Let an elder (the first unless given) ask for help."""
    elder = elder or world.elder
    async with database.unit_of_work(world.community_id) as uow:
        starts_at = uow.clock.now() + starts_in
        asked = AskForHelp(elder.id, kind, starts_at, minutes, urgency, even_if_similar=True)
        return await care.ask(uow, elder.actor, asked)


async def planned_visit(
    database: Database,
    world: World,
    *,
    request: RequestInfo | None = None,
    by: PersonInfo | None = None,
    **asked: object,
) -> VisitInfo:
    """Ask, pair and accept; return the visit of whichever volunteer was chosen, or of ``by``."""
    request = request or await ask_for_help(database, world, **asked)  # type: ignore[arg-type]
    if by is not None:
        async with database.unit_of_work(world.community_id) as uow:
            await care.mark_offered(uow, request.id)
            return await care.plan_visit(uow, request.id, by.id)
    async with database.unit_of_work(world.community_id) as uow:
        await matching.run_pairing(uow)
    async with database.unit_of_work(world.community_id) as uow:
        offer = (await matching.standing_offers(uow, [request.id]))[request.id]
        return await matching.accept_offer(uow, volunteer_of(world, offer.volunteer_id), offer.id)


async def done_visit(
    database: Database, clock: FixedClock, world: World, *, lasts: int = 60, **asked: object
) -> VisitInfo:
    """Ask, pair, accept, check in at the agreed time and out ``lasts`` minutes later; the clock moves on."""
    visit = await planned_visit(database, world, **asked)  # type: ignore[arg-type]
    actor = volunteer_of(world, visit.volunteer_id)
    clock.move_to(visit.planned_start)
    async with database.unit_of_work(world.community_id) as uow:
        await care.check_in(uow, actor, visit.id)
    clock.move_to(visit.planned_start + timedelta(minutes=lasts))
    async with database.unit_of_work(world.community_id) as uow:
        return await care.check_out(uow, actor, visit.id)


def volunteer_of(world: World, person_id: object) -> Actor:
    """Return the volunteer with that id as one who acts."""
    volunteers: Sequence[PersonInfo] = (world.volunteer, world.second_volunteer)
    return next(person.actor for person in volunteers if person.id == person_id)
