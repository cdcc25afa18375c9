"""Gifts and donations: who may, how much, and that they renew nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest

from pointsbank.domain import accounts
from pointsbank.domain.decision import ConcernsOneself, DecisionReason
from pointsbank.domain.errors import DomainError, InvalidValue, NotAllowed, NotFound
from pointsbank.domain.giving import GiftLimit, GiftToOneself, GiftTooSmall, GivingNotEnabled
from pointsbank.domain.journal import EntryKind, InsufficientPoints
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.ledger import decisions, giving
from services.ledger import service as ledger
from services.people.service import PersonInfo
from tests.givings import days, earn, left, new_rules
from tests.worlds import NINE_ON_MONDAY, World, small_world

JUNE, AUGUST = date(2026, 6, 30), date(2026, 8, 31)


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NINE_ON_MONDAY)
    database.clock = clock
    return clock


@pytest.fixture
async def world(database: Database, clock: FixedClock) -> World:
    return await small_world(database)


async def give(
    database: Database,
    world: World,
    amount: int,
    *,
    by: PersonInfo | None = None,
    to: PersonInfo | None = None,
) -> giving.Given:
    async with database.unit_of_work(1) as uow:
        return await giving.give(
            uow,
            (by or world.volunteer).actor,
            world.volunteer.id,
            (to or world.elder).id,
            milli_points=amount,
        )


async def donate(database: Database, world: World, amount: int) -> giving.Given:
    async with database.unit_of_work(1) as uow:
        return await giving.donate(uow, world.volunteer.actor, world.volunteer.id, milli_points=amount)


async def test_a_gift_takes_the_first_expiring_lots_and_they_keep_their_days(
    database: Database, world: World
) -> None:
    await earn(database, world, world.volunteer, 2_000, AUGUST)
    await earn(database, world, world.volunteer, 3_000, JUNE)
    given = await give(database, world, 4_000)
    assert given.portions == ((JUNE, 3_000), (AUGUST, 1_000))
    assert await left(database, world, world.volunteer) == [(AUGUST, 1_000, 0)]
    assert await left(database, world, world.elder) == [(JUNE, 3_000, 0), (AUGUST, 1_000, 0)]
    async with database.unit_of_work(1) as uow:
        entry = await ledger.entry(uow, given.number)
    assert (entry.kind, entry.source_id, entry.subject_ref) == (
        EntryKind.GIFT,
        given.id,
        world.volunteer.ledger_ref,
    )


async def test_a_coordinator_gives_in_a_members_place_and_the_entry_says_so(
    database: Database, world: World
) -> None:
    await earn(database, world, world.volunteer, 2_000, None)
    given = await give(database, world, 1_000, by=world.coordinator)
    async with database.unit_of_work(1) as uow:
        entry = await ledger.entry(uow, given.number)
    assert entry.actor_ref == world.coordinator.ledger_ref
    assert entry.subject_ref == world.volunteer.ledger_ref


async def test_nobody_else_gives_for_a_member(database: Database, world: World) -> None:
    await earn(database, world, world.volunteer, 2_000, None)
    for stranger in (world.elder, world.second_volunteer, world.auditor, world.grid_leader):
        with pytest.raises(NotAllowed):
            await give(database, world, 1_000, by=stranger)


async def test_a_coordinator_gives_nobodys_points_to_themselves(database: Database, world: World) -> None:
    await earn(database, world, world.volunteer, 5_000, None)
    with pytest.raises(ConcernsOneself):
        await give(database, world, 1_000, by=world.coordinator, to=world.coordinator)


async def test_what_cannot_be_given_is_refused_by_name(database: Database, world: World) -> None:
    await new_rules(
        database,
        world,
        gifts={"enabled": True, "min_milli_points": 1_000, "year_milli_points_max": 5_000},
    )
    await earn(database, world, world.volunteer, 7_000, None)
    with pytest.raises(GiftToOneself):
        await give(database, world, 1_000, to=world.volunteer)
    with pytest.raises(GiftTooSmall):
        await give(database, world, 999)
    with pytest.raises(InvalidValue):
        await give(database, world, True)
    await give(database, world, 4_000)
    with pytest.raises(GiftLimit) as refused:
        await give(database, world, 1_001)
    assert refused.value.facts() == {"most": 5_000, "given": 4_000, "requested": 1_001}
    await give(database, world, 1_000)
    async with database.unit_of_work(1) as uow:
        with pytest.raises(NotFound):
            await giving.give(uow, world.volunteer.actor, world.volunteer.id, uuid7(), milli_points=1_000)


async def test_more_than_a_member_has_cannot_be_given(database: Database, world: World) -> None:
    await earn(database, world, world.volunteer, 2_000, None)
    with pytest.raises(InsufficientPoints) as refused:
        await give(database, world, 2_001)
    assert (refused.value.available, refused.value.requested) == (2_000, 2_001)


async def test_a_gift_taken_back_no_longer_counts_to_the_year_and_gives_the_old_lots_back(
    database: Database, world: World
) -> None:
    await new_rules(
        database,
        world,
        gifts={"enabled": True, "min_milli_points": 1_000, "year_milli_points_max": 5_000},
    )
    await earn(database, world, world.volunteer, 3_000, JUNE)
    await earn(database, world, world.volunteer, 3_000, AUGUST)
    given = await give(database, world, 5_000)
    async with database.unit_of_work(1) as uow:
        await ledger.reverse(uow, given.number, actor=world.coordinator.ledger_ref)
    assert await left(database, world, world.volunteer) == [(JUNE, 3_000, 0), (AUGUST, 3_000, 0)]
    assert await left(database, world, world.elder) == []
    await give(database, world, 5_000)


async def test_a_years_limit_begins_anew_with_the_community_s_own_year(
    database: Database, clock: FixedClock
) -> None:
    clock.move_to(datetime(2025, 12, 31, 15, 59, tzinfo=UTC))  # a minute before the year's end there
    world = await small_world(database)
    await new_rules(
        database,
        world,
        gifts={"enabled": True, "min_milli_points": 1_000, "year_milli_points_max": 1_000},
    )
    await earn(database, world, world.volunteer, 7_000, None)
    await give(database, world, 1_000)
    with pytest.raises(GiftLimit):
        await give(database, world, 1_000)
    clock.move_to(datetime(2025, 12, 31, 16, 0, tzinfo=UTC))
    await give(database, world, 1_000)


async def test_points_whose_day_has_passed_expire_before_they_could_be_given_on(
    database: Database, clock: FixedClock, world: World
) -> None:
    await earn(database, world, world.volunteer, 3_000, date(2026, 3, 2))
    await earn(database, world, world.volunteer, 1_000, JUNE)
    clock.move_to(NINE_ON_MONDAY + days(1))  # no sweep has run
    with pytest.raises(InsufficientPoints):
        await give(database, world, 2_000)
    await give(database, world, 1_000)
    assert await left(database, world, world.volunteer) == []
    assert await left(database, world, world.elder) == [(JUNE, 1_000, 0)]
    async with database.unit_of_work(1) as uow:
        assert await ledger.balance(uow, accounts.expired()) == 3_000


async def test_gifts_made_at_once_never_pass_the_years_limit(database: Database, world: World) -> None:
    await new_rules(
        database,
        world,
        gifts={"enabled": True, "min_milli_points": 1_000, "year_milli_points_max": 3_000},
    )
    await earn(database, world, world.volunteer, 10_000, JUNE)

    async def attempt() -> int:
        try:
            return (await give(database, world, 1_000)).milli_points
        except GiftLimit:
            return 0

    assert sum(await asyncio.gather(*(attempt() for _ in range(8)))) == 3_000
    assert await left(database, world, world.elder) == [(JUNE, 1_000, 0)] * 3


async def test_a_donation_goes_to_the_pool_for_good_and_a_grant_from_it_has_a_new_term(
    database: Database, clock: FixedClock, world: World
) -> None:
    await new_rules(database, world, points_expire_months=6)
    await earn(database, world, world.volunteer, 3_000, JUNE)
    given = await donate(database, world, 2_000)
    assert (given.receiver_id, given.portions) == (None, ((JUNE, 2_000),))
    async with database.unit_of_work(1) as uow:
        assert await ledger.balance(uow, accounts.pool()) == 2_000
        proposed = await decisions.propose_grant(
            uow,
            world.coordinator.actor,
            world.elder.id,
            amount=2_000,
            reason=DecisionReason.HARDSHIP,
        )
        await decisions.approve(uow, world.auditor.actor, proposed.id)
        assert await ledger.balance(uow, accounts.pool()) == 0
    assert await left(database, world, world.elder) == [(date(2026, 9, 30), 2_000, 0)]


async def test_where_gifts_are_off_points_can_only_be_donated(database: Database, world: World) -> None:
    await new_rules(
        database,
        world,
        gifts={"enabled": False, "min_milli_points": 1, "year_milli_points_max": None},
    )
    await earn(database, world, world.volunteer, 3_000, None)
    with pytest.raises(DomainError) as refused:
        await give(database, world, 1_000)
    assert isinstance(refused.value, GivingNotEnabled)
    assert (await donate(database, world, 1_000)).receiver_id is None
