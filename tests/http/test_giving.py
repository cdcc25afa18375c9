"""Gifts, donations, lots, decisions and policies over HTTP."""

from __future__ import annotations

import copy
from datetime import date

from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform.database import Database
from tests.givings import earn
from tests.http.conftest import Caller
from tests.worlds import World


async def test_a_gift_is_given_once_for_its_key_and_shows_in_both_members_lots(
    bank: Database, world: World, volunteer: Caller, elder: Caller
) -> None:
    await earn(bank, world, world.volunteer, 5_000, date(2026, 6, 30))
    wish = {"receiver_id": str(world.elder.id), "milli_points": 2_000}
    first = await volunteer.post("/gifts", wish, key="once")
    again = await volunteer.post("/gifts", wish, key="once")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first.json()["portions"] == [{"expires_on": "2026-06-30", "milli_points": 2_000}]
    lots = (await elder.get("/lots")).json()
    assert (lots["available"], lots["held"]) == (2_000, 0)
    assert [(lot["expires_on"], lot["available"]) for lot in lots["lots"]] == [("2026-06-30", 2_000)]
    assert (await volunteer.get("/lots")).json()["available"] == 3_000


async def test_refused_gifts_are_told_by_stable_codes(
    bank: Database, world: World, volunteer: Caller, elder: Caller, coordinator: Caller
) -> None:
    await earn(bank, world, world.volunteer, 500_000, None)
    to_self = {"receiver_id": str(world.volunteer.id), "milli_points": 2_000}
    for wish, status, code in (
        (to_self, 422, "gift_to_oneself"),
        ({"receiver_id": str(world.elder.id), "milli_points": 999}, 422, "gift_too_small"),
        ({"receiver_id": str(world.elder.id), "milli_points": 200_001}, 409, "gift_limit"),
        ({"receiver_id": str(world.elder.id), "milli_points": 1.5}, 422, "invalid_request"),
    ):
        answer = await volunteer.post("/gifts", wish)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    for_another = {
        "giver_id": str(world.volunteer.id),
        "receiver_id": str(world.second_elder.id),
        "milli_points": 1_000,
    }
    assert (await elder.post("/gifts", for_another)).status_code == 403
    assert (await coordinator.post("/gifts", for_another)).status_code == 201
    assert (await elder.get(f"/lots?member_id={world.volunteer.id}")).status_code == 403
    assert (await volunteer.post("/gifts", to_self, key=None)).status_code == 400


async def test_a_grant_from_what_was_donated_takes_a_second_person(
    bank: Database, world: World, volunteer: Caller, coordinator: Caller, auditor: Caller, elder: Caller
) -> None:
    await earn(bank, world, world.volunteer, 5_000, None)
    assert (await volunteer.post("/donations", {"milli_points": 3_000})).status_code == 201
    wish = {"kind": "grant", "reason": "hardship", "member_id": str(world.elder.id), "amount": 3_000}
    assert (await auditor.post("/decisions", wish)).status_code == 403
    proposed = (await coordinator.post("/decisions", wish)).json()
    alone = await coordinator.post(f"/decisions/{proposed['id']}/approve")
    assert (alone.status_code, alone.json()["code"]) == (403, "second_person_needed")
    assert (await elder.get("/decisions")).status_code == 403
    waiting = (await auditor.get("/decisions?state=proposed")).json()["items"]
    assert [each["id"] for each in waiting] == [proposed["id"]]
    approved = await auditor.post(f"/decisions/{proposed['id']}/approve", key="yes")
    assert (approved.status_code, approved.json()["state"]) == (200, "approved")
    again = await auditor.post(f"/decisions/{proposed['id']}/approve", key="yes")
    assert again.content == approved.content
    late = await auditor.post(f"/decisions/{proposed['id']}/refuse")
    assert (late.status_code, late.json()["code"]) == (409, "wrong_state")
    assert (await elder.get("/lots")).json()["available"] == 3_000


async def test_what_a_decision_needs_is_asked_for_by_field(
    world: World, bank: Database, coordinator: Caller
) -> None:
    member = str(world.elder.id)
    for wish, field in (
        ({"kind": "reversal", "reason": "fraud"}, "entry_number"),
        ({"kind": "reversal", "reason": "fraud", "entry_number": 1, "member_id": member}, "member_id"),
        ({"kind": "grant", "reason": "fraud", "amount": 1_000}, "member_id"),
        ({"kind": "grant", "reason": "fraud", "member_id": member}, "amount"),
        ({"kind": "grant", "reason": "fraud", "member_id": member, "amount": -1}, "amount"),
        ({"kind": "adjustment", "reason": "fraud", "member_id": member, "amount": 0}, "amount"),
        ({"kind": "adjustment", "reason": "whim", "member_id": member, "amount": 1}, "reason"),
        (
            {"kind": "adjustment", "reason": "fraud", "member_id": member, "amount": 1, "entry_number": 1},
            "entry_number",
        ),
        (
            {"kind": "adjustment", "reason": "fraud", "member_id": member, "amount": 1, "commodity": "FEN"},
            "commodity",
        ),
    ):
        answer = await coordinator.post("/decisions", wish)
        assert answer.status_code == 422, (wish, answer.json())
        assert [each["field"] for each in answer.json()["errors"]] == [field], wish
    missing = await coordinator.post("/decisions", {"kind": "reversal", "reason": "fraud", "entry_number": 9})
    assert missing.status_code == 404


async def test_rules_are_proposed_and_approved_by_two(
    world: World, bank: Database, coordinator: Caller, auditor: Caller
) -> None:
    body = copy.deepcopy(DEFAULT_POLICY) | {"points_expire_months": 24}
    wrong = await coordinator.post(
        "/policies", {"effective_from": "2026-03-05", "body": body | {"expire_months": 1}}
    )
    assert [(each["field"], each["rule"]) for each in wrong.json()["errors"]] == [
        ("expire_months", "unknown_field")
    ]
    proposed = await coordinator.post("/policies", {"effective_from": "2026-03-05", "body": body})
    assert (proposed.status_code, proposed.json()["number"]) == (201, 1)
    assert (await coordinator.post("/policies/1/approve")).json()["code"] == "second_person_needed"
    approved = await auditor.post("/policies/1/approve")
    assert (approved.status_code, approved.json()["version"]) == (200, 2)
    told = (await auditor.get("/policies")).json()
    assert told["in_force"] == 1, "it is in force from Thursday"
    assert [each["version"] for each in told["versions"]] == [2, 1]
    assert (await auditor.post("/policies/99999999999/approve")).status_code == 404
