"""The API's page in a browser: complete under our Content-Security-Policy, asking nobody else."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.web.conftest import Site

pytestmark = pytest.mark.browser


async def test_the_docs_page_shows_every_operation_and_asks_no_other_site(
    site: Site, browser: Browser
) -> None:
    page = await browser.new_page()
    outside: list[str] = []
    complaints: list[str] = []
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((site.address, "data:")) else outside.append(asked.url),
    )
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{site.address}/docs")
    await page.wait_for_selector("#operations-redemptions-redeem")
    told = await (await page.request.get(f"{site.address}/docs/openapi.json")).json()
    wanted = sum(len(methods) for methods in told["paths"].values())
    assert await page.locator(".opblock").count() == wanted
    await page.click("#operations-redemptions-redeem .opblock-summary-control")
    await page.wait_for_selector("#operations-redemptions-redeem .opblock-body .parameters")
    await page.close()
    assert outside == []
    assert complaints == []
