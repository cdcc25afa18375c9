"""The staff's counter page."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from pointsbank.platform.clock import FixedClock
from pointsbank.platform.messages import LOCALES
from services.canteen.app import create_app
from services.partnerkit.words import words
from tests.partners.support import NOON, PIN, TODAY, Platform, calling, partner_settings


@pytest.fixture
async def staff(canteen: Platform) -> Platform:
    """The canteen, with the counter signed in."""
    answer = await canteen.http.post("/counter/sign-in", data={"pin": PIN})
    assert answer.status_code == 303
    return canteen


async def shown(platform: Platform, path: str = "/") -> str:
    """Return a page's text."""
    answer = await platform.http.get(path)
    assert answer.status_code == 200
    return answer.text


async def test_the_counter_shows_nothing_before_the_pin(canteen: Platform) -> None:
    await canteen.place(voucher="LUNCH-1")
    page = await shown(canteen)
    assert "LUNCH-1" not in page
    assert "工作人员密码" in page
    assert 'lang="zh-CN"' in page


async def test_todays_orders_stand_on_the_page_in_order_of_voucher(staff: Platform) -> None:
    await staff.place(voucher="B-2", mode="delivery")
    await staff.place(voucher="A-1", quantity=2, milli_points=20_000, fen=2_400)
    await staff.place(voucher="C-3", business_date=(TODAY + timedelta(days=1)).isoformat())
    page = await shown(staff)
    assert re.findall(r'class="voucher">([^<]+)<', page) == ["A-1", "B-2"]
    assert "午餐套餐 × 2" in page
    assert "送餐" in page


async def test_handing_over_takes_the_order_off_the_page(staff: Platform) -> None:
    redemption_id = uuid4()
    await staff.place(redemption_id, voucher="A-1")
    answer = await staff.http.post("/counter/redemptions/A-1/fulfil", data={"community_id": "7"})
    assert answer.status_code == 303
    assert "A-1" not in answer.headers["location"]
    page = await shown(staff, answer.headers["location"])
    assert 'class="voucher"' not in page
    assert "已交付：A-1" in page
    assert "已交付：" not in await shown(staff)
    assert await staff.status(redemption_id) == "fulfilled"


async def test_a_voucher_cannot_be_handed_over_twice_or_on_another_day(staff: Platform) -> None:
    await staff.place(voucher="A-1")
    await staff.place(voucher="C-3", business_date=(TODAY + timedelta(days=1)).isoformat())
    await staff.http.post("/counter/redemptions/A-1/fulfil")
    for voucher in ("A-1", "C-3", "NEVER"):
        answer = await staff.http.post(f"/counter/redemptions/{voucher}/fulfil")
        assert answer.status_code == 404
        assert "今天没有这个订单" in answer.text


async def test_a_voucher_is_found_by_its_beginning_in_any_case(staff: Platform) -> None:
    await staff.place(voucher="AB-1")
    await staff.place(voucher="CD-2")
    page = await shown(staff, "/?voucher=ab")
    assert re.findall(r'class="voucher">([^<]+)<', page) == ["AB-1"]


async def test_what_cannot_be_a_voucher_is_refused_in_words(staff: Platform) -> None:
    for typed in ("%00", "A%201", "A" * 13, "A" * 5_000, "%E5%8D%88"):
        answer = await staff.http.get(f"/?voucher={typed}")
        assert answer.status_code == 422, typed
        assert "兑换码只有字母、数字和连字符，最多 12 个字符" in answer.text
    answer = await staff.http.post("/counter/redemptions/A%00/fulfil")
    assert answer.status_code == 422
    assert 'class="voucher"' not in await shown(staff, "/?voucher=%20%20")


async def test_a_cookie_that_is_no_voucher_of_ours_says_nothing(staff: Platform) -> None:
    staff.http.cookies.set("pointsbank_canteen_done", "<b>A-1</b>")
    assert "已交付：" not in await shown(staff)


async def test_a_fault_at_the_counter_is_told_on_its_own_page(
    staff: Platform, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: None)
    answer = await staff.http.get("/")
    assert answer.status_code == 500
    assert "NoneType" not in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_nothing_is_handed_over_without_a_session(canteen: Platform) -> None:
    redemption_id = uuid4()
    await canteen.place(redemption_id, voucher="A-1")
    assert (await canteen.http.post("/counter/redemptions/A-1/fulfil")).status_code == 403
    forged = {"pointsbank_canteen_counter": f"{int(NOON.timestamp()) + 9999}.00.{'0' * 64}"}
    canteen.http.cookies.update(forged)
    assert (await canteen.http.post("/counter/redemptions/A-1/fulfil")).status_code == 403
    assert await canteen.status(redemption_id) == "accepted"


async def test_a_form_from_another_site_is_refused(staff: Platform) -> None:
    redemption_id = uuid4()
    await staff.place(redemption_id, voucher="A-1")
    for headers in (
        {"Origin": "http://elsewhere"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "//partner"},
        {"Origin": "http://partner.elsewhere"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = await staff.http.post("/counter/redemptions/A-1/fulfil", headers=headers)
        assert answer.status_code == 403, headers
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert await staff.status(redemption_id) == "accepted"
    own = {"Origin": "http://partner", "Sec-Fetch-Site": "same-origin"}
    assert (await staff.http.post("/counter/redemptions/A-1/fulfil", headers=own)).status_code == 303


async def test_a_session_ends_with_sign_out_and_after_twelve_hours(
    staff: Platform, clock: FixedClock
) -> None:
    assert "退出" in await shown(staff)
    clock.move_to(NOON + timedelta(hours=12, seconds=1))
    assert "工作人员密码" in await shown(staff)
    clock.move_to(NOON)
    await staff.http.post("/counter/sign-out")
    assert "工作人员密码" in await shown(staff)


async def test_five_wrong_pins_close_the_door_for_five_minutes(canteen: Platform, clock: FixedClock) -> None:
    for _ in range(5):
        assert (await canteen.http.post("/counter/sign-in", data={"pin": "0000"})).status_code == 403
    closed = await canteen.http.post("/counter/sign-in", data={"pin": PIN})
    assert closed.status_code == 429
    assert "五分钟" in closed.text
    clock.move_to(NOON + timedelta(minutes=5, seconds=1))
    assert (await canteen.http.post("/counter/sign-in", data={"pin": PIN})).status_code == 303


async def test_another_pin_ends_the_sessions_of_the_old_one(
    staff: Platform, canteen_url_db: str, clock: FixedClock
) -> None:
    cookies = httpx.Cookies(staff.http.cookies)
    settings = partner_settings(canteen_url_db, counter_pin="another-pin")
    async with calling(create_app(settings, clock=clock), clock) as changed:
        changed.http.cookies.update(cookies)
        assert "工作人员密码" in await shown(changed)


async def test_without_a_pin_the_counter_stays_closed(canteen_url_db: str, clock: FixedClock) -> None:
    settings = partner_settings(canteen_url_db, counter_pin=None)
    async with calling(create_app(settings, clock=clock), clock) as canteen:
        assert "前台未开放" in await shown(canteen)
        assert (await canteen.http.post("/counter/sign-in", data={"pin": ""})).status_code == 403


async def test_the_page_asks_nothing_of_the_outside_and_runs_no_script(staff: Platform) -> None:
    await staff.place()
    answer = await staff.http.get("/")
    assert not re.search(r"https?://|<script|\bon\w+=|style=", answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    style = await staff.http.get("/counter.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "url(" not in style.text


async def test_the_page_speaks_the_browsers_language(canteen: Platform) -> None:
    answer = await canteen.http.get("/", headers={"Accept-Language": "en"})
    assert "Staff PIN" in answer.text
    assert 'lang="en"' in answer.text


def test_every_message_of_the_counter_stands_in_every_language() -> None:
    keys = {locale: words().keys(locale) for locale in LOCALES}
    assert len(keys["zh_CN"]) > 20
    assert keys["zh_CN"] == keys["en"] == keys["zh_Hant_HK"]
