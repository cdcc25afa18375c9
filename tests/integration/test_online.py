"""Requests that cannot wait for a run: candidates, offers at once, and taking of one's own accord."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from pointsbank.domain.asked_time import Window
from pointsbank.domain.availability import Limits
from pointsbank.domain.errors import DomainError, NotAllowed, NotFound, WrongState
from pointsbank.domain.free_hours import ExceptionKind, FreeHour, HoursException
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.offer import CannotTake
from pointsbank.domain.pairing.rules import Blocked, blocked
from pointsbank.domain.resident import PlaceKind
from pointsbank.domain.roles import Role
from pointsbank.domain.visit import OverlappingVisit, VisitState
from pointsbank.platform.clock import FixedClock, local_date
from pointsbank.platform.database import Database
from services.care import service as care
from services.care.service import AskForHelp, RequestInfo, VisitInfo
from services.matching import jobs
from services.matching import service as matching
from services.matching.planning import planning_input
from services.people import service as people
from services.people.service import NewBuilding, NewPerson, NewPlace, PersonInfo
from tests.worlds import NINE_ON_MONDAY, WHOLE_WEEK, World, ask_for_help, planned_visit, small_world


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


async def candidates(bank: Database, request: RequestInfo) -> list[matching.Candidate]:
    async with bank.unit_of_work(1) as uow:
        return await matching.candidates_for(uow, request.id)


async def names(bank: Database, request: RequestInfo) -> list[str]:
    return [each.name for each in await candidates(bank, request)]


async def state_of(bank: Database, request: RequestInfo) -> RequestState:
    async with bank.unit_of_work(1) as uow:
        return (await care.requests_by_id(uow, [request.id]))[request.id].state


async def test_candidates_come_best_first_with_what_they_are_worth(bank: Database, world: World) -> None:
    first, second = await candidates(bank, request := await ask_for_help(bank, world))
    assert [first.volunteer_id, second.volunteer_id] == [world.volunteer.id, world.second_volunteer.id]
    assert first.value > second.value
    assert first.value == sum(first.terms.values())
    assert first.start == request.starts_at


async def test_who_cannot_take_it_is_no_candidate(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world, kind="repair")
    near, far = world.volunteer.name, world.second_volunteer.name
    assert await names(bank, request) == [near, far]
    async with bank.unit_of_work(1) as uow:
        await matching.set_skills(uow, world.volunteer.id, ["escort"])
    assert await names(bank, request) == [far]
    async with bank.unit_of_work(1) as uow:
        await matching.set_grids(uow, world.second_volunteer.id, [2])
    assert await names(bank, request) == []


async def test_exceptions_caps_and_other_visits_are_looked_at(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world)
    near, far = world.volunteer.name, world.second_volunteer.name
    day = local_date(request.starts_at, "Asia/Shanghai")
    async with bank.unit_of_work(1) as uow:
        await matching.set_free_hours(uow, world.second_volunteer.id, [])
    assert await names(bank, request) == [near]
    async with bank.unit_of_work(1) as uow:
        free = HoursException(day, 11 * 60, 14 * 60, ExceptionKind.FREE)
        await matching.set_exceptions(uow, world.second_volunteer.id, [free])
        await matching.set_exceptions(uow, world.volunteer.id, [HoursException.away_all_day(day)])
    assert await names(bank, request) == [far]
    async with bank.unit_of_work(1) as uow:
        await matching.set_limits(uow, world.second_volunteer.id, Limits(day_minutes=59))
    assert await names(bank, request) == []


async def test_a_visit_that_stands_and_the_walk_from_it_make_busy(bank: Database, world: World) -> None:
    visit = await planned_visit(bank, world)
    assert visit.volunteer_id == world.volunteer.id
    at_once = await ask_for_help(bank, world, starts_in=timedelta(hours=4))
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(CannotTake) as refused:
            await matching.take(uow, world.volunteer.actor, at_once.id)
        assert refused.value.blocked is Blocked.ALREADY_PROMISED
    later = await ask_for_help(bank, world, starts_in=timedelta(hours=4, minutes=10))
    assert await names(bank, at_once) == [world.second_volunteer.name]
    assert world.volunteer.name in await names(bank, later)


async def test_an_urgent_request_is_offered_when_it_is_asked_and_waits_half_an_hour(
    bank: Database, world: World
) -> None:
    urgent = await ask_for_help(bank, world, urgency=3)
    usual = await ask_for_help(bank, world, urgency=2, starts_in=timedelta(hours=7))
    async with bank.unit_of_work(1) as uow:
        assert (await matching.offer_if_urgent(uow, urgent)).state is RequestState.OFFERED
        assert (await matching.offer_if_urgent(uow, usual)).state is RequestState.OPEN
        (offer,) = await matching.offers_of(uow, world.volunteer.id)
    assert (offer.request.id, offer.starts_at, offer.ends_at) == (
        urgent.id,
        urgent.starts_at,
        urgent.ends_at,
    )
    assert offer.expires_at - offer.offered_at == timedelta(minutes=30)


async def test_an_urgent_request_nobody_can_take_stays_open(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        for person in (world.volunteer, world.second_volunteer):
            await matching.set_free_hours(uow, person.id, [])
    urgent = await ask_for_help(bank, world, urgency=3)
    async with bank.unit_of_work(1) as uow:
        assert not await matching.offer_now(uow, urgent.id)
    assert await state_of(bank, urgent) is RequestState.OPEN


async def test_two_urgent_requests_of_one_hour_go_to_two_volunteers(bank: Database, world: World) -> None:
    one, other = await ask_for_help(bank, world, urgency=3), await ask_for_help(bank, world, urgency=3)

    async def offer(request: RequestInfo) -> bool:
        async with bank.unit_of_work(1) as uow:
            return await matching.offer_now(uow, request.id)

    assert await asyncio.gather(offer(one), offer(other)) == [True, True]
    async with bank.unit_of_work(1) as uow:
        for person in (world.volunteer, world.second_volunteer):
            assert len(await matching.offers_of(uow, person.id)) == 1


async def test_an_urgent_offer_goes_on_when_it_lapses_and_ends_with_the_last_candidate(
    bank: Database, clock: FixedClock, world: World
) -> None:
    urgent = await ask_for_help(bank, world, urgency=3)
    async with bank.unit_of_work(1) as uow:
        await matching.offer_now(uow, urgent.id)
    for person, then in ((world.volunteer, "offered"), (world.second_volunteer, "open")):
        async with bank.unit_of_work(1) as uow:
            (offer,) = await matching.offers_of(uow, person.id)
        clock.move_to(offer.expires_at)
        async with bank.unit_of_work(1) as uow:
            assert await jobs.lapse_offers(uow) == 1
        assert await state_of(bank, urgent) == then


async def test_a_volunteer_sees_and_takes_what_they_could_be_sent_to(bank: Database, world: World) -> None:
    near = await ask_for_help(bank, world, urgency=1)
    await ask_for_help(bank, world, elder=world.second_elder)
    async with bank.unit_of_work(1) as uow:
        (found,) = await matching.takeable(uow, world.volunteer.id)
        assert (found.request.id, found.starts_at) == (near.id, near.starts_at)
        assert len(await matching.takeable(uow, world.second_volunteer.id)) == 2
        visit = await matching.take(uow, world.volunteer.actor, near.id)
    assert (visit.help_request_id, visit.volunteer_id, visit.state) == (
        near.id,
        world.volunteer.id,
        VisitState.PLANNED,
    )
    async with bank.unit_of_work(1) as uow:
        assert await matching.takeable(uow, world.volunteer.id) == []
        with pytest.raises(WrongState) as refused:
            await matching.take(uow, world.second_volunteer.actor, near.id)
        assert refused.value.state == "accepted"


async def test_only_a_coordinator_takes_for_somebody_else_and_never_for_who_is_no_volunteer(
    bank: Database, world: World
) -> None:
    request = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await matching.take(
                uow, world.second_volunteer.actor, request.id, volunteer_id=world.volunteer.id
            )
        with pytest.raises(NotFound):
            await matching.take(uow, world.building_leader.actor, request.id)
        visit = await matching.take(uow, world.coordinator.actor, request.id, volunteer_id=world.volunteer.id)
    assert visit.volunteer_id == world.volunteer.id


async def test_a_window_that_has_begun_can_still_be_taken(
    bank: Database, clock: FixedClock, world: World
) -> None:
    window = Window(NINE_ON_MONDAY + timedelta(hours=1), NINE_ON_MONDAY + timedelta(hours=8))
    async with bank.unit_of_work(1) as uow:
        request = await care.ask(
            uow, world.elder.actor, AskForHelp(world.elder.id, "companionship", window, 60, 0)
        )
    clock.move_to(window.earliest_start + timedelta(minutes=1))
    async with bank.unit_of_work(1) as uow:
        found = await matching.takeable(uow, world.volunteer.id)
    assert [each.request.id for each in found] == [request.id]


async def test_what_was_taken_and_given_back_is_offered_to_another(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        visit = await matching.take(uow, world.volunteer.actor, request.id)
    async with bank.unit_of_work(1) as uow:
        await matching.withdraw(uow, world.volunteer.actor, visit.id)
    assert await state_of(bank, request) is RequestState.OFFERED
    async with bank.unit_of_work(1) as uow:
        offer = (await matching.standing_offers(uow, [request.id]))[request.id]
    assert offer.volunteer_id == world.second_volunteer.id


async def test_one_who_takes_two_at_once_gets_only_what_they_can_walk_to(
    bank: Database, world: World
) -> None:
    first = await ask_for_help(bank, world)
    then = await ask_for_help(bank, world, starts_in=timedelta(hours=4))

    async def take_the_next() -> None:
        async with bank.unit_of_work(1) as uow:
            await matching.take(uow, world.volunteer.actor, then.id)

    async with bank.unit_of_work(1) as uow:
        await matching.take(uow, world.volunteer.actor, first.id)
        second = asyncio.create_task(take_the_next())
        await asyncio.wait({second}, timeout=0.5)
        assert not second.done()
    with pytest.raises(CannotTake) as refused:
        await second
    assert refused.value.blocked is Blocked.ALREADY_PROMISED
    assert await state_of(bank, then) is RequestState.OPEN


async def test_the_quick_query_leaves_out_nobody_whom_the_rules_allow(bank: Database, world: World) -> None:
    """Random volunteers and requests: the candidates are exactly those a run could send."""
    dice = random.Random(7)
    volunteers = await _volunteers(bank, 30)
    days = [local_date(NINE_ON_MONDAY, "Asia/Shanghai") + timedelta(days=number) for number in range(4)]
    async with bank.unit_of_work(1) as uow:
        for person in volunteers:
            week = [FreeHour(each, *dice.choice(((0, 1440), (540, 720), (660, 1440)))) for each in range(7)]
            await matching.set_free_hours(uow, person.id, dice.sample(week, dice.randrange(8)))
            kinds = dice.choices(list(ExceptionKind), k=3)
            odd = {
                (day, kind): HoursException(day, dice.randrange(0, 1440, 60), 1440, kind)
                for day, kind in zip(dice.choices(days, k=3), kinds, strict=True)
            }
            await matching.set_exceptions(uow, person.id, list(odd.values()))
            await matching.set_grids(uow, person.id, dice.choice(((), (1,), (6,), (1, 6))))
            await matching.set_limits(uow, person.id, Limits(dice.choice((None, 60, 120))))
            await matching.set_skills(uow, person.id, dice.sample(["repair", "escort", "haircut"], 2))
    asked = [
        await ask_for_help(
            bank,
            world,
            elder=dice.choice((world.elder, world.second_elder)),
            kind=dice.choice(("companionship", "repair")),
            starts_in=timedelta(minutes=30 * dice.randrange(2, 120)),
            minutes=dice.choice((30, 60, 90)),
        )
        for _ in range(24)
    ]
    async with bank.unit_of_work(1) as uow:
        for request in asked[:8]:
            for candidate in (await matching.candidates_for(uow, request.id))[-1:]:
                actor = await people.actor_of(uow, candidate.volunteer_id)
                await matching.take(uow, actor, request.id)
    waiting = asked[8:]
    found = 0
    async with bank.unit_of_work(1) as uow:
        plan = await planning_input(uow, waiting, now=uow.clock.now())
        for request, wanted in zip(waiting, plan.requests, strict=True):
            able = {each.id for each in plan.volunteers if blocked(plan, wanted, each) is None}
            told = {str(each.volunteer_id) for each in await matching.candidates_for(uow, request.id, 50)}
            assert told == able
            found += len(able)
    assert 16 < found < 16 * len(volunteers) / 2


TAKERS, VOLUNTEERS, REQUESTS = 50, 6, 9


async def test_fifty_who_take_at_once_against_a_publishing_run_book_nobody_and_nothing_twice(
    app_url: str, clock: FixedClock, world: World
) -> None:
    bank = Database(app_url, clock=clock, pool_size=TAKERS)  # a connection each: they are all there at once
    try:
        await _take_against_a_run(bank, world)
    finally:
        await bank.close()


async def _take_against_a_run(bank: Database, world: World) -> None:
    volunteers = await _volunteers(bank, VOLUNTEERS)
    requests = [
        await ask_for_help(bank, world, starts_in=timedelta(hours=3 + 2 * (number // 4)))
        for number in range(REQUESTS - 1)
    ]
    requests.append(await ask_for_help(bank, world, kind="outing", starts_in=timedelta(hours=7)))

    async def take(number: int) -> VisitInfo | DomainError:
        person, request = volunteers[number % VOLUNTEERS], requests[number % REQUESTS]
        try:
            async with bank.unit_of_work(1) as uow:
                return await matching.take(uow, person.actor, request.id)
        except DomainError as error:
            return error

    async def publish(decided: matching.Thought) -> int:
        async with bank.unit_of_work(1) as uow:
            return (await decided.publish(uow)).paired

    async def accept(person: PersonInfo) -> list[VisitInfo | DomainError]:
        await asyncio.sleep(0.1)
        async with bank.unit_of_work(1) as uow:
            offers = await matching.offers_of(uow, person.id)
        answers: list[VisitInfo | DomainError] = []
        for offer in offers:
            try:
                async with bank.unit_of_work(1) as uow:
                    answers.append(await matching.accept_offer(uow, person.actor, offer.id))
            except DomainError as error:
                answers.append(error)
        return answers

    async with matching.thought(bank, 1) as decided:
        assert decided.plan is not None
        assert len(decided.plan.visits) == REQUESTS + 1
        outcomes, _, accepted = await asyncio.gather(
            asyncio.gather(*(take(number) for number in range(TAKERS))),
            publish(decided),
            asyncio.gather(*(accept(person) for person in volunteers)),
        )
    answers = [*outcomes, *(answer for answers in accepted for answer in answers)]
    planned = [answer for answer in answers if isinstance(answer, VisitInfo)]
    lost = [answer for answer in answers if not isinstance(answer, VisitInfo)]
    assert {type(error) for error in lost} <= {WrongState, CannotTake, OverlappingVisit}
    assert planned
    assert len(outcomes) == TAKERS
    async with bank.unit_of_work(1) as uow:
        standing = [
            visit
            for person in volunteers
            for visit in await care.visits_of_volunteer(uow, person.actor, person.id)
        ]
        now = await care.requests_by_id(uow, [request.id for request in requests])
        offered = await matching.standing_offers(uow, [request.id for request in requests])
    assert {visit.id for visit in standing} == {visit.id for visit in planned}
    visits = Counter(visit.help_request_id for visit in standing)
    for request in now.values():
        assert visits[request.id] <= request.carers
        assert (visits[request.id] == request.carers) == (request.state is RequestState.ACCEPTED)
        assert (request.id in offered) == (request.state is not RequestState.OPEN)
    assert max(Counter((visit.help_request_id, visit.volunteer_id) for visit in standing).values()) == 1
    for person in volunteers:
        own = sorted(
            (visit.planned_start, visit.planned_end) for visit in standing if visit.volunteer_id == person.id
        )
        assert all(one[1] <= other[0] for one, other in pairwise(own))


async def _volunteers(bank: Database, number: int) -> list[PersonInfo]:
    """Take in volunteers of the first elder's grid who are always free."""
    async with bank.unit_of_work(1) as uow:
        await people.add_places(uow, [NewPlace(PlaceKind.VILLAGE, "测试村")])
        (building,) = await people.add_buildings(uow, [NewBuilding("测试村", "1巷", 1)])
        ids = await people.add_people(
            uow,
            [
                NewPerson(name=f"测试{each}", building_id=building, roles={Role.VOLUNTEER: None})
                for each in range(number)
            ],
        )
        await matching.add_free_hours_many(uow, dict.fromkeys(ids, WHOLE_WEEK))
        found = await people.people_by_id(uow, ids)
    return [found[each] for each in ids]
