"""Help asked for again and again becomes requests, each occurrence once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from pointsbank.domain.asked_time import Slot, Timing
from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound, WrongState
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.policy import UnknownServiceKind
from pointsbank.domain.series import AHEAD_DAYS, DuplicateSeries, OnHolidays
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.care import jobs
from services.care import service as care
from services.care.service import AskAgainAndAgain, AskForHelp, RequestInfo, SeriesInfo, UnmadeInfo
from tests.worlds import NINE_ON_MONDAY, World, small_world

FIRST = datetime.fromisoformat("2026-03-03T10:00:00")
WEEK = timedelta(weeks=1)


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


async def series(bank: Database, world: World, **fields: Any) -> SeriesInfo:
    command = AskAgainAndAgain(world.elder.id, "companionship", FIRST, "FREQ=WEEKLY;COUNT=10", 60)
    async with bank.unit_of_work(1) as uow:
        return await care.ask_series(uow, world.elder.actor, replace(command, **fields))


async def made(bank: Database, world: World) -> list[RequestInfo]:
    async with bank.unit_of_work(1) as uow:
        found = await care.requests_of_elder(uow, world.elder.actor, world.elder.id, limit=200)
    return sorted(found, key=lambda each: each.earliest_start)


async def make(bank: Database) -> int:
    async with bank.unit_of_work(1) as uow:
        return await jobs.make_requests(uow)


def local(request: RequestInfo) -> str:
    return f"{request.earliest_start + timedelta(hours=8):%m-%d %H:%M}"


async def test_requests_are_made_two_weeks_ahead_and_no_further(
    bank: Database, clock: FixedClock, world: World
) -> None:
    told = await series(bank, world, slot=Slot.AFTERNOON)
    assert [local(each) for each in await made(bank, world)] == ["03-03 14:00", "03-10 14:00"]
    assert {each.series_id for each in await made(bank, world)} == {told.id}
    assert await make(bank) == 0
    clock.move_to(NINE_ON_MONDAY + WEEK)
    assert (await make(bank), await make(bank)) == (1, 0)
    clock.move_to(NINE_ON_MONDAY + 30 * WEEK)
    assert await make(bank) == 0
    assert len(await made(bank, world)) == 3


async def test_an_occurrence_gets_one_request_however_many_make_it(
    bank: Database, clock: FixedClock, world: World, owner_url: str
) -> None:
    await series(bank, world, rule="FREQ=DAILY;BYHOUR=9,16;COUNT=60")
    clock.move_to(NINE_ON_MONDAY + WEEK)
    assert sum(await asyncio.gather(*(make(bank) for _ in range(5)))) == 14
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("UPDATE bank.request_series SET made_through = NULL")
        before = await made(bank, world)
        assert sum(await asyncio.gather(*(make(bank) for _ in range(5)))) == 0
        assert await made(bank, world) == before
        with pytest.raises(asyncpg.UniqueViolationError):
            await owner.execute(
                "INSERT INTO bank.help_requests SELECT (jsonb_populate_record(r, jsonb_build_object("
                "'id', gen_random_uuid(), 'number', 9999))).* FROM bank.help_requests r LIMIT 1"
            )
    finally:
        await owner.close()


async def test_a_window_lasts_as_long_as_it_was_said(bank: Database, world: World) -> None:
    told = await series(bank, world, window_minutes=90)
    request = (await made(bank, world))[0]
    assert (told.timing, request.timing) == (Timing.WINDOW, Timing.WINDOW)
    assert request.latest_start - request.earliest_start == timedelta(minutes=90)


async def test_holidays_are_left_out_when_the_series_says_so(
    bank: Database, clock: FixedClock, world: World
) -> None:
    clock.move_to(datetime.fromisoformat("2026-04-01T09:00:00+08:00"))
    daily = {"first_at": datetime.fromisoformat("2026-04-03T10:00:00"), "rule": "FREQ=DAILY;COUNT=5"}
    await series(bank, world, holidays=OnHolidays.SKIP, **daily)
    assert [local(each) for each in await made(bank, world)] == ["04-03 10:00", "04-04 10:00", "04-07 10:00"]


async def test_one_occurrence_is_left_out_before_and_after_its_request_is_made(
    bank: Database, clock: FixedClock, world: World
) -> None:
    told = await series(bank, world)
    async with bank.unit_of_work(1) as uow:
        for occurrence in (FIRST, FIRST + 2 * WEEK):
            told = await care.skip_occurrence(uow, world.elder.actor, told.id, occurrence)
        assert told.coming[:2] == (FIRST + WEEK, FIRST + 3 * WEEK)
        with pytest.raises(InvalidValue) as refused:
            await care.skip_occurrence(uow, world.elder.actor, told.id, FIRST + timedelta(days=1))
        assert refused.value.field == "occurrence"
    clock.move_to(NINE_ON_MONDAY + WEEK)
    assert await make(bank) == 0
    states = [(local(each), each.state) for each in await made(bank, world)]
    assert states == [("03-03 10:00", RequestState.CANCELLED), ("03-10 10:00", RequestState.OPEN)]


async def test_a_series_that_is_ended_makes_no_more_and_takes_back_what_waits(
    bank: Database, clock: FixedClock, world: World
) -> None:
    told = await series(bank, world)
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await care.end_series(uow, world.volunteer.actor, told.id)
        ended = await care.end_series(uow, world.coordinator.actor, told.id)
        assert (ended.ended_at, ended.coming) == (NINE_ON_MONDAY, ())
        with pytest.raises(WrongState):
            await care.end_series(uow, world.elder.actor, told.id)
        with pytest.raises(NotFound):
            await care.end_series(uow, world.elder.actor, uuid7())
    assert {each.state for each in await made(bank, world)} == {RequestState.CANCELLED}
    clock.move_to(NINE_ON_MONDAY + WEEK)
    assert await make(bank) == 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"first_at": FIRST - timedelta(days=2)}, "first_at"),
        ({"first_at": FIRST + timedelta(days=61)}, "first_at"),
        ({"first_at": FIRST + timedelta(seconds=1)}, "first_at"),
        ({"first_at": NINE_ON_MONDAY + WEEK}, "first_at"),
        ({"rule": "FREQ=DAILY"}, "rule"),
        ({"rule": "FREQ=DAILY;BYHOUR=9;COUNT=2", "slot": Slot.NOON}, "rule"),
        ({"window_minutes": 60, "slot": Slot.NOON}, "window_minutes"),
        ({"window_minutes": 1_441}, "window_minutes"),
        ({"minutes": 9}, "minutes"),
        ({"urgency": 4}, "urgency"),
    ],
)
async def test_a_series_that_cannot_be_is_refused_by_its_field(
    bank: Database, world: World, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await series(bank, world, **wrong)
    assert refused.value.field == field


async def test_a_series_is_of_a_kind_that_the_policy_knows(bank: Database, world: World) -> None:
    with pytest.raises(UnknownServiceKind):
        await series(bank, world, kind="dancing")
    with pytest.raises(NotAllowed):
        await series(bank, world, elder_id=world.second_elder.id)
    async with bank.unit_of_work(1) as uow:
        assert await care.series_of(uow, world.coordinator.actor, world.elder.id) == []


async def test_a_series_like_one_that_stands_is_asked_for_only_if_it_is_meant(
    bank: Database, world: World, owner_url: str
) -> None:
    first = await series(bank, world)
    alike = {"first_at": FIRST + 3 * WEEK + timedelta(minutes=30), "rule": "FREQ=DAILY;COUNT=3"}
    with pytest.raises(DuplicateSeries) as refused:
        await series(bank, world, **alike)
    assert (refused.value.series, refused.value.occurrence) == (first.id, alike["first_at"])
    await series(bank, world, kind="shopping", **alike)
    assert (await series(bank, world, even_if_similar=True, **alike)).similar_meant
    owner = await asyncpg.connect(owner_url)
    try:
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_request_series_standing"):
            await owner.execute(
                "INSERT INTO bank.request_series SELECT (jsonb_populate_record(r, jsonb_build_object('id', "
                "gen_random_uuid()))).* FROM bank.request_series r WHERE NOT similar_meant LIMIT 1"
            )
    finally:
        await owner.close()
    async with bank.unit_of_work(1) as uow:
        await care.end_series(uow, world.elder.actor, first.id)
    with pytest.raises(DuplicateSeries):
        await series(bank, world, first_at=alike["first_at"])


async def test_of_two_who_ask_for_the_same_series_at_once_one_is_told_so(
    bank: Database, world: World
) -> None:
    told = await asyncio.gather(*(series(bank, world) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, SeriesInfo) for each in told) == 1
    assert sum(isinstance(each, DuplicateSeries) for each in told) == 3


async def unmade(bank: Database, world: World) -> list[UnmadeInfo]:
    async with bank.unit_of_work(1) as uow:
        with pytest.raises(NotAllowed):
            await care.unmade(uow, world.elder.actor)
        return await care.unmade(uow, world.coordinator.actor)


async def test_an_occurrence_like_a_request_that_stands_waits_with_its_reason_until_it_can_be_made(
    bank: Database, clock: FixedClock, world: World
) -> None:
    async with bank.unit_of_work(1) as uow:
        when = datetime.fromisoformat("2026-03-10T10:30:00+08:00")
        single = await care.ask(uow, world.elder.actor, AskForHelp(world.elder.id, "companionship", when, 60))
    await series(bank, world)
    (waiting,) = await unmade(bank, world)
    assert (waiting.occurrence, waiting.reason, waiting.detail) == (
        FIRST + WEEK,
        "duplicate_request",
        str(single.number),
    )
    assert (waiting.waits, waiting.tries, waiting.elder_name) == (True, 1, world.elder.name)
    async with bank.unit_of_work(1) as uow:
        await care.cancel_request(uow, world.elder.actor, single.id)
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=5))
    assert await make(bank) == 0
    clock.move_to(NINE_ON_MONDAY + timedelta(hours=6))
    assert (await make(bank), await make(bank)) == (1, 0)
    assert await unmade(bank, world) == []
    assert [local(each) for each in await made(bank, world)][1:] == ["03-10 10:00", "03-10 10:30"]


async def test_what_could_not_be_made_is_not_tried_without_end_and_is_told_as_lost(
    bank: Database, clock: FixedClock, world: World, owner_url: str
) -> None:
    told = await series(bank, world)
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("DELETE FROM bank.person_roles WHERE person_id = $1", world.elder.id)
    finally:
        await owner.close()
    clock.move_to(NINE_ON_MONDAY + WEEK)
    for hours in range(0, 24 * 13, 4):
        clock.move_to(NINE_ON_MONDAY + WEEK + timedelta(hours=hours))
        await make(bank)
    lost, waits, *_ = await unmade(bank, world)
    assert (lost.occurrence, lost.reason, lost.detail) == (
        FIRST + 2 * WEEK,
        "invalid_value",
        "elder_id: elder",
    )
    assert (lost.waits, waits.waits) == (False, True)
    assert lost.tries <= 4 * AHEAD_DAYS + 1
    before = lost.tries
    clock.move_to(clock.now() + timedelta(days=1))
    await make(bank)
    assert (await unmade(bank, world))[0].tries == before
    async with bank.unit_of_work(1) as uow:
        await care.end_series(uow, world.coordinator.actor, told.id)
    assert [each.waits for each in await unmade(bank, world)] == [False]


async def test_what_nobody_made_in_time_is_told_as_lost(
    bank: Database, clock: FixedClock, world: World
) -> None:
    await series(bank, world)
    clock.move_to(NINE_ON_MONDAY + 4 * WEEK)
    await make(bank)
    assert [(each.occurrence, each.reason) for each in await unmade(bank, world)] == [
        (FIRST + 2 * WEEK, "too_late"),
        (FIRST + 3 * WEEK, "too_late"),
    ]
