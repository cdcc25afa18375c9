"""The pages, served over real HTTP to a real browser, on a small world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from pydantic import SecretStr

from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.settings import Settings
from services.people import service as people
from services.people.service import PersonInfo
from tests.apps import api_on
from tests.worlds import NINE_ON_MONDAY, World, small_world

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True, slots=True)
class Site:
    """The running pages: where, on whose database, at what time (move ``clock`` to let it pass)."""

    address: str
    database: Database
    world: World
    clock: FixedClock

    async def token(self, person: PersonInfo) -> str:
        """Return a token that signs ``person`` in."""
        async with self.database.unit_of_work(self.world.community_id) as uow:
            return await people.issue_sign_in_token(uow, person.id)


@pytest.fixture
async def site(app_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    """The api process's application under uvicorn, on a free port, with a small world in it."""
    clock = FixedClock(NINE_ON_MONDAY)
    database = Database(app_url, clock=clock)
    world = await small_world(database)
    settings = Settings(app_database_url=SecretStr(app_url), redis_url=None, data=tmp_path)
    app = api_on(settings, clock)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            serving.result()
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(f"http://127.0.0.1:{port}", database, world, clock)
    server.should_exit = True
    await serving
    await database.close()


@pytest.fixture(scope="session")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """One Chromium for all browser tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def program(site: Site, person: PersonInfo) -> AsyncIterator[httpx.AsyncClient]:
    """Open a signed-in client that sends forms the way a browser does."""
    async with httpx.AsyncClient(base_url=site.address, headers={"Origin": site.address}) as client:
        await client.get(f"/sign-in/{await site.token(person)}")
        yield client


class Visit:
    """One person's browser. ``outside``: every request that left the site; ``refused``: console errors."""

    def __init__(self, site: Site, context: BrowserContext, page: Page) -> None:
        self.site = site
        self.context = context
        self.page = page
        self.outside: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self._note(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))

    def _note(self, url: str) -> None:
        if not url.startswith(f"{self.site.address}/"):
            self.outside.append(url)

    async def go(self, path: str) -> int:
        """Open a page of the site and return its status."""
        answer = await self.page.goto(f"{self.site.address}{path}")
        assert answer is not None
        return answer.status

    async def sign_in(self, person: PersonInfo) -> None:
        """Sign in by a link, as the person would."""
        await self.go(f"/sign-in/{await self.site.token(person)}")

    async def press(self, name: str) -> None:
        """Press the button or link of that name, and wait for the page it leads to."""
        control = self.page.get_by_role("button", name=name, exact=True).or_(
            self.page.get_by_role("link", name=name)
        )
        await control.first.click()
        await self.page.wait_for_load_state()

    async def text(self) -> str:
        """Return the words of the page's main part."""
        return await self.page.inner_text("main")


@pytest.fixture
async def visits(site: Site, browser: Browser) -> AsyncIterator[list[Visit]]:
    """Browsers opened by the test, closed after it."""
    opened: list[Visit] = []
    yield opened
    for visit in opened:
        await visit.context.close()


async def open_browser(
    site: Site,
    browser: Browser,
    visits: list[Visit],
    *,
    locale: str = "zh-CN",
    width: int = 1280,
    javascript: bool = True,
) -> Visit:
    """Open a fresh browser window in a locale; nothing is remembered from another."""
    context = await browser.new_context(
        locale=locale, viewport={"width": width, "height": 800}, java_script_enabled=javascript
    )
    visit = Visit(site, context, await context.new_page())
    visits.append(visit)
    return visit


def at(hour: int, minute: int = 0) -> datetime:
    """Return a moment of the test's Monday, by the community's clock (UTC+8)."""
    return datetime(2026, 3, 2, hour - 8, minute, tzinfo=UTC)
