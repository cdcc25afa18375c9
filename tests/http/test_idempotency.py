"""An ``Idempotency-Key``: the first answer is the answer, and nothing is paid twice."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from pointsbank.domain.redemption import RedemptionState
from pointsbank.platform import idempotency
from pointsbank.platform.database import Database
from services.people import service as people
from services.settlement import service as settlement
from tests.http.conftest import Caller, caller
from tests.worlds import World, give_points

POINTS = 100_000


@pytest.fixture
async def order(bank: Database, world: World, elder: Caller) -> dict[str, Any]:
    """An order the elder can pay, again and again."""
    await give_points(bank, world, world.elder, POINTS)
    await give_points(bank, world, world.second_elder, POINTS)
    items = (await elder.get("/items")).json()["items"]
    item = max(items, key=lambda each: each["daily_limit"])
    return {"partner": item["partner"], "item": item["code"]}


async def redemptions(caller: Caller) -> list[dict[str, Any]]:
    return list((await caller.get("/redemptions")).json()["items"])


async def waiting_for_a_lock(owner_url: str) -> None:
    """Return when some statement waits for a lock."""
    owner = await asyncpg.connect(owner_url)
    try:
        for _ in range(500):
            if await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                return
            await asyncio.sleep(0.02)
    finally:
        await owner.close()
    raise AssertionError("nothing waits")


async def test_the_same_request_again_gets_the_same_answer_and_pays_once(
    elder: Caller, order: dict[str, Any]
) -> None:
    first = await elder.post("/redemptions", order, key="order-1")
    again = await elder.post("/redemptions", order, key="order-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert [each["id"] for each in await redemptions(elder)] == [first.json()["id"]]


async def test_a_key_is_refused_for_another_body_or_another_address(
    elder: Caller, order: dict[str, Any]
) -> None:
    first = (await elder.post("/redemptions", order, key="order-1")).json()
    other_body = await elder.post("/redemptions", order | {"quantity": 2}, key="order-1")
    other_address = await elder.post(f"/redemptions/{first['id']}/cancel", key="order-1")
    for answer in (other_body, other_address):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert [each["state"] for each in await redemptions(elder)] == ["held"]


async def test_a_change_of_the_ledger_without_a_key_is_refused(elder: Caller, order: dict[str, Any]) -> None:
    unknown = UUID(int=1)
    for path, body in (
        ("/redemptions", order),
        (f"/redemptions/{unknown}/cancel", None),
        (f"/visits/{unknown}/confirm", None),
    ):
        answer = await elder.post(path, body, key=None)
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required"), path
    assert await redemptions(elder) == []


async def test_a_key_is_1_to_200_visible_ascii_characters(elder: Caller, order: dict[str, Any]) -> None:
    for key in ("k" * 201, "with space", "tab\there"):
        answer = await elder.post("/redemptions", order, key=key)
        assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (422, "visible_ascii"), key
    assert (await elder.post("/redemptions", order, key="k" * 200)).status_code == 201


async def test_a_key_is_its_owners_alone(
    elder: Caller, order: dict[str, Any], bank: Database, world: World
) -> None:
    other = await caller(bank, world, world.second_elder, elder.client)
    mine = await elder.post("/redemptions", order, key="order-1")
    theirs = await other.post("/redemptions", order, key="order-1")
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_a_refused_request_is_judged_anew(elder: Caller, bank: Database, world: World) -> None:
    item = (await elder.get("/items")).json()["items"][0]
    order = {"partner": item["partner"], "item": item["code"]}
    assert (await elder.post("/redemptions", order, key="order-1")).status_code == 409
    await give_points(bank, world, world.elder, POINTS)
    assert (await elder.post("/redemptions", order, key="order-1")).status_code == 201


async def test_a_key_is_taken_where_it_is_not_needed(elder: Caller) -> None:
    body = {"kind": "companionship", "starts_at": "2026-03-02T12:00:00+08:00", "minutes": 60}
    first = await elder.post("/help-requests", body, key="ask-1")
    again = await elder.post("/help-requests", body, key="ask-1")
    assert again.content == first.content
    assert len((await elder.get("/help-requests")).json()["items"]) == 1
    meant = body | {"even_if_similar": True}
    assert (await elder.post("/help-requests", meant, key=None)).status_code == 201
    assert len((await elder.get("/help-requests")).json()["items"]) == 2


async def test_the_same_request_while_the_first_is_under_way_is_put_off(
    elder: Caller, order: dict[str, Any], bank: Database, world: World, owner_url: str
) -> None:
    async with bank.unit_of_work(world.community_id) as uow:
        await people.lock_people(uow, [world.elder.id])  # the first request has to wait for this
        first = asyncio.create_task(elder.post("/redemptions", order, key="order-1"))
        await waiting_for_a_lock(owner_url)
        second = await asyncio.wait_for(elder.post("/redemptions", order, key="order-1"), 20)
        assert not first.done()
    assert (second.status_code, second.json()["code"]) == (409, "request_in_flight")
    assert second.headers["retry-after"] == "1"
    assert (await first).status_code == 201
    assert (await elder.post("/redemptions", order, key="order-1")).content == (await first).content
    assert len(await redemptions(elder)) == 1


async def test_of_many_at_once_one_pays(elder: Caller, order: dict[str, Any]) -> None:
    answers = await asyncio.gather(*(elder.post("/redemptions", order, key="order-1") for _ in range(8)))
    done = {answer.content for answer in answers if answer.status_code == 201}
    assert len(done) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(await redemptions(elder)) == 1


async def test_a_commit_that_fails_answers_500_and_leaves_neither_effect_nor_answer(
    elder: Caller, order: dict[str, Any], owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(
            "CREATE FUNCTION bank.refuse_commit() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'at commit'; END $$"
        )
        await owner.execute(
            "CREATE CONSTRAINT TRIGGER refuse_commit AFTER INSERT ON bank.redemptions"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.refuse_commit()"
        )
        failed = await elder.post("/redemptions", order, key="order-1")
        assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
        assert await owner.fetchval("SELECT count(*) FROM bank.idempotent_requests") == 0
        assert await owner.fetchval("SELECT count(*) FROM bank.holds") == 0
        await owner.execute("DROP TRIGGER refuse_commit ON bank.redemptions")
    finally:
        await owner.close()
    assert (await elder.post("/redemptions", order, key="order-1")).status_code == 201


async def test_the_table_keeps_one_answer_even_without_the_lock(bank: Database, world: World) -> None:
    answer = idempotency.GivenAnswer(b"f" * 32, 201, {"state": RedemptionState.HELD.value})
    async with bank.unit_of_work(world.community_id) as uow:
        assert await idempotency.keep_answer(uow, world.elder.id, "k", answer)
    async with bank.unit_of_work(world.community_id) as uow:
        assert not await idempotency.keep_answer(uow, world.elder.id, "k", answer)
        assert await idempotency.given_answer(uow, world.elder.id, "k") == answer
        assert await idempotency.given_answer(uow, world.volunteer.id, "k") is None


async def test_an_answer_is_given_only_after_the_commit(
    elder: Caller, order: dict[str, Any], bank: Database
) -> None:
    seen: list[RedemptionState] = []
    transport = elder.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app = transport.app

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            if message["type"] == "http.response.start":
                async with bank.unit_of_work(1) as uow:
                    seen.extend(each.state for each in await settlement.redemptions(uow))
            await send(message)

        await app(scope, receive, watched)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(watching), base_url=elder.client.base_url
    ) as client:
        assert (await Caller(client, elder.headers).post("/redemptions", order)).status_code == 201
    assert seen == [RedemptionState.HELD]
