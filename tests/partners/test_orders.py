"""Orders at a partner: accepted or refused once, handed over or cancelled once, never oversold."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from pointsbank.platform.clock import FixedClock
from tests.partners.support import COMMUNITY, NOON, TODAY, Platform, order


async def set_lunches(canteen: Platform, day_capacity: int) -> None:
    """Let the canteen cook so many lunches a day."""
    answer = await canteen.call(
        "PUT",
        "/items/lunch_set",
        {
            "community_id": COMMUNITY,
            "name": "午餐套餐",
            "milli_points": 10_000,
            "fen": 1_200,
            "available": True,
            "terms": {"meal": "lunch", "day_capacity": day_capacity},
        },
    )
    assert answer.status_code == 200, answer.text


async def test_a_new_community_begins_with_a_menu(canteen: Platform) -> None:
    items = {item["code"]: item for item in (await canteen.call("GET", "/items?community_id=7")).json()}
    assert set(items) == {"lunch_set", "dinner_set", "soft_lunch"}
    assert items["lunch_set"]["milli_points"] == 10_000
    assert items["lunch_set"]["fen"] == 1_200
    assert items["lunch_set"]["available"] is True


async def test_serving_a_community_again_keeps_its_menu(canteen: Platform) -> None:
    await set_lunches(canteen, 3)
    await canteen.serve()
    assert await canteen.remaining("lunch_set") == 3


async def test_an_order_is_accepted_and_takes_one_portion(canteen: Platform) -> None:
    before = await canteen.remaining("lunch_set")
    answer = await canteen.place()
    assert answer.status_code == 200
    assert answer.json()["status"] == "accepted"
    assert answer.json()["partner_reference"].startswith("C20260309-")
    assert await canteen.remaining("lunch_set") == before - 1


async def test_the_same_order_again_gets_the_same_answer_and_takes_nothing_more(canteen: Platform) -> None:
    redemption_id, body = uuid4(), order()
    first = await canteen.call("PUT", f"/redemptions/{redemption_id}", body)
    left = await canteen.remaining("lunch_set")
    again = await canteen.call("PUT", f"/redemptions/{redemption_id}", body)
    assert (again.status_code, again.json()) == (200, first.json())
    assert await canteen.remaining("lunch_set") == left


async def test_the_same_order_sent_sixteen_times_at_once_is_taken_once(canteen: Platform) -> None:
    redemption_id, body = uuid4(), order()
    before = await canteen.remaining("lunch_set")
    answers = await asyncio.gather(
        *(canteen.call("PUT", f"/redemptions/{redemption_id}", body) for _ in range(16))
    )
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[0].json()["status"] == "accepted"
    assert await canteen.remaining("lunch_set") == before - 1


async def test_another_order_under_a_used_id_is_refused(canteen: Platform) -> None:
    redemption_id, body = uuid4(), order()
    await canteen.call("PUT", f"/redemptions/{redemption_id}", body)
    changes = {"quantity": 2, "milli_points": 1, "item": "soft_lunch", "voucher": "OTHER", "mode": "dine_in"}
    for field, value in changes.items():
        answer = await canteen.call("PUT", f"/redemptions/{redemption_id}", {**body, field: value})
        assert answer.status_code == 422
        assert (answer.json()["code"], answer.json()["field"]) == ("redemption_differs", field)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_an_order_that_cannot_be_served_is_refused_with_its_reason(canteen: Platform) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"item": "nothing_like_it"}, "unknown_item"),
        ({"milli_points": 9_999}, "price_differs"),
        ({"fen": 0}, "price_differs"),
        ({"quantity": 2}, "price_differs"),
        ({"business_date": (TODAY - timedelta(days=1)).isoformat()}, "closed"),
        ({"business_date": (TODAY + timedelta(days=31)).isoformat()}, "closed"),
        ({"mode": "by_drone"}, "closed"),
    ]
    for changes, reason in cases:
        redemption_id = uuid4()
        answer = await canteen.place(redemption_id, **changes)
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["reason"]) == ("refused", reason), changes
        assert await canteen.status(redemption_id) == "refused"


async def test_sixteen_orders_for_the_last_meal_get_exactly_one(canteen: Platform) -> None:
    await set_lunches(canteen, 1)
    answers = await asyncio.gather(*(canteen.place() for _ in range(16)))
    outcomes = sorted(answer.json()["status"] for answer in answers)
    assert outcomes == ["accepted"] + ["refused"] * 15
    assert {answer.json().get("reason") for answer in answers} == {None, "sold_out"}
    assert await canteen.remaining("lunch_set") == 0


async def test_sixteen_orders_for_the_last_pack_get_exactly_one(station: Platform) -> None:
    item = {"name": "饮水休息包", "milli_points": 2_000, "fen": 300, "available": True}
    await station.call(
        "PUT", "/items/water_rest_pack", {"community_id": COMMUNITY, **item, "terms": {"stock": 1}}
    )
    pack: dict[str, Any] = {"item": "water_rest_pack", "milli_points": 2_000, "fen": 300}
    answers = await asyncio.gather(*(station.place(**pack) for _ in range(16)))
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["refused"] * 15
    assert await station.remaining("water_rest_pack") == 0


async def test_the_database_itself_refuses_to_oversell(canteen: Platform, canteen_url_db: str) -> None:
    await set_lunches(canteen, 1)
    await canteen.place()
    connection = await asyncpg.connect(canteen_url_db)
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE canteen.days SET taken = taken + 1")
    finally:
        await connection.close()


async def test_an_order_for_a_day_ahead_takes_that_days_portions(canteen: Platform) -> None:
    before = await canteen.remaining("lunch_set")
    answer = await canteen.place(business_date=(TODAY + timedelta(days=1)).isoformat())
    assert answer.json()["status"] == "accepted"
    assert await canteen.remaining("lunch_set") == before


async def test_two_open_orders_of_a_day_cannot_share_a_voucher(canteen: Platform) -> None:
    await canteen.place(voucher="SAME-1")
    before = await canteen.remaining("lunch_set")
    answer = await canteen.place(voucher="SAME-1")
    assert (answer.status_code, answer.json()["code"]) == (409, "voucher_taken")
    assert await canteen.remaining("lunch_set") == before


async def test_an_order_is_handed_over_once(canteen: Platform) -> None:
    redemption_id = uuid4()
    await canteen.place(redemption_id)
    path = f"/redemptions/{redemption_id}/fulfil"
    first = await canteen.call("POST", path, {"community_id": COMMUNITY})
    again = await canteen.call("POST", path, {"community_id": COMMUNITY})
    assert first.status_code == 200
    assert first.json()["status"] == "fulfilled"
    assert datetime.fromisoformat(first.json()["fulfilled_at"]) == NOON
    assert again.json() == first.json()


async def test_a_cancelled_order_gives_its_portion_back_once(canteen: Platform) -> None:
    redemption_id = uuid4()
    before = await canteen.remaining("lunch_set")
    await canteen.place(redemption_id)
    for _ in range(2):
        answer = await canteen.call(
            "POST", f"/redemptions/{redemption_id}/cancel", {"community_id": COMMUNITY}
        )
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert await canteen.remaining("lunch_set") == before


async def test_what_was_handed_over_cannot_be_cancelled(canteen: Platform) -> None:
    redemption_id = uuid4()
    await canteen.place(redemption_id)
    await canteen.call("POST", f"/redemptions/{redemption_id}/fulfil", {"community_id": COMMUNITY})
    answer = await canteen.call("POST", f"/redemptions/{redemption_id}/cancel", {"community_id": COMMUNITY})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_fulfilled")
    assert await canteen.status(redemption_id) == "fulfilled"


async def test_a_cancelled_order_cannot_be_handed_over(canteen: Platform) -> None:
    redemption_id = uuid4()
    await canteen.place(redemption_id)
    await canteen.call("POST", f"/redemptions/{redemption_id}/cancel", {"community_id": COMMUNITY})
    answer = await canteen.call("POST", f"/redemptions/{redemption_id}/fulfil", {"community_id": COMMUNITY})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")


async def test_cancelling_and_handing_over_at_once_does_one_of_them(canteen: Platform) -> None:
    redemption_id = uuid4()
    before = await canteen.remaining("lunch_set")
    await canteen.place(redemption_id)
    answers = await asyncio.gather(
        *(
            canteen.call("POST", f"/redemptions/{redemption_id}/{verb}", {"community_id": COMMUNITY})
            for verb in ("cancel", "fulfil") * 4
        )
    )
    ended = await canteen.status(redemption_id)
    assert ended in {"cancelled", "fulfilled"}
    assert {answer.json()["status"] for answer in answers if answer.status_code == 200} == {ended}
    assert await canteen.remaining("lunch_set") == before - (ended == "fulfilled")


async def test_another_communitys_order_is_not_found(canteen: Platform) -> None:
    redemption_id = uuid4()
    await canteen.serve(8)
    await canteen.place(redemption_id)
    answer = await canteen.call("GET", f"/redemptions/{redemption_id}?community_id=8")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_community_that_is_not_served_is_named(canteen: Platform) -> None:
    answer = await canteen.place(community_id=99)
    assert (answer.status_code, answer.json()["what"]) == (404, "community")


async def test_an_order_belongs_to_the_communitys_own_day(canteen: Platform, clock: FixedClock) -> None:
    clock.move_to(datetime(2026, 3, 9, 15, 59, tzinfo=UTC))  # 23:59 in Shanghai
    assert (await canteen.place()).json()["status"] == "accepted"
    clock.move_to(datetime(2026, 3, 9, 16, 0, tzinfo=UTC))  # midnight there
    assert (await canteen.place()).json()["reason"] == "closed"


async def test_a_lowered_capacity_never_falls_below_what_was_promised(canteen: Platform) -> None:
    await canteen.place()
    await canteen.place()
    await set_lunches(canteen, 1)
    assert await canteen.remaining("lunch_set") == 0
    assert (await canteen.place()).json()["reason"] == "sold_out"
