"""Visits over HTTP: proof at the door with its limit, long visits, feedback, a complaint to its end."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from pointsbank.domain.roles import Role
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.people import service as people
from tests.http.conftest import Caller, told
from tests.worlds import World, done_visit, planned_visit


async def test_a_volunteer_enters_by_the_elders_code_and_guessing_ends_soon(
    bank: Database, world: World, clock: FixedClock, elder: Caller, volunteer: Caller
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    code = (await elder.get("/door-code")).json()["code"]
    wrong = "000000" if code != "000000" else "111111"
    path = f"/visits/{visit.id}/check-in/proof"
    refused = await volunteer.post(path, {"method": "code", "secret": wrong})
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_proof")
    assert code not in refused.text
    key = str(uuid4())
    first = await volunteer.post(path, {"method": "code", "secret": code}, key=key)
    again = await volunteer.post(path, {"method": "code", "secret": code}, key=key)
    assert first.json()["check_in_method"] == "code"
    assert again.content == first.content
    for _ in range(2):
        await volunteer.post(path, {"method": "code", "secret": wrong})
    last = await volunteer.post(path, {"method": "code", "secret": wrong})
    assert (last.status_code, last.json()["code"]) == (429, "too_many_attempts")
    assert (await volunteer.get("/door-code")).status_code == 403


async def test_a_card_is_told_once_and_opens_the_door(
    bank: Database, world: World, clock: FixedClock, coordinator: Caller, volunteer: Caller
) -> None:
    visit = await planned_visit(bank, world)
    clock.move_to(visit.planned_start)
    card = await coordinator.post("/door-cards", {"elder_id": str(world.elder.id)}, key=None)
    assert card.status_code == 201
    proof = {"method": "card", "secret": card.json()["token"]}
    entered = await volunteer.post(f"/visits/{visit.id}/check-in/proof", proof)
    assert entered.json()["check_in_method"] == "card"
    clock.move_to(visit.planned_end)
    assert (await volunteer.post(f"/visits/{visit.id}/check-out/proof", proof)).json()["minutes"] == 60


async def test_feedback_and_a_complaint_go_their_way_over_http(
    bank: Database, world: World, clock: FixedClock, elder: Caller, volunteer: Caller, coordinator: Caller
) -> None:
    visit = await done_visit(bank, clock, world)
    said = await elder.post(f"/visits/{visit.id}/feedback", {"again": "yes", "rating": 5})
    assert (said.json()["side"], said.json()["rating"]) == ("elder", 5)
    assert (await volunteer.get(f"/visits/{visit.id}/feedback")).json()["items"] == []
    words = {"ground": "wrong_hours", "note": "left at once"}
    filed = await elder.post(f"/visits/{visit.id}/complaints", words)
    assert (filed.status_code, filed.json()["to_do"]) == (201, "hear")
    assert (await elder.post(f"/visits/{visit.id}/confirm")).status_code == 409
    unsettled = (await coordinator.get("/visits/unsettled")).json()["items"]
    assert [each["state"] for each in unsettled] == ["disputed"]
    path = f"/complaints/{filed.json()['id']}"
    await coordinator.post(f"{path}/hear", {"answer": "an hour"})
    decided = await coordinator.post(f"{path}/decide", {"upheld": True, "finding": "ten minutes"})
    assert (decided.json()["state"], decided.json()["to_do"]) == ("upheld", "nothing")
    appealed = await volunteer.post(f"{path}/appeal", {"note": "ask the neighbour"})
    assert appealed.json()["to_do"] == "decide_appeal"
    (listed,) = (await volunteer.get("/complaints")).json()["items"]
    for each in (appealed.json(), listed):
        assert (each["complained_by"], each["note"], each["finding"]) == (None, None, "ten minutes")
    (listed,) = (await elder.get("/complaints")).json()["items"]
    assert (listed["complained_by"], listed["note"]) == (str(world.elder.id), "left at once")
    own = await coordinator.post(f"{path}/decide-appeal", {"upheld": False, "finding": "as before"})
    assert (own.status_code, own.json()["code"]) == (403, "second_person_needed")
    assert (await volunteer.get("/sanctions")).json() == {"items": []}


async def test_what_a_coordinator_puts_right_over_http(
    bank: Database,
    world: World,
    clock: FixedClock,
    elder: Caller,
    coordinator: Caller,
    auditor: Caller,
    volunteer: Caller,
) -> None:
    visit = await done_visit(bank, clock, world)
    begun, ended = visit.planned_start - timedelta(hours=2), visit.planned_start + timedelta(hours=8)
    right = {"checked_in_at": told(begun), "checked_out_at": told(ended), "why": "told by the elder"}
    assert (await coordinator.post(f"/visits/{visit.id}/put-right", right)).status_code == 422  # not yet
    clock.move_to(ended)
    assert (await volunteer.post(f"/visits/{visit.id}/put-right", right)).status_code == 403
    assert (await coordinator.post(f"/visits/{visit.id}/put-right", right)).json()["minutes"] == 600
    once = (await elder.post(f"/visits/{visit.id}/confirm")).json()
    assert (once["state"], once["also_method"]) == ("done", "elder")
    own = await coordinator.post(f"/visits/{visit.id}/confirm")
    assert (own.status_code, own.json()["code"]) == (403, "second_person_needed")
    async with bank.unit_of_work(world.community_id) as uow:
        await people.grant_role(uow, world.auditor.id, Role.COORDINATOR)
    both = (await auditor.post(f"/visits/{visit.id}/confirm")).json()
    assert (both["state"], both["tier"], both["credited_minutes"]) == ("confirmed", 2, 480)
    past = {
        "elder_id": str(world.elder.id),
        "kind": "shopping",
        "started_at": told(clock.now() - timedelta(days=2)),
        "ended_at": told(clock.now() - timedelta(days=2) + timedelta(minutes=30)),
    }
    recorded = await volunteer.post("/past-visits", past)
    assert (recorded.status_code, recorded.json()["recorded_by"]) == (201, str(world.volunteer.id))


async def test_a_volunteer_withdraws_once_and_the_request_is_open_again(
    bank: Database, world: World, elder: Caller, volunteer: Caller, second_volunteer: Caller
) -> None:
    visit = await planned_visit(bank, world, starts_in=timedelta(days=3))  # nearest: the first
    await elder.post("/exclusions", {"volunteer_id": str(world.second_volunteer.id)})  # nobody is next
    path = f"/visits/{visit.id}/withdraw"
    for stranger in (second_volunteer, elder):
        refused = await stranger.post(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert (await volunteer.get(f"/visits/{visit.id}")).json()["state"] == "planned"
    key = str(uuid4())
    first = await volunteer.post(path, key=key)
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert (await volunteer.post(path, key=key)).content == first.content  # a retry: the same answer
    anew = await volunteer.post(path)
    assert (anew.status_code, anew.json()["code"]) == (409, "wrong_state")
    request = await elder.get(f"/help-requests/{visit.help_request_id}")
    assert request.json()["state"] == "open"
