"""Being there on a real database: codes, late, missing, overlapping, two carers, tiers, backfill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain.accounts import available, service
from pointsbank.domain.attendance import AttendanceMethod, Proof, TooManyAttempts, WrongProof
from pointsbank.domain.backfill import BackfillLimit
from pointsbank.domain.confirming import CoordinatorNeeded
from pointsbank.domain.decision import ConcernsOneself, SecondPersonNeeded
from pointsbank.domain.errors import InvalidValue, NotAllowed, WrongState
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.domain.preferences import Relation
from pointsbank.domain.roles import Role
from pointsbank.domain.visit import ConfirmedByThePaid, TooManyPairs, UnsettledOverlap, VisitState
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.care import jobs
from services.care import service as care
from services.care.service import VisitInfo
from services.ledger import service as ledger
from services.people import service as people
from services.people.service import PersonInfo
from tests.worlds import NINE_ON_MONDAY, World, ask_for_help, done_visit, planned_visit, small_world

HOUR = timedelta(hours=1)


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


async def posted(bank: Database, person: PersonInfo) -> tuple[int, int]:
    """Return a person's (milli-points, minutes served)."""
    async with bank.unit_of_work(1) as uow:
        codes = [available(person.ledger_ref), service(person.ledger_ref)]
        points, minutes = [await ledger.balance(uow, code) for code in codes]
        return points, minutes


async def request_state(bank: Database, visit: VisitInfo) -> RequestState:
    assert visit.help_request_id is not None
    async with bank.unit_of_work(1) as uow:
        return (await care.requests_by_id(uow, [visit.help_request_id]))[visit.help_request_id].state


async def new_rules(bank: Database, world: World, **rules: object) -> None:
    """Let a second version of the policy have other rules of visits, from today on."""
    async with bank.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow,
            effective_from=await people.local_today(uow),
            body={**DEFAULT_POLICY, "visits": {**DEFAULT_POLICY["visits"], **rules}},
            proposed_by=world.coordinator.ledger_ref,
            approved_by=world.auditor.ledger_ref,
        )


async def second_coordinator(bank: Database, world: World) -> PersonInfo:
    """Make the auditor a coordinator too, and return them."""
    async with bank.unit_of_work(1) as uow:
        await people.grant_role(uow, world.auditor.id, Role.COORDINATOR)
        return await people.person(uow, world.auditor.id)


async def code_of(bank: Database, world: World) -> Proof:
    async with bank.unit_of_work(1) as uow:
        shown = await care.door_code(uow, world.elder.actor, world.elder.id)
    return Proof(AttendanceMethod.CODE, shown.code)


async def check_in(bank: Database, world: World, visit: VisitInfo, proof: Proof | None = None) -> VisitInfo:
    async with bank.unit_of_work(1) as uow:
        return await care.check_in(uow, world.volunteer.actor, visit.id, proof=proof)


async def test_a_code_opens_a_visit_once_and_the_next_one_closes_it(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    code = await code_of(bank, world)
    assert (await check_in(bank, world, visit, code)).check_in_method is AttendanceMethod.CODE
    clock.move_to(visit.planned_start + timedelta(seconds=70))
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(WrongProof):  # the same code still stands, and is used up
            await care.check_out(uow, world.volunteer.actor, visit.id, proof=code)
    clock.move_to(visit.planned_start + HOUR)
    code = await code_of(bank, world)
    clock.move_to(visit.planned_start + HOUR + timedelta(seconds=60))
    async with bank.unit_of_work(1) as uow:
        done = await care.check_out(uow, world.volunteer.actor, visit.id, proof=code)
        confirmed = await care.confirm(uow, world.elder.actor, visit.id)
    assert (done.check_out_method, confirmed.strength, confirmed.evidence) == (AttendanceMethod.CODE, 4, 4)


async def test_two_carers_who_come_together_use_one_code_once_each(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit, other = await two_carers(bank, world)
    clock.move_to(visit.planned_start)
    code = await code_of(bank, world)

    async def enter(volunteer: PersonInfo, visit_id: UUID) -> bool:
        try:
            async with bank.unit_of_work(1) as uow:
                await care.check_in(uow, volunteer.actor, visit_id, proof=code)
        except WrongProof:
            return False
        return True

    entered = await asyncio.gather(enter(world.volunteer, visit.id), enter(world.second_volunteer, other.id))
    assert entered == [True, True]
    clock.move_to(visit.planned_start + timedelta(seconds=70))
    for volunteer, each in ((world.volunteer, visit), (world.second_volunteer, other)):
        async with bank.unit_of_work(1) as uow:
            with pytest.raises(WrongProof):
                await care.check_out(uow, volunteer.actor, each.id, proof=code)


async def test_a_code_that_is_old_or_anothers_is_refused_and_few_may_be_tried(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    old = await code_of(bank, world)
    clock.move_to(visit.planned_start + timedelta(minutes=2))
    async with bank.unit_of_work(1) as uow:
        others = await care.door_code(uow, world.second_elder.actor, world.second_elder.id)
    for wrong in (old, Proof(AttendanceMethod.CODE, others.code), Proof(AttendanceMethod.CARD, "")):
        with pytest.raises(WrongProof):
            await check_in(bank, world, visit, wrong)

    async def attempt() -> bool:
        try:
            async with bank.unit_of_work(1) as uow:
                await care.begin_attempt(uow, world.volunteer.actor, visit.id)
        except TooManyAttempts:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt() for _ in range(8)))) == 5
    clock.move_to(visit.planned_start + timedelta(minutes=18))
    assert await attempt()


async def test_a_code_is_shown_to_the_elder_alone(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        for stranger in (world.volunteer, world.coordinator, world.building_leader, world.second_elder):
            with pytest.raises(NotAllowed):
                await care.door_code(uow, stranger.actor, world.elder.id)


async def test_who_comes_gets_neither_code_nor_card_as_family_or_coordinator(
    bank: Database, world: World
) -> None:
    await planned_visit(bank, world, by=world.volunteer)
    async with bank.unit_of_work(1) as uow:
        for member in (world.volunteer, world.auditor):
            await care.tell_family(uow, world.elder.actor, world.elder.id, member.id, Relation.CHILD)
            await care.confirm_family(uow, world.coordinator.actor, world.elder.id, member.id)
        await people.grant_role(uow, world.volunteer.id, Role.COORDINATOR)
        both = await people.actor_of(uow, world.volunteer.id)
        with pytest.raises(NotAllowed):
            await care.door_code(uow, both, world.elder.id)
        with pytest.raises(NotAllowed):
            await care.issue_card(uow, both, world.elder.id)
        assert (await care.door_code(uow, world.auditor.actor, world.elder.id)).code


async def test_a_new_card_ends_the_one_before(bank: Database, clock: FixedClock, world: World) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await care.issue_card(uow, world.volunteer.actor, world.elder.id)
        lost, new = [await care.issue_card(uow, world.coordinator.actor, world.elder.id) for _ in range(2)]
    with pytest.raises(WrongProof):
        await check_in(bank, world, visit, Proof(AttendanceMethod.CARD, lost))
    entered = await check_in(bank, world, visit, Proof(AttendanceMethod.CARD, new))
    assert entered.check_in_method is AttendanceMethod.CARD


async def test_a_leader_sees_a_volunteer_come_and_a_coordinator_hears_them_go(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start + timedelta(minutes=25))
    async with bank.unit_of_work(1) as uow:
        come = await care.check_in(uow, world.building_leader.actor, visit.id)
        assert (come.check_in_method, come.late_minutes) == (AttendanceMethod.WITNESS, 25)
        with pytest.raises(NotAllowed):
            await care.check_out(uow, world.second_elder.actor, visit.id)
    clock.move_to(visit.planned_start + HOUR)
    async with bank.unit_of_work(1) as uow:
        gone = await care.check_out(uow, world.coordinator.actor, visit.id)
        assert (gone.check_out_method, gone.minutes) == (AttendanceMethod.CALL_BACK, 35)
        with pytest.raises(SecondPersonNeeded):
            await care.confirm(uow, world.coordinator.actor, visit.id)


async def no_show(bank: Database, clock: FixedClock, world: World) -> VisitInfo:
    """A visit whose volunteer has not come for an hour."""
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start + timedelta(minutes=61))
    async with bank.unit_of_work(1) as uow:
        await jobs.tend_visits(uow)
        await jobs.expire_requests(uow)
    return visit


async def test_who_comes_after_a_no_show_is_late_while_nobody_else_was_asked(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await no_show(bank, clock, world)
    begun = await check_in(bank, world, visit)
    assert (begun.state, begun.late_minutes) == (VisitState.UNDER_WAY, 61)
    assert await request_state(bank, visit) is RequestState.UNDER_WAY


async def test_who_comes_after_a_no_show_is_sent_away_once_another_was_asked(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await no_show(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        await (await uow.connection()).execute("UPDATE bank.help_requests SET state = 'offered'")
    with pytest.raises(WrongState):
        await check_in(bank, world, visit)


async def test_a_no_show_that_was_none_is_put_right(bank: Database, clock: FixedClock, world: World) -> None:
    visit = await no_show(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue):
            await care.put_right(
                uow, world.coordinator.actor, visit.id, checked_out_at=clock.now(), why="家人说来过"
            )
        right = await care.put_right(
            uow,
            world.coordinator.actor,
            visit.id,
            checked_in_at=visit.planned_start,
            checked_out_at=clock.now(),
            why="家人说来过",
        )
    assert (right.state, right.minutes) == (VisitState.DONE, 61)
    assert await request_state(bank, visit) is RequestState.DONE


async def test_who_does_not_come_is_a_no_show_once_and_the_request_is_open_again(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start + timedelta(minutes=59))
    async with bank.unit_of_work(1) as uow:
        assert await jobs.tend_visits(uow) == 0
    clock.move_to(visit.planned_start + timedelta(minutes=60))
    async with bank.unit_of_work(1) as uow:
        assert await jobs.tend_visits(uow) == 1
        assert await jobs.tend_visits(uow) == 0
        assert (await care.reliability(uow, [world.volunteer.id])) == {world.volunteer.id: 666}
    assert await request_state(bank, visit) is RequestState.OPEN
    async with bank.unit_of_work(1) as uow:
        excused = await care.excuse_no_show(uow, world.coordinator.actor, visit.id)
        assert excused.state is VisitState.CANCELLED
        assert (await care.reliability(uow, [world.volunteer.id])) == {world.volunteer.id: 1_000}


async def test_a_visit_never_checked_out_is_missing_until_a_coordinator_says_when_it_ended(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    await check_in(bank, world, visit)
    clock.move_to(visit.planned_end + 4 * HOUR)
    async with bank.unit_of_work(1) as uow:
        assert await jobs.tend_visits(uow) == 1
        assert await jobs.tend_visits(uow) == 0
        missing = await care.unsettled_visits(uow, world.coordinator.actor)
        assert [each.state for each in missing] == [VisitState.MISSING]
        with pytest.raises(WrongState):
            await care.confirm(uow, world.elder.actor, visit.id)
        with pytest.raises(NotAllowed):
            await care.put_right(
                uow, world.volunteer.actor, visit.id, checked_out_at=visit.planned_end, why="x"
            )
        right = await care.put_right(
            uow, world.coordinator.actor, visit.id, checked_out_at=visit.planned_end, why="told by the elder"
        )
        assert (right.state, right.minutes, right.times_by) == (VisitState.DONE, 60, world.coordinator.id)
        assert await care.visits_to_confirm(uow, world.coordinator.actor) == []
        with pytest.raises(SecondPersonNeeded):  # nobody confirms the times they stated
            await care.confirm(uow, world.coordinator.actor, visit.id)
        await care.confirm(uow, world.elder.actor, visit.id)
    assert await posted(bank, world.volunteer) == (1_000, 60)


async def test_a_visit_that_stays_missing_is_cancelled_and_earns_nothing(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    await check_in(bank, world, visit)
    for days in (1, 15):
        clock.move_to(visit.planned_end + timedelta(days=days))
        async with bank.unit_of_work(1) as uow:
            assert await jobs.tend_visits(uow) == 1
    assert await request_state(bank, visit) is RequestState.CANCELLED


async def test_nobody_states_the_times_of_a_visit_they_are_paid_for(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        await people.grant_role(uow, world.volunteer.id, Role.COORDINATOR)
        paid = await people.actor_of(uow, world.volunteer.id)
        with pytest.raises(ConcernsOneself):
            await care.put_right(uow, paid, visit.id, checked_out_at=clock.now(), why="longer")
        with pytest.raises(asyncpg.CheckViolationError, match="times_not_by_the_paid"):
            await (await uow.connection()).execute(
                "UPDATE bank.visits SET times_by = volunteer_id WHERE community_id = 1 AND id = $1", visit.id
            )


async def overlapping(bank: Database, clock: FixedClock, world: World) -> tuple[VisitInfo, VisitInfo]:
    """Two done visits of the volunteer, from 12 to 13 and, recorded afterwards, from 12:30 to 13:30."""
    first = await done_visit(bank, clock, world)
    clock.move_to(first.planned_end + 3 * HOUR)
    start = first.planned_start + HOUR / 2
    return first, await record(bank, world, world.volunteer, start, elder=world.second_elder)


async def record(
    bank: Database,
    world: World,
    by: PersonInfo,
    start: datetime,
    *,
    minutes: int = 60,
    elder: PersonInfo | None = None,
) -> VisitInfo:
    async with bank.unit_of_work(1) as uow:
        command = care.Backfill(
            volunteer_id=world.volunteer.id,
            elder_id=(elder or world.elder).id,
            kind="shopping",
            started_at=start,
            ended_at=start + timedelta(minutes=minutes),
        )
        return await care.backfill(uow, by.actor, command)


async def test_of_two_visits_at_one_time_neither_is_confirmed_until_it_is_settled_which_stands(
    bank: Database, clock: FixedClock, world: World
) -> None:
    first, second = await overlapping(bank, clock, world)
    assert second.overlap_with == first.id
    async with bank.unit_of_work(1) as uow:
        for visit, elder in ((first, world.elder), (second, world.second_elder)):
            with pytest.raises(UnsettledOverlap):
                await care.confirm(uow, elder.actor, visit.id)
        with pytest.raises(NotAllowed):
            await care.settle_overlap(uow, world.volunteer.actor, first.id)
        await care.settle_overlap(uow, world.coordinator.actor, first.id)
        assert (await care.confirm(uow, world.elder.actor, first.id)).state is VisitState.CONFIRMED
        cancelled = await care.visit(uow, world.coordinator.actor, second.id)
        assert cancelled.state is VisitState.CANCELLED
    assert await posted(bank, world.volunteer) == (1_000, 60)


async def test_times_put_right_settle_an_overlap_and_the_database_keeps_confirmed_ones_apart(
    bank: Database, clock: FixedClock, world: World
) -> None:
    first, second = await overlapping(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.CheckViolationError, match="overlap_settled"):
            await (await uow.connection()).execute(
                """
                UPDATE bank.visits SET state = 'confirmed', confirmed_by = elder_id, strength = 4, tier = 1,
                       confirmation_method = 'elder', confirmed_at = now(), policy_version = 1,
                       credited_minutes = 0
                 WHERE community_id = 1 AND id = $1
                """,
                second.id,
            )
    async with bank.unit_of_work(1) as uow:
        right = await care.put_right(
            uow,
            world.coordinator.actor,
            second.id,
            checked_in_at=first.planned_end,
            checked_out_at=first.planned_end + HOUR,
            why="the receipt",
        )
        assert right.overlap_with is None
        for visit, elder in ((first, world.elder), (second, world.second_elder)):
            await care.confirm(uow, elder.actor, visit.id)
    assert (await posted(bank, world.volunteer))[1] == 120


async def test_nobody_at_home_is_held_against_nobody_and_earns_the_way_only_where_the_policy_says_so(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    async with bank.unit_of_work(1) as uow:
        closed = await care.nobody_home(uow, world.volunteer.actor, visit.id)
        assert closed.state is VisitState.NO_SHOW_ELDER
        assert (await care.reliability(uow, [world.volunteer.id])) == {world.volunteer.id: 1_000}
    assert await request_state(bank, visit) is RequestState.CANCELLED
    await new_rules(bank, world, nobody_home_minutes=20)
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    async with bank.unit_of_work(1) as uow:
        await care.nobody_home(uow, world.volunteer.actor, visit.id)
        with pytest.raises(CoordinatorNeeded):
            await care.confirm(uow, world.elder.actor, visit.id)
        await care.confirm(uow, world.coordinator.actor, visit.id)
    assert (await posted(bank, world.volunteer))[1] == 20
    assert await request_state(bank, visit) is RequestState.POSTED


async def test_a_long_visit_is_posted_when_a_coordinator_has_confirmed_it_too(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world, by=world.volunteer, minutes=540, lasts=540)
    async with bank.unit_of_work(1) as uow:
        for _ in range(2):
            once = await care.confirm(uow, world.elder.actor, visit.id)
            assert (once.state, once.also_confirmed_by) == (VisitState.DONE, world.elder.id)
        with pytest.raises(CoordinatorNeeded):
            await care.confirm(uow, world.building_leader.actor, visit.id)
    assert await posted(bank, world.volunteer) == (0, 0)
    async with bank.unit_of_work(1) as uow:
        confirmed = await care.confirm(uow, world.coordinator.actor, visit.id)
    assert (confirmed.state, confirmed.tier, confirmed.strength) == (VisitState.CONFIRMED, 2, 4)
    assert await posted(bank, world.volunteer) == (8_000, 480)


async def test_a_visit_over_twelve_hours_takes_two_coordinators_here_and_in_the_database(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world, by=world.volunteer, minutes=720, lasts=780)
    other = await second_coordinator(bank, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(CoordinatorNeeded):
            await care.confirm(uow, world.elder.actor, visit.id)
        await care.confirm(uow, world.coordinator.actor, visit.id)
        again = await care.confirm(uow, world.coordinator.actor, visit.id)
        assert again.state is VisitState.DONE
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.CheckViolationError, match="two_confirmers"):
            await (await uow.connection()).execute(
                "UPDATE bank.visits SET confirmed_by = also_confirmed_by WHERE community_id = 1 AND id = $1",
                visit.id,
            )
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.CheckViolationError, match="tiers"):
            await (await uow.connection()).execute(
                """
                UPDATE bank.visits SET state = 'confirmed', confirmed_by = elder_id, strength = 4, tier = 3,
                       confirmation_method = 'elder', confirmed_at = now(), policy_version = 1,
                       credited_minutes = 0
                 WHERE community_id = 1 AND id = $1
                """,
                visit.id,
            )
    async with bank.unit_of_work(1) as uow:
        assert (await care.confirm(uow, other.actor, visit.id)).tier == 3


async def test_a_fourth_visit_of_one_activity_in_a_day_is_refused_at_the_door(
    bank: Database, clock: FixedClock, world: World
) -> None:
    for _ in range(3):
        await done_visit(
            bank, clock, world, by=world.volunteer, starts_in=timedelta(minutes=5), minutes=20, lasts=20
        )
    visit = await planned_visit(bank, world, by=world.volunteer, starts_in=timedelta(minutes=5), minutes=20)
    clock.move_to(visit.planned_start)
    with pytest.raises(TooManyPairs):
        await check_in(bank, world, visit)
    clock.move_to(NINE_ON_MONDAY + timedelta(days=1))
    other = await planned_visit(bank, world, by=world.volunteer, starts_in=timedelta(minutes=5), minutes=20)
    clock.move_to(other.planned_start)
    assert (await check_in(bank, world, other)).state is VisitState.UNDER_WAY


async def two_carers(bank: Database, world: World) -> tuple[VisitInfo, VisitInfo]:
    """A request for two, with a visit of each volunteer planned for it."""
    request = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        await (await uow.connection()).execute("UPDATE bank.help_requests SET carers = 2")
        await care.mark_offered(uow, request.id)
        first = await care.plan_visit(uow, request.id, world.volunteer.id)
        assert await state_in(uow, request.id) is RequestState.OFFERED
        with pytest.raises(WrongState):
            await care.plan_visit(uow, request.id, world.volunteer.id)
        second = await care.plan_visit(uow, request.id, world.second_volunteer.id)
        assert await state_in(uow, request.id) is RequestState.ACCEPTED
    return first, second


async def state_in(uow: object, request_id: UUID) -> RequestState:
    return (await care.requests_by_id(uow, [request_id]))[request_id].state  # type: ignore[arg-type]


async def test_a_request_for_two_does_not_expire_while_one_has_agreed(
    bank: Database, clock: FixedClock, world: World
) -> None:
    request = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        await (await uow.connection()).execute("UPDATE bank.help_requests SET carers = 2")
        await care.mark_offered(uow, request.id)
        visit = await care.plan_visit(uow, request.id, world.volunteer.id)
    clock.move_to(request.starts_at)
    async with bank.unit_of_work(1) as uow:
        assert await jobs.expire_requests(uow) == 0
        assert await jobs.tend_visits(uow) == 0
    assert (await check_in(bank, world, visit)).state is VisitState.UNDER_WAY
    assert await request_state(bank, visit) is RequestState.UNDER_WAY


async def test_a_request_for_two_is_posted_when_both_visits_are(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visits = await two_carers(bank, world)
    assert [visit.carer for visit in visits] == [1, 2]
    clock.move_to(visits[0].planned_start)
    states = []
    for act, people_ in (
        (care.check_in, (world.volunteer, world.second_volunteer)),
        (care.check_out, (world.volunteer, world.second_volunteer)),
        (care.confirm, (world.elder, world.elder)),
    ):
        for person, visit in zip(people_, visits, strict=True):
            async with bank.unit_of_work(1) as uow:
                await act(uow, person.actor, visit.id)
            states.append(await request_state(bank, visit))
        clock.move_to(clock.now() + HOUR)
    under_way, done = RequestState.UNDER_WAY, RequestState.DONE
    assert states == [under_way, under_way, under_way, done, done, RequestState.POSTED]


async def test_two_carers_of_one_request_do_not_confirm_each_other(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit, other = await two_carers(bank, world)
    async with bank.unit_of_work(1) as uow:
        await people.grant_role(uow, world.second_volunteer.id, Role.COORDINATOR)
        paid = await people.actor_of(uow, world.second_volunteer.id)
    clock.move_to(visit.planned_start)
    async with bank.unit_of_work(1) as uow:
        await care.check_in(uow, world.volunteer.actor, visit.id)
    clock.move_to(visit.planned_end)
    async with bank.unit_of_work(1) as uow:
        await care.check_out(uow, world.volunteer.actor, visit.id)
        assert await care.visits_to_confirm(uow, paid) == []
        with pytest.raises(ConfirmedByThePaid):
            await care.confirm(uow, paid, visit.id)
        assert [each.id for each in await care.visits_to_confirm(uow, world.coordinator.actor)] == [visit.id]
    assert other.carer == 2


async def test_a_place_that_is_given_up_is_free_again_and_the_database_gives_it_once(
    bank: Database, world: World
) -> None:
    first, second = await two_carers(bank, world)
    assert first.help_request_id is not None
    async with bank.unit_of_work(1) as uow:
        await care.cancel_visit(uow, world.volunteer.actor, first.id)
    assert await request_state(bank, first) is RequestState.OPEN
    async with bank.unit_of_work(1) as uow:
        await care.mark_offered(uow, first.help_request_id)
        assert (await care.plan_visit(uow, first.help_request_id, world.volunteer.id)).carer == 1
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_visits_help_request"):
            await (await uow.connection()).execute(
                "UPDATE bank.visits SET carer = 1 WHERE community_id = 1 AND id = $1", second.id
            )


async def test_a_visit_starts_within_what_was_asked(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        await care.mark_offered(uow, request.id)
        later = request.starts_at + timedelta(minutes=15)
        with pytest.raises(InvalidValue) as refused:
            await care.plan_visit(uow, request.id, world.volunteer.id, starts_at=later)
        assert refused.value.rule == "within_what_was_asked"
        visit = await care.plan_visit(uow, request.id, world.volunteer.id, starts_at=request.starts_at)
    assert (visit.planned_start, visit.planned_end) == (request.starts_at, request.ends_at)


async def test_a_past_visit_is_confirmed_by_another_and_is_the_weakest(bank: Database, world: World) -> None:
    visit = await record(bank, world, world.coordinator, NINE_ON_MONDAY - timedelta(days=3))
    async with bank.unit_of_work(1) as uow:
        assert visit.state is VisitState.DONE
        assert await care.visits_to_confirm(uow, world.coordinator.actor) == []
        with pytest.raises(SecondPersonNeeded):
            await care.confirm(uow, world.coordinator.actor, visit.id)
        with pytest.raises(NotAllowed):
            await care.confirm(uow, world.building_leader.actor, visit.id)
        confirmed = await care.confirm(uow, world.elder.actor, visit.id)
    assert (confirmed.strength, confirmed.evidence) == (1, 1)


async def test_a_volunteer_records_few_past_visits_a_month_and_none_from_long_ago(
    bank: Database, clock: FixedClock, world: World
) -> None:
    with pytest.raises(InvalidValue):
        await record(bank, world, world.volunteer, NINE_ON_MONDAY - timedelta(days=15))
    for days in (1, 2):
        await record(bank, world, world.volunteer, NINE_ON_MONDAY - timedelta(days=days))
    with pytest.raises(BackfillLimit):
        await record(bank, world, world.coordinator, NINE_ON_MONDAY - timedelta(days=3))
    with pytest.raises(NotAllowed):
        await record(bank, world, world.second_volunteer, NINE_ON_MONDAY - timedelta(days=3))
    clock.move_to(NINE_ON_MONDAY + timedelta(days=30))  # the first of April
    await record(bank, world, world.volunteer, clock.now() - timedelta(days=3))
