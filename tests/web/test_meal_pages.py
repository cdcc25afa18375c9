"""An elder chooses a dish of the canteen's menu, has it brought, and says how it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import Browser
from pydantic import SecretStr

from api.app import create_app
from pointsbank.platform.settings import Settings
from services.settlement.meals import jobs as meal_jobs
from tests.shops import TODAY, Shop, open_shop
from tests.web.conftest import Site, Visit

TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
async def shop(app_url: str, canteen_url_db: str) -> AsyncIterator[Shop]:
    async with open_shop(app_url, canteen_url_db) as shop:
        await shop.work()
        for path, body in (
            ("/dishes/fish", {"name": "清蒸鱼", "item": "lunch_set", "tags": ["low_salt"]}),
            (f"/menus/{TOMORROW}/lunch", {"capacity": 5, "dishes": [{"dish": "fish", "capacity": 3}]}),
        ):
            answer = await shop.canteen.call("PUT", path, {"community_id": 1, **body})
            assert answer.is_success, answer.text
        yield shop


@pytest.fixture
async def open_site(shop: Shop, app_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    """The pages, whose canteen is the shop's."""
    settings = Settings(app_database_url=SecretStr(app_url), redis_url=None, data=tmp_path)
    app = create_app(settings, clock=shop.clock)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            serving.result()
        await asyncio.sleep(0.01)
    app.state.desk = replace(app.state.desk, partners=shop.partners)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(f"http://127.0.0.1:{port}", shop.database, shop.world, shop.clock)
    server.should_exit = True
    await serving


async def test_an_elder_chooses_a_dish_has_it_brought_and_rates_it_with_one_tap(
    open_site: Site, shop: Shop, browser: Browser
) -> None:
    context = await browser.new_context(locale="zh-CN", viewport={"width": 360, "height": 740})
    visit = Visit(open_site, context, await context.new_page())
    await visit.sign_in(shop.elder)
    await visit.go("/order")
    assert "这一天还没有菜单" in await visit.page.inner_text("main")
    await visit.go(f"/order?day={TOMORROW}")
    told = await visit.page.inner_text("main")
    assert "清蒸鱼 · 少盐" in told
    assert "剩 3 份" in told
    await visit.page.get_by_role("link", name="清蒸鱼").click()
    await visit.page.get_by_label("送到家").check()
    await visit.page.get_by_label("饮食要求").select_option("soft")
    await (
        visit.page.get_by_role("button", name="兑换")
        .or_(visit.page.locator("form[action='/order'] button"))
        .first.click()
    )
    await visit.page.wait_for_url("**/orders/*")
    told = await visit.page.inner_text("main")
    assert "送到家 · 测试小区 1栋 · 软食" in told
    await shop.work()
    async with shop.database.unit_of_work(1) as uow:
        connection = await uow.connection()
        redemption_id = await connection.fetchval("SELECT id FROM bank.redemptions WHERE community_id = 1")
    await shop.hand_over(redemption_id)
    await shop.tell(await shop.look(redemption_id), "fulfilled")
    await shop.work()
    await visit.go(f"/orders/{redemption_id}")
    await visit.page.get_by_role("button", name="好吃", exact=True).click()
    await visit.page.wait_for_url("**done=feedback_given")
    assert (
        await visit.page.get_by_role("button", name="好吃", exact=True).get_attribute("aria-pressed")
        == "true"
    )
    assert visit.outside == []
    await context.close()


async def test_an_elder_orders_a_lunch_for_every_weekday_and_sees_what_became_of_each_day(
    open_site: Site, shop: Shop, browser: Browser
) -> None:
    context = await browser.new_context(locale="zh-CN", viewport={"width": 360, "height": 740})
    visit = Visit(open_site, context, await context.new_page())
    await visit.sign_in(shop.elder)
    await visit.go("/standing")
    await visit.page.locator("select[name=item]").select_option("lunch_set")
    await visit.page.get_by_role("button", name="就这样订").click()
    await visit.page.wait_for_url("**done=ordered")
    assert await meal_jobs.order_standing(shop.database, 1) == 2
    await visit.go("/standing")
    told = await visit.page.inner_text("main")
    assert told.count("已订好") == 2
    assert await visit.page.evaluate("document.documentElement.scrollWidth") == 360
    await visit.page.get_by_role("button", name="不再订了").click()
    await visit.page.wait_for_url("**done=order_cancelled")
    assert "不再订了" not in await visit.page.inner_text("main")
    await context.close()
