"""An auditor's questions: what is planted is found, what is innocent is not, other communities never show."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from pointsbank.domain import accounts
from pointsbank.domain.decision import DecisionReason
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, Transfer, journal_entry
from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.audit import service as audit
from services.audit.views import Ring
from services.care import service as care
from services.ledger import decisions
from services.ledger import service as ledger
from tests.auditing import earned, given, neighbours, posted, recent, taken_back, visited
from tests.worlds import NINE_ON_MONDAY, World, done_visit, small_world

ELEVEN_AT_NIGHT = datetime(2026, 3, 1, 15, 0, tzinfo=UTC)
"""23:00 on the Sunday before, by the community's clock (UTC+8)."""


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NINE_ON_MONDAY)
    database.clock = clock
    return clock


@pytest.fixture
async def world(database: Database, clock: FixedClock) -> World:
    return await small_world(database)


@pytest.fixture
async def other(database: Database, clock: FixedClock) -> World:
    """Another community on the same database."""
    return await small_world(database, 2)


async def test_an_earning_on_ones_own_word_stands_before_the_orders_members_make_for_themselves(
    database: Database, clock: FixedClock, world: World, other: World
) -> None:
    own = await earned(database, world, world.volunteer, 60_000, actor=world.volunteer)
    await earned(database, world, world.second_volunteer, 60_000, actor=world.coordinator)
    await given(database, world, world.volunteer, world.elder, 1_000)
    await earned(database, other, other.volunteer, 5_000, actor=other.volunteer)

    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        kinds = await audit.self_acted(uow, period)
        found = await audit.self_entries(uow, period)
        gifts = await audit.self_entries(uow, period, kind=EntryKind.GIFT)

    assert [(each.kind, each.entries, each.expected) for each in kinds] == [
        ("earning", 1, False),
        ("gift", 1, True),
    ]
    assert [(each.number, each.milli_points) for each in found.items] == [(own, 60_000)]
    assert [each.kind for each in gifts.items] == ["gift"]


async def test_entries_are_told_page_by_page(database: Database, clock: FixedClock, world: World) -> None:
    numbers = [await earned(database, world, world.volunteer, 1_000, actor=world.volunteer) for _ in range(5)]
    period = await recent(database, world, clock)
    told: list[int] = []
    after: int | None = 0
    async with database.unit_of_work(1) as uow:
        while after is not None:
            page = await audit.self_entries(uow, period, after=after, limit=2)
            told += [each.number for each in page.items]
            after = page.next_after
    assert told == numbers


async def test_reversals_are_grouped_by_what_they_take_back_and_who_decided(
    database: Database, clock: FixedClock, world: World, other: World
) -> None:
    for amount in (3_000, 4_000):
        number = await earned(database, world, world.volunteer, amount, actor=world.elder)
        async with database.unit_of_work(1) as uow:
            await ledger.reverse(uow, number, actor=world.coordinator.ledger_ref)
    await earned(database, world, world.elder, 2_000, actor=world.coordinator)
    gift = await given(database, world, world.elder, world.second_elder, 500)
    async with database.unit_of_work(1) as uow:
        await ledger.reverse(uow, gift, actor=world.auditor.ledger_ref)
    theirs = await earned(database, other, other.volunteer, 9_000, actor=other.elder)
    async with database.unit_of_work(2) as uow:
        await ledger.reverse(uow, theirs, actor=other.coordinator.ledger_ref)

    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        grouped = await audit.reversal_groups(uow, period)
        first = await audit.reversals(uow, period, limit=2)
        rest = await audit.reversals(uow, period, after=first.next_after or 0)

    assert [(g.reversed_kind, g.actor_ref, g.entries, g.milli_points, g.reason) for g in grouped.groups] == [
        ("earning", world.coordinator.ledger_ref, 2, 7_000, None),
        ("gift", world.auditor.ledger_ref, 1, 500, None),
    ]
    assert [each.reversed_kind for each in (*first.items, *rest.items)] == ["earning", "earning", "gift"]
    assert rest.items[0].reverses == gift


async def test_groups_that_do_not_count_every_reversal_say_so(
    database: Database, clock: FixedClock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for amount in (3_000, 4_000):
        number = await earned(database, world, world.volunteer, amount, actor=world.elder)
        await taken_back(database, number, actor=world.coordinator)
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        for most, complete, counted in ((2, True, 2), (1, False, 1)):
            monkeypatch.setattr(audit, "REVERSALS_MAX", most)
            grouped = await audit.reversal_groups(uow, period)
            assert (grouped.complete, grouped.groups[0].entries) == (complete, counted)


async def test_a_reversal_by_decision_is_told_with_its_reason(
    database: Database, clock: FixedClock, world: World
) -> None:
    number = await earned(database, world, world.volunteer, 3_000, actor=world.elder)
    async with database.unit_of_work(1) as uow:
        proposed = await decisions.propose_reversal(
            uow, world.coordinator.actor, number, reason=DecisionReason.DUPLICATE
        )
    async with database.unit_of_work(1) as uow:
        await decisions.approve(uow, world.auditor.actor, proposed.id)
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        (group,) = (await audit.reversal_groups(uow, period)).groups
    assert group.reason == DecisionReason.DUPLICATE


async def test_a_day_beyond_the_cap_is_found_whole_and_a_day_at_the_cap_is_not(
    database: Database, clock: FixedClock, world: World, other: World
) -> None:
    await done_and_confirmed(database, clock, world, minutes=520)
    async with database.unit_of_work(1) as uow:
        (visit,) = await care.visits_of_volunteer(uow, world.volunteer.actor, world.volunteer.id)
    assert visit.credited_minutes == 480
    await visited(
        database,
        world,
        world.second_volunteer,
        world.second_elder,
        world.second_elder,
        start=clock.now() - timedelta(minutes=490),
        minutes=480,
    )
    await done_and_confirmed(database, clock, other, minutes=520)

    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        found = await audit.long_days(uow, period)
        lower = await audit.long_days(uow, period, over_minutes=479)
    assert [
        (each.volunteer_ref, each.day, each.visits, each.minutes, each.credited_minutes)
        for each in found.items
    ] == [(world.volunteer.ledger_ref, date(2026, 3, 2), 1, 520, 480)]
    assert len(lower.items) == 2


async def done_and_confirmed(database: Database, clock: FixedClock, world: World, *, minutes: int) -> None:
    """Let a visit of so many minutes be asked for, made and confirmed by elder and coordinator."""
    clock.move_to(NINE_ON_MONDAY)
    visit = await done_visit(database, clock, world, lasts=minutes)
    async with database.unit_of_work(world.community_id) as uow:
        await care.confirm(uow, world.coordinator.actor, visit.id)
        await care.confirm(uow, world.elder.actor, visit.id)


async def test_a_visit_recorded_in_an_earlier_period_counts_for_the_day_it_belongs_to(
    database: Database, clock: FixedClock, world: World
) -> None:
    """Split over two periods, a long day would slip through both."""
    day = NINE_ON_MONDAY - timedelta(days=2)
    await visited(database, world, world.volunteer, world.elder, world.elder, start=day, minutes=200)
    clock.move_to(NINE_ON_MONDAY + timedelta(days=5, hours=1))
    later = clock.now()
    await visited(
        database,
        world,
        world.volunteer,
        world.second_elder,
        world.second_elder,
        start=day + timedelta(hours=5),
        minutes=200,
    )
    async with database.unit_of_work(1) as uow:
        period = await audit.period(uow, later - timedelta(minutes=1), later + timedelta(minutes=1))
        assert period.through - period.after == 1
        found = await audit.long_days(uow, period, over_minutes=300)
    assert [(each.visits, each.minutes) for each in found.items] == [(2, 400)]


async def test_a_visit_that_ends_at_midnight_belongs_to_the_day_that_begins(
    database: Database, clock: FixedClock, world: World
) -> None:
    midnight = datetime(2026, 2, 28, 16, 0, tzinfo=UTC)
    await visited(
        database,
        world,
        world.volunteer,
        world.elder,
        world.elder,
        start=midnight - timedelta(hours=2),
        minutes=120,
    )
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        found = await audit.long_days(uow, period, over_minutes=60)
    assert [(each.day, each.minutes) for each in found.items] == [(date(2026, 3, 1), 120)]


def around(ring: Ring, *members: UUID) -> bool:
    """Tell whether the ring leads through these members in this order, wherever it begins."""
    return any(ring.members == (*members[k:], *members[:k]) for k in range(len(members)))


async def test_pairs_and_rings_are_found_and_help_that_goes_one_way_is_not(
    database: Database, clock: FixedClock, world: World, other: World
) -> None:
    a, b, c, d, e, f, g = await neighbours(database, world, 7)
    day = NINE_ON_MONDAY - timedelta(days=2)
    # a and b serve each other; the elder served is the one who confirms.
    await visited(database, world, a, b, b, start=day, minutes=120)
    await visited(database, world, b, a, a, start=day + timedelta(hours=4), minutes=60)
    # c → d → e → c: each serves the next, and the coordinator confirms it.
    for place, (volunteer, elder) in enumerate(((c, d), (d, e), (e, c))):
        start = day + timedelta(hours=3 * place)
        await visited(
            database,
            world,
            volunteer,
            elder,
            world.coordinator,
            start=start,
            method=ConfirmationMethod.COORDINATOR,
        )
    # f serves g, who gives half of it back as a gift: a ring of an earning and a gift.
    await visited(database, world, f, g, g, start=day, minutes=240)
    await earned(database, world, g, 1_000, actor=world.coordinator)
    await given(database, world, f, g, 3_000)
    # Innocent: an elder who is only served.
    await visited(database, world, world.volunteer, world.elder, world.elder, start=day)
    x, y = await neighbours(database, other, 2)
    await visited(database, other, x, y, y, start=day)
    await visited(database, other, y, x, x, start=day + timedelta(hours=4))

    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        found = await audit.rings(uow, period)

    assert found.complete
    assert len(found.rings) == 3
    gift, one, three = found.rings
    assert around(gift, f.ledger_ref, g.ledger_ref)
    assert gift.milli_points == 3_000
    pairs = {len(one.members): one, len(three.members): three}
    assert around(pairs[2], a.ledger_ref, b.ledger_ref)
    # Served by c, d speaks for c: what flows goes from d to c.
    assert around(pairs[3], d.ledger_ref, c.ledger_ref, e.ledger_ref)
    assert [each.milli_points for each in found.rings] == [3_000, 1_000, 1_000]


async def test_a_ring_of_four_is_found_and_one_of_five_is_too_long(
    database: Database, clock: FixedClock, world: World
) -> None:
    members = await neighbours(database, world, 9)
    for ring in (members[:4], members[4:]):
        for actor, member in zip(ring, (*ring[1:], ring[0]), strict=True):
            await earned(database, world, member, 2_000, actor=actor)
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        found = await audit.rings(uow, period)
    assert [set(each.members) for each in found.rings] == [{each.ledger_ref for each in members[:4]}]


async def test_round_points_at_night_are_found_and_those_of_the_day_or_of_an_order_are_not(
    database: Database, clock: FixedClock, world: World, other: World
) -> None:
    night = await earned(
        database, world, world.volunteer, 20_000, actor=world.coordinator, occurred_at=ELEVEN_AT_NIGHT
    )
    await earned(
        database, world, world.volunteer, 20_500, actor=world.coordinator, occurred_at=ELEVEN_AT_NIGHT
    )
    await earned(
        database,
        world,
        world.volunteer,
        20_000,
        actor=world.coordinator,
        occurred_at=ELEVEN_AT_NIGHT - timedelta(hours=5),
    )
    # The price of a meal is round, and may be ordered at any hour.
    await posted(
        database,
        world,
        EntryKind.HOLD,
        Transfer(
            accounts.available(world.volunteer.ledger_ref), accounts.held(world.volunteer.ledger_ref), 10_000
        ),
        actor=world.volunteer.ledger_ref,
        subject=world.volunteer.ledger_ref,
        occurred_at=ELEVEN_AT_NIGHT,
        source_kind=SourceKind.REDEMPTION,
    )
    await earned(
        database, other, other.volunteer, 20_000, actor=other.coordinator, occurred_at=ELEVEN_AT_NIGHT
    )
    period = await recent(database, world, clock)
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=17))  # two in the morning: recorded then
    after_midnight = await earned(
        database,
        world,
        world.volunteer,
        30_000,
        actor=world.coordinator,
        occurred_at=NINE_ON_MONDAY + timedelta(hours=2),
    )
    later = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        found = await audit.round_at_night(uow, period)
        both = await audit.round_at_night(uow, later)
        finer = await audit.round_at_night(uow, later, multiple_points=30)
    assert [each.number for each in found.items] == [night]
    assert [each.number for each in both.items] == [night, after_midnight]
    assert [each.number for each in finer.items] == [after_midnight]


async def test_a_round_gift_of_several_lots_is_round_and_a_round_part_of_another_is_not(
    database: Database, clock: FixedClock, world: World
) -> None:
    """A gift takes the oldest lots first and has a line for each."""
    clock.move_to(ELEVEN_AT_NIGHT + timedelta(days=1))

    async def gift(*lots: int) -> int:
        for amount in lots:
            await earned(database, world, world.volunteer, amount, actor=world.coordinator)
        source = uuid7()
        moved = [
            Transfer(
                accounts.available(world.volunteer.ledger_ref),
                accounts.available(world.elder.ledger_ref),
                amount,
                expires_on=date(2027, 3, place),
            )
            for place, amount in enumerate(lots, start=1)
        ]
        volunteer = world.volunteer.ledger_ref
        async with database.unit_of_work(1) as uow:
            recorded = await ledger.post(
                uow,
                journal_entry(
                    EntryKind.GIFT,
                    moved,
                    origin=Origin(SourceKind.GIFT, source, volunteer, volunteer, 1),
                    key=f"planted:{source}",
                    occurred_at=uow.clock.now(),
                ),
            )
        return recorded.number

    round_one = await gift(37_000, 63_000)
    await gift(10_000, 7_000)
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        found = await audit.round_at_night(uow, period)
    gifts = [(each.number, each.milli_points) for each in found.items if each.kind == EntryKind.GIFT]
    assert gifts == [(round_one, 100_000)]


async def test_weak_confirmations_are_counted_by_grid_and_by_who_gave_them(
    database: Database, clock: FixedClock, world: World, other: World
) -> None:
    day = NINE_ON_MONDAY - timedelta(days=2)
    ways = (ConfirmationMethod.RECORD, ConfirmationMethod.WITNESS, ConfirmationMethod.ELDER)
    for place, method in enumerate(ways):
        await visited(
            database,
            world,
            world.volunteer,
            world.elder,
            world.elder if method is ConfirmationMethod.ELDER else world.building_leader,
            start=day + timedelta(hours=2 * place),
            minutes=30 * (place + 1),
            method=method,
        )
    await visited(database, world, world.second_volunteer, world.second_elder, world.second_elder, start=day)
    await visited(
        database,
        other,
        other.volunteer,
        other.elder,
        other.building_leader,
        start=day,
        method=ConfirmationMethod.RECORD,
    )
    period = await recent(database, world, clock)
    async with database.unit_of_work(1) as uow:
        grids = await audit.confirmations(uow, period)
        people = await audit.weak_confirmers(uow, period)
    assert [(g.small_grid, g.method, g.strength, g.visits, g.minutes) for g in grids] == [
        (1, "record", 1, 1, 30),
        (1, "witness", 2, 1, 60),
        (1, "elder", 4, 1, 90),
        (6, "elder", 4, 1, 60),
    ]
    assert [(p.confirmer_ref, p.weak, p.visits, p.weak_minutes) for p in people.items] == [
        (world.building_leader.ledger_ref, 2, 2, 90)
    ]


async def test_a_period_has_an_end_after_its_beginning_and_is_not_the_whole_history(
    database: Database, world: World
) -> None:
    async with database.unit_of_work(1) as uow:
        for since, until, rule in (
            (NINE_ON_MONDAY, NINE_ON_MONDAY, "after_from"),
            (NINE_ON_MONDAY.replace(tzinfo=None), NINE_ON_MONDAY, "timezone"),
            (NINE_ON_MONDAY - timedelta(days=401), NINE_ON_MONDAY, "within_400_days"),
        ):
            with pytest.raises(InvalidValue) as refused:
                await audit.period(uow, since, until)
            assert refused.value.rule == rule


async def test_what_was_recorded_outside_the_period_is_not_told(
    database: Database, clock: FixedClock, world: World
) -> None:
    await earned(database, world, world.volunteer, 1_000, actor=world.volunteer)
    clock.move_to(NINE_ON_MONDAY + timedelta(days=1))
    inside = await earned(database, world, world.volunteer, 2_000, actor=world.volunteer)
    clock.move_to(NINE_ON_MONDAY + timedelta(days=2))
    await earned(database, world, world.volunteer, 3_000, actor=world.volunteer)
    async with database.unit_of_work(1) as uow:
        period = await audit.period_of_days(uow, date(2026, 3, 3), date(2026, 3, 3))
        found = await audit.self_entries(uow, period)
        kinds = await audit.self_acted(uow, period)
    assert [each.number for each in found.items] == [inside]
    assert kinds[0].entries == 1
