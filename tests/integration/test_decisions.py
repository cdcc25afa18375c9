"""What needs two people: nobody alone, nobody for themselves, once, and posted with the decision."""

from __future__ import annotations

import asyncio
from datetime import date
from uuid import UUID

import asyncpg
import pytest

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.decision import ConcernsOneself, DecisionReason, DecisionState, SecondPersonNeeded
from pointsbank.domain.errors import InvalidValue, NotAllowed, WrongState
from pointsbank.domain.giving import GiftLimit
from pointsbank.domain.journal import EntryKind, InsufficientPoints, SourceKind
from pointsbank.domain.roles import Role
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.ledger import decisions, giving
from services.ledger import service as ledger
from services.ledger.views import DecisionInfo
from services.people import service as people
from services.people.service import PersonInfo
from tests.givings import earn, left, new_rules
from tests.worlds import NINE_ON_MONDAY, World, small_world

WRONG = DecisionReason.WRONG_HOURS


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NINE_ON_MONDAY)
    database.clock = clock
    return clock


@pytest.fixture
async def world(database: Database, clock: FixedClock) -> World:
    return await small_world(database)


async def adjustment(
    database: Database, world: World, amount: int = 500, *, commodity: Commodity = Commodity.POINT
) -> DecisionInfo:
    async with database.unit_of_work(1) as uow:
        return await decisions.propose_adjustment(
            uow,
            world.coordinator.actor,
            world.volunteer.id,
            amount=amount,
            reason=WRONG,
            commodity=commodity,
        )


async def reversal(database: Database, world: World, number: int, amount: int | None = None) -> DecisionInfo:
    async with database.unit_of_work(1) as uow:
        return await decisions.propose_reversal(
            uow, world.coordinator.actor, number, reason=DecisionReason.NOT_RENDERED, amount=amount
        )


async def approve(database: Database, who: PersonInfo, decision: DecisionInfo) -> DecisionInfo:
    async with database.unit_of_work(1) as uow:
        return await decisions.approve(uow, who.actor, decision.id)


async def state(database: Database, decision: DecisionInfo) -> DecisionState:
    async with database.unit_of_work(1) as uow:
        return (await decisions.decision_of(uow, decision.id)).state


async def test_an_adjustment_is_posted_when_a_second_person_approves_it_and_not_before(
    database: Database, world: World
) -> None:
    await new_rules(database, world, points_expire_months=12)
    proposed = await adjustment(database, world)
    assert await left(database, world, world.volunteer) == []
    approved = await approve(database, world.auditor, proposed)
    assert await left(database, world, world.volunteer) == [(date(2027, 3, 31), 500, 0)]
    assert (approved.state, approved.decided_by) == (DecisionState.APPROVED, world.auditor.ledger_ref)
    async with database.unit_of_work(1) as uow:
        assert approved.posted_number is not None
        entry = await ledger.entry(uow, approved.posted_number)
    assert (entry.kind, entry.source_kind, entry.source_id) == (
        EntryKind.ADJUSTMENT,
        SourceKind.ADJUSTMENT,
        proposed.id,
    )
    assert (entry.actor_ref, entry.subject_ref, entry.policy_version) == (
        world.auditor.ledger_ref,
        world.volunteer.ledger_ref,
        2,
    )


async def test_an_adjustment_may_take_points_or_set_minutes_right(database: Database, world: World) -> None:
    await earn(database, world, world.volunteer, 3_000, None)
    await approve(database, world.auditor, await adjustment(database, world, -1_000))
    assert await left(database, world, world.volunteer) == [(None, 2_000, 0)]
    minutes = await adjustment(database, world, 30, commodity=Commodity.MINUTE)
    await approve(database, world.auditor, minutes)
    async with database.unit_of_work(1) as uow:
        assert await ledger.balance(uow, accounts.service(world.volunteer.ledger_ref)) == 30


async def test_whoever_proposed_cannot_approve_or_refuse(database: Database, world: World) -> None:
    proposed = await adjustment(database, world)
    for decide in (decisions.approve, decisions.refuse):
        with pytest.raises(SecondPersonNeeded):
            async with database.unit_of_work(1) as uow:
                await decide(uow, world.coordinator.actor, proposed.id)
    assert await state(database, proposed) is DecisionState.PROPOSED


async def test_nobody_proposes_or_decides_what_goes_to_themselves(database: Database, world: World) -> None:
    async with database.unit_of_work(1) as uow:
        with pytest.raises(ConcernsOneself):
            await decisions.propose_adjustment(
                uow, world.coordinator.actor, world.coordinator.id, amount=1, reason=WRONG
            )
        await people.grant_role(uow, world.volunteer.id, Role.COORDINATOR)
        member = await people.actor_of(uow, world.volunteer.id)
    proposed = await adjustment(database, world)
    async with database.unit_of_work(1) as uow:
        with pytest.raises(ConcernsOneself):
            await decisions.approve(uow, member, proposed.id)


async def test_only_staff_proposes_and_only_readers_of_the_books_decide(
    database: Database, world: World
) -> None:
    proposed = await adjustment(database, world)
    async with database.unit_of_work(1) as uow:
        for stranger in (world.elder, world.grid_leader, world.second_volunteer):
            with pytest.raises(NotAllowed):
                await decisions.approve(uow, stranger.actor, proposed.id)
        with pytest.raises(NotAllowed):
            await decisions.propose_adjustment(
                uow, world.auditor.actor, world.elder.id, amount=1, reason=WRONG
            )


async def test_a_decision_is_decided_once_however_many_decide_at_once(
    database: Database, world: World
) -> None:
    proposed = await adjustment(database, world)
    async with database.unit_of_work(1) as uow:
        await people.grant_role(uow, world.building_leader.id, Role.COORDINATOR)
        second = await people.person(uow, world.building_leader.id)

    async def attempt(who: PersonInfo) -> bool:
        try:
            await approve(database, who, proposed)
        except WrongState:
            return False
        return True

    done = await asyncio.gather(*(attempt(who) for who in (world.auditor, second) * 3))
    assert sum(done) == 1
    assert await left(database, world, world.volunteer) == [(None, 500, 0)]


async def test_a_refused_decision_posts_nothing_and_stays_refused(database: Database, world: World) -> None:
    proposed = await adjustment(database, world)
    async with database.unit_of_work(1) as uow:
        refused = await decisions.refuse(uow, world.auditor.actor, proposed.id)
    assert (refused.state, refused.posted_number) == (DecisionState.REFUSED, None)
    with pytest.raises(WrongState):
        await approve(database, world.auditor, proposed)
    assert await left(database, world, world.volunteer) == []


async def test_a_reversal_cites_its_decision_and_takes_the_entry_s_own_lot(
    database: Database, world: World
) -> None:
    await earn(database, world, world.volunteer, 1_000, date(2026, 6, 30))
    wrong = await earn(database, world, world.volunteer, 2_000, date(2026, 8, 31))
    approved = await approve(database, world.auditor, await reversal(database, world, wrong, 1_500))
    assert await left(database, world, world.volunteer) == [
        (date(2026, 6, 30), 1_000, 0),
        (date(2026, 8, 31), 500, 0),
    ]
    async with database.unit_of_work(1) as uow:
        assert approved.posted_number is not None
        entry = await ledger.entry(uow, approved.posted_number)
    assert (entry.kind, entry.reverses, entry.source_id) == (EntryKind.REVERSAL, wrong, approved.id)


async def test_an_entry_is_taken_back_by_one_decision_only(database: Database, world: World) -> None:
    wrong = await earn(database, world, world.volunteer, 2_000, None)
    first = await reversal(database, world, wrong)
    with pytest.raises(WrongState, match="proposed"):
        await reversal(database, world, wrong)
    async with database.unit_of_work(1) as uow:
        await decisions.refuse(uow, world.auditor.actor, first.id)
    again = await reversal(database, world, wrong)
    await approve(database, world.auditor, again)
    with pytest.raises(WrongState, match="reversed"):
        await reversal(database, world, wrong)


async def test_a_reversal_of_more_than_was_given_or_of_a_hold_is_refused_at_once(
    database: Database, world: World
) -> None:
    wrong = await earn(database, world, world.volunteer, 2_000, None)
    with pytest.raises(InvalidValue, match="within_entry"):
        await reversal(database, world, wrong, 2_001)
    approved = await approve(database, world.auditor, await reversal(database, world, wrong))
    assert approved.posted_number is not None
    with pytest.raises(WrongState, match="not_reversible"):
        await reversal(database, world, approved.posted_number)


async def test_what_the_ledger_refuses_leaves_the_decision_proposed(database: Database, world: World) -> None:
    proposed = await adjustment(database, world, -1_000)
    with pytest.raises(InsufficientPoints):
        await approve(database, world.auditor, proposed)
    assert await state(database, proposed) is DecisionState.PROPOSED
    await earn(database, world, world.volunteer, 1_000, None)
    assert (await approve(database, world.auditor, proposed)).state is DecisionState.APPROVED


async def test_a_grant_needs_a_pool_that_has_it_and_stays_within_the_year(
    database: Database, world: World
) -> None:
    await new_rules(
        database,
        world,
        grants={"enabled": True, "min_milli_points": 1_000, "year_milli_points_max": 3_000},
    )

    async def grant(amount: int) -> DecisionInfo:
        async with database.unit_of_work(1) as uow:
            return await decisions.propose_grant(
                uow,
                world.coordinator.actor,
                world.elder.id,
                amount=amount,
                reason=DecisionReason.HARDSHIP,
            )

    first, second = await grant(2_000), await grant(2_000)
    with pytest.raises(InsufficientPoints):
        await approve(database, world.auditor, first)
    await earn(database, world, world.volunteer, 9_000, None)
    async with database.unit_of_work(1) as uow:
        await giving.donate(uow, world.volunteer.actor, world.volunteer.id, milli_points=9_000)
    await approve(database, world.auditor, first)
    with pytest.raises(GiftLimit):
        await approve(database, world.auditor, second)
    with pytest.raises(GiftLimit):
        await grant(1_001)


async def test_the_database_refuses_what_the_code_would_never_write(
    app_url: str, database: Database, world: World
) -> None:
    proposed = await adjustment(database, world)
    connection = await asyncpg.connect(app_url)
    who = world.coordinator.ledger_ref

    async def refused(statement: str, *arguments: object) -> str:
        with pytest.raises(asyncpg.PostgresError) as caught:
            async with connection.transaction():
                await connection.execute("SELECT set_config('pointsbank.community_id', '1', true)")
                await connection.execute(statement, *arguments)
        return str(caught.value)

    decide = "UPDATE bank.decisions SET state = $2, decided_by = $3, decided_at = now(), posted_number = $4"
    where = " WHERE community_id = 1 AND id = $1"
    try:
        assert "second_person" in await refused(decide + where, proposed.id, "refused", who, None)
        assert "not_for_oneself" in await refused(
            decide + where, proposed.id, "refused", world.volunteer.ledger_ref, None
        )
        assert "not its own" in await refused(
            decide + where, proposed.id, "approved", world.auditor.ledger_ref, 1
        )
        assert "decided" in await refused(
            decide + where, proposed.id, "approved", world.auditor.ledger_ref, None
        )
        assert "permission denied" in await refused(
            "UPDATE bank.decisions SET amount = 1" + where, proposed.id
        )
        assert "permission denied" in await refused("DELETE FROM bank.decisions" + where, proposed.id)
        async with database.unit_of_work(1) as uow:
            await decisions.refuse(uow, world.auditor.actor, proposed.id)
        assert "stays as it is" in await refused(decide + where, proposed.id, "proposed", None, None)
        assert "kind" in await refused(
            "INSERT INTO bank.decisions (community_id, id, kind, reason, member_ref, commodity, amount,"
            " state, proposed_by, proposed_at)"
            " VALUES (1, $1, 'gift', 'fraud', $2, 'POINT', 1, 'proposed', $3, now())",
            uuid7(),
            UUID(int=5),
            who,
        )
    finally:
        await connection.close()


async def test_another_communitys_decisions_cannot_be_seen_or_decided(
    database: Database, clock: FixedClock, world: World
) -> None:
    other = await small_world(database, 2)
    proposed = await adjustment(database, world)
    async with database.unit_of_work(2) as uow:
        assert await decisions.decisions(uow) == []
        with pytest.raises(Exception, match="not_found"):
            await decisions.approve(uow, other.auditor.actor, proposed.id)
