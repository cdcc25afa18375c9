"""Pairing runs and offers on a real database, races included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from pointsbank.domain.asked_time import Window
from pointsbank.domain.errors import DomainError, InvalidValue, NotAllowed, NotFound, WrongState
from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.domain.roles import Role
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.care import jobs as care_jobs
from services.care import service as care
from services.care.service import AskForHelp, RequestInfo, VisitInfo
from services.matching import jobs
from services.matching import service as matching
from services.matching.service import OfferInfo, PairingRunInfo
from services.people import service as people
from services.people.service import NewPerson, PersonInfo
from tests.worlds import NINE_ON_MONDAY, World, ask_for_help, planned_visit, small_world


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


async def pair(bank: Database) -> PairingRunInfo:
    async with bank.unit_of_work(1) as uow:
        return await matching.run_pairing(uow)


async def offers_of(bank: Database, person: PersonInfo) -> list[OfferInfo]:
    async with bank.unit_of_work(1) as uow:
        return await matching.offers_of(uow, person.id)


async def state_of(bank: Database, request: RequestInfo) -> RequestState:
    async with bank.unit_of_work(1) as uow:
        return (await care.requests_by_id(uow, [request.id]))[request.id].state


async def test_a_request_is_offered_to_the_volunteer_of_the_same_small_grid(
    bank: Database, world: World
) -> None:
    request = await ask_for_help(bank, world)
    run = await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)
    assert (run.paired, run.unpaired, run.blocked) == (1, 0, {})
    assert (offer.request.id, offer.distance) == (request.id, GridDistance.SAME_SMALL)
    assert await state_of(bank, request) is RequestState.OFFERED
    assert offer.expires_at == request.starts_at


async def test_an_offer_for_a_far_day_expires_after_the_policys_time(bank: Database, world: World) -> None:
    await ask_for_help(bank, world, starts_in=timedelta(days=5))
    await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)
    assert offer.expires_at - offer.offered_at == timedelta(hours=12)


async def test_an_accepted_offer_becomes_a_visit(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world)
    await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)
    async with bank.unit_of_work(1) as uow:
        visit = await matching.accept_offer(uow, world.volunteer.actor, offer.id)
    assert (visit.help_request_id, visit.planned_start, visit.planned_end) == (
        request.id,
        request.starts_at,
        request.ends_at,
    )
    assert await state_of(bank, request) is RequestState.ACCEPTED
    assert await offers_of(bank, world.volunteer) == []


async def test_of_two_who_accept_an_offer_at_once_one_wins(bank: Database, world: World) -> None:
    await ask_for_help(bank, world)
    await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)

    async def accept(person: PersonInfo) -> VisitInfo | DomainError:
        try:
            async with bank.unit_of_work(1) as uow:
                return await matching.accept_offer(uow, person.actor, offer.id)
        except DomainError as error:
            return error

    two_tabs_and_a_call = (world.volunteer, world.volunteer, world.coordinator)
    outcomes = await asyncio.gather(*(accept(person) for person in two_tabs_and_a_call))
    assert sum(isinstance(outcome, VisitInfo) for outcome in outcomes) == 1
    lost = [outcome for outcome in outcomes if isinstance(outcome, WrongState)]
    assert [error.state for error in lost] == ["accepted", "accepted"]
    async with bank.unit_of_work(1) as uow:
        assert len(await care.visits_of_volunteer(uow, world.volunteer.actor, world.volunteer.id)) == 1


async def test_accepting_and_declining_at_once_ends_in_one_of_the_two(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world)
    await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)

    async def accept() -> str:
        async with bank.unit_of_work(1) as uow:
            await matching.accept_offer(uow, world.volunteer.actor, offer.id)
        return "accepted"

    async def decline() -> str:
        async with bank.unit_of_work(1) as uow:
            await matching.decline_offer(uow, world.volunteer.actor, offer.id)
        return "open"

    outcomes = await asyncio.gather(accept(), decline(), return_exceptions=True)
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert await state_of(bank, request) == won


async def test_only_the_volunteer_or_a_coordinator_answers_an_offer(bank: Database, world: World) -> None:
    await ask_for_help(bank, world)
    await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)
    async with bank.unit_of_work(1) as uow:
        for stranger in (world.second_volunteer, world.elder, world.auditor, world.grid_leader):
            with pytest.raises(NotAllowed):
                await matching.accept_offer(uow, stranger.actor, offer.id)
            with pytest.raises(NotAllowed):
                await matching.decline_offer(uow, stranger.actor, offer.id)


async def test_another_communitys_offer_is_not_found(bank: Database, world: World) -> None:
    other = await small_world(bank, 2)
    await ask_for_help(bank, world)
    await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)
    async with bank.unit_of_work(2) as uow:
        with pytest.raises(NotFound):
            await matching.accept_offer(uow, other.coordinator.actor, offer.id)
        assert await matching.offers_of(uow, world.volunteer.id) == []
        assert await matching.standing_offers(uow, [offer.request.id]) == {}
        assert (await matching.run_pairing(uow)).paired == 0


async def test_a_declined_request_goes_to_the_next_volunteer_at_once_and_then_to_nobody(
    bank: Database, world: World
) -> None:
    request = await ask_for_help(bank, world)
    assert (await pair(bank)).paired == 1
    for person, distance, then in (
        (world.volunteer, GridDistance.SAME_SMALL, RequestState.OFFERED),
        (world.second_volunteer, GridDistance.SAME_BIG, RequestState.OPEN),
    ):
        (offer,) = await offers_of(bank, person)
        assert offer.distance is distance
        async with bank.unit_of_work(1) as uow:
            await matching.decline_offer(uow, person.actor, offer.id)
        assert await state_of(bank, request) is then
    assert (await pair(bank)).blocked == {request.id: {Blocked.EXCLUDED: 2}}


async def test_an_unanswered_offer_lapses_and_the_request_goes_on_at_once(
    bank: Database, clock: FixedClock, world: World
) -> None:
    request = await ask_for_help(bank, world, starts_in=timedelta(days=5))
    await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)
    clock.move_to(offer.expires_at)
    assert await offers_of(bank, world.volunteer) == []
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(WrongState) as refused:
            await matching.accept_offer(uow, world.volunteer.actor, offer.id)
        assert refused.value.state == "lapsed"
        assert await jobs.lapse_offers(uow) == 1
        assert await jobs.lapse_offers(uow) == 0
    assert await state_of(bank, request) is RequestState.OFFERED
    (offer,) = await offers_of(bank, world.second_volunteer)
    clock.move_to(offer.expires_at)
    async with bank.unit_of_work(1) as uow:
        assert await jobs.lapse_offers(uow) == 1
    assert await state_of(bank, request) is RequestState.OPEN


async def test_an_offer_of_a_cancelled_request_cannot_be_accepted(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world)
    await pair(bank)
    (offer,) = await offers_of(bank, world.volunteer)
    async with bank.unit_of_work(1) as uow:
        await care.cancel_request(uow, world.elder.actor, request.id)
    assert await offers_of(bank, world.volunteer) == []
    with pytest.raises(WrongState):
        async with bank.unit_of_work(1) as uow:
            await matching.accept_offer(uow, world.volunteer.actor, offer.id)
    async with bank.unit_of_work(1) as uow:
        await matching.decline_offer(uow, world.volunteer.actor, offer.id)
    assert await state_of(bank, request) is RequestState.CANCELLED


async def test_a_volunteer_who_withdraws_makes_room_for_another(bank: Database, world: World) -> None:
    visit = await planned_visit(bank, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await matching.withdraw(uow, world.elder.actor, visit.id)
        await matching.withdraw(uow, world.volunteer.actor, visit.id)
    with pytest.raises(WrongState):
        async with bank.unit_of_work(1) as uow:
            await matching.withdraw(uow, world.volunteer.actor, visit.id)
    (offer,) = await offers_of(bank, world.second_volunteer)
    async with bank.unit_of_work(1) as uow:
        again = await matching.accept_offer(uow, world.second_volunteer.actor, offer.id)
    assert again.help_request_id == visit.help_request_id


async def test_nobody_withdraws_once_the_agreed_start_has_passed(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    for actor in (world.volunteer.actor, world.coordinator.actor):
        async with bank.unit_of_work(1) as uow:
            with pytest.raises(WrongState):
                await matching.withdraw(uow, actor, visit.id)


@pytest.mark.parametrize("by_run", [True, False])
async def test_after_a_no_show_the_request_goes_to_another_volunteer(
    bank: Database, clock: FixedClock, world: World, by_run: bool
) -> None:
    window = Window(NINE_ON_MONDAY + timedelta(hours=1), NINE_ON_MONDAY + timedelta(hours=8))
    async with bank.unit_of_work(1) as uow:
        request = await care.ask(
            uow, world.elder.actor, AskForHelp(world.elder.id, "companionship", window, 60, 0)
        )
    visit = await planned_visit(bank, world, request=request)
    clock.move_to(visit.planned_start + timedelta(minutes=61))
    async with bank.unit_of_work(1) as uow:
        assert await care_jobs.tend_visits(uow) == 1
        assert await matching.standing_offers(uow, [request.id]) == {}
    if by_run:
        assert (await pair(bank)).paired == 1
    else:
        async with bank.unit_of_work(1) as uow:
            assert await matching.offer_now(uow, request.id)
    async with bank.unit_of_work(1) as uow:
        offer = (await matching.standing_offers(uow, [request.id]))[request.id]
    assert {offer.volunteer_id, visit.volunteer_id} == {world.volunteer.id, world.second_volunteer.id}


async def test_nobody_is_promised_twice_at_one_time(bank: Database, world: World) -> None:
    for _ in range(3):
        await ask_for_help(bank, world)
    run = await pair(bank)
    assert (run.paired, run.unpaired) == (2, 1)
    assert list(run.blocked.values()) == [{Blocked.ALREADY_PROMISED: 2}]
    assert [len(await offers_of(bank, person)) for person in (world.volunteer, world.second_volunteer)] == [
        1,
        1,
    ]
    assert (await pair(bank)).paired == 0  # standing offers count as promises
    for person in (world.volunteer, world.second_volunteer):
        (offer,) = await offers_of(bank, person)
        async with bank.unit_of_work(1) as uow:
            await matching.accept_offer(uow, person.actor, offer.id)
    assert (await pair(bank)).paired == 0  # and so do visits


async def test_pairing_runs_at_once_offer_a_request_once(bank: Database, world: World) -> None:
    await ask_for_help(bank, world)
    await ask_for_help(bank, world, elder=world.second_elder, starts_in=timedelta(hours=6))
    runs = await asyncio.gather(*(pair(bank) for _ in range(4)))
    assert sum(run.paired for run in runs) == 2
    async with bank.unit_of_work(1) as uow:
        assert len(await matching.pairing_runs(uow)) == 1  # a run that found nothing waiting leaves no trace


async def test_a_run_waits_for_the_one_before_and_counts_its_promises(bank: Database, world: World) -> None:
    await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        assert (await matching.run_pairing(uow)).paired == 1
        await ask_for_help(bank, world)
        meanwhile = asyncio.create_task(pair(bank))
        await asyncio.sleep(0.5)  # long enough to promise somebody twice, were it not made to wait
        assert not meanwhile.done()
    assert (await meanwhile).paired == 1
    assert [len(await offers_of(bank, person)) for person in (world.volunteer, world.second_volunteer)] == [
        1,
        1,
    ]


async def test_the_database_refuses_a_second_standing_offer(bank: Database, world: World) -> None:
    await ask_for_help(bank, world)
    await pair(bank)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_offers_standing"):
            await (await uow.connection()).execute(
                "INSERT INTO bank.offers (community_id, id, help_request_id, volunteer_id, distance, state, "
                "starts_at, ends_at, offered_at, expires_at) "
                "SELECT community_id, gen_random_uuid(), help_request_id, volunteer_id, distance, 'offered', "
                "starts_at, ends_at, offered_at, expires_at FROM bank.offers WHERE community_id = 1"
            )


async def test_what_blocked_a_request_is_told_and_kept(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        await matching.set_skills(uow, world.volunteer.id, [])
        await matching.set_free_hours(uow, world.second_volunteer.id, [FreeHour(6, 0, 1440)])
        await people.grant_role(uow, world.elder.id, Role.VOLUNTEER)
        await matching.set_free_hours(uow, world.elder.id, [FreeHour(0, 0, 1440)])
    request = await ask_for_help(bank, world, kind="haircut")
    far = await ask_for_help(bank, world, elder=world.second_elder)
    run = await pair(bank)
    assert run.blocked == {
        request.id: {Blocked.NO_SKILL: 1, Blocked.NOT_FREE: 1, Blocked.ONESELF: 1},
        far.id: {Blocked.TOO_FAR: 2, Blocked.NOT_FREE: 1},
    }
    async with bank.unit_of_work(1) as uow:
        assert await matching.pairing_runs(uow) == [run]


async def test_a_week_is_replaced_whole(bank: Database, world: World) -> None:
    morning, evening = FreeHour(0, 480, 720), FreeHour(0, 1080, 1200)
    async with bank.unit_of_work(1) as uow:
        await matching.set_free_hours(uow, world.volunteer.id, [evening, morning])
        assert await matching.free_hours_of(uow, world.volunteer.id) == [morning, evening]
        await matching.set_skills(uow, world.volunteer.id, ["repair", "escort"])
        assert await matching.skills_of(uow, world.volunteer.id) == ["escort", "repair"]


@pytest.mark.parametrize(
    ("hours", "field"),
    [
        ([FreeHour(7, 0, 60)], "weekday"),
        ([FreeHour(0, 60, 60)], "minutes"),
        ([FreeHour(0, 0, 1441)], "minutes"),
        ([FreeHour(0, -1, 60)], "minutes"),
        ([FreeHour(0, 0, 60), FreeHour(0, 59, 120)], "free_hours"),
        ([FreeHour(0, minute, minute + 1) for minute in range(71)], "free_hours"),
    ],
)
async def test_a_wrong_week_is_named_and_the_former_stays(
    bank: Database, world: World, hours: list[FreeHour], field: str
) -> None:
    async with bank.unit_of_work(1) as uow:
        before = await matching.free_hours_of(uow, world.volunteer.id)
        with pytest.raises(InvalidValue) as refused:
            await matching.set_free_hours(uow, world.volunteer.id, hours)
        assert refused.value.field == field
        assert await matching.free_hours_of(uow, world.volunteer.id) == before


async def test_hours_and_skills_are_volunteers_only(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue):
            await matching.set_free_hours(uow, world.auditor.id, [])
        with pytest.raises(InvalidValue):
            await matching.add_skills_many(uow, {world.volunteer.id: ["escort"], world.elder.id: ["escort"]})
        with pytest.raises(InvalidValue):
            await matching.set_skills(uow, world.volunteer.id, [" "])


async def test_a_volunteer_without_an_address_or_hours_is_not_asked(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        (homeless,) = await people.add_people(uow, [NewPerson("测试壬", roles={Role.VOLUNTEER: None})])
        await matching.set_free_hours(uow, homeless, [FreeHour(0, 0, 1440)])
        await matching.set_free_hours(uow, world.volunteer.id, [])
        await matching.set_free_hours(uow, world.second_volunteer.id, [])
    await ask_for_help(bank, world)
    assert list((await pair(bank)).blocked.values()) == [{Blocked.NOT_FREE: 2}]
