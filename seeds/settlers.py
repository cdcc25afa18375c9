"""The ground and the people of a world, brought in through the people and matching services."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.language import TAISHAN
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.resident import Gender, PlaceKind
from pointsbank.domain.roles import Role
from pointsbank.domain.subsidy.payers import Hardship
from seeds.geography import (
    COMMUNITY_CODE,
    COMMUNITY_ID,
    COMMUNITY_NAME,
    DISTRICT,
    NEXT_DISTRICT,
    ORGANISATIONS,
    OTHER_CITY,
    TIMEZONE,
)
from seeds.residents import ResidentSeed
from seeds.world import World, content_key
from services.founding import FIRST_POLICY_FROM, found_community
from services.matching import service as matching
from services.people import service as people
from services.people.service import NewBuilding, NewPerson, NewPlace
from services.people.standing import Standing

PEOPLE_CHUNK = 2_000
GRID_ROLES = frozenset({Role.BUILDING_LEADER, Role.GRID_LEADER})


async def settle_ground(world: World) -> None:
    """Found the community with its grids, places, buildings and member organisations."""
    ground = world.people.ground
    world.progress("ground", 0, 1)
    await found_community(
        world.past,
        community_id=COMMUNITY_ID,
        code=COMMUNITY_CODE,
        name=COMMUNITY_NAME,
        timezone=TIMEZONE,
        grids=ground.grids,
        policy=demo_policy(),
    )
    async with world.past.unit_of_work(COMMUNITY_ID) as uow:
        await people.add_places(uow, [NewPlace(PlaceKind(place.kind), place.name) for place in ground.places])
        buildings = await people.add_buildings(
            uow,
            [
                NewBuilding(each.place, each.name, each.small_grid, each.east_m, each.north_m)
                for each in ground.buildings
            ],
        )
        await people.add_organisations(uow, ORGANISATIONS)
    world.buildings = buildings
    world.progress("ground", 1, 1)


async def settle_people(world: World) -> None:
    """Register every resident with their roles, and the volunteers' skills and free hours."""
    residents = world.people.residents
    for start in range(0, len(residents), PEOPLE_CHUNK):
        world.progress("people", start, len(residents))
        async with world.past.unit_of_work(COMMUNITY_ID) as uow:
            world.ids += await people.add_people(
                uow,
                [
                    _new_person(world, start + offset, resident)
                    for offset, resident in enumerate(residents[start : start + PEOPLE_CHUNK])
                ],
            )
    world.index = {person_id: index for index, person_id in enumerate(world.ids)}
    world.progress("people", len(residents), len(residents))
    volunteers = world.people.holders[Role.VOLUNTEER]
    async with world.past.unit_of_work(COMMUNITY_ID) as uow:
        await matching.add_skills_many(
            uow, {world.ids[index]: sorted(residents[index].skills) for index in volunteers}
        )
        await matching.add_free_hours_many(
            uow,
            {
                world.ids[index]: [
                    FreeHour(free.weekday, free.from_minute, free.to_minute) for free in residents[index].free
                ]
                for index in volunteers
            },
        )
        await people.add_standings_many(uow, _standings(world), effective_from=FIRST_POLICY_FROM)
        await people.add_languages_many(uow, {world.ids[index]: spoken for index, spoken in _spoken(world)})


def demo_policy() -> dict[str, Any]:
    """Return the default policy, told where the canteen stands: its meals are then subsidised."""
    subsidy = DEFAULT_POLICY["subsidy"] | {"places": {PartnerCode.CANTEEN.value: DISTRICT}}
    return DEFAULT_POLICY | {"subsidy": subsidy}


def _standings(world: World) -> dict[UUID, Standing]:
    """Return where elders are registered and why some are helped more; a few in another district or city."""
    dice = random.Random(f"standings:{world.seed}")
    hardships = (Hardship.MINIMUM_LIVING, Hardship.LOW_INCOME, Hardship.ENTITLED, Hardship.BEREAVED)
    found: dict[UUID, Standing] = {}
    for index in sorted(world.people.holders[Role.ELDER]):
        (household,) = dice.choices((DISTRICT, NEXT_DISTRICT, OTHER_CITY), weights=(90, 6, 4))
        hardship = dice.choice(hardships) if dice.random() < 0.04 else None
        found[world.ids[index]] = hardship, household
    return found


def _spoken(world: World) -> Iterator[tuple[int, list[str]]]:
    """Yield what volunteers and elders speak: of the old, some no Mandarin; of all, many Taishanese."""
    dice = random.Random(f"languages:{world.seed}")
    holders = world.people.holders
    for index in sorted({*holders[Role.VOLUNTEER], *holders[Role.ELDER]}):
        old = Role.ELDER in world.people.residents[index].roles
        shares = (("yue", 0.85), (TAISHAN, 0.3), ("cmn", 0.55 if old else 0.95), ("hak", 0.04))
        yield index, [each for each, share in shares if dice.random() < share] or ["yue"]


def _new_person(world: World, index: int, resident: ResidentSeed) -> NewPerson:
    grid = world.people.small_grid(index)
    return NewPerson(
        name=resident.name,
        phone=resident.phone,
        gender=Gender(resident.gender),
        born_on=resident.born_on,
        building_id=world.buildings[resident.building],
        room=resident.room,
        member_number=resident.number,
        canteen_eligible=resident.canteen_eligible,
        roles={role: grid if role in GRID_ROLES else None for role in sorted(resident.roles)},
        content_key=content_key("resident", world.seed, resident.number),
    )
