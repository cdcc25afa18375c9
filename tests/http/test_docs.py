"""The OpenAPI document says what the api does, and its page asks nobody else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from pydantic import BaseModel

from api.http import (
    availability,
    complaints,
    decisions,
    door,
    feedback,
    giving,
    help_requests,
    meals,
    people,
    redemptions,
    refunds,
    series,
    settlement,
    settling,
    standings,
    ties,
    waiting_work,
)
from api.openapi import CHANGES, STATIC, document
from tests.http.conftest import Caller


@pytest.fixture
async def told(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/docs/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def operations(told: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_document_is_openapi_3_1_and_tells_every_route_of_the_api(app: Litestar) -> None:
    told = document(app)
    assert told["openapi"].startswith("3.1.")
    routes = {
        (route.path_format, method.lower())
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith(("/api/", "/partner-events"))
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS"}
    }
    assert routes == {(path, method) for path, method, _ in operations(told)}
    assert len({operation["operationId"] for _, _, operation in operations(told)}) == len(routes)


async def test_every_reference_in_the_document_leads_somewhere(told: dict[str, Any]) -> None:
    for reference in references(told):
        node = told
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


async def test_every_operation_has_words_an_example_and_its_problems(told: dict[str, Any]) -> None:
    for path, method, operation in operations(told):
        where = f"{method} {path}"
        assert operation["description"], where
        assert operation["tags"], where
        responses = operation["responses"]
        problems = {status for status in responses if status >= "400"}
        assert {"500", "503"} <= problems, where
        if path.startswith("/api/"):
            assert {"401", "403"} <= problems, where
        for status in problems:
            shape = responses[status]["content"]["application/problem+json"]["schema"]
            assert shape == {"$ref": "#/components/schemas/Problem"}, where
        success = next(response for status, response in responses.items() if status < "300")
        assert success["content"]["application/json"]["example"], where


async def test_what_changes_the_ledger_says_that_it_needs_a_key(told: dict[str, Any]) -> None:
    needs_key, takes_none = set(), set()
    for path, method, operation in operations(told):
        if method in CHANGES and path.startswith("/api/"):
            keys = [each for each in operation.get("parameters", []) if each["name"] == "Idempotency-Key"]
            if not keys:
                takes_none.add(operation["operationId"])
            elif keys[0]["required"]:
                needs_key.add(operation["operationId"])
    assert needs_key == {
        *("confirm_visit", "redeem", "cancel_redemption", "give_points", "donate_points"),
        *("propose_decision", "approve_decision", "refuse_decision"),
        *("propose_policy", "approve_policy", "refuse_policy"),
        *("propose_refund", "approve_refund", "refuse_refund"),
        *("sign_settlement_batch", "note_settlement_batch_paid"),
    }
    assert takes_none == {"search_people", "issue_door_card"}


async def test_bodies_refuse_unknown_fields_and_their_examples_are_taken(told: dict[str, Any]) -> None:
    bodies: list[type[BaseModel]] = [
        help_requests.AskForHelp,
        series.AskAgainAndAgain,
        series.LeaveOut,
        ties.TellFamily,
        ties.FamilyPair,
        ties.Exclude,
        ties.LiftExclusion,
        waiting_work.CloseLetter,
        people.SearchPeople,
        standings.SetStanding,
        redemptions.Redeem,
        meals.RateMeal,
        meals.ComplainOfMeal,
        meals.AskStanding,
        meals.SkipDay,
        settlement.Resolve,
        giving.Give,
        giving.Donate,
        decisions.Propose,
        decisions.ProposePolicy,
        availability.SayAvailability,
        availability.SayLanguages,
        availability.SkillProof,
        availability.VerifySkill,
        availability.TakeRequest,
        door.ShowProof,
        door.IssueCard,
        settling.PutRight,
        settling.RecordPastVisit,
        feedback.GiveFeedback,
        complaints.Complain,
        complaints.Hear,
        complaints.Decide,
        complaints.Appeal,
        refunds.RefundAsked,
        settlement.Paid,
    ]
    for body in bodies:
        shape = told["components"]["schemas"][body.__name__]
        assert shape["additionalProperties"] is False
        for example in shape["examples"]:
            body.model_validate(example)
    named = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for _, _, operation in operations(told)
        if "requestBody" in operation
    }
    assert named == {body.__name__ for body in bodies}


async def test_an_answer_has_the_fields_that_the_document_says(told: dict[str, Any], elder: Caller) -> None:
    shape = told["components"]["schemas"]["MeAnswer"]
    assert set((await elder.get("/me")).json()) == set(shape["properties"]) == set(shape["required"])


async def test_the_page_and_its_files_come_from_here(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    asked = re.findall(r'(?:src|href|data-document)="(/[^"]*)"', page.text)
    assert len(asked) == 4
    for address in asked:
        assert address.startswith("/docs/"), address
        assert (await client.get(address)).status_code == 200, address
    assert "<script>" not in page.text
    assert "style=" not in page.text


def test_the_vendored_files_are_the_ones_the_manifest_names() -> None:
    folder: Path = STATIC / "swagger"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"name", "version", "licence", "files"} == set(manifest)
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "manifest.json"
    }
    assert found == manifest["files"]
