"""Help requests and visits on a real database, up to the entry that a confirmation posts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain.accounts import available, service
from pointsbank.domain.errors import DomainError, InvalidValue, NotAllowed, NotFound, WrongState
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.policy import DEFAULT_POLICY, UnknownServiceKind
from pointsbank.domain.roles import Role
from pointsbank.domain.visit import ConfirmationMethod, ConfirmedByThePaid, UnsettledOverlap, VisitState
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.care import jobs
from services.care import service as care
from services.care.service import AskForHelp
from services.ledger import service as ledger
from services.matching import service as matching
from services.people import service as people
from tests.worlds import (
    NINE_ON_MONDAY,
    World,
    ask_for_help,
    done_visit,
    give_points,
    planned_visit,
    small_world,
    volunteer_of,
)


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


async def earned(bank: Database, ledger_ref: UUID) -> tuple[int, int]:
    """Return a volunteer's (milli-points, minutes)."""
    async with bank.unit_of_work(1) as uow:
        return await ledger.balance(uow, available(ledger_ref)), await ledger.balance(
            uow, service(ledger_ref)
        )


async def state_of(bank: Database, request_id: UUID) -> RequestState:
    async with bank.unit_of_work(1) as uow:
        return (await care.requests_by_id(uow, [request_id]))[request_id].state


async def test_requests_are_numbered_one_after_another_even_when_asked_at_once(
    bank: Database, world: World
) -> None:
    asked = await asyncio.gather(*(ask_for_help(bank, world) for _ in range(8)))
    assert sorted(request.number for request in asked) == list(range(1, 9))


async def test_a_coordinator_asks_for_an_elder_and_is_named_as_proxy(bank: Database, world: World) -> None:
    async with bank.unit_of_work(1) as uow:
        request = await care.ask(
            uow,
            world.coordinator.actor,
            AskForHelp(
                world.second_elder.id, "shopping", NINE_ON_MONDAY + timedelta(hours=1), 30, note=" 米 "
            ),
        )
    assert (request.asked_by, request.by_proxy, request.note) == (world.coordinator.id, True, "米")
    assert (request.small_grid, request.elder_name, request.building) == (6, "测试乙", "测试小区 6栋")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"starts_at": NINE_ON_MONDAY - timedelta(minutes=1)}, "starts_at"),
        ({"starts_at": NINE_ON_MONDAY + timedelta(days=61)}, "starts_at"),
        ({"starts_at": NINE_ON_MONDAY.replace(tzinfo=None)}, "starts_at"),
        ({"minutes": 9}, "minutes"),
        ({"minutes": 721}, "minutes"),
        ({"minutes": True}, "minutes"),
        ({"urgency": 4}, "urgency"),
        ({"urgency": -1}, "urgency"),
        ({"note": "长" * 501}, "note"),
        ({"note": "a\0b"}, "note"),
    ],
)
async def test_a_wrong_field_of_a_request_is_named(
    bank: Database, world: World, wrong: dict[str, Any], field: str
) -> None:
    right = AskForHelp(world.elder.id, "shopping", NINE_ON_MONDAY + timedelta(hours=1), 30)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue) as refused:
            await care.ask(uow, world.elder.actor, replace(right, **wrong))
        assert refused.value.field == field
        assert await care.requests_of_elder(uow, world.elder.actor, world.elder.id) == []


async def test_help_is_asked_for_elders_in_a_kind_that_the_policy_knows(bank: Database, world: World) -> None:
    at = NINE_ON_MONDAY + timedelta(hours=1)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(UnknownServiceKind):
            await care.ask(uow, world.elder.actor, AskForHelp(world.elder.id, "dancing", at, 30))
        with pytest.raises(InvalidValue) as refused:
            await care.ask(uow, world.coordinator.actor, AskForHelp(world.volunteer.id, "shopping", at, 30))
        assert refused.value.facts() == {"field": "elder_id", "rule": "elder"}
        with pytest.raises(NotFound):
            await care.ask(uow, world.coordinator.actor, AskForHelp(uuid7(), "shopping", at, 30))
        with pytest.raises(NotAllowed):
            await care.ask(uow, world.volunteer.actor, AskForHelp(world.elder.id, "shopping", at, 30))


async def test_a_cancelled_request_frees_the_volunteer(bank: Database, world: World) -> None:
    visit = await planned_visit(bank, world)
    assert visit.help_request_id is not None
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await care.cancel_request(uow, world.second_elder.actor, visit.help_request_id)
        cancelled = await care.cancel_request(uow, world.elder.actor, visit.help_request_id)
    assert cancelled.state is RequestState.CANCELLED
    async with bank.unit_of_work(1) as uow:
        actor = volunteer_of(world, visit.volunteer_id)
        assert (await care.visit(uow, actor, visit.id)).state is VisitState.CANCELLED
        assert await care.promises(uow, [visit.volunteer_id], visit.planned_start, visit.planned_end) == []
        with pytest.raises(WrongState):
            await care.cancel_request(uow, world.elder.actor, visit.help_request_id)


async def test_a_confirmed_visit_posts_its_minutes_and_points(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world, kind="clinic_escort", minutes=120, lasts=100)
    async with bank.unit_of_work(1) as uow:
        confirmed = await care.confirm(uow, world.elder.actor, visit.id)
    assert (confirmed.state, confirmed.minutes, confirmed.credited_minutes) == (
        VisitState.CONFIRMED,
        100,
        100,
    )
    assert (confirmed.confirmation_method, confirmed.strength) == (ConfirmationMethod.ELDER, 4)
    assert (confirmed.policy_version, confirmed.clipped_milli_points) == (1, 0)
    assert await earned(bank, world.volunteer.ledger_ref) == (2_000, 100)  # 100 min × 1 point/h × 1.2
    assert visit.help_request_id is not None
    assert await state_of(bank, visit.help_request_id) is RequestState.POSTED
    async with bank.unit_of_work(1) as uow:
        assert confirmed.entry_number is not None
        entry = await ledger.entry(uow, confirmed.entry_number)
    assert (entry.source_id, entry.actor_ref, entry.subject_ref, entry.occurred_at) == (
        visit.id,
        world.elder.ledger_ref,
        world.volunteer.ledger_ref,
        visit.checked_out_at,
    )


@pytest.mark.parametrize(
    ("confirmer", "method", "strength"),
    [
        ("coordinator", ConfirmationMethod.COORDINATOR, 3),
        ("building_leader", ConfirmationMethod.WITNESS, 2),
        ("grid_leader", ConfirmationMethod.WITNESS, 2),
    ],
)
async def test_a_confirmation_is_worth_what_its_method_is(
    bank: Database,
    clock: FixedClock,
    world: World,
    confirmer: str,
    method: ConfirmationMethod,
    strength: int,
) -> None:
    visit = await done_visit(bank, clock, world)
    actor = getattr(world, confirmer).actor
    async with bank.unit_of_work(1) as uow:
        assert [waiting.id for waiting in await care.visits_to_confirm(uow, actor)] == [visit.id]
        confirmed = await care.confirm(uow, actor, visit.id)
        assert await care.visits_to_confirm(uow, actor) == []
    assert (confirmed.confirmation_method, confirmed.strength) == (method, strength)


async def test_who_is_paid_may_not_confirm_whatever_else_they_are(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world)
    for role in (None, Role.GRID_LEADER, Role.COORDINATOR):
        async with bank.unit_of_work(1) as uow:
            if role is not None:
                await people.grant_role(uow, visit.volunteer_id, role, 1)
            actor = await people.actor_of(uow, visit.volunteer_id)
            assert await care.visits_to_confirm(uow, actor) == []
            with pytest.raises(ConfirmedByThePaid):
                await care.confirm(uow, actor, visit.id)
    assert await earned(bank, world.volunteer.ledger_ref) == (0, 0)


async def test_the_database_refuses_a_confirmation_by_the_paid(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.CheckViolationError, match="not_confirmed_by_the_paid"):
            await (await uow.connection()).execute(
                "UPDATE bank.visits SET confirmed_by = volunteer_id WHERE community_id = 1 AND id = $1",
                visit.id,
            )


async def test_strangers_and_leaders_of_other_grids_may_not_confirm(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await done_visit(bank, clock, world, elder=world.second_elder)
    for stranger in (world.elder, world.auditor, world.building_leader, world.grid_leader):
        async with bank.unit_of_work(1) as uow:
            assert await care.visits_to_confirm(uow, stranger.actor) == []
            with pytest.raises(NotAllowed):
                await care.confirm(uow, stranger.actor, visit.id)


async def test_confirming_a_visit_twice_posts_once(bank: Database, clock: FixedClock, world: World) -> None:
    visit = await done_visit(bank, clock, world)

    async def confirm() -> int | None:
        async with bank.unit_of_work(1) as uow:
            return (await care.confirm(uow, world.elder.actor, visit.id)).entry_number

    assert len(set(await asyncio.gather(*(confirm() for _ in range(4))))) == 1
    assert await earned(bank, world.volunteer.ledger_ref) == (1_000, 60)
    async with bank.unit_of_work(1) as uow:
        assert len(await ledger.entries(uow)) == 1
        with pytest.raises(WrongState):
            await care.confirm(uow, world.coordinator.actor, visit.id)


async def test_a_confirmed_visit_stays_as_it_is(bank: Database, clock: FixedClock, world: World) -> None:
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        await care.confirm(uow, world.elder.actor, visit.id)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(asyncpg.RestrictViolationError, match="stays as it is"):
            await (await uow.connection()).execute(
                "UPDATE bank.visits SET minutes = 600 WHERE community_id = 1 AND id = $1", visit.id
            )


async def test_a_visit_is_confirmed_only_when_it_is_done(bank: Database, world: World) -> None:
    visit = await planned_visit(bank, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(WrongState):
            await care.confirm(uow, world.elder.actor, visit.id)


async def test_the_day_cap_clips_minutes_and_the_rest_is_told(
    bank: Database, clock: FixedClock, world: World
) -> None:
    first = await done_visit(
        bank, clock, world, by=world.volunteer, starts_in=timedelta(hours=1), minutes=420, lasts=420
    )
    second = await done_visit(
        bank, clock, world, by=world.volunteer, starts_in=timedelta(minutes=5), minutes=90, lasts=90
    )
    third = await done_visit(
        bank, clock, world, by=world.volunteer, starts_in=timedelta(minutes=5), minutes=30, lasts=30
    )
    assert {first.volunteer_id, second.volunteer_id, third.volunteer_id} == {world.volunteer.id}
    confirmed = []
    for visit in (first, second, third):
        async with bank.unit_of_work(1) as uow:
            confirmed.append(await care.confirm(uow, world.elder.actor, visit.id))
    assert [(visit.credited_minutes, visit.clipped_milli_points) for visit in confirmed] == [
        (420, 0),
        (60, 500),
        (0, 500),
    ]
    assert confirmed[2].entry_number is None
    assert await earned(bank, world.volunteer.ledger_ref) == (8_000, 480)


async def test_visits_confirmed_at_once_share_one_day_cap(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visits = [
        await done_visit(
            bank, clock, world, by=world.volunteer, starts_in=timedelta(minutes=30), minutes=300, lasts=300
        ),
        await done_visit(
            bank, clock, world, by=world.volunteer, starts_in=timedelta(minutes=30), minutes=300, lasts=300
        ),
    ]

    async def confirm(visit_id: UUID) -> None:
        async with bank.unit_of_work(1) as uow:
            await care.confirm(uow, world.elder.actor, visit_id)

    async with bank.unit_of_work(1) as uow:
        await care.confirm(uow, world.elder.actor, visits[0].id)
        meanwhile = asyncio.create_task(confirm(visits[1].id))
        await asyncio.sleep(0.5)  # long enough to count too little, were it not made to wait
        assert not meanwhile.done()
    await meanwhile
    assert await earned(bank, world.volunteer.ledger_ref) == (8_000, 480)


async def test_the_day_cap_is_the_local_days(bank: Database, clock: FixedClock, world: World) -> None:
    # Monday 16:00 to 23:50, Tuesday 00:10 to 07:10 and 09:00 to 11:00: in UTC the days are cut elsewhere.
    spans = (timedelta(hours=7), 470), (timedelta(minutes=20), 420), (timedelta(minutes=110), 120)
    for starts_in, minutes in spans:
        await done_visit(
            bank, clock, world, by=world.volunteer, starts_in=starts_in, minutes=minutes, lasts=minutes
        )
    async with bank.unit_of_work(1) as uow:
        credited = [
            (await care.confirm(uow, world.elder.actor, visit.id)).credited_minutes
            for visit in await care.visits_to_confirm(uow, world.elder.actor)
        ]
    assert credited == [470, 420, 60]
    assert await earned(bank, world.volunteer.ledger_ref) == (15_833, 950)


async def test_the_account_cap_counts_what_is_there_and_what_is_set_aside(
    bank: Database, clock: FixedClock, world: World
) -> None:
    await give_points(bank, world, world.volunteer, 499_600)
    visit = await done_visit(bank, clock, world)
    async with bank.unit_of_work(1) as uow:
        confirmed = await care.confirm(uow, world.elder.actor, visit.id)
    assert (confirmed.credited_minutes, confirmed.clipped_milli_points) == (60, 600)
    assert await earned(bank, world.volunteer.ledger_ref) == (500_000, 60)


async def test_a_visit_is_paid_by_the_policy_of_its_day(
    bank: Database, clock: FixedClock, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow,
            effective_from=date(2026, 3, 3),
            body={**DEFAULT_POLICY, "milli_points_per_hour": 2_000},
            proposed_by=world.coordinator.ledger_ref,
            approved_by=world.auditor.ledger_ref,
        )
    monday = await done_visit(bank, clock, world, by=world.volunteer)
    tuesday = await done_visit(bank, clock, world, by=world.volunteer, starts_in=timedelta(hours=23))
    async with bank.unit_of_work(1) as uow:
        versions = [
            (await care.confirm(uow, world.elder.actor, visit.id)).policy_version
            for visit in (monday, tuesday)
        ]
    assert versions == [1, 2]
    assert await earned(bank, world.volunteer.ledger_ref) == (3_000, 120)


async def test_check_in_waits_for_its_time(bank: Database, clock: FixedClock, world: World) -> None:
    visit = await planned_visit(bank, world)
    actor = volunteer_of(world, visit.volunteer_id)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue) as refused:
            await care.check_in(uow, actor, visit.id)
        assert refused.value.rule == "not_yet"
        with pytest.raises(WrongState):
            await care.check_out(uow, actor, visit.id)
    clock.move_to(visit.planned_start - timedelta(hours=2))
    async with bank.unit_of_work(1) as uow:
        assert (await care.check_in(uow, actor, visit.id)).state is VisitState.UNDER_WAY
        with pytest.raises(WrongState):
            await care.check_in(uow, actor, visit.id)


async def test_a_volunteer_who_is_with_two_elders_at_once_is_noted_and_neither_is_confirmed(
    bank: Database, clock: FixedClock, world: World
) -> None:
    first = await planned_visit(bank, world, by=world.volunteer)
    second = await planned_visit(bank, world, by=world.volunteer, starts_in=timedelta(hours=4))
    actor = world.volunteer.actor
    assert {first.volunteer_id, second.volunteer_id} == {actor.person_id}
    clock.move_to(first.planned_start)
    async with bank.unit_of_work(1) as uow:
        await care.check_in(uow, actor, first.id)
        assert (await care.check_in(uow, actor, second.id)).overlap_with == first.id
    clock.move_to(first.planned_start + timedelta(minutes=50))
    async with bank.unit_of_work(1) as uow:
        for visit in (first, second):
            await care.check_out(uow, actor, visit.id)
        for visit in (first, second):
            with pytest.raises(UnsettledOverlap):
                await care.confirm(uow, world.elder.actor, visit.id)


async def test_only_a_coordinator_may_say_that_a_visit_ended_earlier(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    actor = volunteer_of(world, visit.volunteer_id)
    clock.move_to(visit.planned_start)
    async with bank.unit_of_work(1) as uow:
        await care.check_in(uow, actor, visit.id)
    clock.move_to(visit.planned_start + timedelta(days=2))
    ended = visit.planned_start + timedelta(minutes=45)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(InvalidValue) as refused:
            await care.check_out(uow, actor, visit.id)
        assert refused.value.rule == "within_24_hours"
        with pytest.raises(NotAllowed):
            await care.check_out(uow, actor, visit.id, at=ended)
        for impossible in (
            clock.now() + timedelta(minutes=1),
            visit.planned_start,
            ended.replace(tzinfo=None),
        ):
            with pytest.raises(InvalidValue):
                await care.check_out(uow, world.coordinator.actor, visit.id, at=impossible)
        assert (await care.check_out(uow, world.coordinator.actor, visit.id, at=ended)).minutes == 45


async def test_another_volunteer_may_not_check_in_or_out(
    bank: Database, clock: FixedClock, world: World
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await care.check_in(uow, world.second_volunteer.actor, visit.id)
        with pytest.raises(NotAllowed):
            await care.check_out(uow, world.second_volunteer.actor, visit.id)


async def test_planning_over_another_visit_is_refused_by_name(bank: Database, world: World) -> None:
    requests = [await ask_for_help(bank, world), await ask_for_help(bank, world, elder=world.second_elder)]

    async def plan(request_id: UUID) -> str:
        try:
            async with bank.unit_of_work(1) as uow:
                await care.mark_offered(uow, request_id)
                await care.plan_visit(uow, request_id, world.volunteer.id)
                return "planned"
        except DomainError as error:
            return error.code

    outcomes = await asyncio.gather(*(plan(request.id) for request in requests))
    assert sorted(outcomes) == ["overlapping_visit", "planned"]
    states = {await state_of(bank, request.id) for request in requests}
    assert states == {RequestState.ACCEPTED, RequestState.OPEN}


async def test_a_visit_is_planned_for_a_volunteer_who_is_not_the_elder(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world)
    async with bank.unit_of_work(1) as uow:
        await people.grant_role(uow, world.elder.id, Role.VOLUNTEER)
        await care.mark_offered(uow, request.id)
        for unfit, rule in ((world.elder, "not_oneself"), (world.auditor, "volunteer")):
            with pytest.raises(InvalidValue) as refused:
                await care.plan_visit(uow, request.id, unfit.id)
            assert refused.value.rule == rule


async def test_another_communitys_requests_and_visits_are_not_found(bank: Database, world: World) -> None:
    other = await small_world(bank, 2)
    visit = await planned_visit(bank, world)
    assert visit.help_request_id is not None
    coordinator = other.coordinator.actor
    async with bank.unit_of_work(2) as uow:
        for attempt in (
            lambda: care.request(uow, coordinator, visit.help_request_id),
            lambda: care.cancel_request(uow, coordinator, visit.help_request_id),
            lambda: care.visit(uow, coordinator, visit.id),
            lambda: care.check_in(uow, coordinator, visit.id),
            lambda: care.confirm(uow, coordinator, visit.id),
            lambda: matching.withdraw(uow, coordinator, visit.id),
        ):
            with pytest.raises(NotFound):
                await attempt()
        assert await care.visits_to_confirm(uow, coordinator) == []


async def test_requests_and_visits_are_seen_by_whom_they_concern(bank: Database, world: World) -> None:
    visit = await planned_visit(bank, world)
    assert visit.help_request_id is not None
    async with bank.unit_of_work(1) as uow:
        for reader in (world.elder, world.volunteer, world.coordinator, world.auditor):
            assert (await care.visit(uow, reader.actor, visit.id)).address == "测试小区 1栋 101"
        for stranger in (world.second_elder, world.second_volunteer):
            with pytest.raises(NotAllowed):
                await care.visit(uow, stranger.actor, visit.id)
            with pytest.raises(NotAllowed):
                await care.request(uow, stranger.actor, visit.help_request_id)
            with pytest.raises(NotAllowed):
                await care.requests_of_elder(uow, stranger.actor, world.elder.id)
            with pytest.raises(NotAllowed):
                await care.requests_in(uow, stranger.actor, [RequestState.OPEN])


async def test_lists_are_read_page_by_page(bank: Database, world: World) -> None:
    numbers = [(await ask_for_help(bank, world, starts_in=timedelta(hours=n))).number for n in range(1, 6)]
    for hour in range(1, 6):
        await planned_visit(
            bank,
            world,
            by=world.second_volunteer,
            elder=world.second_elder,
            starts_in=timedelta(days=1, hours=hour),
        )
    async with bank.unit_of_work(1) as uow:
        actor = world.elder.actor
        page = await care.requests_of_elder(uow, actor, actor.person_id, limit=3)
        rest = await care.requests_of_elder(uow, actor, actor.person_id, after=page[-1].number, limit=3)
        assert [request.number for request in page + rest] == numbers[::-1]
        states = [RequestState.OPEN, RequestState.OFFERED]
        waiting = await care.requests_in(uow, world.coordinator.actor, states, small_grid=1, limit=2)
        more = await care.requests_in(uow, world.coordinator.actor, states, after=waiting[-1].number)
        assert [request.number for request in waiting + more] == numbers
        elder = world.second_elder
        visits = await care.visits_of_elder(uow, elder.actor, elder.id, limit=2)
        later = await care.visits_of_elder(uow, elder.actor, elder.id, after=visits[-1].id)
    starts = [visit.planned_start for visit in visits + later]
    assert len(starts) == 5
    assert starts == sorted(starts, reverse=True)


async def test_the_board_shows_each_grid_and_what_is_late(
    bank: Database, clock: FixedClock, world: World
) -> None:
    await ask_for_help(bank, world, starts_in=timedelta(hours=5))
    await ask_for_help(bank, world, starts_in=timedelta(days=3))
    await done_visit(bank, clock, world, elder=world.second_elder, starts_in=timedelta(hours=1), minutes=30)
    async with bank.unit_of_work(1) as uow:
        board = {line.small_grid: line for line in await care.board(uow)}
    assert len(board) == 16
    assert (board[1].open + board[1].offered, board[1].late) == (2, 1)
    assert (board[6].to_confirm, board[6].late, board[2].open) == (1, 0, 0)


async def test_requests_whose_time_has_passed_expire_once(
    bank: Database, clock: FixedClock, world: World
) -> None:
    soon = await ask_for_help(bank, world, starts_in=timedelta(hours=1))
    later = await ask_for_help(bank, world, starts_in=timedelta(hours=2))
    clock.move_to(soon.starts_at)
    async with bank.unit_of_work(1) as uow:
        assert await jobs.expire_requests(uow) == 1
        assert await jobs.expire_requests(uow) == 0
    assert await state_of(bank, soon.id) is RequestState.EXPIRED
    assert await state_of(bank, later.id) is RequestState.OPEN
