"""Finding residents: whom one may, by words that stand in no address."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute

from api.http.wire import PAGE_MAX
from pointsbank.platform.database import Database
from tests.http.conftest import Caller
from tests.worlds import World


async def found(caller: Caller, **asked: Any) -> list[str]:
    """Return the names of who is found."""
    answer = await caller.post("/people/search", asked)
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["items"]]


async def test_a_coordinator_finds_residents_by_name_role_and_phone(
    coordinator: Caller, world: World
) -> None:
    assert await found(coordinator, text=" 甲 ") == ["测试甲"]
    assert await found(coordinator, text="测试", role="volunteer") == ["测试丁", "测试丙"]
    assert await found(coordinator, text="0005") == ["测试戊"]
    assert len(await found(coordinator, text="测试", limit=3)) == 3
    assert await found(coordinator, text="无此人") == []


async def test_no_words_of_a_search_can_stand_in_its_address(coordinator: Caller, app: Litestar) -> None:
    for path in ("/people", "/people/search"):
        answer = await coordinator.get(path, params={"text": "甲"})
        assert answer.status_code in (404, 405), path
    asked = {
        name
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/")
        for handler in route.route_handlers
        for name in handler.parsed_fn_signature.parameters
    }
    assert "text" not in asked


async def test_what_a_search_told_is_not_kept_for_a_retry(coordinator: Caller, bank: Database) -> None:
    first = await coordinator.post("/people/search", {"text": "甲"}, key="one")
    second = await coordinator.post("/people/search", {"text": "乙"}, key="one")
    assert [each["name"] for each in second.json()["items"]] == ["测试乙"]
    assert "idempotency-replayed" not in second.headers
    assert first.status_code == second.status_code == 200
    async with bank.unit_of_work(1) as uow:
        kept = await (await uow.connection()).fetchval("SELECT count(*) FROM bank.idempotent_requests")
    assert kept == 0


async def test_a_wrong_field_of_a_search_is_named_with_its_rule(coordinator: Caller) -> None:
    for asked, field, rule in (
        ({}, "text", "missing"),
        ({"text": " "}, "text", "not_blank"),
        ({"text": "x" * 61}, "text", "at_most_60_characters"),
        ({"text": "x", "role": "king"}, "role", "known_value"),
        ({"text": "x", "limit": 0}, "limit", f"between_1_and_{PAGE_MAX}"),
        ({"text": "x", "limit": "5"}, "limit", "whole_number"),
        ({"text": "x", "page": 2}, "page", "unknown_field"),
    ):
        answer = await coordinator.post("/people/search", asked)
        assert answer.status_code == 422, asked
        assert [(each["field"], each["rule"]) for each in answer.json()["errors"]] == [(field, rule)]
