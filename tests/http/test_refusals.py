"""Bad input gets one clear problem that names the field and the rule, and changes nothing."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

import services.worker  # noqa: F401 - brings every capability, so that every refusal is known below
from api.errors import BODY_BYTES_MAX, STATUSES, catalogues
from pointsbank.domain.errors import DomainError
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.messages import LOCALES
from services.care import service as care
from tests.http.conftest import Caller, caller, told
from tests.worlds import ask_for_help, small_world

SOON = "2026-03-02T12:00:00+08:00"
GOOD: dict[str, Any] = {"kind": "companionship", "starts_at": SOON, "minutes": 60}


def fields_of(answer: httpx.Response) -> list[tuple[str, str]]:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert problem["status"] == answer.status_code
    return [(each["field"], each["rule"]) for each in problem["errors"]]


WRONG_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"minutes": True}, "minutes", "whole_number"),
    ({"minutes": "60"}, "minutes", "whole_number"),
    ({"minutes": 60.0}, "minutes", "whole_number"),
    ({"minutes": None}, "minutes", "whole_number"),
    ({"minutes": [60]}, "minutes", "whole_number"),
    ({"minutes": 9}, "minutes", "between_10_and_720"),
    ({"minutes": 10**30}, "minutes", "between_10_and_720"),
    ({"minutes": -60}, "minutes", "between_10_and_720"),
    ({"urgency": 4}, "urgency", "between_0_and_3"),
    ({"minuts": 60}, "minuts", "unknown_field"),
    ({"id": str(uuid4())}, "id", "unknown_field"),
    ({"starts_at": 1772424000}, "starts_at", "moment"),
    ({"starts_at": "tomorrow"}, "starts_at", "moment"),
    ({"starts_at": "2026-02-30T12:00:00Z"}, "starts_at", "moment"),
    ({"starts_at": "2026-03-02T12:00:00"}, "starts_at", "timezone"),
    ({"starts_at": "0001-01-01T00:00:00+14:00"}, "starts_at", "plausible_date"),
    ({"starts_at": "9999-12-31T23:59:59-14:00"}, "starts_at", "plausible_date"),
    ({"starts_at": "2026-03-01T12:00:00Z"}, "starts_at", "in_the_future"),
    ({"starts_at": "2027-03-01T12:00:00Z"}, "starts_at", "within_60_days"),
    ({"kind": ""}, "kind", "not_blank"),
    ({"kind": 7}, "kind", "text"),
    ({"kind": "DROP TABLE"}, "kind", "characters"),
    ({"kind": "k" * 61}, "kind", "at_most_60_characters"),
    ({"note": "n" * 501}, "note", "at_most_500_characters"),
    ({"note": "a\u0000b"}, "note", "characters"),
    ({"elder_id": "me"}, "elder_id", "uuid"),
    ({"elder_id": 7}, "elder_id", "uuid"),
]


async def test_a_field_that_breaks_a_rule_is_named_with_the_rule(elder: Caller) -> None:
    for change, field, rule in WRONG_FIELDS:
        answer = await elder.post("/help-requests", GOOD | change)
        assert answer.status_code == 422, (change, answer.text)
        assert fields_of(answer) == [(field, rule)], change
        assert answer.json()["code"] in {"invalid_request", "invalid_value"}
    assert (await elder.get("/help-requests")).json()["items"] == []


async def test_every_wrong_field_is_told_at_once(elder: Caller) -> None:
    answer = await elder.post("/help-requests", {"minutes": True, "urgency": "3", "why": 1})
    assert sorted(fields_of(answer)) == [
        ("kind", "missing"),
        ("minutes", "whole_number"),
        ("urgency", "whole_number"),
        ("why", "unknown_field"),
    ]


UNREADABLE: list[tuple[bytes, int, str]] = [
    (b"{", 400, "bad_json"),
    (b"NaN", 400, "bad_json"),
    (b'{"kind": "\xff\xfe"}', 400, "bad_json"),
    (b'{"kind": "\\ud800"}', 400, "bad_json"),
    (b"[" * 60_000, 400, "bad_json"),
    (b"[]", 422, "invalid_request"),
    (b"4", 422, "invalid_request"),
    (b"null", 422, "invalid_request"),
    (b"", 422, "invalid_request"),
    (b" " * (BODY_BYTES_MAX + 1), 413, "body_too_large"),
]


async def test_a_body_that_cannot_be_read_is_refused_by_kind(elder: Caller) -> None:
    headers = elder.headers | {"Content-Type": "application/json"}
    for body, status, code in UNREADABLE:
        answer = await elder.client.post("/api/v1/help-requests", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (body[:20], answer.text)


async def test_a_body_that_does_not_say_it_is_json_is_refused(elder: Caller) -> None:
    answer = await elder.client.post("/api/v1/help-requests", headers=elder.headers, data={"kind": "visit"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


WRONG_PARAMETERS = [
    ("/help-requests?limit=0", "limit", "at_least_1"),
    ("/help-requests?limit=201", "limit", "at_most_200"),
    ("/help-requests?limit=many", "limit", "whole_number"),
    ("/help-requests?after=99999999999999999999", "after", "at_most_9007199254740991"),
    ("/help-requests?elder_id=me", "elder_id", "uuid"),
    ("/redemptions?after=1", "after", "uuid"),
    ("/statement?of=gold", "of", "known_value"),
    ("/statement?since=yesterday", "since", "moment"),
    ("/statement?since=2026-03-01T00:00:00", "since", "timezone"),
    ("/statement?until=0001-01-01T00:00:00Z", "until", "plausible_date"),
    ("/statement?since=0001-01-01T00:00:00%2B14:00", "since", "plausible_date"),
    ("/statement?until=9999-12-31T23:59:59-14:00", "until", "plausible_date"),
    ("/statement?since=2026-03-03T00:00:00Z&until=2026-03-02T00:00:00Z", "until", "after_from"),
    ("/items?day=2026-02-30", "day", "day"),
]


async def test_a_parameter_that_breaks_a_rule_is_named_with_the_rule(elder: Caller) -> None:
    for path, field, rule in WRONG_PARAMETERS:
        answer = await elder.get(path)
        assert answer.status_code == 422, (path, answer.text)
        assert fields_of(answer) == [(field, rule)], path


UNKNOWN = [
    ("GET", "/help-requests/{id}"),
    ("POST", "/help-requests/{id}/cancel"),
    ("POST", "/offers/{id}/accept"),
    ("POST", "/offers/{id}/decline"),
    ("GET", "/visits/{id}"),
    ("POST", "/visits/{id}/check-in"),
    ("POST", "/visits/{id}/check-out"),
    ("POST", "/visits/{id}/confirm"),
    ("GET", "/redemptions/{id}"),
    ("POST", "/redemptions/{id}/cancel"),
    ("GET", "/people/{id}"),
    ("GET", "/people/{id}/balance"),
    ("GET", "/settlement-batches/{id}/lines"),
    ("POST", "/reconciliation-differences/{id}/resolve"),
]


async def test_an_unknown_id_is_not_found(coordinator: Caller) -> None:
    for method, template in UNKNOWN:
        path = template.format(id=uuid4())
        body = {"resolution": "查无此项"} if path.endswith("resolve") else None
        answer = await (coordinator.get(path) if method == "GET" else coordinator.post(path, body))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (path, answer.text)


async def test_another_communitys_things_are_not_found(
    coordinator: Caller, bank: Database, clock: FixedClock
) -> None:
    other = await small_world(bank, community_id=2)
    request = await ask_for_help(bank, other)
    for path in (f"/help-requests/{request.id}", f"/people/{other.elder.id}"):
        assert (await coordinator.get(path)).status_code == 404
    assert (await coordinator.post(f"/help-requests/{request.id}/cancel")).status_code == 404
    answer = await coordinator.post("/help-requests", GOOD | {"elder_id": str(other.elder.id)})
    assert answer.status_code == 404
    theirs = await caller(bank, other, other.coordinator, coordinator.client)
    assert (await theirs.get(f"/help-requests/{request.id}")).json()["state"] == "open"


async def test_numbers_no_column_holds_are_not_found(auditor: Caller) -> None:
    for number in (0, -1, 2**63, 10**40):
        answer = await auditor.get(f"/journal-entries/{number}")
        assert answer.status_code == 404, (number, answer.text)


async def test_too_few_points_are_told_in_figures(elder: Caller) -> None:
    item = (await elder.get("/items")).json()["items"][0]
    answer = await elder.post("/redemptions", {"partner": item["partner"], "item": item["code"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient_points")
    assert answer.json()["facts"] == {
        "account_kind": "member_available",
        "available": 0,
        "requested": item["milli_points"],
    }


async def test_refusals_speak_the_callers_language(elder: Caller) -> None:
    details = set()
    for asked, tag in (
        ("zh-CN", "zh-CN"),
        ("zh-HK", "zh-Hant-HK"),
        ("en-GB,en;q=0.8", "en"),
        ("fr", "zh-CN"),
    ):
        answer = await elder.post("/help-requests", GOOD | {"minutes": 1}, **{"Accept-Language": asked})
        assert answer.headers["content-language"] == tag
        details.add(answer.json()["detail"])
    assert len(details) == 3


async def test_an_address_that_is_not_there_and_a_method_that_is_not_answered_are_problems(
    client: httpx.AsyncClient,
) -> None:
    missing = await client.get("/api/v1/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "route_not_found")
    wrong = await client.delete("/api/v1/me")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


async def test_a_fault_of_ours_tells_nothing_of_its_inside(
    elder: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(care, "requests_of_elder", broken)
    answer = await elder.get("/help-requests")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text


async def test_two_requests_in_different_states_are_refused_as_such(elder: Caller, clock: FixedClock) -> None:
    starts_at = told(clock.now() + timedelta(hours=3))
    request = (await elder.post("/help-requests", GOOD | {"starts_at": starts_at})).json()
    assert (await elder.post(f"/help-requests/{request['id']}/cancel")).status_code == 200
    again = await elder.post(f"/help-requests/{request['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")


async def test_a_text_with_a_nul_is_refused_wherever_it_is_asked(coordinator: Caller) -> None:
    answer = await coordinator.post("/people/search", {"text": "a\0b"})
    assert fields_of(answer) == [("text", "characters")]


def every_refusal(base: type[DomainError] = DomainError) -> list[type[DomainError]]:
    return [each for child in base.__subclasses__() for each in (child, *every_refusal(child))]


def test_every_status_belongs_to_a_refusal_that_exists() -> None:
    importlib.import_module("services.ledger.posting")  # whose refusals the api answers when it gathers
    assert set(STATUSES) <= {each.code for each in every_refusal()}


def test_every_refusal_of_the_api_has_words_in_every_language() -> None:
    for locale in LOCALES:
        for code, status in STATUSES.items():
            assert catalogues.has(locale, f"error.{code}"), (locale, code)
            assert catalogues.has(locale, f"status.{status}"), (locale, status)
