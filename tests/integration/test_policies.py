"""Policy versions: proposed by one, approved by another, never for a day that has passed."""

from __future__ import annotations

import asyncio
import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from api.cli import main
from pointsbank.domain.decision import DecisionState, SecondPersonNeeded
from pointsbank.domain.errors import InvalidValue, NotAllowed, WrongState
from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import policies
from services.ledger import service as ledger
from services.ledger.views import PolicyProposal
from services.people.service import PersonInfo
from tests.givings import days
from tests.worlds import NINE_ON_MONDAY, World, small_world

TODAY = date(2026, 3, 2)


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NINE_ON_MONDAY)
    database.clock = clock
    return clock


@pytest.fixture
async def world(database: Database, clock: FixedClock) -> World:
    return await small_world(database)


def body(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(DEFAULT_POLICY) | changes


async def propose(
    database: Database, world: World, day: date = TODAY, *, by: PersonInfo | None = None, **changes: Any
) -> PolicyProposal:
    async with database.unit_of_work(1) as uow:
        return await policies.propose(
            uow, (by or world.coordinator).actor, effective_from=day, body=body(**changes)
        )


async def approve(database: Database, who: PersonInfo, number: int) -> PolicyProposal:
    async with database.unit_of_work(1) as uow:
        return await policies.approve(uow, who.actor, number)


async def test_what_one_proposes_is_in_force_once_another_has_approved_it(
    database: Database, world: World
) -> None:
    proposed = await propose(database, world, points_expire_months=24)
    async with database.unit_of_work(1) as uow:
        assert (await policies.in_force(uow)).version == 1
    approved = await approve(database, world.auditor, proposed.number)
    assert (approved.state, approved.version) == (DecisionState.APPROVED, 2)
    async with database.unit_of_work(1) as uow:
        version = await policies.in_force(uow)
        assert (await ledger.policy_on(uow, TODAY)).points_expire_months == 24
    assert (version.version, version.proposed_by, version.approved_by) == (
        2,
        world.coordinator.ledger_ref,
        world.auditor.ledger_ref,
    )


async def test_whoever_proposed_rules_cannot_approve_them(database: Database, world: World) -> None:
    proposed = await propose(database, world)
    with pytest.raises(SecondPersonNeeded):
        await approve(database, world.coordinator, proposed.number)
    for stranger in (world.elder, world.volunteer, world.grid_leader):
        with pytest.raises(NotAllowed):
            await approve(database, stranger, proposed.number)
        with pytest.raises(NotAllowed):
            await propose(database, world, by=stranger)


async def test_rules_for_a_day_that_has_passed_are_refused_when_proposed_and_when_approved(
    database: Database, clock: FixedClock, world: World
) -> None:
    with pytest.raises(InvalidValue, match=r"effective_from.*not_in_the_past"):
        await propose(database, world, TODAY - days(1))
    proposed = await propose(database, world, TODAY)
    clock.move_to(NINE_ON_MONDAY + days(1))
    with pytest.raises(InvalidValue, match="not_in_the_past"):
        await approve(database, world.auditor, proposed.number)
    async with database.unit_of_work(1) as uow:
        assert (await policies.proposal(uow, proposed.number)).state is DecisionState.PROPOSED


async def test_a_version_never_takes_effect_before_the_one_before_it(
    database: Database, world: World
) -> None:
    later = await propose(database, world, TODAY + days(9))
    await approve(database, world.auditor, later.number)
    with pytest.raises(InvalidValue, match="not_before_the_last"):
        await propose(database, world, TODAY + days(8))


async def test_rules_that_cannot_be_read_are_refused_naming_the_field(
    database: Database, world: World
) -> None:
    with pytest.raises(InvalidValue, match=r"expire_months.*unknown_field"):
        await propose(database, world, expire_months=24)
    with pytest.raises(InvalidValue, match="points_expire_months"):
        await propose(database, world, points_expire_months="24")


async def test_versions_have_no_gaps_however_many_are_approved_at_once(
    database: Database, world: World
) -> None:
    numbers = [(await propose(database, world)).number for _ in range(5)]
    assert numbers == [1, 2, 3, 4, 5]
    async with database.unit_of_work(1) as uow:
        await policies.refuse(uow, world.auditor.actor, 3)
    await asyncio.gather(*(approve(database, world.auditor, number) for number in (1, 2, 4, 5)))
    async with database.unit_of_work(1) as uow:
        assert [each.version for each in await policies.versions(uow)] == [5, 4, 3, 2, 1]
    with pytest.raises(WrongState):
        await approve(database, world.auditor, 3)


async def test_the_database_keeps_what_was_proposed_as_it_was(
    app_url: str, database: Database, world: World
) -> None:
    await propose(database, world)
    connection = await asyncpg.connect(app_url)
    try:
        for statement, said in (
            ("UPDATE bank.policy_proposals SET body = '{}'", "permission denied"),
            ("DELETE FROM bank.policy_proposals", "permission denied"),
            (
                "UPDATE bank.policy_proposals SET state = 'refused', decided_by = proposed_by,"
                " decided_at = now()",
                "second_person",
            ),
            ("UPDATE bank.policy_proposals SET state = 'approved'", "decided"),
        ):
            with pytest.raises(asyncpg.PostgresError, match=said):
                async with connection.transaction():
                    await connection.execute("SELECT set_config('pointsbank.community_id', '1', true)")
                    await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_commands_propose_approve_and_show(
    app_url: str, database: Database, world: World, tmp_path: Path
) -> None:
    async def run(*words: str) -> tuple[int, str]:
        environment = {"POINTSBANK_APP_DATABASE_URL": app_url}
        done = await asyncio.to_thread(CliRunner().invoke, main, ["policy", *words], env=environment)
        return done.exit_code, done.output

    file = tmp_path / "rules.json"
    file.write_text(json.dumps(body(points_expire_months=12)), encoding="utf-8")
    coordinator, auditor = world.coordinator.member_number or "", world.auditor.member_number or ""
    assert await run("approve", "1", "--by", auditor) == (
        1,
        "Error: not_found(what=policy_proposal)\n",
    )
    code, said = await run("propose", str(file), "--by", coordinator)
    assert (code, said.startswith("proposal 1, to be in force from ")) == (0, True), said
    assert (await run("approve", "1", "--by", coordinator))[1] == "Error: second_person_needed()\n"
    assert "waits for a second person" in (await run("show"))[1]
    code, said = await run("approve", "1", "--by", auditor)
    assert (code, said.startswith("version 2 is in force from ")) == (0, True), said
    code, said = await run("show", "2")
    assert json.loads(said.partition("\n\n")[0])["points_expire_months"] == 12
    file.write_text('{"hold_hours": 48, "holdhours": 1}', encoding="utf-8")
    assert await run("propose", str(file), "--by", coordinator) == (
        1,
        "Error: invalid_value(field=holdhours, rule=unknown_field)\n",
    )
    file.write_text("[", encoding="utf-8")
    assert "no JSON" in (await run("propose", str(file), "--by", coordinator))[1]
    assert "nobody has this member number" in (await run("approve", "1", "--by", "X9"))[1]
