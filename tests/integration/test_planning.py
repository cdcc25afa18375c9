"""What pairing is given from the database: as people said it, in as many queries for many as for few."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain.availability import Limits
from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound
from pointsbank.domain.free_hours import ExceptionKind, FreeHour, HoursException
from pointsbank.domain.language import TAISHAN
from pointsbank.domain.pairing.instance import Cap, Instance, Spot, Stretch, Volunteer
from pointsbank.domain.pairing.rules import Blocked, blocked
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.preferences import ExclusionReason
from pointsbank.domain.roles import Role
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database, UnitOfWork
from services.care import service as care
from services.care.service import AskForHelp, RequestInfo
from services.ledger import service as ledger
from services.matching import service as matching
from services.matching.planning import planning_input
from services.people import service as people
from services.people.service import NewBuilding, NewPerson, PersonInfo
from tests.worlds import (
    NINE_ON_MONDAY,
    World,
    ask_for_help,
    done_visit,
    planned_visit,
    small_world,
)

MONDAY = date(2026, 3, 2)
NOON = 12 * 60
"""Minutes from midnight at which help is asked for here: three hours after nine."""


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NINE_ON_MONDAY)


@pytest.fixture
async def bank(database: Database, clock: FixedClock) -> Database:
    database.clock = clock
    return database


@pytest.fixture
async def world(bank: Database) -> World:
    return await small_world(bank)


async def instance(bank: Database, *requests: RequestInfo, movable: Collection[UUID] = ()) -> Instance:
    async with bank.unit_of_work(1) as uow:
        return await planning_input(uow, requests, now=uow.clock.now(), movable=movable)


def of(found: Instance, person: PersonInfo) -> Volunteer:
    return next(each for each in found.volunteers if each.id == str(person.id))


async def new_rules(bank: Database, world: World, **volunteers: object) -> None:
    body = {**DEFAULT_POLICY, "volunteers": {**DEFAULT_POLICY["volunteers"], **volunteers}}
    async with bank.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow,
            effective_from=MONDAY,
            body=body,
            proposed_by=world.coordinator.ledger_ref,
            approved_by=world.auditor.ledger_ref,
        )


async def test_minutes_count_from_the_local_midnight_before_the_first_start(
    bank: Database, world: World
) -> None:
    first, second = (
        await ask_for_help(bank, world),
        await ask_for_help(
            bank, world, elder=world.second_elder, starts_in=timedelta(days=1), minutes=90, urgency=2
        ),
    )
    found = await instance(bank, first, second)
    assert found.origin == "2026-03-01T16:00:00+00:00"
    assert [each.starts for each in found.requests] == [(NOON,), (24 * 60 + 9 * 60,)]
    assert [(each.minutes, each.blocks, each.urgency) for each in found.requests] == [
        (60, 60, 0),
        (90, 90, 2),
    ]
    assert of(found, world.volunteer).free == (Stretch(0, 48 * 60),)


async def test_a_window_may_begin_every_quarter_of_an_hour(bank: Database, world: World) -> None:
    asked = await ask_for_help(bank, world)
    wide = replace(
        asked,
        earliest_start=asked.starts_at - timedelta(minutes=20),
        latest_start=asked.starts_at + timedelta(minutes=30),
    )
    (window,) = (await instance(bank, wide)).requests
    assert (window.starts, window.preferred, window.blocks) == (
        (NOON - 20, NOON - 5, NOON + 10, NOON + 25),
        NOON,
        60,
    )


async def test_buildings_say_where_homes_and_requests_are(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        await people.add_buildings(uow, [NewBuilding("测试小区", "1栋", 1, -120, 80)])
    found = await instance(bank, await ask_for_help(bank, world))
    assert found.requests[0].spot == Spot(1, -120, 80) == of(found, world.volunteer).home
    assert of(found, world.second_volunteer).home == Spot(2)


async def test_a_visit_is_where_it_was_asked_for_and_the_walk_begins_there(
    bank: Database, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        (clinic,) = await people.add_buildings(uow, [NewBuilding("测试小区", "卫生站", 5, 900, 40)])
        at = uow.clock.now() + timedelta(hours=2)
        asked = AskForHelp(world.elder.id, "clinic_escort", at, 60, building_id=clinic)
        request = await care.ask(uow, world.elder.actor, asked)
    await planned_visit(bank, world, request=request, by=world.volunteer)
    found = await instance(bank, await ask_for_help(bank, world, starts_in=timedelta(hours=5)))
    assert [each.spot for each in of(found, world.volunteer).busy] == [Spot(5, 900, 40)]


async def test_exceptions_take_and_give_free_time(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        await matching.set_exceptions(uow, world.volunteer.id, [HoursException.away_all_day(MONDAY)])
        await matching.set_free_hours(uow, world.second_volunteer.id, [])
        late = HoursException(MONDAY - timedelta(days=1), 23 * 60, 25 * 60, ExceptionKind.FREE)
        await matching.set_exceptions(uow, world.second_volunteer.id, [late])
    found = await instance(bank, await ask_for_help(bank, world))
    assert of(found, world.volunteer).free == ()
    assert of(found, world.second_volunteer).free == (Stretch(-60, 60),)


async def test_what_is_promised_keeps_busy_and_uses_up_day_and_week(
    bank: Database, clock: FixedClock, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        second = world.second_volunteer.id  # so that the first volunteer is sent to the first elder
        await care.exclude(uow, world.elder.actor, world.elder.id, second, ExclusionReason.ASKED)
    await done_visit(bank, clock, world, lasts=45)
    promised = await planned_visit(bank, world, starts_in=timedelta(hours=2), minutes=30)
    offered = await ask_for_help(bank, world, elder=world.second_elder, starts_in=timedelta(hours=5))
    async with bank.unit_of_work(1) as uow:
        await matching.set_limits(uow, world.volunteer.id, Limits(100, 300))
        assert await matching.offer_now(uow, offered.id)
    found = await instance(bank, await ask_for_help(bank, world, starts_in=timedelta(hours=9)))
    volunteer, other = of(found, world.volunteer), of(found, world.second_volunteer)
    start = (promised.planned_start - NINE_ON_MONDAY) // timedelta(minutes=1) + 9 * 60
    assert [(each.start, each.end, each.spot.grid) for each in volunteer.busy] == [(start, start + 30, 1)]
    assert [each.spot.grid for each in other.busy] == [6]
    assert volunteer.caps == (Cap(0, 24 * 60, 25), Cap(0, 7 * 24 * 60, 225))
    assert other.caps == (Cap(0, 24 * 60, 8 * 60 - 60), Cap(0, 7 * 24 * 60, 40 * 60 - 60))
    assert (volunteer.recent, volunteer.visits) == (45, 1)
    assert (other.recent, other.visits) == (0, 0)


async def test_an_offer_that_may_move_is_a_promise_to_keep_and_else_busy_time(
    bank: Database, world: World
) -> None:
    asked = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        assert await matching.offer_now(uow, asked.id)
    found = await instance(bank, asked, movable={asked.id})
    assert found.requests[0].promised == {str(world.volunteer.id): NOON}
    assert of(found, world.volunteer).busy == ()
    stands = await instance(bank, asked)
    assert stands.requests[0].promised == {}
    assert [each.start for each in of(stands, world.volunteer).busy] == [NOON]


async def test_who_came_before_is_known_and_who_declined_is_not_asked_again(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        await care.confirm(uow, world.elder.actor, visit.id)
    asked = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        await matching.run_pairing(uow)
        (offer,) = await matching.offers_of(uow, world.volunteer.id)
        await matching.decline_offer(uow, world.volunteer.actor, offer.id)
    (request,) = (await instance(bank, asked)).requests
    assert request.known == {str(world.volunteer.id): 1}
    assert str(world.volunteer.id) in request.excluded


async def test_a_skill_counts_while_it_is_verified_and_valid(
    bank: Database, clock: FixedClock, world: World
) -> None:
    await new_rules(bank, world, proven_skills=["repair"])
    asked = await ask_for_help(bank, world, kind="repair", starts_in=timedelta(days=1))
    volunteer = world.volunteer

    async def skills() -> dict[str, int | None]:
        return dict(of(await instance(bank, asked), volunteer).skills)

    assert await skills() == {"escort": None, "haircut": None}
    async with bank.unit_of_work(1) as uow:
        await matching.prove_skill(
            uow, volunteer.actor, volunteer.id, "repair", proof="证 1", valid_until=date(2026, 3, 3)
        )
    assert "repair" not in await skills()
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(NotFound):
            await matching.verify_skill(uow, world.coordinator.actor, volunteer.id, "repair", proof="证 2")
        await matching.verify_skill(uow, world.coordinator.actor, volunteer.id, "repair", proof="证 1")
    assert (await skills())["repair"] == 24 * 60
    async with bank.unit_of_work(1) as uow:
        await matching.set_skills(uow, volunteer.id, ["repair"])
        (kept,) = (await matching.availability_of(uow, volunteer.actor, volunteer.id)).skills
        assert kept.counts
        await matching.prove_skill(uow, volunteer.actor, volunteer.id, "repair", proof="证 3")
    assert await skills() == {}


async def test_nobody_verifies_their_own_skill_and_the_database_agrees(
    bank: Database, owner_url: str, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        await matching.prove_skill(
            uow, world.volunteer.actor, world.volunteer.id, "repair", proof="证", valid_until=None
        )
        with pytest.raises(NotAllowed):
            await matching.verify_skill(uow, world.volunteer.actor, world.volunteer.id, "repair", proof="证")
    owner = await asyncpg.connect(owner_url)
    verify = "UPDATE bank.volunteer_skills SET verified_by = $1, verified_at = now() WHERE skill = $2"
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="not_verified_by_oneself"):
            await owner.execute(verify + " AND volunteer_id = $1", world.volunteer.id, "repair")
        with pytest.raises(asyncpg.CheckViolationError, match="verified_by_proof"):
            await owner.execute(verify, world.coordinator.id, "escort")
    finally:
        await owner.close()


async def test_grids_are_those_named_else_those_near_home(bank: Database, world: World) -> None:
    asked = await ask_for_help(bank, world, elder=world.second_elder)
    found = await instance(bank, asked)
    assert of(found, world.volunteer).grids == {1, 2, 3, 4, 5}
    assert blocked(found, found.requests[0], of(found, world.volunteer)) is Blocked.TOO_FAR
    async with bank.unit_of_work(1) as uow:
        await matching.set_grids(uow, world.volunteer.id, [6])
        with pytest.raises(InvalidValue):
            await matching.set_grids(uow, world.volunteer.id, [6, 99])
    found = await instance(bank, asked)
    assert of(found, world.volunteer).grids == {6}
    assert blocked(found, found.requests[0], of(found, world.volunteer)) is None


async def test_languages_are_anybodys_own_or_noted_by_a_coordinator(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        await people.set_languages(uow, world.elder.actor, world.elder.id, [TAISHAN, "yue"])
        await people.set_languages(uow, world.coordinator.actor, world.volunteer.id, [TAISHAN])
        assert await people.languages_of(uow, [world.elder.id]) == {world.elder.id: {TAISHAN, "yue"}}
        with pytest.raises(NotAllowed):
            await people.set_languages(uow, world.volunteer.actor, world.elder.id, [])
        with pytest.raises(InvalidValue):
            await people.set_languages(uow, world.elder.actor, world.elder.id, ["台山话"])
    found = await instance(bank, await ask_for_help(bank, world))
    assert of(found, world.volunteer).languages == {TAISHAN}


@pytest.mark.parametrize(
    ("table", "values", "constraint"),
    [
        ("hours_exceptions", "'2026-03-02', 'away', 1440, 1500", "ck_hours_exceptions_minutes"),
        ("hours_exceptions", "'2026-03-02', 'away', 60, 1501", "ck_hours_exceptions_minutes"),
        ("hours_exceptions", "'2026-03-02', 'ill', 0, 60", "ck_hours_exceptions_kind"),
        ("volunteer_limits", "0, 60", "ck_volunteer_limits_day_minutes"),
        ("volunteer_limits", "60, 10081", "ck_volunteer_limits_week_minutes"),
        ("spoken_languages", "'Kantonesisch'", "ck_spoken_languages_language"),
    ],
)
async def test_the_database_refuses_what_nobody_can_mean(
    bank: Database, world: World, table: str, values: str, constraint: str
) -> None:
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.CheckViolationError, match=constraint):
            await (await uow.connection()).execute(
                f"INSERT INTO bank.{table} SELECT 1, '{world.volunteer.id}', {values}"
            )


async def test_another_community_neither_sees_nor_writes_what_volunteers_say(
    bank: Database, world: World
) -> None:
    other = await small_world(bank, 2)
    async with bank.unit_of_work(1) as uow:
        await matching.set_limits(uow, world.volunteer.id, Limits(60))
    async with bank.unit_of_work(2) as uow:
        connection = await uow.connection()
        for table in ("hours_exceptions", "volunteer_limits", "served_grids", "spoken_languages"):
            assert await connection.fetchval(f"SELECT count(*) FROM bank.{table}") == 0
        with pytest.raises(NotFound):
            await matching.set_limits(uow, world.volunteer.id, Limits(60))
        with pytest.raises(NotFound):
            await matching.availability_of(uow, other.coordinator.actor, world.volunteer.id)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO bank.volunteer_limits VALUES (1, $1, 60, NULL)", world.volunteer.id
            )


async def test_many_volunteers_cost_as_many_queries_as_few(bank: Database, world: World) -> None:
    requests = [await ask_for_help(bank, world), await ask_for_help(bank, world, elder=world.second_elder)]

    async def asked(volunteers: Sequence[PersonInfo], chosen: Sequence[RequestInfo]) -> int:
        async with bank.unit_of_work(1) as uow:
            counted = Counted(uow)
            found = await planning_input(counted, chosen, now=uow.clock.now())
            assert len(found.volunteers) >= len(volunteers)
            return counted.statements

    few = await asked([world.volunteer], requests[:1])
    async with bank.unit_of_work(1) as uow:
        building = world.volunteer.building_id
        ids = await people.add_people(
            uow,
            [
                NewPerson(name=f"测试{number}", building_id=building, roles={Role.VOLUNTEER: None})
                for number in range(50)
            ],
        )
        await matching.add_free_hours_many(uow, dict.fromkeys(ids, (FreeHour(0, 0, 1440),)))
    assert await asked([world.volunteer] * 50, requests) == few


class Counted(UnitOfWork):
    """A unit of work that counts the statements that go through its connection."""

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow.session, uow.community_id, uow.clock)
        self.statements = 0

    async def connection(self) -> Any:
        self.statements += 1
        return await super().connection()


async def test_a_night_watch_of_twelve_hours_finds_somebody_and_fills_their_day(
    bank: Database, clock: FixedClock, world: World
) -> None:
    tonight = await planned_visit(bank, world, kind="night_watch", starts_in=timedelta(hours=11), minutes=720)
    assert tonight.planned_end - tonight.planned_start == timedelta(hours=12)
    who = next(each for each in (world.volunteer, world.second_volunteer) if each.id == tonight.volunteer_id)
    today = await ask_for_help(bank, world, starts_in=timedelta(hours=3))
    tomorrow = await ask_for_help(bank, world, kind="night_watch", starts_in=timedelta(hours=35), minutes=720)
    async with bank.unit_of_work(1) as uow:
        found = await planning_input(uow, [today, tomorrow], now=clock.now())
    (volunteer,) = [each for each in found.volunteers if each.id == str(who.id)]
    short, long = found.requests
    assert (short.minutes, short.load, long.minutes, long.load) == (60, 60, 720, 480)
    assert blocked(found, short, volunteer) is Blocked.CAP
    assert blocked(found, long, volunteer) is None
    week = max(volunteer.caps, key=lambda cap: cap.end - cap.start)
    assert week.minutes == 40 * 60 - 480
