"""Menus by day, meal and serving point: read, copied, ordered from, and never oversold."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from pointsbank.platform import migrations
from pointsbank.platform.clock import FixedClock
from tests.partners.kitchen import (
    FISH,
    TOFU,
    TOMORROW,
    change_rules,
    done,
    left,
    menu_of,
    order_dish,
    set_menu,
    write_dishes,
)
from tests.partners.support import COMMUNITY, TODAY, Platform


@pytest.fixture
async def serving(canteen: Platform) -> Platform:
    """A canteen with two dishes on tomorrow's menu."""
    await write_dishes(canteen)
    await set_menu(canteen)
    return canteen


async def test_the_menu_of_a_day_is_read_with_tags_allergens_and_what_is_left(serving: Platform) -> None:
    await order_dish(serving, TOFU)
    fish, tofu = await menu_of(serving, TOMORROW)
    assert (fish["dish"], fish["name"], fish["left"], fish["item"]) == (FISH, "清蒸鱼", 10, "lunch_set")
    assert (tofu["tags"], tofu["allergens"], tofu["left"]) == (["diabetic", "soft"], ["soy"], 9)
    assert (fish["point"], fish["meal"], fish["photo"]) == ("main", "lunch", None)


async def test_a_sitting_bounds_all_its_dishes_together(serving: Platform) -> None:
    await set_menu(serving, fish=10, tofu=10, seats=3)
    answers = [await order_dish(serving, dish) for dish in (FISH, TOFU, FISH, TOFU)]
    assert [each["status"] for each in answers] == ["accepted"] * 3 + ["refused"]
    assert answers[-1]["reason"] == "sold_out"
    assert await left(serving) == 0


async def test_sixteen_orders_for_the_last_two_of_a_dish_get_two_and_take_nothing_else(
    serving: Platform,
) -> None:
    await set_menu(serving, fish=2, tofu=10, seats=20)
    answers = await asyncio.gather(*(order_dish(serving) for _ in range(16)))
    assert sorted(each["status"] for each in answers) == ["accepted"] * 2 + ["refused"] * 14
    assert await left(serving, TOFU) == 10
    for _ in range(10):
        assert (await order_dish(serving, TOFU))["status"] == "accepted"


async def test_a_refused_dish_takes_none_of_the_days_sets(serving: Platform, canteen_url_db: str) -> None:
    await set_menu(serving, fish=0, tofu=1)
    assert (await order_dish(serving))["reason"] == "not_on_menu"
    connection = await asyncpg.connect(canteen_url_db)
    try:
        assert await connection.fetchval("SELECT coalesce(sum(taken), 0) FROM canteen.days") == 0
        await order_dish(serving, TOFU)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE canteen.menu_lines SET taken = taken + 1 WHERE dish = 'tofu'")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE canteen.sittings SET taken = capacity + 1")
    finally:
        await connection.close()


async def test_cancelling_gives_the_dish_and_the_seat_back(serving: Platform) -> None:
    redemption_id = uuid4()
    await order_dish(serving, FISH, redemption_id)
    assert await left(serving) == 9
    await done(
        await serving.call("POST", f"/redemptions/{redemption_id}/cancel", {"community_id": COMMUNITY})
    )
    assert await left(serving) == 10


async def test_a_dish_that_is_not_served_or_is_sold_as_another_set_is_refused(serving: Platform) -> None:
    assert (await order_dish(serving, business_date=TODAY.isoformat()))["reason"] == "late"
    day_after = (TOMORROW + timedelta(days=1)).isoformat()
    assert (await order_dish(serving, business_date=day_after))["reason"] == "not_on_menu"
    assert (await order_dish(serving, "nothing"))["reason"] == "not_on_menu"
    assert (await order_dish(serving, item="soft_lunch"))["reason"] == "not_on_menu"


async def test_what_comes_after_the_cut_off_is_refused_as_late(serving: Platform, clock: FixedClock) -> None:
    clock.move_to(datetime(2026, 3, 10, 1, 29, 59, tzinfo=UTC))  # 09:29:59 in Shanghai
    assert (await order_dish(serving))["status"] == "accepted"
    clock.move_to(datetime(2026, 3, 10, 1, 30, tzinfo=UTC))
    assert (await order_dish(serving))["reason"] == "late"
    # A set that is bought at the counter is no order ahead.
    assert (await serving.place(business_date=TOMORROW.isoformat())).json()["status"] == "accepted"


async def test_a_canteen_may_want_orders_by_the_day_before(serving: Platform, clock: FixedClock) -> None:
    hours = {"days_before": 1, "cut_off": "16:00", "served_from": "11:30", "served_until": "13:00"}
    await change_rules(serving, lunch=hours)
    clock.move_to(datetime(2026, 3, 9, 8, 0, tzinfo=UTC))  # 16:00 of the day before
    assert (await order_dish(serving))["reason"] == "late"


async def test_the_same_order_with_another_dish_is_another_order(serving: Platform) -> None:
    redemption_id, voucher = uuid4(), "SAME-1"
    first = await order_dish(serving, FISH, redemption_id, voucher=voucher)
    assert await order_dish(serving, FISH, redemption_id, voucher=voucher) == first
    assert await left(serving) == 9
    body = {"business_date": TOMORROW.isoformat(), "details": {"dish": TOFU}, "voucher": voucher}
    answer = await serving.place(redemption_id, **body)
    assert (answer.status_code, answer.json()["field"]) == (422, "details")


async def test_a_week_is_copied_once_and_keeps_what_is_planned_already(serving: Platform) -> None:
    monday, next_monday = TODAY, TODAY + timedelta(days=7)
    await set_menu(serving, next_monday + timedelta(days=2), fish=3, tofu=3)
    await set_menu(serving, monday + timedelta(days=2), fish=5, tofu=5)
    await order_dish(serving)
    body = {"community_id": COMMUNITY, "from": monday.isoformat(), "to": next_monday.isoformat()}
    assert (await done(await serving.call("POST", "/menus/copy", body)))["lines"] == 2
    assert (await done(await serving.call("POST", "/menus/copy", body)))["lines"] == 0
    copied = await menu_of(serving, next_monday, next_monday + timedelta(days=6))
    assert [(each["date"], each["left"]) for each in copied] == [
        ("2026-03-17", 10),
        ("2026-03-17", 10),
        ("2026-03-18", 3),
        ("2026-03-18", 3),
    ]
    wrong = {**body, "from": (monday + timedelta(days=1)).isoformat()}
    assert (await serving.call("POST", "/menus/copy", wrong)).json()["rule"] == "a_monday"


async def test_a_menu_is_of_dishes_of_that_meal_and_never_below_what_was_ordered(serving: Platform) -> None:
    answer = await serving.call(
        "PUT",
        f"/menus/{TOMORROW}/dinner",
        {"community_id": COMMUNITY, "capacity": 5, "dishes": [{"dish": FISH, "capacity": 5}]},
    )
    assert (answer.status_code, answer.json()["rule"]) == (422, "dish_of_this_meal")
    await order_dish(serving)
    await set_menu(serving, fish=0, tofu=5)
    fish, tofu = await menu_of(serving, TOMORROW)
    assert (fish["capacity"], fish["left"], tofu["left"]) == (1, 0, 5)


async def test_who_pays_is_kept_and_told_in_the_statement_and_must_sum_to_the_price(
    serving: Platform,
) -> None:
    redemption_id = uuid4()
    answer = await serving.place(
        redemption_id,
        business_date=TOMORROW.isoformat(),
        details={"dish": FISH, "shares": {"city": 300, "points": 800}},
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "details.shares")
    await order_dish(serving, FISH, redemption_id, details={"shares": {"city": 300, "points": 900}})
    await done(
        await serving.call("POST", f"/redemptions/{redemption_id}/fulfil", {"community_id": COMMUNITY})
    )
    told = await done(await serving.call("GET", f"/statements/{TOMORROW}?community_id={COMMUNITY}"))
    assert told["lines"][0]["shares"] == {"city": 300, "points": 900}


async def test_orders_nobody_came_for_give_their_dishes_back_when_the_day_is_over(
    serving: Platform, clock: FixedClock
) -> None:
    for dish in (FISH, TOFU, FISH):
        await order_dish(serving, dish)
    clock.move_to(datetime(2026, 3, 11, 0, 0, tzinfo=UTC))
    service = serving.http._transport.app.state.desk  # type: ignore[attr-defined]
    async with service.database.unit_of_work(COMMUNITY) as uow:
        await service.service.lapse(uow)
    assert await left(serving) == 10


async def test_the_station_takes_no_details(station: Platform) -> None:
    answer = await station.place(item="water_rest_pack", milli_points=2_000, fen=300, details={})
    assert (answer.status_code, answer.json()["field"]) == (422, "details")


async def test_orders_of_a_menu_survive_the_way_down_and_up_again(
    serving: Platform, canteen_url_db: str
) -> None:
    await order_dish(serving)
    await order_dish(serving, "nothing")
    scripts = "services.canteen:migrations"
    await asyncio.to_thread(migrations.downgrade, canteen_url_db, scripts, "0001")
    connection = await asyncpg.connect(canteen_url_db)
    try:
        told = await connection.fetch("SELECT status, reason FROM canteen.redemptions ORDER BY status")
        assert [tuple(row) for row in told] == [("accepted", None), ("refused", "closed")]
        await asyncio.to_thread(migrations.upgrade, canteen_url_db, scripts)
        assert await connection.fetchval("SELECT code FROM canteen.points") == "main"
    finally:
        await connection.close()
    assert await asyncio.to_thread(migrations.check, canteen_url_db, scripts) == []
