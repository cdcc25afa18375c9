"""Every entry can be recomputed from what it cites, and what is shown agrees with the journal."""

from __future__ import annotations

import asyncio
import copy
import hashlib
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from api.cli import main
from pointsbank.domain.accounts import AccountKind, Commodity
from pointsbank.domain.decision import DecisionReason
from pointsbank.domain.earning import earning_entry
from pointsbank.domain.errors import DomainError
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, journal_entry
from pointsbank.domain.points import MilliPoints, Minutes
from pointsbank.domain.policy import DEFAULT_POLICY, EarnedSoFar, Earning, UnknownServiceKind
from pointsbank.platform.clock import FixedClock, local_date
from pointsbank.platform.database import Database
from services.care import service as care
from services.care import visit_store
from services.care.recompute import EarningFault, recompute_earnings
from services.care.records import OutcomeKind, VisitRecord, record_visits
from services.ledger import decisions, giving
from services.ledger import service as ledger
from services.people import service as people
from tests.givings import earn, new_rules
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
        if visit.minutes is not None and visit.minutes > 480:  # so long a visit takes a coordinator too
            await care.confirm(uow, world.coordinator.actor, visit.id)


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


async def differences(database: Database, **asked: Any) -> list[tuple[int, EarningFault]]:
    async with database.unit_of_work(1, snapshot=True) as uow:
        return [(each.number, each.fault) async for each in recompute_earnings(uow, **asked)]


def record(world: World, start: datetime, minutes: int, *, kind: str = "companionship") -> VisitRecord:
    key = hashlib.sha256(f"{start.isoformat()} {minutes}".encode()).digest()
    end = start + timedelta(minutes=minutes)
    return VisitRecord(
        world.volunteer.id, world.elder.id, kind, start, end, world.coordinator.id, content_key=key
    )


async def recorded(database: Database, *records: VisitRecord) -> None:
    async with database.unit_of_work(1) as uow:
        outcomes = await record_visits(uow, records)
        assert all(each.kind is OutcomeKind.RECORDED for each in outcomes)


async def capped(database: Database, world: World, **caps: int) -> None:
    """Rules with other caps, in force from today."""
    await new_rules(
        database,
        world,
        caps={"day_minutes": 480, "year_milli_points": 500_000, "account_milli_points": 1_500_000} | caps,
        points_expire_months=12,
    )


async def test_every_cap_as_it_stood_is_found_again_whatever_happened_since(
    database: Database, clock: FixedClock, world: World
) -> None:
    # Recorded in bulk under a year's cap that clips, by an import in an order that is not time's.
    await capped(database, world, year_milli_points=2_500)
    clock.move_to(clock.now() + timedelta(days=10))
    monday = NINE_ON_MONDAY + timedelta(days=1)
    await recorded(
        database,
        record(world, monday + timedelta(days=2), 90),
        record(world, monday, 60),
        record(world, monday + timedelta(hours=3), 45),
    )
    await recorded(database, record(world, monday + timedelta(days=3), 30))
    # Spent and reversed later: what was decided before must not change for it.
    async with database.unit_of_work(1) as uow:
        await giving.donate(uow, world.volunteer.actor, world.volunteer.id, milli_points=1_000)
        await ledger.reverse(uow, 2, actor=world.auditor.ledger_ref)
    await capped(database, world, account_milli_points=2_000)
    await recorded(database, record(world, clock.now() - timedelta(hours=3), 90))
    async with database.unit_of_work(1) as uow:
        found = await care.visits_of_volunteer(uow, world.auditor.actor, world.volunteer.id)
    clipped = [visit.clipped_milli_points for visit in sorted(found, key=lambda each: each.planned_start)]
    assert clipped == [0, 0, 750, 500, 250], "the world must hold clipped earnings"
    assert await differences(database) == []


async def paid_by_hand(
    database: Database, clock: FixedClock, world: World, milli_points: int, *, version: int = 1
) -> int:
    """Make a visit of an hour and pay it past the rules; return the entry's number."""
    visit = await done_visit(database, clock, world, starts_in=timedelta(days=1))
    volunteer = next(
        each for each in (world.volunteer, world.second_volunteer) if each.id == visit.volunteer_id
    )
    assert visit.checked_out_at is not None
    wrong = earning_entry(
        visit.id,
        Earning(Minutes(60), MilliPoints(milli_points)),
        volunteer=volunteer.ledger_ref,
        confirmer=world.elder.ledger_ref,
        policy_version=version,
        occurred_at=visit.checked_out_at,
    )
    assert wrong is not None
    async with database.unit_of_work(1) as uow:
        number = (await ledger.post(uow, wrong)).number
        await visit_store.set_confirmed(
            uow,
            visit.id,
            confirmed_by=world.elder.id,
            method="elder",
            strength=3,
            confirmed_at=uow.clock.now(),
            policy_version=version,
            credited_minutes=60,
            clipped_milli_points=0,
            entry_number=number,
            tier=1,
            evidence=3,
        )
    return number


async def test_an_earning_posted_with_another_amount_is_found(
    database: Database, clock: FixedClock, world: World
) -> None:
    await confirmed(database, clock, world, lasts=60)
    number = await paid_by_hand(database, clock, world, 1_001)
    assert await differences(database) == [(number, EarningFault.WRONG_AMOUNTS)]
    assert await differences(database, since=date(2026, 3, 4)) == []


async def test_an_earning_paid_by_rules_that_had_been_replaced_is_found(
    database: Database, clock: FixedClock, world: World
) -> None:
    await new_policy(database, world, milli_points_per_hour=100)
    clock.move_to(clock.now() + timedelta(days=3))
    await confirmed(database, clock, world, lasts=60)
    number = await paid_by_hand(database, clock, world, 1_000, version=1)
    assert await differences(database) == [(number, EarningFault.WRONG_POLICY)]


async def test_points_that_no_visit_earned_or_that_were_paid_twice_are_found(
    database: Database, clock: FixedClock, world: World
) -> None:
    await confirmed(database, clock, world, lasts=60)
    async with database.unit_of_work(1) as uow:
        first = await ledger.entry(uow, 1)
        await ledger.post(
            uow,
            journal_entry(
                EntryKind.EARNING,
                first.transfers,
                origin=Origin(
                    SourceKind.VISIT,
                    first.source_id,
                    first.actor_ref,
                    first.subject_ref,
                    first.policy_version,
                ),
                key="a second time",
                occurred_at=first.occurred_at,
            ),
        )
    await earn(database, world, world.second_volunteer, 1_000, None)
    assert await differences(database) == [
        (2, EarningFault.ANOTHER_ENTRY),
        (3, EarningFault.NO_VISIT),
    ]


async def test_a_visit_changed_behind_its_entry_is_found(
    database: Database, clock: FixedClock, world: World, owner_url: str
) -> None:
    await confirmed(database, clock, world, lasts=60)
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("ALTER TABLE bank.visits DISABLE TRIGGER USER")  # past the walls, by theft
        await connection.execute("UPDATE bank.visits SET clipped_milli_points = 500")
        assert await differences(database) == [(1, EarningFault.WRONG_CLIPPED)]
        await connection.execute("UPDATE bank.visits SET clipped_milli_points = 0, minutes = 90")
        assert await differences(database) == [
            (1, EarningFault.WRONG_AMOUNTS),
            (1, EarningFault.WRONG_CLIPPED),
        ]
    finally:
        await connection.close()


async def test_the_command_lists_what_differs_and_ends_with_a_fault(
    database: Database, clock: FixedClock, world: World, app_url: str
) -> None:
    async def run(*more: str) -> tuple[int, str]:
        environment = {"POINTSBANK_APP_DATABASE_URL": app_url}
        done = await asyncio.to_thread(
            CliRunner().invoke, main, ["ledger", "recompute", *more], env=environment
        )
        return done.exit_code, done.output

    await confirmed(database, clock, world, lasts=60)
    code, said = await run()
    assert (code, "test-1: 0 differences" in said) == (0, True), said
    await earn(database, world, world.second_volunteer, 1_000, None)
    code, said = await run()
    assert code == 1
    assert "test-1 entry 2: no_visit: recorded issuance to member_available" in said
    assert (await run("--since", "2026-11-01"))[0] == 0


CAPS = [
    ({"day_minutes": 20}, 25, 417),
    ({"year_milli_points": 300}, 0, 450),
    ({"account_milli_points": 350}, 0, 400),
]
"""A cap, and what it takes from 45 minutes of company: minutes, milli-points."""


@pytest.mark.parametrize(("cap", "minutes", "milli_points"), CAPS, ids=["day", "year", "account"])
async def test_each_cap_clips_and_what_it_took_is_stored_with_the_visit(
    database: Database,
    clock: FixedClock,
    world: World,
    cap: dict[str, int],
    minutes: int,
    milli_points: int,
) -> None:
    await capped(database, world, **cap)
    visit = await done_visit(database, clock, world, lasts=45)
    async with database.unit_of_work(1) as uow:
        done = await care.confirm(uow, world.elder.actor, visit.id)
        (entry,) = await ledger.entries(uow)
    assert (done.clipped_minutes, done.clipped_milli_points) == (minutes, milli_points)
    earned = {leg.commodity: leg.amount for leg in entry.legs if leg.amount > 0}
    assert earned == {Commodity.MINUTE: 45 - minutes, Commodity.POINT: 750 - milli_points}
    assert await differences(database) == []


@pytest.mark.parametrize(("cap", "minutes", "milli_points"), CAPS[1:], ids=["year", "account"])
async def test_what_a_cap_took_is_stored_for_a_record_brought_in_too(
    database: Database,
    clock: FixedClock,
    world: World,
    cap: dict[str, int],
    minutes: int,
    milli_points: int,
) -> None:
    await capped(database, world, **cap)
    clock.move_to(clock.now() + timedelta(days=2))
    await recorded(database, record(world, clock.now() - timedelta(days=1), 45))
    async with database.unit_of_work(1) as uow:
        (done,) = await care.visits_of_volunteer(uow, world.auditor.actor, world.volunteer.id)
    assert (done.clipped_minutes, done.clipped_milli_points) == (minutes, milli_points)
    assert await differences(database) == []


async def test_an_earning_taken_back_makes_room_under_the_years_cap_again(
    database: Database, clock: FixedClock, world: World
) -> None:
    await capped(database, world, year_milli_points=1_000)
    clock.move_to(clock.now() + timedelta(days=4))
    await recorded(database, record(world, clock.now() - timedelta(days=3), 60))
    async with database.unit_of_work(1) as uow:
        taken_back = await decisions.propose_reversal(
            uow, world.coordinator.actor, 1, reason=DecisionReason.NOT_RENDERED
        )
        await decisions.approve(uow, world.auditor.actor, taken_back.id)
    await recorded(database, record(world, clock.now() - timedelta(days=2), 60))
    async with database.unit_of_work(1) as uow:
        again, _ = await care.visits_of_volunteer(uow, world.auditor.actor, world.volunteer.id)
    assert again.clipped_milli_points == 0
    assert await differences(database) == []


@pytest.mark.parametrize("points_only", [False, True])
async def test_minutes_taken_back_make_room_under_the_days_cap_again_and_points_alone_do_not(
    database: Database, clock: FixedClock, world: World, points_only: bool
) -> None:
    await capped(database, world, day_minutes=90)
    clock.move_to(clock.now() + timedelta(days=4))
    morning = clock.now() - timedelta(days=1)
    await recorded(database, record(world, morning, 60))
    async with database.unit_of_work(1) as uow:
        taken_back = await decisions.propose_reversal(
            uow,
            world.coordinator.actor,
            1,
            reason=DecisionReason.NOT_RENDERED,
            amount=1_000 if points_only else None,
        )
        await decisions.approve(uow, world.auditor.actor, taken_back.id)
        (outcome,) = await record_visits(uow, [record(world, morning + timedelta(hours=2), 45)])
    assert (outcome.kind is OutcomeKind.REFUSED) is points_only
    async with database.unit_of_work(1) as uow:
        backfilled = care.Backfill(
            world.volunteer.id, world.elder.id, "companionship", *_hour(morning + timedelta(hours=5))
        )
        late = await care.backfill(uow, world.coordinator.actor, backfilled)
        await care.confirm(uow, world.elder.actor, late.id)
        told = await care.visit(uow, world.elder.actor, late.id)
    assert told.credited_minutes == (30 if points_only else 45)
    assert await differences(database) == []


def _hour(start: datetime) -> tuple[datetime, datetime]:
    return start, start + timedelta(minutes=60)
