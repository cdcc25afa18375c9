"""The station: packs in stock, and visits counted without asking who comes."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.partners.support import COMMUNITY, Platform


def visit(**changes: Any) -> dict[str, Any]:
    """A line of a count: one person, to rest, an hour ago."""
    return {
        "client_id": str(uuid4()),
        "need": "rest",
        "at": "2026-03-09T11:00:00+08:00",
        "count": 1,
        **changes,
    }


async def summary(station: Platform, first: str = "2026-03-09", last: str = "2026-03-09") -> dict[str, Any]:
    """Return people by need over some days."""
    answer = await station.call("GET", f"/visits/summary?community_id={COMMUNITY}&from={first}&to={last}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_pack_is_ordered_handed_over_and_stated(station: Platform) -> None:
    redemption_id = uuid4()
    before = await station.remaining("water_rest_pack")
    answer = await station.place(
        redemption_id, item="water_rest_pack", quantity=2, milli_points=4_000, fen=600
    )
    assert answer.json()["partner_reference"].startswith("S20260309-")
    await station.call("POST", f"/redemptions/{redemption_id}/fulfil", {"community_id": COMMUNITY})
    assert await station.remaining("water_rest_pack") == before - 2
    told = (await station.call("GET", f"/statements/2026-03-09?community_id={COMMUNITY}")).json()
    assert told["totals"] == {"lines": 1, "milli_points": 4_000, "fen": 600}


async def test_a_pack_of_a_cancelled_order_goes_back_to_stock(station: Platform) -> None:
    redemption_id = uuid4()
    before = await station.remaining("cooling_pack")
    await station.place(redemption_id, item="cooling_pack", milli_points=2_000, fen=300)
    assert await station.remaining("cooling_pack") == before - 1
    await station.call("POST", f"/redemptions/{redemption_id}/cancel", {"community_id": COMMUNITY})
    assert await station.remaining("cooling_pack") == before


async def test_the_station_delivers_nothing(station: Platform) -> None:
    pack: dict[str, Any] = {"item": "cooling_pack", "milli_points": 2_000, "fen": 300}
    assert (await station.place(**pack, mode="delivery")).json()["reason"] == "closed"


async def test_a_visit_counted_twice_under_one_client_id_counts_once(station: Platform) -> None:
    line = {"community_id": COMMUNITY, **visit(count=3)}
    assert (await station.call("POST", "/visits", line)).json() == {"received": 1, "new": 1}
    assert (await station.call("POST", "/visits", line)).json() == {"received": 1, "new": 0}
    answer = await station.call("POST", "/visits", {**line, "count": 4})
    assert (answer.status_code, answer.json()["code"]) == (422, "visit_differs")
    assert (await summary(station))["total"] == 3


async def test_visits_are_summed_by_need_and_local_day(station: Platform) -> None:
    lines = [
        visit(need="water", count=5),
        visit(need="water", at="2026-03-08T23:59:00+08:00", count=2),
        visit(need="rest", at="2026-03-08T16:00:00+00:00"),
        visit(need="meal", at="2026-03-07T12:00:00+08:00"),
    ]
    answer = await station.call("POST", "/visits/bulk", {"community_id": COMMUNITY, "visits": lines})
    assert answer.json() == {"received": 4, "new": 4}
    told = await summary(station, "2026-03-08")
    assert told["needs"] == {"rest": 1, "emergency": 0, "cooling": 0, "warmth": 0, "water": 7, "meal": 0}
    assert told["total"] == 8
    assert told["days"] == [
        {"date": "2026-03-08", "need": "water", "count": 2},
        {"date": "2026-03-09", "need": "rest", "count": 1},
        {"date": "2026-03-09", "need": "water", "count": 5},
    ]


async def test_a_wrong_visit_is_named_and_keeps_the_others_out(station: Platform) -> None:
    for wrong, field in (
        (visit(need="gossip"), "visits[1].need"),
        (visit(count=0), "visits[1].count"),
        (visit(count=True), "visits[1].count"),
        (visit(at="2026-03-09T13:00:00+08:00"), "visits[1].at"),
        (visit(at="2025-02-01T12:00:00+08:00"), "visits[1].at"),
        (visit(at="0001-01-01T00:00:00+14:00"), "visits[1].at"),
        (visit(at="9999-12-31T23:59:59-14:00"), "visits[1].at"),
        (visit(name="测试甲"), "visits[1].name"),
    ):
        answer = await station.call(
            "POST", "/visits/bulk", {"community_id": COMMUNITY, "visits": [visit(), wrong]}
        )
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert (await summary(station))["total"] == 0


async def test_a_summary_that_ends_before_it_starts_is_refused(station: Platform) -> None:
    path = f"/visits/summary?community_id={COMMUNITY}&from=2026-03-09&to=2026-03-08"
    answer = await station.call("GET", path)
    assert (answer.status_code, answer.json()["field"]) == (422, "to")


async def test_the_canteen_counts_no_visits(canteen: Platform) -> None:
    answer = await canteen.call("POST", "/visits", {"community_id": COMMUNITY, **visit()})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
