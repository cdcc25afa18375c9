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
from pointsbank.domain.series import OnHolidays
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.care import jobs
from services.care import service as care
from services.care.service import AskAgainAndAgain, RequestInfo, SeriesInfo
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
