"""When help is asked for, by whom, and what the database itself refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain.asked_time import Slot, SlotOn, Timing, Window
from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound
from pointsbank.domain.help_request import AskedThrough, DuplicateRequest, RequestState
from pointsbank.domain.preferences import ExclusionReason, GenderWanted, Preferences, Relation
from pointsbank.domain.roles import Role
from pointsbank.domain.waiting import Escalation
from pointsbank.platform import migrations
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.care import jobs
from services.care import service as care
from services.care.service import AskForHelp, RequestInfo
from services.matching import service as matching
from services.people import service as people
from services.people.service import NewPerson
from tests.worlds import NINE_ON_MONDAY, World, ask_for_help, small_world

TODAY = date(2026, 3, 2)
LONG_ENOUGH = 0.5
"""Seconds in which a unit of work that need not wait for another would have ended."""

TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NINE_ON_MONDAY)


@pytest.fixture
async def bank(app_url: str, clock: FixedClock) -> AsyncIterator[Database]:
    bank = Database(app_url, clock=clock)
    yield bank
    await bank.close()


@pytest.fixture
async def world(bank: Database) -> World:
    return await small_world(bank)


async def asked(bank: Database, world: World, **fields: Any) -> RequestInfo:
    command = AskForHelp(world.elder.id, "shopping", SlotOn(TOMORROW, Slot.MORNING), 45)
    async with bank.unit_of_work(1) as uow:
        return await care.ask(uow, world.elder.actor, replace(command, **fields))


async def daughter_of(bank: Database, world: World) -> people.PersonInfo:
    """A resident without a role, whom a coordinator has confirmed as the elder's daughter."""
    async with bank.unit_of_work(1) as uow:
        (person_id,) = await people.add_people(uow, [NewPerson(name="测试壬")])
        await care.tell_family(uow, world.elder.actor, world.elder.id, person_id, Relation.CHILD)
        await care.confirm_family(uow, world.coordinator.actor, world.elder.id, person_id)
        return await people.person(uow, person_id)


async def test_a_request_keeps_when_it_may_begin_and_whom_the_elder_would_like(
    bank: Database, world: World
) -> None:
    wanted = Preferences(GenderWanted.FEMALE, gender_hard=True, language_wanted="yue", same_carer=True)
    found = await asked(bank, world, preferences=wanted)
    assert (found.timing, found.slot, found.minutes) == (Timing.SLOT, Slot.MORNING, 45)
    assert found.starts_at == found.earliest_start == NINE_ON_MONDAY + timedelta(hours=23)
    assert found.latest_start == NINE_ON_MONDAY + timedelta(hours=25, minutes=45)
    assert Preferences(found.gender_wanted, found.gender_hard, found.language_wanted, found.same_carer) == (
        wanted
    )
    assert (found.asked_through, found.carers, found.building_id) == (
        AskedThrough.SELF,
        1,
        world.elder.building_id,
    )
    assert (await asked(bank, world, kind="outing")).carers == 2


async def test_help_is_wanted_in_another_building_of_the_community(bank: Database, world: World) -> None:
    found = await asked(bank, world, building_id=world.second_elder.building_id)
    assert (found.small_grid, found.building) == (6, "测试小区 6栋")
    with pytest.raises(InvalidValue) as refused:
        await asked(bank, world, kind="cleaning", building_id=uuid7())
    assert refused.value.field == "building_id"


async def test_what_was_asked_for_already_is_named_by_its_number(bank: Database, world: World) -> None:
    first = await asked(bank, world)
    at = first.latest_start + timedelta(minutes=44)
    with pytest.raises(DuplicateRequest) as refused:
        await asked(bank, world, starts_at=at)
    assert refused.value.facts() == {"number": first.number}
    assert (await asked(bank, world, starts_at=at + timedelta(minutes=1))).number == 2
    assert (await asked(bank, world, kind="cleaning")).number == 3
    assert (await asked(bank, world, starts_at=at, even_if_similar=True)).number == 4


async def test_once_it_is_cancelled_the_same_can_be_asked_for_again(bank: Database, world: World) -> None:
    first = await asked(bank, world)
    async with bank.unit_of_work(1) as uow:
        await care.cancel_request(uow, world.elder.actor, first.id)
    assert (await asked(bank, world)).number == 2


async def test_of_two_who_ask_for_the_same_at_once_one_is_refused(bank: Database, world: World) -> None:
    command = AskForHelp(world.elder.id, "shopping", SlotOn(TOMORROW, Slot.MORNING), 45)
    async with bank.unit_of_work(1) as uow:
        first = await care.ask(uow, world.elder.actor, command)
        later = asyncio.create_task(asked(bank, world))
        _, waiting = await asyncio.wait({later}, timeout=LONG_ENOUGH)
        assert waiting, "the later waits for what the earlier does"
    with pytest.raises(DuplicateRequest) as refused:
        await later
    assert refused.value.number == first.number


COPY = """
INSERT INTO bank.help_requests
SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'number', r.number + 1) || $1)).*
  FROM bank.help_requests r ORDER BY number LIMIT 1
"""


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ('{"note": "again"}', "ex_help_requests_similar"),
        ('{"similar_meant": true, "slot": null}', "ck_help_requests_slot_named"),
        ('{"similar_meant": true, "timing": "fixed", "slot": null}', "ck_help_requests_begins_in_time"),
        ('{"similar_meant": true, "latest_end": "2026-04-01"}', "ck_help_requests_ends_in_time"),
        ('{"similar_meant": true, "gender_hard": true}', "ck_help_requests_gender_hard"),
        ('{"similar_meant": true, "carers": 3}', "ck_help_requests_carers"),
        ('{"similar_meant": true, "escalation": 3}', "ck_help_requests_escalation"),
        ('{"similar_meant": true, "asked_through": "phone"}', "ck_help_requests_asked_by_oneself"),
    ],
)
async def test_the_database_refuses_what_cannot_be_asked(
    bank: Database, world: World, owner_url: str, changed: str, constraint: str
) -> None:
    await asked(bank, world)
    owner = await asyncpg.connect(owner_url)
    try:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await owner.execute(COPY, changed)
        assert refused.value.constraint_name == constraint  # type: ignore[attr-defined]
        await owner.execute(COPY, '{"similar_meant": true}')
    finally:
        await owner.close()


async def test_family_asks_and_cancels_once_a_coordinator_has_confirmed_it(
    bank: Database, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        (member,) = await people.add_people(uow, [NewPerson(name="测试壬")])
        actor = await people.actor_of(uow, member)
        told = await care.tell_family(uow, actor, world.elder.id, member, Relation.CHILD)
        assert told.confirmed_at is None
        command = AskForHelp(world.elder.id, "shopping", SlotOn(TOMORROW, Slot.NOON), 45)
        with pytest.raises(NotAllowed):
            await care.ask(uow, actor, command)
        with pytest.raises(NotAllowed):
            await care.confirm_family(uow, actor, world.elder.id, member)
        await care.confirm_family(uow, world.coordinator.actor, world.elder.id, member)
        request = await care.ask(uow, actor, command)
        assert (request.asked_through, request.asked_by, request.by_proxy) == ("family", member, True)
        assert [each.id for each in await care.requests_of_elder(uow, actor, world.elder.id)] == [request.id]
        assert (await care.cancel_request(uow, actor, request.id)).state is RequestState.CANCELLED
        with pytest.raises(NotAllowed):
            await care.requests_of_elder(uow, actor, world.second_elder.id)
        await care.end_family(uow, world.elder.actor, world.elder.id, member)
        with pytest.raises(NotAllowed):
            await care.request(uow, actor, request.id)


async def test_nobody_confirms_a_tie_of_their_own(bank: Database, world: World) -> None:
    coordinator = world.coordinator
    async with bank.unit_of_work(1) as uow:
        await care.tell_family(uow, coordinator.actor, world.elder.id, coordinator.id, Relation.CHILD)
        with pytest.raises(NotAllowed):
            await care.confirm_family(uow, coordinator.actor, world.elder.id, coordinator.id)
        with pytest.raises(NotAllowed):
            await care.tell_family(
                uow, world.volunteer.actor, world.elder.id, world.auditor.id, Relation.OTHER
            )


async def test_the_database_takes_no_word_of_family_that_is_not_confirmed(
    bank: Database, world: World, owner_url: str
) -> None:
    daughter = await daughter_of(bank, world)
    await asked(bank, world)
    owner = await asyncpg.connect(owner_url)
    said = '{"similar_meant": true, "asked_through": "family", "asked_by": "%s"}'
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="not confirmed as family"):
            await owner.execute(COPY, said % world.volunteer.id)
        await owner.execute(COPY, said % daughter.id)
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await owner.execute("UPDATE bank.family_ties SET confirmed_by = member_id")
        assert refused.value.constraint_name == "ck_family_ties_not_confirmed_by_oneself"  # type: ignore[attr-defined]
    finally:
        await owner.close()


async def test_whom_an_elder_will_not_have_is_not_sent(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world)
    elder, volunteer = world.elder, world.volunteer
    async with bank.unit_of_work(1) as uow:
        await care.exclude(uow, elder.actor, elder.id, volunteer.id, ExclusionReason.ASKED)
        await care.exclude(uow, elder.actor, elder.id, volunteer.id, ExclusionReason.ASKED)
        excluded = await care.excluded_volunteers(uow, [elder.id, world.second_elder.id])
        assert excluded == {elder.id: frozenset({volunteer.id}), world.second_elder.id: frozenset()}
        (told,) = await care.exclusions_of(uow, elder.actor, elder.id)
        assert (told.volunteer_name, told.reason, told.set_by) == ("测试丙", "asked", elder.id)
        with pytest.raises(NotAllowed):
            await care.exclude(uow, volunteer.actor, elder.id, volunteer.id, ExclusionReason.ASKED)
        await matching.run_pairing(uow)
        offers = await matching.standing_offers(uow, [request.id])
        assert [offer.volunteer_id for offer in offers.values()] == [world.second_volunteer.id]


async def test_an_exclusion_is_lifted_once_and_stays_in_the_books(
    bank: Database, world: World, owner_url: str
) -> None:
    elder, volunteer = world.elder, world.volunteer
    async with bank.unit_of_work(1) as uow:
        await care.exclude(uow, world.coordinator.actor, elder.id, volunteer.id, ExclusionReason.COORDINATOR)
        await care.lift_exclusion(uow, elder.actor, elder.id, volunteer.id)
        with pytest.raises(NotFound):
            await care.lift_exclusion(uow, elder.actor, elder.id, volunteer.id)
        assert await care.excluded_volunteers(uow, [elder.id]) == {elder.id: frozenset()}
    owner = await asyncpg.connect(owner_url)
    try:
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute("UPDATE bank.exclusions SET lifted_at = NULL, lifted_by = NULL")
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute("DELETE FROM bank.exclusions")
    finally:
        await owner.close()


async def test_nobody_is_sent_to_their_own_household(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        spouse, neighbour = await people.add_people(
            uow,
            [
                NewPerson(
                    name=name,
                    building_id=world.elder.building_id,
                    room=room,
                    roles={Role.VOLUNTEER: None},
                )
                for name, room in (("测试癸", world.elder.room), ("测试子", "999"))
            ],
        )
        excluded = (await care.excluded_volunteers(uow, [world.elder.id]))[world.elder.id]
    assert spouse in excluded
    assert neighbour not in excluded


async def test_a_window_that_has_begun_is_still_paired_and_expires_at_its_end(
    bank: Database, clock: FixedClock, world: World
) -> None:
    window = Window(NINE_ON_MONDAY, NINE_ON_MONDAY + timedelta(hours=6))
    request = await asked(bank, world, starts_at=window)
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=2, minutes=10))
    async with bank.unit_of_work(1) as uow:
        assert await jobs.expire_requests(uow) == 0
        (found,) = await care.requests_to_pair(uow, offered=False, limit=10)
        assert (found.id, found.minutes, found.earliest_start) == (request.id, 45, request.earliest_start)
    clock.move_to(window.latest_start)
    async with bank.unit_of_work(1) as uow:
        assert await care.requests_to_pair(uow, offered=False, limit=10) == []
        assert await jobs.expire_requests(uow) == 1


async def test_an_agreed_start_lies_in_what_was_asked_for(bank: Database, world: World) -> None:
    request = await asked(bank, world)
    async with bank.unit_of_work(1) as uow:
        await care.agree_starts(uow, {request.id: request.latest_start})
        found = (await care.requests_by_id(uow, [request.id]))[request.id]
        assert (found.starts_at, found.minutes) == (request.latest_start, 45)
        with pytest.raises(InvalidValue):
            await care.agree_starts(uow, {request.id: request.latest_start + timedelta(minutes=1)})


async def test_who_waits_is_told_of_to_the_leader_then_the_coordinator_once_each(
    bank: Database, clock: FixedClock, world: World
) -> None:
    urgent = await asked(bank, world, urgency=2)
    far = await asked(bank, world, urgency=3, starts_at=SlotOn(TODAY + timedelta(days=30), Slot.NOON))

    async def escalate() -> int:
        async with bank.unit_of_work(1) as uow:
            return await jobs.escalate_waiting(uow)

    async def waiting(person: people.PersonInfo) -> list[tuple[UUID, Escalation, int]]:
        async with bank.unit_of_work(1) as uow:
            found = await care.waiting_for(uow, person.actor)
        return [(line.request.id, line.request.escalation, line.waited_minutes) for line in found]

    clock.move_to(NINE_ON_MONDAY + timedelta(minutes=119))
    assert await escalate() == 0
    clock.move_to(NINE_ON_MONDAY + timedelta(minutes=120))
    async with bank.unit_of_work(1) as uow:
        assert await jobs.escalate_waiting(uow) == 1
        later = asyncio.create_task(escalate())
        _, running = await asyncio.wait({later}, timeout=LONG_ENOUGH)
        assert running, "the later has seen the request as it was before"
    assert await later == 0
    assert await waiting(world.grid_leader) == [(urgent.id, Escalation.GRID_LEADER, 120)]
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=6))
    assert (await escalate(), await escalate()) == (1, 0)
    assert await waiting(world.coordinator) == [(urgent.id, Escalation.COORDINATOR, 360)]
    with pytest.raises(NotAllowed):
        await waiting(world.volunteer)
    clock.move_to(far.earliest_start - timedelta(days=3) + timedelta(minutes=30))
    async with bank.unit_of_work(1) as uow:
        await jobs.expire_requests(uow)
    assert await escalate() == 1
    assert await waiting(world.grid_leader) == [(far.id, Escalation.GRID_LEADER, 30)]


async def test_requests_of_an_older_schema_keep_their_fixed_time(
    bank: Database, world: World, owner_url: str
) -> None:
    request = await ask_for_help(bank, world)
    await asked(bank, world)
    await bank.close()
    await asyncio.to_thread(migrations.downgrade, owner_url, "services:migrations", "0005")
    await asyncio.to_thread(migrations.upgrade, owner_url, "services:migrations")
    async with bank.unit_of_work(1) as uow:
        found = (await care.requests_by_id(uow, [request.id]))[request.id]
    assert found == request
    assert await asyncio.to_thread(migrations.check, owner_url, "services:migrations") == []
