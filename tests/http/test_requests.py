"""Asking over HTTP: when, for whom, again and again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.conftest import Caller
from tests.worlds import World

MORNING = {"kind": "shopping", "day": "2026-03-03", "slot": "morning", "minutes": 45}


async def test_help_is_asked_for_in_a_slot_and_once(elder: Caller) -> None:
    wanted = {"gender_wanted": "female", "gender_hard": True, "language_wanted": "yue"}
    asked = await elder.post("/help-requests", MORNING | wanted)
    assert asked.status_code == 201
    told = asked.json()
    assert (told["timing"], told["slot"], told["carers"], told["escalation"]) == ("slot", "morning", 1, 0)
    assert told["latest_start"] == "2026-03-03T02:45:00Z"
    assert wanted.items() <= told.items()
    again = await elder.post("/help-requests", MORNING)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_request")
    assert again.json()["facts"] == {"number": told["number"]}
    assert (await elder.post("/help-requests", MORNING | {"even_if_similar": True})).status_code == 201


@pytest.mark.parametrize(
    ("changed", "field", "rule"),
    [
        ({"slot": None}, "starts_at", "told_in_one_way"),
        ({"starts_at": "2026-03-03T10:00:00+08:00"}, "starts_at", "told_in_one_way"),
        ({"day": None, "slot": None, "latest_start": "2026-03-03T10:00Z"}, "starts_at", "told_in_one_way"),
        ({"slot": "night"}, "slot", "known_value"),
        ({"gender_hard": 1}, "gender_hard", "true_or_false"),
        ({"gender_hard": True}, "gender_hard", "with_a_gender"),
        ({"language_wanted": "Cantonese!"}, "language_wanted", "language_code"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_its_field(
    elder: Caller, changed: dict[str, Any], field: str, rule: str
) -> None:
    answer = await elder.post("/help-requests", MORNING | changed)
    assert answer.status_code == 422
    assert [(each["field"], each["rule"]) for each in answer.json()["errors"]] == [(field, rule)]


async def test_a_series_is_asked_for_changed_and_ended(elder: Caller) -> None:
    asked = await elder.post(
        "/series",
        {
            "kind": "companionship",
            "first_at": "2026-03-03T09:00",
            "rule": "FREQ=WEEKLY;COUNT=8",
            "minutes": 60,
            "slot": "noon",
        },
    )
    assert asked.status_code == 201
    told = asked.json()
    assert told["coming"][0] == "2026-03-03T11:30:00"
    skipped = await elder.post(f"/series/{told['id']}/skip", {"occurrence": told["coming"][0]})
    assert skipped.json()["coming"][0] == told["coming"][1]
    waiting = (await elder.get("/help-requests")).json()["items"]
    assert sorted(each["state"] for each in waiting) == ["cancelled", "open"]
    assert (await elder.post(f"/series/{told['id']}/end", {})).json()["coming"] == []
    (listed,) = (await elder.get("/series")).json()["items"]
    assert listed["ended_at"] is not None


async def test_family_and_exclusions_are_told_confirmed_and_ended(
    elder: Caller, auditor: Caller, coordinator: Caller, world: World
) -> None:
    daughter, elder_id = auditor, str(world.elder.id)
    pair = {"elder_id": elder_id, "member_id": str(world.auditor.id)}
    assert (await daughter.post("/family", {"elder_id": elder_id, "relation": "child"})).status_code == 201
    asked = MORNING | {"elder_id": elder_id}
    assert (await daughter.post("/help-requests", asked)).status_code == 403
    assert (await elder.post("/family/confirm", pair)).status_code == 403
    assert len((await coordinator.get("/family/to-confirm")).json()["items"]) == 1
    assert (await coordinator.post("/family/confirm", pair)).json()["confirmed_at"]
    assert (await daughter.post("/help-requests", asked)).json()["asked_through"] == "family"
    assert [each["elder_id"] for each in (await daughter.get("/family/elders")).json()["items"]] == [elder_id]
    banned = {"elder_id": elder_id, "volunteer_id": str(world.volunteer.id)}
    assert len((await daughter.post("/exclusions", banned)).json()["items"]) == 1
    assert (await elder.post("/exclusions/lift", banned)).json()["items"] == []
    assert (await elder.post("/family/end", pair)).json()["items"] == []
    assert (await daughter.post("/help-requests", asked)).status_code == 403


async def test_what_waits_is_listed_for_who_is_told(elder: Caller, coordinator: Caller) -> None:
    await elder.post("/help-requests", MORNING)
    assert (await coordinator.get("/help-requests/waiting")).json()["items"] == []
    assert (await elder.get("/help-requests/waiting")).status_code == 403
