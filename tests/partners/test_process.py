"""The canteen as the process that ``up`` starts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from playwright.async_api import async_playwright

from pointsbank.platform import migrations
from pointsbank.platform.clock import SystemClock, local_date
from tests.partners.support import PIN, SECRET, Platform, free_port, receiving, until

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore"}


ENDS_SECONDS_MAX = 20


def where_it_is_noon() -> tuple[str, str]:
    """Return a time zone in which the machine's clock is far from midnight, and the day it is there.

    A process keeps its own clock: its day must not end while the test runs.
    """
    now = SystemClock().now()
    timezone = f"Etc/GMT{now.hour - 12:+d}"  # POSIX counts westwards
    return timezone, local_date(now, timezone).isoformat()


def partner_environment(database_url: str, platform_url: str) -> dict[str, str]:
    """Return all that a partner process is given."""
    return {
        **ENVIRONMENT,
        "POINTSBANK_PARTNER_DATABASE_URL": database_url,
        "POINTSBANK_PARTNER_PLATFORM_URL": platform_url,
        "POINTSBANK_PARTNER_SECRET": SECRET,
        "POINTSBANK_PARTNER_COUNTER_PIN": PIN,
        "POINTSBANK_PARTNER_EVENT_SECONDS": "0.1",
    }


def command(port: int) -> list[str]:
    """Return the command that runs the canteen."""
    return [
        *(sys.executable, "-m", "uvicorn", "services.canteen.app:create_app", "--factory"),
        *("--port", str(port), "--log-level", "warning"),
    ]


@asynccontextmanager
async def running(
    database_url: str, platform_url: str
) -> AsyncIterator[tuple[Platform, subprocess.Popen[bytes]]]:
    """Run the canteen as a process and call it once it is ready."""
    port = free_port()
    process = subprocess.Popen(command(port), env=partner_environment(database_url, platform_url))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

            async def ready() -> bool:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, seconds=60)
            yield Platform(http), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, ENDS_SECONDS_MAX)
        except subprocess.TimeoutExpired:  # the test fails, and leaves nothing behind
            process.kill()
            process.wait()
            raise


async def test_a_killed_canteen_forgets_nothing_and_tells_it_after_its_restart(canteen_url_db: str) -> None:
    eaten, (timezone, today) = uuid4(), where_it_is_noon()
    async with receiving(SystemClock()) as platform_side:
        platform_side.refuse_next = 1_000
        async with running(canteen_url_db, platform_side.url) as (canteen, process):
            assert (await canteen.http.get("/livez")).json() == {"status": "ok"}
            await canteen.serve(timezone=timezone)
            accepted = await canteen.place(eaten, business_date=today)
            assert accepted.json()["status"] == "accepted"
            await canteen.call("POST", f"/redemptions/{eaten}/fulfil", {"community_id": 7})
            process.kill()
        platform_side.refuse_next = 0
        async with running(canteen_url_db, platform_side.url) as (canteen, process):
            await platform_side.wait_for(2)
            assert await canteen.status(eaten) == "fulfilled"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, ENDS_SECONDS_MAX) in (0, -signal.SIGTERM)
        assert sorted(set(platform_side.of(eaten))) == ["accepted", "fulfilled"]


async def test_the_canteen_is_not_ready_before_its_migrations(canteen_url_db: str) -> None:
    async with running(canteen_url_db, "http://127.0.0.1:9") as (canteen, _process):
        connection = await asyncpg.connect(canteen_url_db)
        await connection.execute("UPDATE canteen.alembic_version SET version_num = 'older'")
        await connection.close()
        answer = await canteen.http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "migrations_behind")
        assert (await canteen.http.get("/livez")).status_code == 200
    assert migrations.head("services.canteen:migrations") == "0002"


def test_a_canteen_without_its_settings_says_which_in_one_line() -> None:
    refused = subprocess.run(
        command(free_port()), env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode != 0
    assert "POINTSBANK_PARTNER_DATABASE_URL" in refused.stderr
    assert "POINTSBANK_PARTNER_SECRET" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.browser
async def test_staff_hand_over_a_meal_in_a_browser_without_javascript(
    canteen_url_db: str, chromium_path: str, tmp_path: Path
) -> None:
    async with running(canteen_url_db, "http://127.0.0.1:9") as (canteen, _process):
        timezone, today = where_it_is_noon()
        await canteen.serve(timezone=timezone)
        redemption_id = uuid4()
        await canteen.place(redemption_id, business_date=today, voucher="K7Q2", mode="dine_in")
        await canteen.place(business_date=today, voucher="M4TX", mode="delivery")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
            context = await browser.new_context(
                java_script_enabled=False, locale="zh-CN", viewport={"width": 390, "height": 844}
            )
            asked: list[str] = []
            context.on("request", lambda request: asked.append(request.url))
            page = await context.new_page()
            await page.goto(str(canteen.http.base_url))
            await page.get_by_label("工作人员密码").fill(PIN)
            await page.get_by_role("button", name="登录").click()
            await page.get_by_text("K7Q2").wait_for()
            await page.screenshot(path=str(tmp_path / "counter.png"), full_page=True)
            await page.get_by_role("button", name="交付 K7Q2").click()
            await page.get_by_text("已交付：K7Q2").wait_for()
            await browser.close()
        assert await canteen.status(redemption_id) == "fulfilled"
        assert all(url.startswith(str(canteen.http.base_url)) for url in asked)
