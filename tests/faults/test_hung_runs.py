"""A solver that hangs in the midst of a run, seen from outside: the api answers everybody else meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import httpx
import pytest

from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import How, Plan
from pointsbank.domain.roles import Role
from pointsbank.platform.database import Database
from services.care.service import RequestInfo
from services.matching import runs
from services.matching import service as matching
from services.matching.engine.processes import PartProcesses
from services.people import service as people
from services.people.service import NewPerson
from tests.http.conftest import (  # noqa: F401 - fixtures
    Caller,
    app,
    bank,
    client,
    clock,
    coordinator,
    elder,
    world,
)
from tests.worlds import World, ask_for_help

SECONDS = 4.0
"""What the hung solver is given: then it is killed, and the answer of greed is taken."""

ROUNDS = 5


async def test_a_hung_solver_keeps_nobody_waiting_but_the_run_and_that_ends_in_time(
    bank: Database,  # noqa: F811
    world: World,  # noqa: F811
    client: httpx.AsyncClient,  # noqa: F811
    coordinator: Caller,  # noqa: F811
    elder: Caller,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = await _a_day_that_greed_does_not_solve(bank, world)
    think = runs._think

    def briefly(instance: Instance, seconds: float) -> Plan:
        return think(instance, min(seconds, SECONDS))

    monkeypatch.setenv("POINTSBANK_TEST_ODDITY", "mute")
    monkeypatch.setattr(runs, "PartProcesses", partial(PartProcesses, module="tests.faults.odd_solvers"))
    monkeypatch.setattr(runs, "_think", briefly)

    async def candidates() -> int:
        async with bank.unit_of_work(1) as uow:
            return len(await matching.candidates_for(uow, asked.id))

    others: list[Callable[[], Awaitable[object]]] = [
        lambda: client.get("/livez"),
        lambda: client.get("/readyz"),
        lambda: elder.get("/me"),
        lambda: client.get("/"),
        candidates,
    ]
    await _all(others)
    before = await _all(others)
    run = asyncio.create_task(coordinator.post("/pairing-runs"))
    await asyncio.sleep(0.5)  # the run has read, and its solvers have begun
    assert not run.done()
    meanwhile = await _all(others)
    assert not run.done(), "they were answered while the run was still under way"
    assert meanwhile < 5 * before + 1
    answer = (await run).json()
    assert answer["paired"] > 0
    async with bank.unit_of_work(1) as uow:
        (kept,) = await matching.pairing_runs(uow)
        detail = await matching.run_detail(uow, world.coordinator.actor, kept.id)
    assert How.GREEDY in {part.how for part in detail.plan.parts}


async def _all(others: list[Callable[[], Awaitable[object]]]) -> float:
    """Return the seconds that some rounds of requests took, each answered before the next is sent."""
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        for each in others:
            answer = await each()
            if isinstance(answer, httpx.Response):
                assert answer.is_success, answer.request.url
    return time.perf_counter() - begun


async def _a_day_that_greed_does_not_solve(bank: Database, world: World) -> RequestInfo:  # noqa: F811
    dice = random.Random(5)
    async with bank.unit_of_work(1) as uow:
        ids = await people.add_people(
            uow,
            [
                NewPerson(
                    name=f"测试{each}", building_id=world.elder.building_id, roles={Role.VOLUNTEER: None}
                )
                for each in range(20)
            ],
        )
        hours = ((600, 780), (660, 840), (720, 960), (780, 1_080))
        await matching.add_free_hours_many(uow, {each: [FreeHour(0, *dice.choice(hours))] for each in ids})
    asked = [
        await ask_for_help(
            bank,
            world,
            starts_in=timedelta(minutes=60 + 15 * dice.randrange(30)),
            minutes=dice.choice((30, 60, 90)),
            urgency=dice.randrange(3),
        )
        for _ in range(40)
    ]
    return asked[0]
