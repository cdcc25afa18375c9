"""The auditor's questions over HTTP: for who reads the books, paged, with refusals that name the field."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from pointsbank.domain.visit import ConfirmationMethod
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service as ledger
from tests.auditing import earned, neighbours, visited
from tests.http.conftest import Caller, caller, told
from tests.worlds import NINE_ON_MONDAY, World

QUESTIONS = ("self-acted", "reversals", "long-days", "rings", "round-at-night", "confirmations", "sample")
ENTRIES = {"since": None, "until": None, "seed": "a"}


def week(clock: FixedClock, **more: Any) -> dict[str, Any]:
    """The parameters of the week up to now."""
    return {
        "since": told(clock.now() - timedelta(days=7)),
        "until": told(clock.now() + timedelta(minutes=1)),
        **more,
    }


@pytest.fixture
async def odd(bank: Database, world: World) -> World:
    """A world with one of everything an auditor asks for."""
    a, b = await neighbours(bank, world, 2)
    day = NINE_ON_MONDAY - timedelta(days=1)
    await visited(bank, world, a, b, b, start=day, minutes=300)
    await visited(bank, world, b, a, a, start=day + timedelta(hours=6), method=ConfirmationMethod.RECORD)
    for _ in range(2):
        await earned(bank, world, world.volunteer, 5_000, actor=world.volunteer)
    night = await earned(
        bank,
        world,
        world.volunteer,
        20_000,
        actor=world.coordinator,
        occurred_at=NINE_ON_MONDAY - timedelta(hours=6),
    )
    async with bank.unit_of_work(1) as uow:
        await ledger.reverse(uow, night, actor=world.coordinator.ledger_ref)
    return world


@pytest.mark.parametrize("question", QUESTIONS)
async def test_only_who_may_read_the_books_may_ask(
    world: World, clock: FixedClock, elder: Caller, auditor: Caller, question: str
) -> None:
    asked = week(clock, seed="a")
    assert (await elder.get(f"/audit/{question}", params=asked)).status_code == 403
    assert (await auditor.get(f"/audit/{question}", params=asked)).status_code == 200


async def test_every_question_finds_what_is_there(odd: World, clock: FixedClock, auditor: Caller) -> None:
    async def ask(question: str, **more: Any) -> dict[str, Any]:
        answer = await auditor.get(f"/audit/{question}", params=week(clock, **more))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    own = await ask("self-acted", limit=1)
    assert own["kinds"] == [{"kind": "earning", "entries": 2, "expected": False}]
    rest = await ask("self-acted", limit=1, after=own["next_after"])
    assert (len(own["items"]), len(rest["items"]), rest["next_after"]) == (1, 1, None)
    reversals = await ask("reversals")
    (group,) = reversals["groups"]
    assert reversals["groups_complete"] is True
    assert (group["reversed_kind"], group["milli_points"], group["reason"]) == ("earning", 20_000, None)
    days = await ask("long-days")
    assert (days["threshold_minutes"], days["items"]) == (480, [])
    (day,) = (await ask("long-days", threshold_minutes=299))["items"]
    assert (day["day"], day["minutes"]) == ("2026-03-01", 300)
    rings = await ask("rings")
    assert rings["complete"] is True
    assert [(len(each["members"]), each["milli_points"]) for each in rings["items"]] == [(2, 1_000)]
    (night,) = (await ask("round-at-night"))["items"]
    assert (night["milli_points"], night["reversed_by"]) == (20_000, reversals["items"][0]["number"])
    confirmations = await ask("confirmations")
    assert [(each["method"], each["visits"]) for each in confirmations["grids"]] == [
        ("record", 1),
        ("elder", 1),
    ]
    assert [each["weak"] for each in confirmations["items"]] == [1]
    sample = await ask("sample", seed="a", size=2)
    assert sample == await ask("sample", seed="a", size=2)
    entries = {"seed": "a", "size": 2, "after": sample["after"], "through": sample["through"]}
    assert (await auditor.get("/audit/sample", params=entries)).json() == sample
    assert (sample["population"], len(sample["drawn"])) == (5, 2)


@pytest.mark.parametrize(
    ("question", "changed", "field", "rule"),
    [
        ("rings", {"since": "2026-03-01T00:00:00"}, "since", "timezone"),
        ("rings", {"since": "2020-03-01T00:00:00Z"}, "until", "within_400_days"),
        ("rings", {"since": "2026-03-05T00:00:00Z"}, "until", "after_from"),
        ("long-days", {"threshold_minutes": 1441}, "threshold_minutes", "at_most_1440"),
        ("round-at-night", {"multiple_points": 0}, "multiple_points", "at_least_1"),
        ("sample", {"size": 501, "seed": "a"}, "size", "at_most_500"),
        ("sample", {"seed": "a\nb"}, "seed", "1_to_100_characters"),
        ("sample", {}, "seed", "missing"),
        ("sample", {"since": "0001-01-01T00:00:00Z", "seed": "a"}, "since", "plausible_date"),
        ("sample", {"since": None, "seed": "a"}, "since", "missing"),
        ("sample", {"since": None, "until": None, "seed": "a", "after": 0}, "through", "missing"),
        ("sample", {"seed": "a", "after": 0, "through": 1}, "through", "period_or_entries"),
        ("sample", ENTRIES | {"after": 3, "through": 3}, "through", "entry_range"),
        ("sample", ENTRIES | {"after": 0, "through": 99}, "through", "recorded_entries"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_its_field(
    clock: FixedClock, auditor: Caller, question: str, changed: dict[str, Any], field: str, rule: str
) -> None:
    asked = {name: value for name, value in (week(clock) | changed).items() if value is not None}
    answer = await auditor.get(f"/audit/{question}", params=asked)
    assert answer.status_code == 422
    assert [(each["field"], each["rule"]) for each in answer.json()["errors"]] == [(field, rule)]
    assert "{" not in answer.json()["detail"]


async def test_a_question_without_a_period_is_refused(auditor: Caller) -> None:
    answer = await auditor.get("/audit/rings")
    assert answer.status_code == 422


async def balance(who: Caller, at: datetime | str, **more: Any) -> Any:
    moment = at if isinstance(at, str) else told(at)
    return await who.get("/balance", params={"at": moment, **more})


async def test_a_balance_is_told_as_it_was_known_and_as_it_happened(
    bank: Database, world: World, clock: FixedClock, client: httpx.AsyncClient
) -> None:
    await earned(bank, world, world.volunteer, 1_000, actor=world.coordinator)
    clock.move_to(NINE_ON_MONDAY + timedelta(days=3))
    # Three days late: it happened before the moment that is asked for.
    await earned(bank, world, world.volunteer, 2_000, actor=world.coordinator, occurred_at=NINE_ON_MONDAY)
    volunteer = await caller(bank, world, world.volunteer, client)
    auditor = await caller(bank, world, world.auditor, client)
    at = NINE_ON_MONDAY + timedelta(days=1)
    whose = {"member_id": str(world.volunteer.id)}
    assert (await balance(volunteer, at)).json() == {
        "commodity": "POINT",
        "at": "2026-03-03T01:00:00Z",
        "by": "recorded",
        "balance": 1_000,
    }
    assert (await balance(auditor, at, by="occurred", **whose)).json()["balance"] == 3_000
    assert (await balance(auditor, NINE_ON_MONDAY, by="occurred", **whose)).json()["balance"] == 0
    assert (await balance(volunteer, at, of="minutes")).json()["commodity"] == "MINUTE"
    assert (await volunteer.get("/balance")).json()["balance"] == 3_000


@pytest.mark.parametrize(
    ("at", "rule"),
    [
        ("2026-03-01T00:00:00", "timezone"),
        ("2026-03-02T01:00:01Z", "not_in_the_future"),
        ("0001-01-01T00:00:00Z", "plausible_date"),
        ("yesterday", "moment"),
    ],
)
async def test_a_balance_is_of_an_aware_moment_that_has_come(elder: Caller, at: str, rule: str) -> None:
    answer = await balance(elder, at)
    assert answer.status_code == 422
    assert [(each["field"], each["rule"]) for each in answer.json()["errors"]] == [("at", rule)]


async def test_nobody_sees_anothers_balance_but_who_may_read_the_books(
    world: World, elder: Caller, auditor: Caller
) -> None:
    whose = {"member_id": str(world.volunteer.id)}
    assert (await balance(elder, NINE_ON_MONDAY, **whose)).status_code == 403
    assert (await balance(auditor, NINE_ON_MONDAY, **whose)).status_code == 200
