"""Who may speak to a partner, and how wrong words are answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
from litestar import Litestar
from litestar.routes import HTTPRoute

from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.signing import HEADER_TIME, sign
from services.canteen.store import CanteenSupply
from services.canteen.tables import TABLES
from services.partnerkit.http import HEADERS
from services.partnerkit.service import PartnerService
from services.partnerkit.store import PartnerStore
from services.station.app import create_app as station_app
from tests.partners.support import COMMUNITY, NOON, PIN, SECRET, Platform, order, partner_settings

OPEN_PATHS = {"/", "/counter.css", "/livez", "/readyz"}
COUNTER_PATHS = {
    "/counter/sign-in",
    "/counter/sign-out",
    "/counter/scan",
    "/counter/redemptions/{voucher:str}/fulfil",
}


def signed_routes(app: Litestar) -> list[tuple[str, str]]:
    """Return method and path of every route that must be signed."""
    return [
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path not in OPEN_PATHS | COUNTER_PATHS
        for method in route.methods
        if method != "OPTIONS"
    ]


async def test_every_route_but_the_counter_and_health_wants_a_signature(
    station: Platform, station_url_db: str
) -> None:
    routes = signed_routes(station_app(partner_settings(station_url_db)))
    assert len(routes) >= 12
    for method, path in routes:
        filled = path.replace("{redemption_id}", str(uuid4())).replace("{day}", "2026-03-09")
        answer = await station.http.request(
            method, filled.replace("{code}", "x").replace("{community_id}", "7")
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature"), (method, path)


async def test_a_recorded_request_cannot_be_sent_again(canteen: Platform) -> None:
    path = "/items?community_id=7"
    headers = sign(SECRET, "platform", "GET", path, b"", at=NOON)
    first = await canteen.http.get(path, headers=headers)
    again = await canteen.http.get(path, headers=headers)
    assert first.status_code == 200
    assert (again.status_code, again.json()["rule"]) == (401, "nonce_seen")


async def test_a_changed_body_another_secret_and_an_old_signature_are_refused(canteen: Platform) -> None:
    path, body = f"/redemptions/{uuid4()}", b"{}"
    signed = sign(SECRET, "platform", "PUT", path, body, at=NOON)
    for headers, rule in (
        (sign(SECRET, "platform", "PUT", path, b"other", at=NOON), "signature_mismatch"),
        (sign("guessed", "platform", "PUT", path, body, at=NOON), "signature_mismatch"),
        (sign(SECRET, "canteen", "PUT", path, body, at=NOON), "unknown_key"),
        (sign(SECRET, "platform", "PUT", path, body, at=NOON - timedelta(minutes=6)), "time_outside_window"),
        (signed | {HEADER_TIME: "9" * 400}, "time_outside_window"),
        (signed | {HEADER_TIME: "9" * 5_000}, "time_outside_window"),
        (signed | {HEADER_TIME: "1" * 13}, "time_outside_window"),
    ):
        answer = await canteen.http.put(path, content=body, headers=headers)
        assert (answer.status_code, answer.json()["rule"]) == (401, rule)


async def test_the_query_is_signed_too(canteen: Platform) -> None:
    headers = sign(SECRET, "platform", "GET", "/items?community_id=7", b"", at=NOON)
    answer = await canteen.http.get("/items?community_id=8", headers=headers)
    assert (answer.status_code, answer.json()["rule"]) == (401, "signature_mismatch")


async def test_bad_input_is_answered_with_its_field_and_rule(canteen: Platform) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"quantity": "1"}, "quantity", "expected int, got str"),
        ({"quantity": True}, "quantity", "expected int, got bool"),
        ({"quantity": 1.5}, "quantity", "expected int, got float"),
        ({"quantity": 0}, "quantity", "expected int >= 1"),
        ({"milli_points": -1}, "milli_points", "expected int >= 0"),
        ({"fen": float("nan")}, "body", "expected JSON"),
        ({"business_date": "2026-02-30"}, "business_date", "invalid RFC3339 encoded date"),
        ({"voucher": "A/../B"}, "voucher", "expected str matching regex '\\\\A[0-9A-Za-z-]+\\\\Z'"),
        ({"item": "lunch\x00"}, "item", "expected str matching regex '\\\\A[0-9A-Za-z_-]+\\\\Z'"),
        ({"community_id": 2**40}, "community_id", "expected int <= 2147483647"),
        ({"name": "测试甲"}, "name", "unknown_field"),
    ]
    for changes, field, rule in cases:
        answer = await canteen.place(**changes)
        assert answer.status_code == 422
        told = answer.json()
        assert (told["code"], told["field"], told["rule"]) == ("invalid_value", field, rule)
        assert told["detail"] == f"{field}: {rule}"


async def test_missing_fields_wrong_paths_and_broken_json_get_one_clear_line(canteen: Platform) -> None:
    body = order()
    del body["voucher"]
    missing = await canteen.call("PUT", f"/redemptions/{uuid4()}", body)
    assert (missing.json()["field"], missing.json()["rule"]) == ("voucher", "missing")
    no_id = await canteen.call("PUT", "/redemptions/not-an-id", order())
    assert (no_id.status_code, no_id.json()["field"]) == (422, "redemption_id")
    no_day = await canteen.call("GET", "/statements/yesterday?community_id=7")
    assert (no_day.status_code, no_day.json()["field"]) == (422, "date")
    broken = await canteen.send("PUT", f"/redemptions/{uuid4()}", b"{\xff")
    assert (broken.status_code, broken.json()["field"]) == (422, "body")
    twice = await canteen.call("GET", "/items?community_id=7&community_id=8")
    assert (twice.status_code, twice.json()["rule"]) == (422, "repeated")
    for name in ("Mars/Olympus", "localtime", "Factory"):
        zone = await canteen.call("PUT", "/communities/9", {"code": "c", "name": "n", "timezone": name})
        assert (zone.status_code, zone.json()["field"]) == (422, "timezone"), name
    nowhere = await canteen.call("GET", "/members")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    method = await canteen.call("DELETE", "/items")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")


async def test_health_is_told_to_who_asks_without_a_body(canteen: Platform, canteen_url_db: str) -> None:
    for path in ("/livez", "/readyz"):
        answer = await canteen.http.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    connection = await asyncpg.connect(canteen_url_db)
    await connection.execute("UPDATE canteen.alembic_version SET version_num = 'older'")
    await connection.close()
    assert (await canteen.http.head("/readyz")).status_code == 503


async def test_every_answer_is_kept_to_itself(canteen: Platform) -> None:
    answers = [
        await canteen.call("GET", "/items?community_id=7"),
        await canteen.call("GET", "/items?community_id=8"),
        await canteen.call("GET", "/nothing"),
        await canteen.http.get("/items"),
        await canteen.http.get("/readyz"),
        await canteen.http.get("/"),
        await canteen.http.post("/counter/sign-in", data={"pin": PIN}),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 404, 401, 200, 200, 303]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (str(answer.url), name)


async def test_an_item_with_impossible_terms_is_refused_and_nothing_is_written(canteen: Platform) -> None:
    item = {"community_id": COMMUNITY, "name": "早餐", "milli_points": 1, "fen": 1, "available": True}
    for terms in ({"meal": "lunch", "day_capacity": -1}, {"meal": "supper", "day_capacity": 1}, {}):
        answer = await canteen.call("PUT", "/items/breakfast", {**item, "terms": terms})
        assert answer.status_code == 422
    listed = (await canteen.call("GET", "/items?community_id=7")).json()
    assert "breakfast" not in {each["code"] for each in listed}


async def test_nonces_are_kept_while_their_signatures_are_good_and_no_longer(
    canteen_url_db: str, clock: FixedClock
) -> None:
    database = Database(canteen_url_db, clock=clock)
    service = PartnerService(PartnerStore(TABLES), CanteenSupply(), reference_prefix="C")
    assert await service.take_nonce(database, "platform", "a" * 32)
    # Signed five minutes ahead of our clock, a request stays good until five minutes after that.
    clock.move_to(NOON + timedelta(minutes=10))
    assert await service.forget_nonces(database) == 0
    assert not await service.take_nonce(database, "platform", "a" * 32)
    clock.move_to(NOON + timedelta(minutes=15, seconds=1))
    assert await service.forget_nonces(database) == 1
    await database.close()


async def test_a_fault_of_the_partner_tells_nothing_of_its_inside(
    canteen: Platform, clock: FixedClock
) -> None:
    # A clock that jumps out of what a date can hold is a fault no caller can cause.
    broken = replace(canteen, clock=FixedClock(clock.now()))
    clock.now = lambda: None  # type: ignore[assignment,method-assign,return-value]
    answer = await broken.call("GET", "/items?community_id=7")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "Traceback" not in answer.text
    assert "NoneType" not in answer.text
