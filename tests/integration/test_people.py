"""Communities, residents, and the tokens they sign in with, on a real database."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound
from pointsbank.domain.grid import GridDistance, default_grid_plan
from pointsbank.domain.resident import PlaceKind
from pointsbank.domain.roles import Role
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.founding import found_community
from services.people import service as people
from services.people.service import NewBuilding, NewPerson, NewPlace
from tests.worlds import NINE_ON_MONDAY, small_world


def key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


async def test_the_grids_of_a_community_come_back_as_they_were_given(database: Database) -> None:
    await small_world(database)
    async with database.unit_of_work(1) as uow:
        assert await people.grid_plan(uow) == default_grid_plan()
        assert len(await people.small_grids(uow)) == 16
        assert (await people.grid_plan(uow)).distance(1, 5) is GridDistance.NEIGHBOUR


async def test_a_community_is_founded_once(database: Database) -> None:
    await small_world(database)
    with pytest.raises(InvalidValue) as refused:
        await found_community(database, community_id=1, code="other", name="测试社区")
    assert refused.value.facts() == {"field": "code", "rule": "unique"}
    async with database.session() as session:
        assert [known.code for known in await people.communities(session)] == ["test-1"]


@pytest.mark.parametrize("timezone", ["Asia/Nowhere", "localtime", "Factory", "../UTC", ""])
async def test_a_community_needs_a_timezone_that_is_the_same_everywhere(
    database: Database, timezone: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await found_community(database, community_id=1, code="c", name="测试社区", timezone=timezone)
    assert refused.value.field == "timezone"


async def test_a_person_lives_in_the_grid_of_their_building(database: Database) -> None:
    world = await small_world(database)
    assert world.second_elder.small_grid == 6
    assert world.elder.address == "测试小区 1栋 101"
    assert world.elder.building_label == "测试小区 1栋"
    assert world.grid_leader.roles == {Role.GRID_LEADER: 1}


async def test_a_person_with_several_roles_keeps_the_grid_of_each(database: Database) -> None:
    await small_world(database)
    roles = {Role.VOLUNTEER: None, Role.BUILDING_LEADER: 3, Role.ELDER: None, Role.GRID_LEADER: 4}
    async with database.unit_of_work(1) as uow:
        (person_id,) = await people.add_people(uow, [NewPerson("测试壬", roles=roles)])
        person = await people.person(uow, person_id)
    assert person.roles == roles
    assert person.actor.roles == set(roles)


async def test_a_person_who_comes_again_by_content_key_keeps_their_id_and_pseudonym(
    database: Database,
) -> None:
    await small_world(database)
    one, other = NewPerson("测试壬", content_key=key("壬")), NewPerson("测试癸", content_key=key("癸"))
    async with database.unit_of_work(1) as uow:
        first = await people.add_people(uow, [one, other])
    async with database.unit_of_work(1) as uow:
        before = await people.person(uow, first[0])
        again = await people.add_people(uow, [other, one, one])
        assert again == [first[1], first[0], first[0]]
        assert await people.person(uow, first[0]) == before
        assert await people.known_content_keys(uow, [key("壬"), key("x")]) == {key("壬"): first[0]}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "测" * 61}, "name"),
        ({"name": "测\0试"}, "name"),
        ({"phone": "no phone"}, "phone"),
        ({"born_on": date(2999, 1, 1)}, "born_on"),
        ({"born_on": date(1800, 1, 1)}, "born_on"),
        ({"room": ""}, "room"),
        ({"member_number": "T001"}, "member_number"),
        ({"building_id": uuid4()}, "building_id"),
        ({"roles": {Role.GRID_LEADER: 17}}, "small_grid"),
        ({"content_key": b"short"}, "content_key"),
    ],
)
async def test_a_wrong_field_of_a_person_is_named_and_nobody_is_written(
    database: Database, wrong: dict[str, Any], field: str
) -> None:
    await small_world(database)
    async with database.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue) as refused:
            await people.add_people(uow, [NewPerson("测试壬"), replace(NewPerson("测试癸"), **wrong)])
        assert refused.value.field == field
        assert await people.people_named(uow, names=["测试壬", "测试癸"]) == []


async def test_a_building_is_known_by_its_name_and_may_not_move_to_another_grid(database: Database) -> None:
    await small_world(database)
    async with database.unit_of_work(1) as uow:
        first = await people.add_buildings(uow, [NewBuilding("测试小区", "9栋", 9)])
        assert await people.add_buildings(uow, [NewBuilding("测试小区", "9栋", 9)]) == first
        for wrong, field in (
            (NewBuilding("测试小区", "9栋", 10), "small_grid"),
            (NewBuilding("测试小区", "8栋", 99), "small_grid"),
            (NewBuilding("没有的小区", "8栋", 1), "place"),
        ):
            with pytest.raises(InvalidValue) as refused:
                await people.add_buildings(uow, [wrong])
            assert refused.value.field == field
        assert len(await people.buildings(uow)) == 5
        places = [NewPlace(PlaceKind.VILLAGE, "测试村"), NewPlace(PlaceKind.ESTATE, "测试小区")]
        assert await people.add_places(uow, places) == await people.add_places(uow, places)


async def test_organisations_are_registered_once(database: Database) -> None:
    await small_world(database)
    async with database.unit_of_work(1) as uow:
        await people.add_organisations(uow, ["测试学校", "测试医院"])
        await people.add_organisations(uow, ["测试医院", "测试公司"])
        assert await people.organisations(uow) == ["测试学校", "测试医院", "测试公司"]


async def test_people_are_found_by_name_number_phone_and_building(database: Database) -> None:
    world = await small_world(database)
    actor = world.coordinator.actor
    async with database.unit_of_work(1) as uow:

        async def found(words: str, role: Role | None = None) -> list[str]:
            return [person.name for person in await people.search_people(uow, actor, words, role)]

        assert await found("甲") == ["测试甲"]
        assert await found("T004") == ["测试丁"]
        assert await found("0005") == ["测试戊"]
        assert await found("6栋") == ["测试乙"]
        assert await found("测试小区 6栋") == ["测试乙"]
        assert await found("测试", Role.VOLUNTEER) == ["测试丁", "测试丙"]
        assert len(await people.search_people(uow, actor, "测试", limit=3)) == 3
        assert await found("%") == []
        assert await found("_") == []
        assert await found("  ") == []


async def test_a_leader_finds_only_their_own_grid_and_a_volunteer_nobody(database: Database) -> None:
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        found = await people.search_people(uow, world.building_leader.actor, "测试")
        assert {person.small_grid for person in found} == {1}
        with pytest.raises(NotAllowed):
            await people.search_people(uow, world.volunteer.actor, "测试")


async def test_a_person_is_seen_by_themselves_and_by_readers_only(database: Database) -> None:
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        for reader in (world.elder, world.coordinator, world.auditor):
            assert (await people.view_person(uow, reader.actor, world.elder.id)).id == world.elder.id
        with pytest.raises(NotAllowed):
            await people.view_person(uow, world.volunteer.actor, world.elder.id)


async def test_another_communitys_people_are_not_found(database: Database) -> None:
    world, other = await small_world(database), await small_world(database, 2)
    async with database.unit_of_work(1) as uow:
        with pytest.raises(NotFound):
            await people.person(uow, other.elder.id)
        assert await people.people_by_id(uow, [other.elder.id, world.elder.id]) == {
            world.elder.id: world.elder
        }
        with pytest.raises(NotFound):
            await people.lock_people(uow, [world.elder.id, other.elder.id])


async def test_a_query_that_forgets_the_community_still_sees_only_its_own(database: Database) -> None:
    await small_world(database)
    await small_world(database, 2)
    async with database.unit_of_work(2) as uow:
        rows = await (await uow.connection()).fetch("SELECT DISTINCT community_id FROM bank.people")
    assert [row["community_id"] for row in rows] == [2]


async def test_rows_of_another_community_cannot_be_written(database: Database) -> None:
    await small_world(database)
    await small_world(database, 2)
    async with database.unit_of_work(2) as uow:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await (await uow.connection()).execute(
                "INSERT INTO bank.organisations (community_id, id, name) "
                "VALUES (1, gen_random_uuid(), '测试公司')"
            )


async def test_a_sign_in_token_opens_a_session_that_knows_who_acts(database: Database) -> None:
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        token = await people.issue_sign_in_token(uow, world.volunteer.id)
    async with database.unit_of_work(1) as uow:
        session = await people.open_session(uow, token)
    assert await people.actor_by_session(database, session) == (1, world.volunteer.actor)
    assert token.startswith("1.")


async def test_a_sign_in_token_is_no_session_and_a_session_opens_none(database: Database) -> None:
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        token = await people.issue_sign_in_token(uow, world.volunteer.id)
        session = await people.open_session(uow, token)
        with pytest.raises(NotFound):
            await people.open_session(uow, session)
    assert await people.actor_by_session(database, token) is None


async def test_an_ended_session_stands_for_nobody(database: Database) -> None:
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        session = await people.open_session(uow, await people.issue_sign_in_token(uow, world.elder.id))
    async with database.unit_of_work(1) as uow:
        await people.end_session(uow, session)
        await people.end_session(uow, session)
    assert await people.actor_by_session(database, session) is None


async def test_tokens_and_sessions_expire(app_url: str) -> None:
    clock = FixedClock(NINE_ON_MONDAY)
    database = Database(app_url, clock=clock)
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        token = await people.issue_sign_in_token(uow, world.elder.id, hours=2)
        session = await people.open_session(uow, token)
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=2))
    async with database.unit_of_work(1) as uow:
        with pytest.raises(NotFound):
            await people.open_session(uow, token)
    assert await people.actor_by_session(database, session) is not None
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=12))
    assert await people.actor_by_session(database, session) is None
    await database.close()


async def test_a_token_is_forgotten_a_day_after_it_expired(app_url: str) -> None:
    clock = FixedClock(NINE_ON_MONDAY)
    database = Database(app_url, clock=clock)
    world, other = await small_world(database), await small_world(database, 2)
    async with database.unit_of_work(1) as uow:
        for hours in (1, 2):
            await people.issue_sign_in_token(uow, world.elder.id, hours=hours)
    async with database.unit_of_work(2) as uow:
        await people.issue_sign_in_token(uow, other.elder.id, hours=1)
    clock.move_to(NINE_ON_MONDAY + timedelta(days=1, hours=2))
    async with database.unit_of_work(1) as uow:
        assert await people.forget_tokens(uow) == 1
        assert await people.forget_tokens(uow) == 0
    for community_id in (1, 2):
        async with database.unit_of_work(community_id) as uow:
            left = await (await uow.connection()).fetchval("SELECT count(*) FROM bank.access_tokens")
        assert left == 1, community_id
    await database.close()


@pytest.mark.parametrize(
    "token",
    ["", "1", "1.", ".secret", "x.secret", "-1.s", "99999999999.s", "²." + "a" * 20, "1." + "a" * 200],
)
async def test_text_that_is_no_token_stands_for_nobody(database: Database, token: str) -> None:
    await small_world(database)
    assert await people.actor_by_session(database, token) is None
    async with database.unit_of_work(1) as uow:
        with pytest.raises(NotFound):
            await people.open_session(uow, token)


async def test_another_communitys_token_is_not_found(database: Database) -> None:
    world = await small_world(database)
    await small_world(database, 2)
    async with database.unit_of_work(1) as uow:
        token = await people.issue_sign_in_token(uow, world.elder.id)
    for forged in (token, "2" + token[1:]):
        async with database.unit_of_work(2) as uow:
            with pytest.raises(NotFound):
                await people.open_session(uow, forged)


async def test_the_token_itself_is_stored_nowhere(database: Database) -> None:
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        token = await people.issue_sign_in_token(uow, world.elder.id)
        rows = await (await uow.connection()).fetch("SELECT * FROM bank.access_tokens")
    assert [row["token_hash"] for row in rows] == [key(token)]
    assert token.partition(".")[2] not in repr(rows)


async def test_there_is_a_way_to_sign_in_as_each_role(database: Database) -> None:
    world = await small_world(database)
    async with database.unit_of_work(1) as uow:
        tokens = await people.sign_in_tokens(uow)
        sessions = {role: await people.open_session(uow, token) for role, token in tokens.items()}
    assert set(tokens) == {Role.ELDER, Role.VOLUNTEER, Role.COORDINATOR, Role.AUDITOR}
    for role, session in sessions.items():
        found = await people.actor_by_session(database, session)
        assert found is not None
        assert found[1].has(role)
    # Of the two elders both are suitable: the first to be registered is shown.
    assert await people.actor_by_session(database, sessions[Role.ELDER]) == (1, world.elder.actor)


async def test_thousands_of_people_are_taken_in_at_once(database: Database) -> None:
    await small_world(database)
    crowd = [
        NewPerson(f"测试{number}", roles={Role.ELDER: None}, content_key=key(str(number)))
        for number in range(6_000)
    ]
    async with database.unit_of_work(1) as uow:
        ids = await people.add_people(uow, crowd)
        assert len(set(ids)) == 6_000
        found = await people.people_by_id(uow, [ids[0], ids[-1]])
    assert [found[ids[0]].name, found[ids[-1]].name] == ["测试0", "测试5999"]


async def test_a_building_stands_where_it_was_told_last(database: Database) -> None:
    await small_world(database)
    async with database.unit_of_work(1) as uow:
        before = await people.add_buildings(uow, [NewBuilding("测试小区", "1栋", 1, 120, -40)])
        assert (await people.buildings_by_id(uow, before))[before[0]].north_m == -40
        assert await people.add_buildings(uow, [NewBuilding("测试小区", "1栋", 1)]) == before
        told = (await people.buildings_by_id(uow, before))[before[0]]
    assert (told.east_m, told.north_m) == (120, -40)


@pytest.mark.parametrize("metres", [(1, None), (None, 1), (50_001, 0), (0, -50_001)])
async def test_a_building_stands_nowhere_by_half_or_beyond_the_world(
    database: Database, owner_url: str, metres: tuple[int | None, int | None]
) -> None:
    await small_world(database)
    with pytest.raises(InvalidValue) as refused:
        async with database.unit_of_work(1) as uow:
            await people.add_buildings(uow, [NewBuilding("测试小区", "9栋", 1, *metres)])
    assert refused.value.field == "metres"
    owner = await asyncpg.connect(owner_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="ck_buildings_metres"):
            await owner.execute("UPDATE bank.buildings SET east_m = $1, north_m = $2", *metres)
    finally:
        await owner.close()
