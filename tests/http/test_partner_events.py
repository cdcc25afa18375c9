"""Events that partners send: signed, taken once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.signing import sign
from tests.http.conftest import CANTEEN_SECRET, Caller
from tests.worlds import NINE_ON_MONDAY, World, give_points


@pytest.fixture
async def event(elder: Caller, bank: Database, world: World, clock: FixedClock) -> dict[str, Any]:
    """What the canteen says of an order of the elder's."""
    await give_points(bank, world, world.elder, 50_000)
    items = (await elder.get("/items")).json()["items"]
    item = next(each for each in items if each["partner"] == "canteen")
    ordered = await elder.post("/redemptions", {"partner": "canteen", "item": item["code"]})
    return {
        "event_id": str(uuid4()),
        "community_id": 1,
        "partner": "canteen",
        "redemption_id": ordered.json()["id"],
        "type": "fulfilled",
        "occurred_at": clock.now().isoformat(),
        "fulfilled_quantity": 1,
    }


async def send(
    client: httpx.AsyncClient, event: dict[str, Any], *, secret: str = CANTEEN_SECRET, **changed: str
) -> httpx.Response:
    """Send an event at the tests' moment. changed: headers that are not as signed."""
    body = msgspec.json.encode(event)
    headers = sign(secret, "canteen", "POST", "/partner-events", body, at=NINE_ON_MONDAY) | changed
    return await client.post("/partner-events", content=body, headers=headers)


async def test_an_event_is_taken_and_a_repeat_gets_the_same_answer(
    client: httpx.AsyncClient, event: dict[str, Any], bank: Database
) -> None:
    first, again = await send(client, event), await send(client, event)
    assert (first.status_code, first.json()) == (200, {"status": "taken"})
    assert (again.status_code, again.content) == (200, first.content)
    async with bank.unit_of_work(1) as uow:
        connection = await uow.connection()
        assert await connection.fetchval("SELECT count(*) FROM bank.partner_events") == 1
        assert (
            await connection.fetchval("SELECT count(*) FROM bank.outbox WHERE topic = 'redemption.capture'")
            == 1
        )


async def test_an_event_that_is_not_signed_as_agreed_is_refused(
    client: httpx.AsyncClient, event: dict[str, Any], bank: Database
) -> None:
    unsigned = await client.post("/partner-events", json=event)
    forged = await send(client, event, secret="another")
    for answer in (unsigned, forged):
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert forged.json()["facts"] == {"rule": "signature_mismatch"}
    async with bank.unit_of_work(1) as uow:
        assert await (await uow.connection()).fetchval("SELECT count(*) FROM bank.partner_events") == 0


async def test_a_recorded_request_cannot_be_sent_again(
    client: httpx.AsyncClient, event: dict[str, Any]
) -> None:
    body = msgspec.json.encode(event)
    headers = sign(CANTEEN_SECRET, "canteen", "POST", "/partner-events", body, at=NINE_ON_MONDAY)
    assert (await client.post("/partner-events", content=body, headers=headers)).status_code == 200
    again = await client.post("/partner-events", content=body, headers=headers)
    assert (again.status_code, again.json()["facts"]) == (401, {"rule": "nonce_seen"})


async def test_an_event_with_a_wrong_field_names_it(client: httpx.AsyncClient, event: dict[str, Any]) -> None:
    answer = await send(client, event | {"fulfilled_quantity": "1"})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["fulfilled_quantity"]
    other = await send(client, event | {"community_id": 9})
    assert other.status_code == 404


async def test_an_event_that_happened_in_no_plausible_time_is_refused_and_not_kept(
    client: httpx.AsyncClient, event: dict[str, Any], bank: Database
) -> None:
    for said, rule in (
        ("0001-01-01T00:00:00+14:00", "plausible_date"),
        ("0001-01-01T00:00:00Z", "plausible_date"),
        ((NINE_ON_MONDAY - timedelta(days=400, seconds=1)).isoformat(), "plausible_date"),
        ((NINE_ON_MONDAY + timedelta(minutes=10, seconds=1)).isoformat(), "not_in_the_future"),
        ("9999-12-31T23:59:59-14:00", "not_in_the_future"),
    ):
        answer = await send(client, event | {"occurred_at": said})
        assert answer.status_code == 422, (said, answer.text)
        errors = [(each["field"], each["rule"]) for each in answer.json()["errors"]]
        assert errors == [("occurred_at", rule)], said
    async with bank.unit_of_work(1) as uow:
        assert await (await uow.connection()).fetchval("SELECT count(*) FROM bank.partner_events") == 0
    late = event | {"occurred_at": (NINE_ON_MONDAY - timedelta(days=400)).isoformat()}
    assert (await send(client, late)).status_code == 200


async def test_a_time_that_no_clock_can_hold_is_outside_the_window(
    client: httpx.AsyncClient, event: dict[str, Any]
) -> None:
    for digits in (13, 400, 5_000):
        answer = await send(client, event, **{"X-Pointsbank-Time": "9" * digits})
        assert (answer.status_code, answer.json().get("facts")) == (401, {"rule": "time_outside_window"})
