"""Planned visits that are called off: by the volunteer, by the elder, or because two are kept apart since."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from pointsbank.domain.errors import WrongState
from pointsbank.domain.feedback import Again
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.preferences import ExclusionReason, KeptApart
from pointsbank.domain.visit import CancelledWhy, VisitState
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.care import jobs as care_jobs
from services.care import service as care
from services.care.service import VisitInfo
from services.matching import jobs as matching_jobs
from services.matching import service as matching
from services.people.service import PersonInfo
from tests.worlds import (
    NINE_ON_MONDAY,
    WHOLE_WEEK,
    World,
    ask_for_help,
    done_visit,
    planned_visit,
    small_world,
)

DAY = timedelta(days=1)


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


async def seen(bank: Database, visit: VisitInfo, by: PersonInfo) -> VisitInfo:
    async with bank.unit_of_work(1) as uow:
        return await care.visit(uow, by.actor, visit.id)


async def reliability(bank: Database, person: PersonInfo) -> int:
    async with bank.unit_of_work(1) as uow:
        return (await care.reliability(uow, [person.id]))[person.id]


async def test_whom_an_elder_will_not_have_any_more_does_not_come_and_the_request_has_waited_as_long(
    bank: Database, clock: FixedClock, world: World
) -> None:
    request = await ask_for_help(bank, world, starts_in=2 * DAY)
    visit = await planned_visit(bank, world, request=request, by=world.volunteer)
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=5))
    async with bank.unit_of_work(1) as uow:
        await care.exclude(uow, world.elder.actor, world.elder.id, world.volunteer.id, ExclusionReason.ASKED)
        again = (await care.requests_by_id(uow, [request.id]))[request.id]
    assert (again.state, again.asked_at) == (RequestState.OPEN, request.asked_at)
    told = await seen(bank, visit, world.elder)
    assert (told.state, told.cancelled_why, told.cancelled_late) == (
        VisitState.CANCELLED,
        CancelledWhy.KEPT_APART,
        False,
    )
    assert (told.cancelled_by, told.cancelled_at) == (world.elder.id, clock.now())
    assert (await seen(bank, visit, world.volunteer)).cancelled_why is None
    assert await reliability(bank, world.volunteer) == 1_000
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(KeptApart):
            await care.mark_offered(uow, request.id)
            await care.plan_visit(uow, request.id, world.volunteer.id)


@pytest.mark.parametrize("side", ["elder", "volunteer"])
async def test_not_again_from_either_side_calls_off_what_was_agreed_with_the_other_only(
    bank: Database, clock: FixedClock, world: World, side: str
) -> None:
    done = await done_visit(bank, clock, world)
    later = await planned_visit(bank, world, by=world.volunteer, starts_in=2 * DAY)
    others = await planned_visit(bank, world, by=world.second_volunteer, starts_in=2 * DAY)
    speaker: PersonInfo = getattr(world, side)
    async with bank.unit_of_work(1) as uow:
        await care.give_feedback(uow, speaker.actor, done.id, again=Again.YES)
    assert (await seen(bank, later, world.elder)).state is VisitState.PLANNED
    async with bank.unit_of_work(1) as uow:
        await care.give_feedback(uow, speaker.actor, done.id, again=Again.NO)
    assert (await seen(bank, later, world.elder)).cancelled_why is CancelledWhy.KEPT_APART
    assert (await seen(bank, others, world.elder)).state is VisitState.PLANNED


async def test_who_moves_in_with_an_elder_is_not_sent_to_them_and_is_not_asked_any_more(
    bank: Database, world: World, owner_url: str
) -> None:
    visit = await planned_visit(bank, world, by=world.volunteer, starts_in=2 * DAY)
    request = await ask_for_help(bank, world, starts_in=3 * DAY)
    async with bank.unit_of_work(1) as uow:
        await matching.run_pairing(uow)
        (offer,) = await matching.offers_of(uow, world.volunteer.id)
        assert await care_jobs.part_kept_apart(uow) == await matching_jobs.part_offers(uow) == 0
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("UPDATE bank.people SET room = $2 WHERE id = $1", world.volunteer.id, "101")
    finally:
        await owner.close()
    async with bank.unit_of_work(1) as uow:
        assert (await care_jobs.part_kept_apart(uow), await matching_jobs.part_offers(uow)) == (1, 1)
        assert (await care_jobs.part_kept_apart(uow), await matching_jobs.part_offers(uow)) == (0, 0)
        assert await matching.offers_of(uow, world.volunteer.id) == []
        assert (await matching.standing_offers(uow, [request.id]))[request.id].volunteer_id == (
            world.second_volunteer.id
        )
        with pytest.raises(WrongState):
            await matching.accept_offer(uow, world.volunteer.actor, offer.id)
    assert (await seen(bank, visit, world.coordinator)).cancelled_why is CancelledWhy.KEPT_APART


async def test_the_database_refuses_a_visit_of_two_who_are_kept_apart_and_an_exclusion_that_leaves_one(
    bank: Database, world: World, owner_url: str
) -> None:
    visit = await planned_visit(bank, world, by=world.volunteer, starts_in=2 * DAY)
    exclusion = (
        "INSERT INTO bank.exclusions VALUES (1, gen_random_uuid(), $1, $2, 'asked', $1, $3, NULL, NULL)",
        world.elder.id,
        world.volunteer.id,
        NINE_ON_MONDAY,
    )
    owner = await asyncpg.connect(owner_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="leaves a visit planned"):
            await owner.execute(*exclusion)
        await owner.execute("UPDATE bank.visits SET state = 'cancelled' WHERE id = $1", visit.id)
        await owner.execute(*exclusion)
        with pytest.raises(asyncpg.CheckViolationError, match="kept apart"):
            await owner.execute("UPDATE bank.visits SET state = 'planned' WHERE id = $1", visit.id)
        with pytest.raises(asyncpg.CheckViolationError, match="kept apart"):
            await owner.execute(
                "INSERT INTO bank.visits SELECT (jsonb_populate_record(v, jsonb_build_object('id', "
                "gen_random_uuid(), 'state', 'planned'))).* FROM bank.visits v WHERE v.id = $1",
                visit.id,
            )
        with pytest.raises(asyncpg.CheckViolationError, match="called_off"):
            await owner.execute("UPDATE bank.visits SET cancelled_late = true WHERE id = $1", visit.id)
    finally:
        await owner.close()


@pytest.mark.parametrize(("starts_in", "late"), [(13, False), (11, True)])
async def test_a_withdrawal_weighs_on_a_volunteer_only_if_it_is_late_and_not_excused(
    bank: Database, world: World, starts_in: int, late: bool
) -> None:
    visit = await planned_visit(bank, world, by=world.volunteer, starts_in=timedelta(hours=starts_in))
    async with bank.unit_of_work(1) as uow:
        told = await care.cancel_visit(uow, world.volunteer.actor, visit.id)
    assert (told.cancelled_why, told.cancelled_late) == (CancelledWhy.VOLUNTEER, late)
    assert (told.cancelled_by, told.cancelled_at) == (world.volunteer.id, NINE_ON_MONDAY)
    assert await reliability(bank, world.volunteer) == ((2 * 1_000 + 400) // 3 if late else 1_000)
    async with bank.unit_of_work(1) as uow:
        if late:
            await care.excuse_no_show(uow, world.coordinator.actor, visit.id)
        else:
            with pytest.raises(WrongState):
                await care.excuse_no_show(uow, world.coordinator.actor, visit.id)
    assert await reliability(bank, world.volunteer) == 1_000


async def test_an_elder_who_calls_off_late_is_seen_to_and_nobody_pays_for_it(
    bank: Database, world: World
) -> None:
    visit = await planned_visit(bank, world, by=world.volunteer)
    assert visit.help_request_id is not None
    async with bank.unit_of_work(1) as uow:
        await care.cancel_request(uow, world.elder.actor, visit.help_request_id)
    told = await seen(bank, visit, world.coordinator)
    assert (told.cancelled_why, told.cancelled_late, told.cancelled_by) == (
        CancelledWhy.ELDER,
        True,
        world.elder.id,
    )
    assert await reliability(bank, world.volunteer) == 1_000


@pytest.mark.parametrize("said", ["exclusion", "not_again"])
async def test_who_is_parted_from_an_elder_is_followed_by_the_next_at_once(
    bank: Database, clock: FixedClock, world: World, said: str
) -> None:
    elder, first, other = world.elder, world.volunteer.id, world.second_volunteer.id
    async with bank.unit_of_work(1) as uow:
        await matching.set_free_hours(uow, other, [])
    met = await done_visit(bank, clock, world)
    agreed = await planned_visit(bank, world, starts_in=DAY)
    offered = await ask_for_help(bank, world, starts_in=2 * DAY)
    async with bank.unit_of_work(1) as uow:
        assert await matching.offer_now(uow, offered.id)
        await matching.set_free_hours(uow, other, list(WHOLE_WEEK))
    async with bank.unit_of_work(1) as uow:
        if said == "exclusion":
            await matching.exclude(uow, elder.actor, elder.id, first, ExclusionReason.ASKED)
        else:
            await matching.give_feedback(uow, elder.actor, met.id, again=Again.NO)
    async with bank.unit_of_work(1) as uow:
        offers = await matching.offers_of(uow, other)
    assert {each.request.id for each in offers} == {agreed.help_request_id, offered.id}
