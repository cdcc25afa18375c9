"""What comes after a visit, on a real database: feedback, complaints, reversals, sanctions, appeals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from pointsbank.domain.backfill import Barred
from pointsbank.domain.complaint import ComplaintState, ToDo
from pointsbank.domain.decision import ConcernsOneself, SecondPersonNeeded
from pointsbank.domain.errors import InvalidValue, NotAllowed, WrongState
from pointsbank.domain.feedback import Again, PairHistory
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.preferences import ExclusionReason, KeptApart
from pointsbank.domain.roles import Role
from pointsbank.domain.visit import VisitState
from pointsbank.domain.visit_rules import BarKind, Ground
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.care import service as care
from services.care.aftercare.views import ComplaintInfo
from services.care.service import VisitInfo
from services.ledger import decisions
from services.people import service as people
from services.people.service import NewPerson, PersonInfo
from tests.integration.test_attendance import posted, record, request_state
from tests.worlds import NINE_ON_MONDAY, World, ask_for_help, done_visit, planned_visit, small_world


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


@pytest.fixture
async def other(bank: Database, world: World) -> PersonInfo:
    """A second coordinator: who was the grid leader only."""
    async with bank.unit_of_work(1) as uow:
        await people.grant_role(uow, world.grid_leader.id, Role.COORDINATOR)
        return await people.person(uow, world.grid_leader.id)


async def confirmed_visit(bank: Database, clock: FixedClock, world: World) -> VisitInfo:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        return await care.confirm(uow, world.elder.actor, visit.id)


async def upheld(
    bank: Database, world: World, visit: VisitInfo, ground: Ground = Ground.NOT_RENDERED
) -> ComplaintInfo:
    """Let the elder complain, and the coordinator hear and uphold it."""
    async with bank.unit_of_work(1) as uow:
        filed = await care.complain(uow, world.elder.actor, visit.id, ground=ground)
        await care.hear(uow, world.coordinator.actor, filed.id, answer="I was there")
        return await care.decide(uow, world.coordinator.actor, filed.id, upheld=True, finding="nobody came")


async def test_each_side_speaks_once_for_itself_and_may_think_again_for_a_week(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        await care.give_feedback(uow, world.elder.actor, visit.id, again=Again.YES, rating=5)
        await care.give_feedback(uow, world.volunteer.actor, visit.id, again=Again.NO, note="三楼没有电梯")
        with pytest.raises(NotAllowed):
            await care.give_feedback(uow, world.second_elder.actor, visit.id, again=Again.YES)
        with pytest.raises(InvalidValue):
            await care.give_feedback(uow, world.elder.actor, visit.id, again=Again.YES, rating=6)
        own = await care.feedback_on(uow, world.elder.actor, visit.id)
        both = await care.feedback_on(uow, world.auditor.actor, visit.id)
        assert ([each.again for each in own], len(both)) == ([Again.YES], 2)
        history = await care.pair_history(uow, [world.elder.id, world.second_elder.id])
    pair = world.elder.id, world.volunteer.id
    assert history == {pair: PairHistory(1, visit.checked_out_at, True, False)}
    clock.move_to(clock.now() + timedelta(days=7))
    async with bank.unit_of_work(1) as uow:
        await care.give_feedback(uow, world.elder.actor, visit.id, again=Again.NO)
    clock.move_to(clock.now() + timedelta(seconds=1))
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue):
            await care.give_feedback(uow, world.elder.actor, visit.id, again=Again.YES)
        assert (await care.pair_history(uow, [world.elder.id]))[pair].again_elder is False


async def test_feedback_waits_for_the_visit_and_the_database_knows_whose_word_it_is(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(WrongState):
            await care.give_feedback(uow, world.elder.actor, visit.id, again=Again.YES)
        with pytest.raises(asyncpg.CheckViolationError, match="not the word of its side"):
            await (await uow.connection()).execute(
                """
                INSERT INTO bank.visit_feedback VALUES (1, $1, 'elder', $2, 'yes', NULL, NULL, now(), now())
                """,
                visit.id,
                visit.volunteer_id,
            )


async def test_a_visit_under_complaint_is_confirmed_by_nobody_until_it_is_dismissed(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(ConcernsOneself):
            await care.complain(uow, world.volunteer.actor, visit.id, ground=Ground.CONDUCT)
        filed = await care.complain(uow, world.elder.actor, visit.id, ground=Ground.WRONG_HOURS)
        with pytest.raises(WrongState):
            await care.complain(uow, world.building_leader.actor, visit.id, ground=Ground.CONDUCT)
        for confirmer in (world.elder, world.coordinator):
            with pytest.raises(WrongState):
                await care.confirm(uow, confirmer.actor, visit.id)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.CheckViolationError, match="it cannot be confirmed"):
            await (await uow.connection()).execute(
                "UPDATE bank.visits SET state = 'confirmed' WHERE community_id = 1 AND id = $1", visit.id
            )
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(WrongState):  # it has not been heard
            await care.decide(uow, world.coordinator.actor, filed.id, upheld=False, finding="as agreed")
        await care.hear(uow, world.coordinator.actor, filed.id, answer="an hour")
        decided = await care.decide(uow, world.coordinator.actor, filed.id, upheld=False, finding="as agreed")
        assert (decided.state, decided.to_do) == (ComplaintState.DISMISSED, ToDo.NOTHING)
        await care.confirm(uow, world.elder.actor, visit.id)
    assert await posted(bank, world.volunteer) == (1_000, 60)


async def test_an_upheld_complaint_takes_the_entry_back_by_two_people_and_bars_the_volunteer(
    bank: Database, clock: FixedClock, world: World, other: PersonInfo
) -> None:
    visit = await confirmed_visit(bank, clock, world)
    complaint = await upheld(bank, world, visit)
    assert (complaint.state, complaint.to_do) == (ComplaintState.UPHELD, ToDo.APPROVE_REVERSAL)
    assert complaint.reversal_id is not None
    assert await posted(bank, world.volunteer) == (1_000, 60)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(SecondPersonNeeded):
            await decisions.approve(uow, world.coordinator.actor, complaint.reversal_id)
        await decisions.approve(uow, other.actor, complaint.reversal_id)
    assert await posted(bank, world.volunteer) == (0, 0)
    request = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        assert set(await care.barred(uow, [world.volunteer.id], BarKind.SERVICE)) == {world.volunteer.id}
        await care.mark_offered(uow, request.id)
        with pytest.raises(Barred):
            await care.plan_visit(uow, request.id, world.volunteer.id)
        (shown,) = await care.complaints(uow, world.volunteer.actor)
        assert (shown.id, shown.to_do) == (complaint.id, ToDo.NOTHING)
        assert await care.complaints(uow, world.second_volunteer.actor) == []


async def test_who_has_a_part_in_it_decides_nothing_here_and_in_the_database(
    bank: Database, clock: FixedClock, world: World, other: PersonInfo
) -> None:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        await care.confirm(uow, world.coordinator.actor, visit.id)
        filed = await care.complain(uow, other.actor, visit.id, ground=Ground.NOT_RENDERED)
        await care.hear(uow, other.actor, filed.id, answer="I was there")
        await people.grant_role(uow, world.volunteer.id, Role.COORDINATOR)
        paid = await people.actor_of(uow, world.volunteer.id)
        for judge, refusal in (
            (world.coordinator.actor, SecondPersonNeeded),  # confirmed it
            (other.actor, SecondPersonNeeded),  # complained
            (paid, ConcernsOneself),
            (world.elder.actor, NotAllowed),
        ):
            with pytest.raises(refusal):
                await care.decide(uow, judge, filed.id, upheld=True, finding="so it seems")
        with pytest.raises(asyncpg.CheckViolationError, match="second_person"):
            await (await uow.connection()).execute(
                """
                UPDATE bank.complaints SET state = 'upheld', decided_by = complained_by, decided_at = now()
                 WHERE community_id = 1
                """
            )


async def test_a_false_record_is_taken_back_and_its_volunteer_records_nothing_for_a_year(
    bank: Database, clock: FixedClock, world: World, other: PersonInfo
) -> None:
    visit = await record(bank, world, world.volunteer, NINE_ON_MONDAY - timedelta(days=1))
    async with bank.unit_of_work(1) as uow:
        await care.confirm(uow, world.elder.actor, visit.id)
        filed = await care.complain(uow, world.coordinator.actor, visit.id, ground=Ground.FALSE_RECORD)
        await care.hear(uow, world.coordinator.actor, filed.id, answer="I meant another day")
        decided = await care.decide(uow, other.actor, filed.id, upheld=True, finding="was in hospital")
        assert decided.reversal_id is not None
        await decisions.approve(uow, world.coordinator.actor, decided.reversal_id)
    assert await posted(bank, world.volunteer) == (0, 0)
    for days, allowed in ((30, False), (364, False), (366, True)):
        clock.move_to(NINE_ON_MONDAY + timedelta(days=days))
        start = clock.now() - timedelta(days=1)
        if allowed:
            assert (await record(bank, world, world.volunteer, start)).state is VisitState.DONE
        else:
            with pytest.raises(Barred):
                await record(bank, world, world.coordinator, start)


async def test_only_what_was_recorded_afterwards_is_a_false_record_and_only_for_a_month(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await confirmed_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue):
            await care.complain(uow, world.elder.actor, visit.id, ground=Ground.FALSE_RECORD)
        with pytest.raises(NotAllowed):
            await care.complain(uow, world.second_elder.actor, visit.id, ground=Ground.CONDUCT)
    clock.move_to(clock.now() + timedelta(days=30, seconds=1))
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue):
            await care.complain(uow, world.elder.actor, visit.id, ground=Ground.CONDUCT)


async def test_an_appeal_is_decided_by_another_and_gives_back_by_two_people_what_was_taken(
    bank: Database, clock: FixedClock, world: World, other: PersonInfo
) -> None:
    visit = await confirmed_visit(bank, clock, world)
    complaint = await upheld(bank, world, visit)
    assert complaint.reversal_id is not None
    async with bank.unit_of_work(1) as uow:
        await decisions.approve(uow, other.actor, complaint.reversal_id)
        with pytest.raises(NotAllowed):
            await care.appeal(uow, world.second_volunteer.actor, complaint.id, note="unfair")
        await care.appeal(uow, world.volunteer.actor, complaint.id, note="the neighbour saw me")
        with pytest.raises(WrongState):
            await care.appeal(uow, world.volunteer.actor, complaint.id, note="once more")
        with pytest.raises(SecondPersonNeeded):
            await care.decide_appeal(
                uow, world.coordinator.actor, complaint.id, upheld=False, finding="as before"
            )
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.CheckViolationError, match="another_decides_the_appeal"):
            await (await uow.connection()).execute(
                """
                UPDATE bank.complaints SET appeal = 'upheld', appeal_decided_by = decided_by,
                       appeal_decided_at = now()
                 WHERE community_id = 1
                """
            )
    async with bank.unit_of_work(1) as uow:
        decided = await care.decide_appeal(uow, other.actor, complaint.id, upheld=True, finding="was seen")
        assert decided.to_do is ToDo.APPROVE_RESTORING
        for restoring in (decided.restoring_points_id, decided.restoring_minutes_id):
            assert restoring is not None
            with pytest.raises(SecondPersonNeeded):
                await decisions.approve(uow, other.actor, restoring)
            await decisions.approve(uow, world.coordinator.actor, restoring)
        (sanction,) = await care.sanctions_of(uow, world.volunteer.actor, world.volunteer.id)
        assert sanction.lifted_by == other.id
        assert await care.barred(uow, [world.volunteer.id], BarKind.SERVICE) == {}
        (after,) = await care.complaints(uow, world.coordinator.actor, visit_id=visit.id)
        assert after.to_do is ToDo.NOTHING
    assert await posted(bank, world.volunteer) == (1_000, 60)


async def test_an_appeal_before_the_reversal_refuses_it_and_a_cancelled_visit_stands_again(
    bank: Database, clock: FixedClock, world: World, other: PersonInfo
) -> None:
    booked = await confirmed_visit(bank, clock, world)
    unbooked = await done_visit(bank, clock, world)
    steps = []
    for visit in (booked, unbooked):
        complaint = await upheld(bank, world, visit, Ground.WRONG_HOURS)
        async with bank.unit_of_work(1) as uow:
            await care.appeal(uow, world.volunteer.actor, complaint.id, note="the neighbour saw me")
            decided = await care.decide_appeal(
                uow, other.actor, complaint.id, upheld=True, finding="was seen"
            )
        steps.append(decided.to_do)
    assert steps == [ToDo.NOTHING, ToDo.CONFIRM_VISIT]
    assert await request_state(bank, unbooked) is RequestState.DONE
    async with bank.unit_of_work(1) as uow:
        await care.confirm(uow, world.elder.actor, unbooked.id)
    assert await posted(bank, world.volunteer) == (2_000, 120)


async def test_who_is_kept_from_an_elder_or_barred_records_no_visit_to_them(
    bank: Database, clock: FixedClock, world: World
) -> None:
    yesterday = NINE_ON_MONDAY - timedelta(days=1)
    async with bank.unit_of_work(1) as uow:
        await care.exclude(
            uow, world.elder.actor, world.elder.id, world.volunteer.id, ExclusionReason.COMPLAINT
        )
    for by in (world.volunteer, world.coordinator):
        with pytest.raises(KeptApart):
            await record(bank, world, by, yesterday)
    async with bank.unit_of_work(1) as uow:
        await care.lift_exclusion(uow, world.elder.actor, world.elder.id, world.volunteer.id)
    await upheld(bank, world, await done_visit(bank, clock, world))
    with pytest.raises(Barred):
        await record(bank, world, world.coordinator, yesterday, elder=world.second_elder)


async def test_nobody_of_the_elders_household_records_a_visit_to_them_by_whomever(
    bank: Database, clock: FixedClock, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        home = await people.person(uow, world.elder.id)
        (lives_there,) = await people.add_people(
            uow,
            [
                NewPerson(
                    "测试丑",
                    building_id=home.building_id,
                    room=home.room,
                    roles={Role.VOLUNTEER: None},
                )
            ],
        )
        granddaughter = await people.person(uow, lives_there)
    start = NINE_ON_MONDAY - timedelta(days=1)
    for by in (granddaughter, world.coordinator):
        for elder, refused in ((world.elder, True), (world.second_elder, False)):
            past = care.Backfill(lives_there, elder.id, "shopping", start, start + timedelta(minutes=30))
            start += timedelta(hours=1)
            async with bank.unit_of_work(1) as uow:
                if refused:
                    with pytest.raises(KeptApart):
                        await care.backfill(uow, by.actor, past)
                else:
                    await care.backfill(uow, by.actor, past)


async def test_hours_that_were_struck_do_not_come_back_as_recorded_afterwards(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world)
    assert visit.checked_in_at is not None
    clock.move_to(visit.planned_end + timedelta(hours=3))
    early = await record(bank, world, world.volunteer, visit.checked_in_at - timedelta(minutes=30))
    await upheld(bank, world, visit, Ground.WRONG_HOURS)
    with pytest.raises(WrongState):
        await record(bank, world, world.volunteer, visit.checked_in_at + timedelta(minutes=30))
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(WrongState):
            await care.confirm(uow, world.elder.actor, early.id)


async def test_who_put_times_right_judges_no_complaint_and_who_heard_it_no_appeal(
    bank: Database, clock: FixedClock, world: World, other: PersonInfo
) -> None:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        await people.grant_role(uow, world.auditor.id, Role.COORDINATOR)
        third = await people.actor_of(uow, world.auditor.id)
        await care.put_right(uow, other.actor, visit.id, checked_out_at=clock.now(), why="told by phone")
        filed = await care.complain(uow, world.elder.actor, visit.id, ground=Ground.WRONG_HOURS)
        await care.hear(uow, third, filed.id, answer="I was there")
        with pytest.raises(SecondPersonNeeded):
            await care.decide(uow, other.actor, filed.id, upheld=True, finding="too long")
        await care.decide(uow, world.coordinator.actor, filed.id, upheld=True, finding="too long")
        await care.appeal(uow, world.volunteer.actor, filed.id, note="the neighbour saw me")
        for judge in (other.actor, third):
            with pytest.raises(SecondPersonNeeded):
                await care.decide_appeal(uow, judge, filed.id, upheld=True, finding="was seen")


async def test_no_visit_is_planned_for_two_who_are_kept_apart_or_will_not_meet_again(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world, by=world.volunteer)
    async with bank.unit_of_work(1) as uow:
        await care.give_feedback(uow, world.volunteer.actor, visit.id, again=Again.NO)
        await care.exclude(
            uow, world.elder.actor, world.elder.id, world.second_volunteer.id, ExclusionReason.ASKED
        )
    request = await ask_for_help(bank, world)
    for volunteer in (world.volunteer, world.second_volunteer):
        with pytest.raises(KeptApart):
            await planned_visit(bank, world, request=request, by=volunteer)


async def test_a_visit_found_not_rendered_is_no_kept_promise_and_no_meeting(
    bank: Database, clock: FixedClock, world: World, other: PersonInfo
) -> None:
    visit = await confirmed_visit(bank, clock, world)
    complaint = await upheld(bank, world, visit)

    async def counted() -> tuple[int, int]:
        async with bank.unit_of_work(1) as uow:
            pair = (await care.pair_history(uow, [world.elder.id]))[world.elder.id, world.volunteer.id]
            return pair.visits, (await care.reliability(uow, [world.volunteer.id]))[world.volunteer.id]

    assert await counted() == (0, 666)
    async with bank.unit_of_work(1) as uow:
        await care.appeal(uow, world.volunteer.actor, complaint.id, note="the neighbour saw me")
        await care.decide_appeal(uow, other.actor, complaint.id, upheld=True, finding="was seen")
    assert await counted() == (1, 1_000)
