"""Every entry can be recomputed from what it cites, and what is shown agrees with the journal."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.earning import earning_entry
from pointsbank.domain.errors import DomainError
from pointsbank.domain.points import MilliPoints, Minutes
from pointsbank.domain.policy import DEFAULT_POLICY, EarnedSoFar, UnknownServiceKind
from pointsbank.platform.clock import FixedClock, local_date
from pointsbank.platform.database import Database
from services.care import service as care
from services.ledger import service as ledger
from services.people import service as people
from tests.worlds import NINE_ON_MONDAY, World, ask_for_help, done_visit, small_world


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NINE_ON_MONDAY)
    database.clock = clock
    return clock


@pytest.fixture
async def world(database: Database, clock: FixedClock) -> World:
    return await small_world(database)


async def confirmed(database: Database, clock: FixedClock, world: World, **asked: Any) -> None:
    visit = await done_visit(database, clock, world, **asked)
    async with database.unit_of_work(1) as uow:
        await care.confirm(uow, world.elder.actor, visit.id)


async def new_policy(database: Database, world: World, **changes: Any) -> None:
    """A second version from tomorrow on, with other rates or kinds."""
    body = copy.deepcopy(DEFAULT_POLICY) | changes
    async with database.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow,
            effective_from=await people.local_today(uow) + timedelta(days=1),
            body=body,
            proposed_by=world.coordinator.ledger_ref,
            approved_by=world.auditor.ledger_ref,
        )


async def test_every_earning_entry_is_what_its_visit_and_its_policy_version_give(
    database: Database, clock: FixedClock, world: World
) -> None:
    await confirmed(database, clock, world, lasts=50)
    await new_policy(database, world, milli_points_per_hour=1_500)
    await confirmed(database, clock, world, lasts=50)  # agreed on before the new rate is in force
    clock.move_to(clock.now() + timedelta(days=2))
    await confirmed(database, clock, world, kind="clinic_escort", lasts=500)  # clipped by the day's cap

    cited = set()
    async with database.unit_of_work(1) as uow:
        timezone = (await people.community(uow)).timezone
        for entry in await ledger.entries(uow):
            visit = await care.visit(uow, world.auditor.actor, entry.source_id)
            policy = await ledger.policy(uow, entry.policy_version)
            assert visit.minutes is not None
            assert visit.checked_out_at is not None
            assert local_date(visit.checked_out_at, timezone) >= policy.effective_from
            # One visit a day in this world: nothing was earned that day before.
            again = policy.earning(
                visit.kind, Minutes(visit.minutes), EarnedSoFar(Minutes(0), MilliPoints(0), MilliPoints(0))
            )
            made = earning_entry(
                visit.id,
                again,
                volunteer=entry.subject_ref,
                confirmer=entry.actor_ref,
                policy_version=policy.version,
                occurred_at=entry.occurred_at,
            )
            assert made is not None
            assert {(leg.account.kind, leg.commodity, leg.amount) for leg in made.postings} == {
                (leg.account_kind, leg.commodity, leg.amount) for leg in entry.legs
            }
            assert visit.credited_minutes == again.minutes
            cited.add((policy.version, again.clipped_minutes > 0))
    assert {version for version, _ in cited} == {1, 2}
    assert any(clipped for _, clipped in cited), "the clipped one must have been met"


async def test_the_minutes_shown_on_visits_are_the_minutes_issued(
    database: Database, clock: FixedClock, world: World
) -> None:
    for lasts in (20, 45):
        await confirmed(database, clock, world, lasts=lasts)
        clock.move_to(clock.now() + timedelta(days=1))
    async with database.unit_of_work(1) as uow:
        shown = 0
        for volunteer in (world.volunteer, world.second_volunteer):
            for visit in await care.visits_of_volunteer(uow, world.auditor.actor, volunteer.id):
                shown += visit.credited_minutes or 0
        trial = await ledger.trial_balance(uow)
    issued = next(
        line.balance
        for line in trial.lines
        if (line.kind, line.commodity) == (AccountKind.ISSUANCE, Commodity.MINUTE)
    )
    assert shown == -issued == 65


async def test_service_agreed_under_a_kind_is_paid_after_the_kind_was_dropped(
    database: Database, clock: FixedClock, world: World
) -> None:
    request = await ask_for_help(database, world, kind="haircut", starts_in=timedelta(days=2))
    kinds = {code: kind for code, kind in DEFAULT_POLICY["kinds"].items() if code != "haircut"}
    await new_policy(database, world, kinds=kinds)
    await confirmed(database, clock, world, request=request, lasts=50)
    async with database.unit_of_work(1) as uow:
        (entry,) = await ledger.entries(uow)
        assert entry.policy_version == 1
        assert max(leg.amount for leg in entry.legs if leg.commodity is Commodity.POINT) == 1_000


async def test_help_of_a_kind_that_was_dropped_cannot_be_asked_for(
    database: Database, clock: FixedClock, world: World
) -> None:
    kinds = {code: kind for code, kind in DEFAULT_POLICY["kinds"].items() if code != "haircut"}
    await new_policy(database, world, kinds=kinds)
    clock.move_to(clock.now() + timedelta(days=2))
    with pytest.raises(DomainError) as refused:
        await ask_for_help(database, world, kind="haircut")
    assert isinstance(refused.value, UnknownServiceKind)
