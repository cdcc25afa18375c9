"""What volunteers say of themselves and take of their own accord, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pointsbank.platform.clock import FixedClock
from tests.http.conftest import Caller, told
from tests.worlds import World


async def ask(elder: Caller, clock: FixedClock, **options: Any) -> dict[str, Any]:
    body = {
        "kind": "companionship",
        "starts_at": told(clock.now() + timedelta(hours=3)),
        "minutes": 60,
        **options,
    }
    answer = await elder.post("/help-requests", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_what_a_volunteer_says_comes_back_and_what_is_left_out_stays(volunteer: Caller) -> None:
    said = {
        "hours": [{"weekday": 0, "from_minute": 540, "to_minute": 720}],
        "exceptions": [{"day": "2026-03-09", "kind": "away"}],
        "limits": {"day_minutes": 120},
        "grids": [1, 5],
        "languages": ["yue", "yue-x-taishan"],
    }
    answer = await volunteer.post("/availability", said)
    assert answer.status_code == 200, answer.text
    assert (await volunteer.post("/availability", {"skills": ["repair"]})).status_code == 200
    found = (await volunteer.get("/availability")).json()
    assert found["hours"] == said["hours"]
    assert found["exceptions"] == [{"day": "2026-03-09", "kind": "away", "from_minute": 0, "to_minute": 1440}]
    assert (found["day_minutes"], found["week_minutes"]) == (120, 2_400)
    assert found["limits"] == {"day_minutes": 120, "week_minutes": None}
    assert (found["grids"], found["serves"], found["languages"]) == ([1, 5], [1, 5], ["yue", "yue-x-taishan"])
    assert [(skill["code"], skill["counts"]) for skill in found["skills"]] == [("repair", True)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"hours": [{"weekday": 7, "from_minute": 0, "to_minute": 60}]}, "hours.0.weekday"),
        ({"exceptions": [{"day": "2026-03-09", "kind": "away", "from_minute": 1440}]}, "minutes"),
        ({"exceptions": [{"day": "2027-06-01", "kind": "away"}]}, "day"),
        ({"limits": {"day_minutes": 0}}, "limits.day_minutes"),
        ({"grids": [99]}, "grids"),
        ({"languages": ["台山话"]}, "languages.0"),
        ({"weekly": []}, "weekly"),
    ],
)
async def test_what_nobody_can_mean_is_refused_by_field_and_changes_nothing(
    volunteer: Caller, wrong: dict[str, Any], field: str
) -> None:
    before = (await volunteer.get("/availability")).json()
    refused = await volunteer.post("/availability", {"skills": [], **wrong})
    assert refused.status_code == 422
    assert field in {error["field"] for error in refused.json()["errors"]}
    assert (await volunteer.get("/availability")).json() == before


async def test_a_proof_is_verified_by_a_coordinator_as_it_was_shown(
    volunteer: Caller, coordinator: Caller, world: World
) -> None:
    proof = {"proof": "低压电工证 T4407", "valid_until": "2028-05-31"}
    assert (await volunteer.post("/skills/repair/proof", proof)).status_code == 200
    (waiting,) = (await coordinator.get("/skills/to-verify")).json()["items"]
    assert (waiting["skill"], waiting["proof"]) == ("repair", proof["proof"])
    seen = {"volunteer_id": str(world.volunteer.id), "proof": "另一张证"}
    assert (await coordinator.post("/skills/repair/verify", seen)).status_code == 404
    assert (await volunteer.post("/skills/repair/verify", seen)).status_code == 403
    seen["proof"] = waiting["proof"]
    assert (await coordinator.post("/skills/repair/verify", seen)).json()["verified"]
    skills = (await volunteer.get("/availability")).json()["skills"]
    repair = next(skill for skill in skills if skill["code"] == "repair")
    assert repair["verified_by"] == str(world.coordinator.id)
    assert (await coordinator.get("/skills/to-verify")).json()["items"] == []


async def test_an_elder_says_what_they_speak_and_nobody_elses(
    elder: Caller, volunteer: Caller, world: World
) -> None:
    path = f"/people/{world.elder.id}/languages"
    assert (await elder.post(path, {"languages": ["toi"]})).json()["languages"] == ["toi"]
    assert (await volunteer.post(path, {"languages": []})).status_code == 403


async def test_an_urgent_request_is_offered_by_the_answer_that_takes_it(
    elder: Caller, volunteer: Caller, clock: FixedClock
) -> None:
    request = await ask(elder, clock, urgency=3)
    assert request["state"] == "offered"
    (offer,) = (await volunteer.get("/offers")).json()["items"]
    assert offer["request"]["id"] == request["id"]
    assert offer["expires_at"] == "2026-03-02T01:30:00Z"


async def test_a_volunteer_takes_a_request_once_and_the_next_is_told_so(
    elder: Caller, volunteer: Caller, second_volunteer: Caller, coordinator: Caller, clock: FixedClock
) -> None:
    request = await ask(elder, clock)
    ranked = (await coordinator.get(f"/help-requests/{request['id']}/candidates")).json()["items"]
    assert [each["value"] == sum(each["terms"].values()) for each in ranked] == [True, True]
    (seen,) = (await volunteer.get("/takeable-requests")).json()["items"]
    assert seen["request_id"] == request["id"]
    assert "elder_name" not in seen
    path = f"/help-requests/{request['id']}/take"
    first = await volunteer.post(path, {}, key="mine")
    assert (first.status_code, first.json()["state"]) == (200, "planned")
    assert (await volunteer.post(path, {}, key="mine")).json() == first.json()
    late = await second_volunteer.post(path, {})
    assert (late.status_code, late.json()["code"]) == (409, "wrong_state")
    twice = await ask(elder, clock, kind="shopping")
    busy = await volunteer.post(f"/help-requests/{twice['id']}/take", {})
    assert (busy.status_code, busy.json()["code"]) == (409, "cannot_take")
    assert busy.json()["facts"] == {"blocked": "already_promised"}
    assert (await elder.post(path, {})).status_code == 403
