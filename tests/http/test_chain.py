"""The chain, walked over the JSON API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from pointsbank.domain.redemption import PartnerWord
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.ids import uuid7
from services.settlement import batches
from services.settlement import service as settlement
from tests.http.conftest import Caller, told
from tests.worlds import World, give_points


async def ask(caller: Caller, clock: FixedClock, **fields: Any) -> httpx.Response:
    starts_at = told(clock.now() + timedelta(hours=3))
    return await caller.post(
        "/help-requests", {"kind": "companionship", "starts_at": starts_at, "minutes": 60} | fields
    )


async def visit_done(
    elder: Caller, volunteers: dict[str, Caller], coordinator: Caller, clock: FixedClock
) -> dict[str, Any]:
    """Walk to a visit that waits for confirmation; return it."""
    assert (await ask(elder, clock)).status_code == 201
    run = (await coordinator.post("/pairing-runs")).json()
    assert (run["paired"], run["unpaired"]) == (1, 0)
    for person_id, each in volunteers.items():
        for offer in (await each.get("/offers")).json()["items"]:
            assert offer["volunteer_id"] == person_id
            visit = (await each.post(f"/offers/{offer['id']}/accept")).json()
            clock.move_to(clock.now() + timedelta(hours=3))
            assert (await each.post(f"/visits/{visit['id']}/check-in")).json()["state"] == "under_way"
            clock.move_to(clock.now() + timedelta(minutes=45))
            done = await each.post(f"/visits/{visit['id']}/check-out")
            assert done.status_code == 200, done.text
            return dict(done.json())
    raise AssertionError("nobody was offered the request")


async def test_the_chain_from_a_request_to_a_redemption_is_walked_over_http(
    elder: Caller,
    volunteer: Caller,
    second_volunteer: Caller,
    coordinator: Caller,
    auditor: Caller,
    world: World,
    clock: FixedClock,
) -> None:
    volunteers = {str(world.volunteer.id): volunteer, str(world.second_volunteer.id): second_volunteer}
    visit = await visit_done(elder, volunteers, coordinator, clock)
    assert [v["id"] for v in (await elder.get("/visits/to-confirm")).json()["items"]] == [visit["id"]]

    confirmed = await elder.post(f"/visits/{visit['id']}/confirm")
    assert confirmed.status_code == 200, confirmed.text
    assert confirmed.json()["credited_minutes"] == 45
    assert confirmed.json()["confirmation_method"] == "elder"

    paid = volunteers[visit["volunteer_id"]]
    balance = (await paid.get("/me")).json()["balance"]
    assert balance == {"available_milli_points": 750, "held_milli_points": 0, "service_minutes": 45}
    statement = (await paid.get("/statement")).json()
    assert [line["amount"] for line in statement["lines"]] == [750]
    assert statement["closing"] == 750

    entries = (await auditor.get("/journal-entries")).json()["items"]
    assert [entry["kind"] for entry in entries] == ["earning"]
    assert {(leg["commodity"], leg["amount"]) for leg in entries[0]["legs"]} == {
        ("POINT", 750),
        ("POINT", -750),
        ("MINUTE", 45),
        ("MINUTE", -45),
    }
    assert (await auditor.get("/trial-balance")).json()["balanced"] is True
    assert (await auditor.get("/verification")).json()["sound"] is True


async def test_a_redemption_is_ordered_shown_and_cancelled(
    elder: Caller, world: World, bank: Database
) -> None:
    await give_points(bank, world, world.elder, 50_000)
    item = (await elder.get("/items")).json()["items"][0]
    order = {"partner": item["partner"], "item": item["code"]}
    ordered = await elder.post("/redemptions", order)
    assert ordered.status_code == 201, ordered.text
    redemption = ordered.json()
    assert (redemption["state"], redemption["milli_points"]) == ("held", item["milli_points"])
    held = (await elder.get("/me")).json()["balance"]
    assert held["held_milli_points"] == item["milli_points"]

    assert (await elder.get(f"/redemptions/{redemption['id']}")).json() == redemption
    assert [r["id"] for r in (await elder.get("/redemptions")).json()["items"]] == [redemption["id"]]
    cancelled = await elder.post(f"/redemptions/{redemption['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    assert (await elder.get("/me")).json()["balance"]["available_milli_points"] == 50_000


async def test_a_coordinator_asks_and_orders_for_an_elder(
    coordinator: Caller, world: World, clock: FixedClock
) -> None:
    asked = await ask(coordinator, clock, elder_id=str(world.elder.id), note="三楼，没有电梯")
    assert asked.status_code == 201
    assert asked.json()["by_proxy"] is True
    request_id = asked.json()["id"]
    listed = await coordinator.get("/help-requests", params={"elder_id": str(world.elder.id)})
    assert [each["id"] for each in listed.json()["items"]] == [request_id]
    cancelled = await coordinator.post(f"/help-requests/{request_id}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    assert (await coordinator.get(f"/help-requests/{request_id}")).json()["state"] == "cancelled"


async def test_a_declined_offer_puts_the_request_to_the_next_volunteer(
    elder: Caller, volunteer: Caller, second_volunteer: Caller, coordinator: Caller, clock: FixedClock
) -> None:
    await ask(elder, clock)
    await coordinator.post("/pairing-runs")
    offered = [
        (each, o)
        for each in (volunteer, second_volunteer)
        for o in (await each.get("/offers")).json()["items"]
    ]
    (who, offer), *others = offered
    assert not others
    declined = await who.post(f"/offers/{offer['id']}/decline")
    assert declined.json() == {"id": offer["id"], "state": "declined"}
    again = await who.post(f"/offers/{offer['id']}/accept")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    board = (await coordinator.get("/board")).json()["items"]
    assert sum(line["offered"] for line in board) == 1
    assert [run["paired"] for run in (await coordinator.get("/pairing-runs")).json()["items"]] == [1]


async def test_lists_are_paged_by_what_the_page_before_says(elder: Caller, clock: FixedClock) -> None:
    for minutes in (30, 40, 50):
        assert (await ask(elder, clock, minutes=minutes, even_if_similar=True)).status_code == 201
    first = (await elder.get("/help-requests", params={"limit": 2})).json()
    rest = (await elder.get("/help-requests", params={"limit": 2, "after": first["next_after"]})).json()
    numbers = [each["number"] for each in first["items"] + rest["items"]]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 3
    assert rest["next_after"] is None


async def test_a_settled_batch_and_a_resolved_difference_are_shown(
    coordinator: Caller, auditor: Caller, elder: Caller, world: World, bank: Database, owner_url: str
) -> None:
    await give_points(bank, world, world.elder, 50_000)
    item = (await elder.get("/items")).json()["items"][0]
    order = {"partner": item["partner"], "item": item["code"]}
    redemption = (await elder.post("/redemptions", order)).json()
    async with bank.unit_of_work(1) as uow:
        partner = await settlement.partner(uow, item["partner"])
        await settlement.hear(
            uow, UUID(redemption["id"]), PartnerWord.FULFILLED, said_by=partner.id, reference="T-1"
        )
    frozen = await batches.freeze_batches(bank, 1, bank.clock.now().date())
    assert len(frozen) == 1
    listed = (await auditor.get("/settlement-batches")).json()["items"]
    assert [(b["id"], b["lines"], b["milli_points"]) for b in listed] == [
        (str(frozen[0].id), 1, item["milli_points"])
    ]
    lines = (await auditor.get(f"/settlement-batches/{frozen[0].id}/lines")).json()["items"]
    assert [line["redemption_id"] for line in lines] == [redemption["id"]]

    compared, difference = uuid7(), uuid7()
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(
            "INSERT INTO bank.reconciliations (community_id, id, partner_id, business_date, compared_at,"
            " lines_here, lines_there, differences) VALUES (1, $1, $2, '2026-03-02', now(), 1, 0, 1)",
            compared,
            partner.id,
        )
        await owner.execute(
            "INSERT INTO bank.reconciliation_differences (community_id, id, reconciliation_id, partner_id,"
            " business_date, redemption_id, kind, found_at)"
            " VALUES (1, $1, $2, $3, '2026-03-02', $4, 'missing_there', now())",
            difference,
            compared,
            partner.id,
            UUID(redemption["id"]),
        )
    finally:
        await owner.close()
    assert [r["id"] for r in (await auditor.get("/reconciliations")).json()["items"]] == [str(compared)]
    shown = (await auditor.get("/reconciliation-differences", params={"show": "open"})).json()["items"]
    assert [each["kind"] for each in shown] == ["missing_there"]
    path = f"/reconciliation-differences/{difference}/resolve"
    assert (await auditor.post(path, {"resolution": "食堂补登"})).status_code == 403
    resolved = await coordinator.post(path, {"resolution": "食堂补登"})
    assert resolved.json()["resolution"] == "食堂补登"
    assert (await auditor.get("/reconciliation-differences", params={"show": "open"})).json()["items"] == []
