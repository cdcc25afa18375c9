"""A partner's own statement of a day, and the intake of orders from before."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from tests.partners.support import COMMUNITY, Platform, past_order


async def handed_over(canteen: Platform, **changes: Any) -> UUID:
    """Place an order and hand it over."""
    redemption_id = uuid4()
    await canteen.place(redemption_id, **changes)
    await canteen.call("POST", f"/redemptions/{redemption_id}/fulfil", {"community_id": COMMUNITY})
    return redemption_id


async def take_in(canteen: Platform, lines: list[dict[str, Any]]) -> Any:
    """Send past orders."""
    return await canteen.call("POST", "/redemptions/bulk", {"community_id": COMMUNITY, "redemptions": lines})


async def statement(canteen: Platform, query: str = "") -> dict[str, Any]:
    """Return a page of the day's statement."""
    answer = await canteen.call("GET", f"/statements/2026-03-09?community_id={COMMUNITY}{query}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_the_statement_lists_what_was_handed_over_and_nothing_else(canteen: Platform) -> None:
    fulfilled = await handed_over(canteen, quantity=2, milli_points=20_000, fen=2_400)
    await canteen.place()
    cancelled = uuid4()
    await canteen.place(cancelled)
    await canteen.call("POST", f"/redemptions/{cancelled}/cancel", {"community_id": COMMUNITY})
    told = await statement(canteen)
    assert [line["redemption_id"] for line in told["lines"]] == [str(fulfilled)]
    assert told["totals"] == {"lines": 1, "milli_points": 20_000, "fen": 2_400}
    assert told["next_after"] is None
    assert set(told["lines"][0]) == {
        "redemption_id",
        "partner_reference",
        "item",
        "quantity",
        "milli_points",
        "fen",
        "fulfilled_at",
    }


async def test_pages_of_a_statement_give_every_line_once_and_the_days_totals(canteen: Platform) -> None:
    lines = [past_order() for _ in range(7)]
    await take_in(canteen, lines)
    seen, after = [], ""
    while True:
        page = await statement(canteen, f"&limit=3&after={after}")
        assert page["totals"] == {"lines": 7, "milli_points": 70_000, "fen": 8_400}
        seen += [line["redemption_id"] for line in page["lines"]]
        if page["next_after"] is None:
            break
        after = page["next_after"]
    assert sorted(seen) == sorted(line["redemption_id"] for line in lines)


async def test_an_order_of_another_day_is_not_in_the_statement(canteen: Platform) -> None:
    await take_in(canteen, [past_order(business_date="2026-03-08")])
    assert (await statement(canteen))["totals"]["lines"] == 0


async def test_taking_in_the_same_orders_again_adds_nothing(canteen: Platform) -> None:
    lines = [past_order() for _ in range(3)]
    assert (await take_in(canteen, lines)).json() == {"received": 3, "new": 3}
    assert (await take_in(canteen, [*lines, past_order()])).json() == {"received": 4, "new": 1}
    assert (await statement(canteen))["totals"]["lines"] == 4


async def test_a_thousand_past_orders_come_in_with_one_call(canteen: Platform) -> None:
    answer = await take_in(canteen, [past_order() for _ in range(1_000)])
    assert answer.json() == {"received": 1_000, "new": 1_000}
    assert (await statement(canteen))["totals"]["fen"] == 1_200_000


async def test_one_wrong_past_order_keeps_all_of_them_out(canteen: Platform) -> None:
    known = past_order()
    await take_in(canteen, [known])
    wrong: list[tuple[dict[str, Any], str, str]] = [
        (past_order(item="nothing_like_it"), "invalid_value", "redemptions[1].item"),
        (
            past_order(fulfilled_at="2026-03-10T09:00:00+08:00"),
            "invalid_value",
            "redemptions[1].fulfilled_at",
        ),
        (past_order(business_date="2026-03-10"), "invalid_value", "redemptions[1].business_date"),
        (past_order(business_date="0001-01-01"), "invalid_value", "redemptions[1].business_date"),
        (past_order(business_date="2025-02-01"), "invalid_value", "redemptions[1].business_date"),
        (
            past_order(fulfilled_at="0001-01-01T00:00:00+14:00"),
            "invalid_value",
            "redemptions[1].fulfilled_at",
        ),
        (
            past_order(fulfilled_at="9999-12-31T23:59:59-14:00"),
            "invalid_value",
            "redemptions[1].fulfilled_at",
        ),
        (
            past_order(fulfilled_at="2025-02-01T12:00:00+08:00"),
            "invalid_value",
            "redemptions[1].fulfilled_at",
        ),
        (past_order(quantity=0), "invalid_value", "redemptions[1].quantity"),
        (past_order(status="accepted"), "invalid_value", "redemptions[1].status"),
        (past_order(fulfilled_at="2026-03-09T09:00:00"), "invalid_value", "redemptions[1].fulfilled_at"),
        ({**known, "fen": 1}, "redemption_differs", "fen"),
        ({**known, "fulfilled_at": "2026-03-09T11:31:00+08:00"}, "redemption_differs", "fulfilled_at"),
    ]
    for line, code, field in wrong:
        answer = await take_in(canteen, [past_order(), line])
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    twice = past_order()
    answer = await take_in(canteen, [twice, twice])
    assert (answer.status_code, answer.json()["rule"]) == (422, "repeated")
    assert (await statement(canteen))["totals"]["lines"] == 1


async def test_an_order_of_four_hundred_days_ago_is_taken_in(canteen: Platform) -> None:
    oldest = past_order(business_date="2025-02-02", fulfilled_at="2025-02-02T12:00:00+08:00")
    assert (await take_in(canteen, [oldest])).json() == {"received": 1, "new": 1}
    older = past_order(business_date="2025-02-01")
    assert (await take_in(canteen, [older])).json()["rule"] == "plausible_date"


async def test_more_than_a_thousand_past_orders_are_refused(canteen: Platform) -> None:
    answer = await take_in(canteen, [past_order() for _ in range(1_001)])
    assert (answer.status_code, answer.json()["field"]) == (422, "redemptions")


async def test_paper_without_vouchers_can_be_taken_in(canteen: Platform) -> None:
    lines = [past_order(), past_order()]
    for line in lines:
        del line["voucher"]
    assert (await take_in(canteen, lines)).json() == {"received": 2, "new": 2}
