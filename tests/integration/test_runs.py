"""Pairing runs on a real database: stored to be replayed, for two carers, planned again, published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from pointsbank.domain.asked_time import Window
from pointsbank.domain.availability import Limits
from pointsbank.domain.errors import NotAllowed, NotFound
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.offer import OfferState
from pointsbank.domain.pairing.instance import Instance
from pointsbank.domain.pairing.plan import Plan, RunInputForgotten
from pointsbank.domain.pairing.plan_form import written_plan
from pointsbank.platform import migrations
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.care import service as care
from services.care.service import AskForHelp, RequestInfo
from services.matching import jobs, runs
from services.matching import service as matching
from services.matching.engine.run import replay
from services.matching.service import OfferInfo, PairingRunInfo
from tests.worlds import NINE_ON_MONDAY, World, ask_for_help, small_world

Meanwhile = Callable[[], Awaitable[None]]


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


async def pair(bank: Database, *, replan: bool = False) -> PairingRunInfo:
    async with matching.thought(bank, 1, replan=replan) as decided, bank.unit_of_work(1) as uow:
        return await decided.publish(uow)


async def offered(bank: Database, world: World) -> list[OfferInfo]:
    async with bank.unit_of_work(1) as uow:
        return [
            offer
            for person in (world.volunteer, world.second_volunteer)
            for offer in await matching.offers_of(uow, person.id)
        ]


async def state_of(bank: Database, request: RequestInfo) -> RequestState:
    async with bank.unit_of_work(1) as uow:
        return (await care.requests_by_id(uow, [request.id]))[request.id].state


async def test_a_stored_run_replays_byte_for_byte(bank: Database, owner_url: str, world: World) -> None:
    for hours in (2, 3, 5):
        await ask_for_help(bank, world, starts_in=timedelta(hours=hours))
    await ask_for_help(bank, world, elder=world.second_elder, starts_in=timedelta(hours=3), urgency=2)
    run = await pair(bank)
    async with bank.unit_of_work(1) as uow:
        found = await matching.run_detail(uow, world.coordinator.actor, run.id)
    assert (found.info.worth, found.info.bound) == (found.plan.worth, found.plan.bound)
    connection = await asyncpg.connect(owner_url)
    try:
        decided = await connection.fetchval("SELECT decided FROM bank.pairing_runs WHERE id = $1", run.id)
    finally:
        await connection.close()
    assert runs.packed(written_plan(replay(found.instance, found.plan.parts))) == decided


async def test_a_run_is_told_to_coordinators_and_auditors(bank: Database, world: World) -> None:
    await ask_for_help(bank, world)
    run = await pair(bank)
    async with bank.unit_of_work(1) as uow:
        assert await matching.run_detail(uow, world.auditor.actor, run.id)
        with pytest.raises(NotAllowed):
            await matching.run_detail(uow, world.volunteer.actor, run.id)
        with pytest.raises(NotFound):
            await matching.run_detail(uow, world.coordinator.actor, uuid7())


async def test_two_carers_are_offered_a_place_each_and_come_together(bank: Database, world: World) -> None:
    request = await ask_for_help(bank, world, kind="outing", minutes=90)
    assert (await pair(bank)).paired == 1
    offers = await offered(bank, world)
    assert {offer.volunteer_id for offer in offers} == {world.volunteer.id, world.second_volunteer.id}
    assert len({offer.starts_at for offer in offers}) == 1
    actors = {each.id: each.actor for each in (world.volunteer, world.second_volunteer)}
    visits = []
    for offer in offers:
        assert await state_of(bank, request) is RequestState.OFFERED
        async with bank.unit_of_work(1) as uow:
            visits.append(await matching.accept_offer(uow, actors[offer.volunteer_id], offer.id))
    assert await state_of(bank, request) is RequestState.ACCEPTED
    assert len({visit.planned_start for visit in visits}) == 1


async def test_when_one_of_two_declines_the_other_stays_and_the_next_run_looks_for_one(
    bank: Database, world: World
) -> None:
    request = await ask_for_help(bank, world, kind="outing", minutes=90)
    await pair(bank)
    declined, stays = await offered(bank, world)
    decliner = world.volunteer if declined.volunteer_id == world.volunteer.id else world.second_volunteer
    other = world.second_volunteer if decliner is world.volunteer else world.volunteer
    async with bank.unit_of_work(1) as uow:
        await matching.decline_offer(uow, decliner.actor, declined.id)
    assert await state_of(bank, request) is RequestState.OFFERED
    run = await pair(bank)
    assert (run.paired, run.unpaired) == (0, 1)  # who declined is not asked again, and there is nobody else
    async with bank.unit_of_work(1) as uow:
        await matching.accept_offer(uow, other.actor, stays.id)
    assert await state_of(bank, request) is RequestState.OFFERED


async def test_what_is_urgent_waits_half_an_hour_for_an_answer_in_a_run_too(
    bank: Database, clock: FixedClock, world: World
) -> None:
    await ask_for_help(bank, world, urgency=3)
    await pair(bank)
    (offer,) = await offered(bank, world)
    assert offer.expires_at == clock.now() + timedelta(minutes=30)


async def test_planning_again_moves_an_unanswered_offer_for_who_has_nobody_else(
    bank: Database, world: World
) -> None:
    easy = await ask_for_help(bank, world)
    await pair(bank)
    (before,) = await offered(bank, world)
    chosen = world.volunteer if before.volunteer_id == world.volunteer.id else world.second_volunteer
    async with bank.unit_of_work(1) as uow:
        for person in (world.volunteer, world.second_volunteer):
            await matching.set_skills(uow, person.id, ["repair"] if person is chosen else [])
    hard = await ask_for_help(bank, world, kind="repair")
    assert (await pair(bank)).paired == 0  # an offer that stands keeps its volunteer busy
    run = await pair(bank, replan=True)
    assert (run.paired, run.kept, run.moved) == (2, 0, 1)
    offers = {offer.request.id: offer.volunteer_id for offer in await offered(bank, world)}
    assert offers[hard.id] == chosen.id != offers[easy.id]
    async with bank.unit_of_work(1) as uow:
        state = await (await uow.connection()).fetchval(
            "SELECT state FROM bank.offers WHERE community_id = 1 AND id = $1", before.id
        )
    assert state == OfferState.REPLACED


async def test_planning_again_keeps_what_was_offered(bank: Database, world: World) -> None:
    for hours in (3, 6):
        await ask_for_help(bank, world, starts_in=timedelta(hours=hours))
    await pair(bank)
    before = {offer.id for offer in await offered(bank, world)}
    run = await pair(bank, replan=True)
    assert (run.kept, run.moved) == (2, 0)
    assert {offer.id for offer in await offered(bank, world)} == before


async def thinking(bank: Database, monkeypatch: pytest.MonkeyPatch, meanwhile: Meanwhile) -> None:
    """Run a pairing, and do something else while its engine thinks."""
    think = runs._think

    async def slowly(work: object, instance: Instance, seconds: float) -> Plan:
        del work
        await meanwhile()
        return think(instance, seconds)

    monkeypatch.setattr(runs.asyncio, "to_thread", slowly)
    await pair(bank)
    monkeypatch.undo()


async def test_what_is_taken_while_the_engine_thinks_counts_towards_the_cap(
    bank: Database, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bank.unit_of_work(1) as uow:
        await matching.set_free_hours(uow, world.second_volunteer.id, [])
        await matching.set_limits(uow, world.volunteer.id, Limits(120, None))
    for hours in (2, 4):
        await ask_for_help(bank, world, starts_in=timedelta(hours=hours))

    async def take() -> None:
        taken = await ask_for_help(bank, world, starts_in=timedelta(hours=8))
        async with bank.unit_of_work(1) as uow:
            await matching.take(uow, world.volunteer.actor, taken.id)

    await thinking(bank, monkeypatch, take)
    assert len(await offered(bank, world)) == 1


async def test_an_offer_of_what_was_called_off_keeps_nobody_busy(bank: Database, world: World) -> None:
    called_off = await ask_for_help(bank, world)
    await pair(bank)
    async with bank.unit_of_work(1) as uow:
        await care.cancel_request(uow, world.elder.actor, called_off.id)
    for _ in range(2):
        await ask_for_help(bank, world)
    assert (await pair(bank)).paired == 2


async def test_a_window_that_has_begun_is_offered_with_notice(
    bank: Database, clock: FixedClock, world: World
) -> None:
    now = clock.now()
    async with bank.unit_of_work(1) as uow:
        window = Window(now + timedelta(hours=1), now + timedelta(hours=8))
        asked = AskForHelp(world.elder.id, "companionship", window, 60)
        await care.ask(uow, world.elder.actor, asked)
    clock.move_to(now + timedelta(hours=3, minutes=59))
    await pair(bank)
    (offer,) = await offered(bank, world)
    assert offer.starts_at >= clock.now() + timedelta(minutes=60)


async def test_what_is_called_off_while_the_engine_thinks_is_not_offered(
    bank: Database, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    called_off = await ask_for_help(bank, world)
    stays = await ask_for_help(bank, world, elder=world.second_elder, starts_in=timedelta(hours=6))

    async def call_off() -> None:
        async with bank.unit_of_work(1) as uow:
            await care.cancel_request(uow, world.elder.actor, called_off.id)

    await thinking(bank, monkeypatch, call_off)
    assert [offer.request.id for offer in await offered(bank, world)] == [stays.id]
    assert await state_of(bank, called_off) is RequestState.CANCELLED


async def test_what_a_run_was_given_is_dropped_after_the_policys_days_and_its_reasons_stay(
    bank: Database, clock: FixedClock, world: World
) -> None:
    await ask_for_help(bank, world)
    run = await pair(bank)
    clock.move_to(run.ran_at + timedelta(days=90))
    async with bank.unit_of_work(1) as uow:
        assert await jobs.forget_inputs(uow) == 0
        before = await matching.run_detail(uow, world.coordinator.actor, run.id)
    clock.move_to(run.ran_at + timedelta(days=90, seconds=1))
    async with bank.unit_of_work(1) as uow:
        assert (await jobs.forget_inputs(uow), await jobs.forget_inputs(uow)) == (1, 0)
        with pytest.raises(RunInputForgotten) as refused:
            await matching.run_detail(uow, world.coordinator.actor, run.id)
        assert (refused.value.code, refused.value.run) == ("run_input_forgotten", run.id)
        kept = await matching.run_reasons(uow, world.auditor.actor, run.id)
        with pytest.raises(NotAllowed):
            await matching.run_reasons(uow, world.volunteer.actor, run.id)
    assert (kept.replayable, kept.info, kept.plan) == (False, before.info, before.plan)
    assert kept.plan.visits[0].terms


async def test_dialects_and_runs_without_their_input_go_to_the_earlier_form_and_back(
    bank: Database, world: World, owner_url: str
) -> None:
    await ask_for_help(bank, world)
    await pair(bank)
    await bank.close()
    owner = await asyncpg.connect(owner_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="replay"):
            await owner.execute("UPDATE bank.pairing_runs SET decided = NULL")
        await owner.execute("UPDATE bank.pairing_runs SET given = NULL")
        await owner.execute(
            "INSERT INTO bank.spoken_languages VALUES (1, $1, 'yue'), (1, $1, 'yue-x-taishan'), "
            "(1, $1, 'cmn-x-jiangmen'), (1, $1, 'yue-x-enping')",
            world.elder.id,
        )
        await asyncio.to_thread(migrations.downgrade, owner_url, "services:migrations", "0009")
        assert await owner.fetchval("SELECT count(*) FROM bank.pairing_runs WHERE worth IS NULL") == 1
        spoken = "SELECT array_agg(language ORDER BY language) FROM bank.spoken_languages"
        assert await owner.fetchval(spoken) == ["cmn", "toi", "yue"]
        await asyncio.to_thread(migrations.upgrade, owner_url, "services:migrations")
        assert await owner.fetchval(spoken) == ["cmn", "yue", "yue-x-taishan"]
    finally:
        await owner.close()


async def test_no_transaction_is_open_while_the_engine_thinks(
    bank: Database, app_url: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask_for_help(bank, world)
    found: list[str] = []

    async def look() -> None:
        watcher = await asyncpg.connect(app_url)
        try:
            sessions = await watcher.fetch(
                """
                SELECT state FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS NOT NULL
                """
            )
            found.extend(row["state"] for row in sessions)
        finally:
            await watcher.close()

    await thinking(bank, monkeypatch, look)
    assert found
    assert set(found) == {"idle"}


async def test_two_runs_of_a_community_do_not_think_at_once(
    bank: Database, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask_for_help(bank, world)
    think, at_once = runs._think, [0, 0]

    def counted(instance: Instance, seconds: float) -> Plan:
        at_once[0] += 1
        at_once[1] = max(at_once)
        time.sleep(0.3)
        at_once[0] -= 1
        return think(instance, seconds)

    monkeypatch.setattr(runs, "_think", counted)
    found = await asyncio.gather(pair(bank), pair(bank), pair(bank))
    assert at_once == [0, 1]
    assert sorted(run.paired for run in found) == [0, 0, 1]


async def test_a_claim_ends_with_the_session_of_a_process_that_died(
    bank: Database, app_url: str, world: World
) -> None:
    await ask_for_help(bank, world)
    watcher = await asyncpg.connect(app_url)
    try:
        async with matching.thought(bank, 1):
            held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            (claim,) = await watcher.fetch(held)
            await watcher.execute("SELECT pg_terminate_backend($1)", claim["pid"])
            assert (await pair(bank)).paired == 1
    finally:
        await watcher.close()


async def test_what_a_run_leaves_out_is_neither_the_most_urgent_nor_what_waits_longest(
    bank: Database, clock: FixedClock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = await ask_for_help(bank, world, starts_in=timedelta(hours=30))
    for hours in (3, 5, 7):
        clock.move_to(clock.now() + timedelta(minutes=1))
        await ask_for_help(bank, world, starts_in=timedelta(hours=hours), urgency=1)
    urgent = await ask_for_help(
        bank, world, elder=world.second_elder, starts_in=timedelta(hours=9), urgency=2
    )
    monkeypatch.setattr(runs, "RUN_REQUESTS_MAX", 2)
    run = await pair(bank)
    assert (run.paired, run.left_out) == (2, 3)
    assert {offer.request.id for offer in await offered(bank, world)} == {longest.id, urgent.id}
    async with bank.unit_of_work(1) as uow:
        (kept,) = await matching.pairing_runs(uow)
    assert kept.left_out == 3
