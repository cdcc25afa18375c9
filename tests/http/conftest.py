"""The api on a real database, spoken to over HTTP: app and lifespan as in the process, no socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar

from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from pointsbank.platform.settings import Settings
from services.people import service as people
from services.people.service import PersonInfo
from tests.apps import api_on
from tests.worlds import NINE_ON_MONDAY, World, small_world

CANTEEN_SECRET = "shared-with-the-canteen"
ORIGIN = "http://points.test"


@dataclass
class Caller:
    """Somebody who calls the api; keys are made up where the route needs one."""

    client: httpx.AsyncClient
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """GET ``/api/v1`` + path."""
        return await self.client.get(f"/api/v1{path}", headers=self.headers, **options)

    async def post(
        self, path: str, body: Any = None, *, key: str | None = "", **headers: str
    ) -> httpx.Response:
        """POST ``/api/v1`` + path. key: an empty one is replaced by a new one, None sends none."""
        sent = self.headers | headers | ({} if key is None else {"Idempotency-Key": key or str(uuid4())})
        if body is None:
            return await self.client.post(f"/api/v1{path}", headers=sent)
        return await self.client.post(f"/api/v1{path}", headers=sent, json=body)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NINE_ON_MONDAY)


@pytest.fixture
async def bank(app_url: str, clock: FixedClock) -> AsyncIterator[Database]:
    bank = Database(app_url, clock=clock)
    yield bank
    await bank.close()


@pytest.fixture
async def world(bank: Database) -> World:
    return await small_world(bank)


@asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[None]:
    """Run the app's lifespan in a task of its own: it must end in the task in which it began."""
    started, stopping = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await stopping.wait()

    task = asyncio.create_task(live())
    starting = asyncio.create_task(started.wait())
    await asyncio.wait({task, starting}, return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    try:
        if not task.done():
            yield
    finally:
        stopping.set()
        await task


@pytest.fixture
async def app(app_url: str, redis_url: str, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Litestar]:
    settings = Settings.model_validate(
        {
            "data": tmp_path,
            "app_database_url": app_url,
            "redis_url": redis_url,
            "canteen_secret": CANTEEN_SECRET,
        }
    )
    app = api_on(settings, clock)
    async with running(app):
        yield app


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


async def sign_in(bank: Database, world: World, person: PersonInfo) -> str:
    """Return a session token of ``person``."""
    async with bank.unit_of_work(world.community_id) as uow:
        token = await people.issue_sign_in_token(uow, person.id)
        return await people.open_session(uow, token)


async def caller(bank: Database, world: World, person: PersonInfo, client: httpx.AsyncClient) -> Caller:
    """Return ``person`` as a caller with a bearer session."""
    return Caller(client, {"Authorization": f"Bearer {await sign_in(bank, world, person)}"})


@pytest.fixture
async def elder(bank: Database, world: World, client: httpx.AsyncClient) -> Caller:
    return await caller(bank, world, world.elder, client)


@pytest.fixture
async def volunteer(bank: Database, world: World, client: httpx.AsyncClient) -> Caller:
    return await caller(bank, world, world.volunteer, client)


@pytest.fixture
async def second_volunteer(bank: Database, world: World, client: httpx.AsyncClient) -> Caller:
    return await caller(bank, world, world.second_volunteer, client)


@pytest.fixture
async def coordinator(bank: Database, world: World, client: httpx.AsyncClient) -> Caller:
    return await caller(bank, world, world.coordinator, client)


@pytest.fixture
async def auditor(bank: Database, world: World, client: httpx.AsyncClient) -> Caller:
    return await caller(bank, world, world.auditor, client)


def told(moment: datetime) -> str:
    """Return a moment as a request tells it."""
    return moment.isoformat()
