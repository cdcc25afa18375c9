"""Requests that need two: offered to two at once, taken one by one, looked for until both are found."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pointsbank.domain.asked_time import Window
from pointsbank.domain.errors import WrongState
from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.offer import CannotTake
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.domain.roles import Role
from pointsbank.domain.visit import VisitState
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.care import jobs as care_jobs
from services.care import service as care
from services.care.service import AskForHelp, RequestInfo
from services.matching import jobs
from services.matching import service as matching
from services.matching.service import OfferInfo
from services.people import service as people
from services.people.service import NewPerson, PersonInfo
from tests.worlds import NINE_ON_MONDAY, WHOLE_WEEK, World, ask_for_help, small_world


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


async def outing(bank: Database, world: World, *, urgency: int = 3) -> RequestInfo:
    return await ask_for_help(bank, world, kind="outing", minutes=90, urgency=urgency)


async def state_of(bank: Database, request: RequestInfo) -> RequestState:
    async with bank.unit_of_work(1) as uow:
        return (await care.requests_by_id(uow, [request.id]))[request.id].state


async def offer_now(bank: Database, request: RequestInfo) -> bool:
    async with bank.unit_of_work(1) as uow:
        return await matching.offer_now(uow, request.id)


async def offers_to(bank: Database, *volunteers: PersonInfo) -> list[OfferInfo]:
    async with bank.unit_of_work(1) as uow:
        return [offer for each in volunteers for offer in await matching.offers_of(uow, each.id)]


async def volunteer(bank: Database, like: PersonInfo, *, room: str) -> PersonInfo:
    """Take in one more volunteer, always free, who lives in somebody's building."""
    async with bank.unit_of_work(1) as uow:
        new = NewPerson(name="测试壬", building_id=like.building_id, room=room, roles={Role.VOLUNTEER: None})
        (person_id,) = await people.add_people(uow, [new])
        await matching.add_free_hours_many(uow, {person_id: WHOLE_WEEK})
        return await people.person(uow, person_id)


async def test_an_urgent_request_for_two_is_offered_to_two_at_once(bank: Database, world: World) -> None:
    request = await outing(bank, world)
    assert await offer_now(bank, request)
    offers = await offers_to(bank, world.volunteer, world.second_volunteer)
    assert [each.volunteer_id for each in offers] == [world.volunteer.id, world.second_volunteer.id]
    assert {(each.starts_at, each.request.id) for each in offers} == {(request.starts_at, request.id)}
    assert not await offer_now(bank, request)


async def test_two_who_are_free_at_different_hours_are_asked_for_the_hour_they_share(
    bank: Database, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        await matching.set_free_hours(uow, world.volunteer.id, [FreeHour(0, 10 * 60, 16 * 60)])
        await matching.set_free_hours(uow, world.second_volunteer.id, [FreeHour(0, 14 * 60, 20 * 60)])
        window = Window(NINE_ON_MONDAY + timedelta(hours=2), NINE_ON_MONDAY + timedelta(hours=10))
        request = await care.ask(uow, world.elder.actor, AskForHelp(world.elder.id, "outing", window, 60, 3))
    assert await offer_now(bank, request)
    offers = await offers_to(bank, world.volunteer, world.second_volunteer)
    (start,) = {each.starts_at for each in offers}
    assert len(offers) == 2
    assert timedelta(hours=5) <= start - NINE_ON_MONDAY <= timedelta(hours=6)


async def test_one_place_is_taken_and_the_other_is_still_shown_offered_and_taken(
    bank: Database, world: World
) -> None:
    request = await outing(bank, world, urgency=0)
    async with bank.unit_of_work(1) as uow:
        first = await matching.take(uow, world.volunteer.actor, request.id)
    assert await state_of(bank, request) is RequestState.OFFERED
    async with bank.unit_of_work(1) as uow:
        assert await matching.takeable(uow, world.volunteer.id) == []
        (shown,) = await matching.takeable(uow, world.second_volunteer.id)
        with pytest.raises(CannotTake) as refused:
            await matching.take(uow, world.volunteer.actor, request.id)
    assert (shown.request.id, shown.starts_at) == (request.id, first.planned_start)
    assert refused.value.blocked is Blocked.EXCLUDED
    assert await offer_now(bank, request)
    (offer,) = await offers_to(bank, world.volunteer, world.second_volunteer)
    assert (offer.volunteer_id, offer.starts_at) == (world.second_volunteer.id, first.planned_start)
    with pytest.raises(WrongState):
        async with bank.unit_of_work(1) as uow:
            await matching.take(uow, world.second_volunteer.actor, request.id)
    async with bank.unit_of_work(1) as uow:
        await matching.accept_offer(uow, world.second_volunteer.actor, offer.id)
    assert await state_of(bank, request) is RequestState.ACCEPTED


async def test_two_of_one_household_are_not_sent_together(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        await matching.set_free_hours(uow, world.second_volunteer.id, [])
    spouse = await volunteer(bank, world.volunteer, room="301")
    request = await outing(bank, world)
    assert await offer_now(bank, request)
    (offer,) = await offers_to(bank, world.volunteer, spouse)
    other = spouse if offer.volunteer_id == world.volunteer.id else world.volunteer
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(CannotTake) as refused:
            await matching.take(uow, other.actor, request.id)
        assert refused.value.blocked is Blocked.EXCLUDED
        assert (await matching.run_pairing(uow)).paired == 0
    neighbour = await volunteer(bank, world.volunteer, room="302")
    async with bank.unit_of_work(1) as uow:
        assert (await matching.run_pairing(uow)).paired == 1
    assert len(await offers_to(bank, neighbour)) == 1


async def test_a_run_asks_one_of_a_household_and_looks_for_the_other_elsewhere(
    bank: Database, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        await matching.set_free_hours(uow, world.second_volunteer.id, [])
    spouse = await volunteer(bank, world.volunteer, room="301")
    request = await outing(bank, world, urgency=0)
    async with bank.unit_of_work(1) as uow:
        await matching.run_pairing(uow)
    assert len(await offers_to(bank, world.volunteer, spouse)) == 1
    assert await state_of(bank, request) is RequestState.OFFERED
    neighbour = await volunteer(bank, world.volunteer, room="302")
    async with bank.unit_of_work(1) as uow:
        await matching.run_pairing(uow)
    assert len(await offers_to(bank, world.volunteer, spouse)) == 1
    assert len(await offers_to(bank, neighbour)) == 1


async def test_who_declines_or_lets_it_lapse_is_followed_by_the_next_at_once(
    bank: Database, clock: FixedClock, world: World
) -> None:
    request = await outing(bank, world)
    await offer_now(bank, request)
    third = await volunteer(bank, world.volunteer, room="302")
    (offer,) = await offers_to(bank, world.second_volunteer)
    async with bank.unit_of_work(1) as uow:
        await matching.decline_offer(uow, world.second_volunteer.actor, offer.id)
    (following,) = await offers_to(bank, third)
    fourth = await volunteer(bank, world.volunteer, room="303")
    (stays,) = await offers_to(bank, world.volunteer)
    async with bank.unit_of_work(1) as uow:
        await matching.accept_offer(uow, world.volunteer.actor, stays.id)
    clock.move_to(following.expires_at)
    async with bank.unit_of_work(1) as uow:
        assert await jobs.lapse_offers(uow) == 1
    assert len(await offers_to(bank, fourth)) == 1


async def test_a_late_carer_may_still_come_while_one_of_the_two_is_missed(
    bank: Database, clock: FixedClock, world: World
) -> None:
    request = await outing(bank, world, urgency=0)
    async with bank.unit_of_work(1) as uow:
        await matching.take(uow, world.volunteer.actor, request.id)
        late = await matching.take(uow, world.second_volunteer.actor, request.id)
    clock.move_to(request.starts_at + timedelta(minutes=61))
    async with bank.unit_of_work(1) as uow:
        await care_jobs.tend_visits(uow)
        await care.mark_offered(uow, request.id)  # one more is looked for, nobody is found yet
        visit = await care.check_in(uow, world.second_volunteer.actor, late.id)
    assert visit.state is VisitState.UNDER_WAY
    assert await state_of(bank, request) is RequestState.UNDER_WAY
