"""What is cooked, what is carried where, and how orders end: sheets, runs, outcomes, quality."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from pointsbank.platform.clock import FixedClock
from pointsbank.platform.messages import LOCALES
from services.canteen.app import create_app
from services.canteen.rules import Allergen, Diet, Meal, Outcome, Tag
from services.partnerkit.words import words
from tests.partners.kitchen import (
    FISH,
    TOFU,
    TOMORROW,
    change_rules,
    done,
    order_dish,
    set_menu,
    write_dishes,
)
from tests.partners.support import COMMUNITY, PIN, Platform, calling, partner_settings, receiving

CLOSED = datetime(2026, 3, 10, 1, 31, tzinfo=UTC)
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
OF_LUNCH = f"community_id={COMMUNITY}&meal=lunch"
PAGE = f"{OF_LUNCH}&date={TOMORROW}"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


@pytest.fixture
async def kitchen(canteen: Platform) -> Platform:
    """A canteen with two dishes on tomorrow's menu, and its counter signed in."""
    await write_dishes(canteen)
    await set_menu(canteen)
    await canteen.http.post("/counter/sign-in", data={"pin": PIN})
    return canteen


async def runs_of(kitchen: Platform) -> dict[str, Any]:
    return dict(await done(await kitchen.call("GET", f"/runs/{TOMORROW}?{OF_LUNCH}")))


async def end(kitchen: Platform, redemption_id: UUID, outcome: str, **more: Any) -> dict[str, Any]:
    body = {"community_id": COMMUNITY, "outcome": outcome, **more}
    return dict(await done(await kitchen.call("POST", f"/redemptions/{redemption_id}/end", body)))


async def test_the_kitchen_counts_by_dish_and_diet_without_what_was_cancelled(kitchen: Platform) -> None:
    cancelled = uuid4()
    await order_dish(kitchen, FISH, diet="soft")
    await order_dish(kitchen, FISH, diet="soft", place=(1, 2, "3栋", 1))
    await order_dish(kitchen, FISH)
    await order_dish(kitchen, TOFU, cancelled)
    await kitchen.call("POST", f"/redemptions/{cancelled}/cancel", {"community_id": COMMUNITY})
    counts = await done(await kitchen.call("GET", f"/kitchen/{TOMORROW}?{OF_LUNCH}"))
    told = [(each["dish"], each["diet"], each["dine_in"], each["delivery"]) for each in counts]
    assert told == [(FISH, None, 1, 0), (FISH, "soft", 1, 1)]
    page = (await kitchen.http.get(f"/counter/kitchen?{PAGE}")).text
    assert "清蒸鱼" in page
    assert "软食" in page
    sheet = await kitchen.http.get(f"/counter/kitchen.csv?{PAGE}")
    assert sheet.text.splitlines()[1:] == ["长者饭堂,清蒸鱼,,1,0", "长者饭堂,清蒸鱼,软食,1,1"]


async def test_runs_are_cut_once_after_the_cut_off_and_stay_as_they_are(
    kitchen: Platform, clock: FixedClock
) -> None:
    await change_rules(kitchen, run_portions=2)
    places = [(1, 3, "丙栋", 1), (1, 2, "乙栋", 4), (2, 9, "丁栋", 1), (1, 2, "甲栋", 1)]
    for place in places:
        await order_dish(kitchen, FISH, place=place)
    assert await runs_of(kitchen) == {
        "date": str(TOMORROW),
        "meal": "lunch",
        "planned": False,
        "runs": [],
    }
    clock.move_to(CLOSED)
    first = await runs_of(kitchen)
    assert [[stop["building"] for stop in run["stops"]] for run in first["runs"]] == [
        ["甲栋", "乙栋"],
        ["丙栋"],
        ["丁栋"],
    ]
    assert [run["portions"] for run in first["runs"]] == [2, 1, 1]
    assert datetime.fromisoformat(first["runs"][0]["starts_at"]) == datetime(2026, 3, 10, 3, 30, tzinfo=UTC)
    await change_rules(kitchen, run_portions=9)
    gone = first["runs"][1]["stops"][0]["redemption_id"]
    await kitchen.call("POST", f"/redemptions/{gone}/cancel", {"community_id": COMMUNITY})
    second = await runs_of(kitchen)
    assert [run["run_id"] for run in second["runs"]] == [run["run_id"] for run in first["runs"]]
    assert [run["portions"] for run in second["runs"]] == [2, 0, 1]
    await kitchen.http.post("/counter/sign-in", data={"pin": PIN})
    page = (await kitchen.http.get(f"/counter/runs?{PAGE}")).text
    assert page.count('class="run"') == 3
    assert page.index("甲栋") < page.index("乙栋") < page.index("丙栋")
    sheet = (await kitchen.http.get(f"/counter/runs.csv?{PAGE}")).text
    assert "甲栋" in sheet.splitlines()[1]


@pytest.mark.parametrize(
    ("outcome", "refunds", "status"),
    [
        ("not_home", {}, "fulfilled"),
        ("not_home", {"not_home": True}, "cancelled"),
        ("refused_at_door", {}, "fulfilled"),
        ("refused_at_door", {"refused_at_door": True}, "cancelled"),
    ],
)
async def test_a_meal_nobody_took_is_paid_or_not_by_the_canteens_rule(
    kitchen: Platform, outcome: str, refunds: dict[str, bool], status: str
) -> None:
    redemption_id = uuid4()
    await change_rules(kitchen, refunds=refunds)
    await order_dish(kitchen, FISH, redemption_id)
    assert (await end(kitchen, redemption_id, outcome))["status"] == status
    again = await kitchen.call(
        "POST", f"/redemptions/{redemption_id}/end", {"community_id": COMMUNITY, "outcome": outcome}
    )
    assert again.status_code == 409
    told = await done(await kitchen.call("GET", f"/statements/{TOMORROW}?community_id={COMMUNITY}"))
    assert told["totals"]["lines"] == (1 if status == "fulfilled" else 0)


async def test_the_platform_is_told_how_an_order_ended(canteen_url_db: str, clock: FixedClock) -> None:
    async with receiving(clock) as receiver:
        app = create_app(partner_settings(canteen_url_db, platform_url=receiver.url), clock=clock)
        async with calling(app, clock) as canteen:
            await canteen.serve()
            await write_dishes(canteen)
            await set_menu(canteen)
            served, away = uuid4(), uuid4()
            await order_dish(canteen, FISH, served)
            await order_dish(canteen, FISH, away)
            await end(canteen, served, "substituted", dish=TOFU)
            await end(canteen, away, "not_home")
            body = {"community_id": COMMUNITY, "words": "饭是凉的"}
            await done(await canteen.call("PUT", f"/redemptions/{served}/complaint", body))
            await canteen.http.post("/counter/sign-in", data={"pin": PIN})
            form = {
                "community_id": "7",
                "complaint": str(served),
                "answer": "对不起，退还积分",
                "upheld": "1",
            }
            assert (await canteen.http.post("/counter/answer", data=form)).status_code == 303
            await receiver.wait_for(5)
    told = {(each["redemption_id"], each["type"], each.get("outcome")) for each in receiver.events}
    assert told == {
        (str(served), "accepted", None),
        (str(away), "accepted", None),
        (str(served), "fulfilled", "substituted"),
        (str(away), "fulfilled", "not_home"),
        (str(served), "cancelled", "complained"),
    }
    assert all("outcome" not in each for each in receiver.events if each["type"] == "accepted")


async def test_staff_note_at_the_counter_who_was_not_at_home_and_what_was_given_instead(
    kitchen: Platform, clock: FixedClock
) -> None:
    away, instead = uuid4(), uuid4()
    await order_dish(kitchen, FISH, away, voucher="A-1", diet="soft", place=(1, 1, "3栋", 1))
    await order_dish(kitchen, FISH, instead, voucher="B-2")
    clock.move_to(NOON)
    await kitchen.http.post("/counter/sign-in", data={"pin": PIN})
    page = (await kitchen.http.get("/")).text
    assert "3栋" in page
    assert "清蒸鱼" in page
    form = {"community_id": "7", "voucher": "A-1", "outcome": "not_home"}
    assert (await kitchen.http.post("/counter/end", data=form)).status_code == 303
    form = {"community_id": "7", "voucher": "B-2", "outcome": "substituted", "dish": TOFU}
    assert (await kitchen.http.post("/counter/end", data=form)).status_code == 303
    assert [await kitchen.status(each) for each in (away, instead)] == ["fulfilled"] * 2
    assert (await kitchen.http.post("/counter/end", data=form)).status_code == 404


async def test_a_scanned_code_hands_over_at_once(kitchen: Platform) -> None:
    redemption_id = uuid4()
    await kitchen.place(redemption_id, voucher="123456")
    assert (await kitchen.http.post("/counter/scan", data={"code": "PB:123 456"})).status_code == 303
    assert await kitchen.status(redemption_id) == "fulfilled"
    assert (await kitchen.http.post("/counter/scan", data={"code": "PB:123456"})).status_code == 404
    assert (await kitchen.http.post("/counter/scan", data={"code": "<b>"})).status_code == 422


async def test_a_meal_is_rated_with_one_tap_and_the_last_word_counts(kitchen: Platform) -> None:
    redemption_id = uuid4()
    await order_dish(kitchen, FISH, redemption_id)
    path, body = f"/redemptions/{redemption_id}/rating", {"community_id": COMMUNITY, "score": 1}
    assert (await kitchen.call("PUT", path, body)).status_code == 409
    await kitchen.call("POST", f"/redemptions/{redemption_id}/fulfil", {"community_id": COMMUNITY})
    for score in (1, 3):
        await done(await kitchen.call("PUT", path, {**body, "score": score}))
    assert (await kitchen.call("PUT", path, {**body, "score": 4})).status_code == 422
    page = (await kitchen.http.get(f"/counter/quality?{PAGE}")).text
    assert "100%" in page
    sheet = (await kitchen.http.get(f"/counter/quality.csv?{PAGE}")).text
    assert sheet.splitlines()[1] == "清蒸鱼,1,1,0,0,0,0,0,0"


async def test_a_complaint_waits_with_a_deadline_until_it_is_answered_once(
    kitchen: Platform, clock: FixedClock
) -> None:
    redemption_id = uuid4()
    await order_dish(kitchen, FISH, redemption_id)
    await kitchen.call("POST", f"/redemptions/{redemption_id}/fulfil", {"community_id": COMMUNITY})
    path = f"/redemptions/{redemption_id}/complaint"
    body = {"community_id": COMMUNITY, "words": "鱼不新鲜"}
    filed = await done(await kitchen.call("PUT", path, body))
    assert (filed["answer_by"], filed["answer"]) == ("2026-03-12", None)
    assert await done(await kitchen.call("PUT", path, {**body, "words": "又一次"})) == filed
    page = (await kitchen.http.get(f"/counter/quality?{PAGE}")).text
    assert "鱼不新鲜" in page
    assert "又一次" not in page
    form = {"community_id": "7", "complaint": str(redemption_id), "answer": "当天的鱼是新鲜的", "upheld": "0"}
    assert (await kitchen.http.post("/counter/answer", data={**form, "answer": " "})).status_code == 422
    assert (await kitchen.http.post("/counter/answer", data=form)).status_code == 303
    assert (await kitchen.http.post("/counter/answer", data=form)).status_code == 409
    told = await done(await kitchen.call("GET", f"{path}?community_id={COMMUNITY}"))
    assert (told["answer"], told["upheld"]) == ("当天的鱼是新鲜的", False)


async def test_staff_write_dishes_and_a_weeks_menu_at_the_counter(kitchen: Platform) -> None:
    form = {
        "community_id": "7",
        "name": "冬瓜汤",
        "item": "lunch_set",
        "tag.soft": "on",
        "allergen.egg": "on",
    }
    photo = {"photo": ("soup.png", PNG, "image/png")}
    assert (await kitchen.http.post("/counter/dishes", data=form, files=photo)).status_code == 303
    page = (await kitchen.http.get("/counter/dishes")).text
    assert "冬瓜汤" in page
    assert "含蛋" in page
    (code,) = set(re.findall(r"dish=(d\w{10})", page))
    shown = await kitchen.http.get(f"/photos/7/{code}")
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    bad = {"photo": ("soup.svg", b"<svg/>", "image/svg+xml")}
    assert (
        await kitchen.http.post("/counter/dishes", data={**form, "code": code}, files=bad)
    ).status_code == 422
    menu = {
        "community_id": "7",
        "date": str(TOMORROW),
        "meal": "lunch",
        "point": "main",
        f"dish.{code}": "30",
    }
    assert (await kitchen.http.post("/counter/menu", data=menu)).status_code == 303
    page = (await kitchen.http.get(f"/counter/menu?{PAGE}")).text
    assert "30 / 30" in page
    assert "清蒸鱼</td>" not in page
    copy = {"community_id": "7", "from": "2026-03-09"}
    assert (await kitchen.http.post("/counter/menu/copy", data=copy)).status_code == 303
    assert "30 / 30" in (await kitchen.http.get("/counter/menu?date=2026-03-17")).text


async def test_the_canteens_pages_show_nothing_without_a_session(canteen: Platform) -> None:
    await order_dish(canteen, None, place=(1, 1, "3栋", 1))
    for page in ("kitchen", "runs", "menu", "dishes", "quality", "kitchen.csv", "runs.csv", "quality.csv"):
        answer = await canteen.http.get(f"/counter/{page}?{PAGE}")
        assert "工作人员密码" in answer.text, page
        assert "3栋" not in answer.text
    for form in ("end", "menu", "menu/copy", "dishes", "answer", "scan"):
        assert (await canteen.http.post(f"/counter/{form}", data={})).status_code == 403, form


async def test_a_page_asked_for_an_impossible_day_says_so_in_words(kitchen: Platform) -> None:
    for query in ("date=2026-02-30", "meal=breakfast", "date=9999-01-01"):
        answer = await kitchen.http.get(f"/counter/kitchen?{query}")
        assert (answer.status_code, "填写有误" in answer.text) == (422, True), query


def test_every_word_of_the_kitchen_is_said_in_every_language() -> None:
    families = {
        "meal": Meal,
        "diet": Diet,
        "tag": Tag,
        "allergen": Allergen,
        "outcome": [each for each in Outcome if each is not Outcome.COMPLAINED],
    }
    for locale in LOCALES:
        for family, said in families.items():
            for word in said:
                assert words().has(locale, f"{family}.{word}"), (locale, family, word)
