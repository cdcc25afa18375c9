"""The chain from hold to capture in real processes that are killed, with a queue that forgets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import redis
import uvicorn
from arq.constants import default_queue_name, health_check_key_suffix
from litestar import Litestar, Request, post

from pointsbank.domain import accounts
from pointsbank.domain.journal import EntryKind
from pointsbank.domain.redemption import RedemptionState
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database
from pointsbank.platform.queue import Queue
from services.ledger import service as ledger
from services.settlement import service
from services.settlement.client import PartnerClient
from services.settlement.events import verify_and_take_event
from services.settlement.service import Redeem
from tests.partners.support import SECRET, free_port
from tests.worlds import World, give_points, small_world

ROOT = Path(__file__).parents[2]
LUNCH = 10_000
DEAD_REDIS = "redis://127.0.0.1:9/0"
PATIENCE_SECONDS = 60
HEALTH_KEY = default_queue_name + health_check_key_suffix


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something has come about."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await true():  # noqa: ASYNC110 (what is waited for happens in another process)
            await asyncio.sleep(0.05)


@dataclass
class House:
    """A platform whose canteen is a process of its own, and whose workers come and go."""

    database: Database
    world: World
    canteen: PartnerClient
    canteen_url: str
    app_url: str
    redis_url: str
    logs: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker as a process."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("POINTSBANK_")}
        environment = {
            **inherited,
            "POINTSBANK_APP_DATABASE_URL": self.app_url,
            "POINTSBANK_REDIS_URL": self.redis_url,
            "POINTSBANK_CANTEEN_URL": self.canteen_url,
            "POINTSBANK_CANTEEN_SECRET": SECRET,
            "POINTSBANK_SWEEP_SECONDS": "1",
            **changes,
        }
        with (self.logs / f"worker-{len(self.workers)}.log").open("wb") as log:
            command = [sys.executable, "-m", "services.worker"]
            worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    async def redeem(self, item: str = "lunch_set", *, days_ahead: int = 0) -> UUID:
        """Redeem for the elder; return the redemption's id."""
        async with self.database.unit_of_work(1) as uow:
            day = local_date(uow.clock.now(), "Asia/Shanghai") + timedelta(days=days_ahead)
            command = Redeem(self.world.elder.id, "canteen", item, business_date=day)
            return (await service.redeem(uow, self.world.elder.actor, command)).id

    async def state(self, redemption_id: UUID) -> RedemptionState:
        """Return where a redemption stands."""
        async with self.database.unit_of_work(1) as uow:
            return (await service.known_redemption(uow, redemption_id)).state

    async def comes_to(self, redemption_id: UUID, state: RedemptionState) -> None:
        """Wait until a redemption stands at ``state``."""

        async def there() -> bool:
            return await self.state(redemption_id) is state

        await until(there)

    async def hand_over(self, redemption_id: UUID) -> None:
        """Have the canteen hand the meal over."""
        await self.canteen.fulfil(1, redemption_id)

    async def books(self) -> dict[str, int]:
        """Return the elder's and the canteen's balances, and how many captures the journal holds."""
        elder = self.world.elder.ledger_ref
        async with self.database.unit_of_work(1) as uow:
            assert (await ledger.trial_balance(uow)).balanced
            canteen = await service.partner(uow, "canteen")
            return {
                "available": await ledger.balance(uow, accounts.available(elder)),
                "held": await ledger.balance(uow, accounts.held(elder)),
                "earned": await ledger.balance(uow, accounts.partner_earned(canteen.id)),
                "captures": len(await ledger.entries(uow, limit=200, kind=EntryKind.CAPTURE)),
            }


@asynccontextmanager
async def events_taken(database: Database, port: int) -> AsyncIterator[None]:
    """Stand where the api takes partners' events."""

    @post("/partner-events", status_code=200)
    async def take(request: Request[Any, Any, Any]) -> dict[str, str]:
        await verify_and_take_event(
            database,
            request.headers,
            method="POST",
            path="/partner-events",
            body=await request.body(),
            secrets={"canteen": SECRET},
        )
        return {"status": "taken"}

    app = Litestar([take], openapi_config=None)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", ws="none"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await running


@asynccontextmanager
async def canteen_process(database_url: str, port: int, platform_port: int, log: Path) -> AsyncIterator[str]:
    """Run the canteen; yield its address once it is ready."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POINTSBANK_")}
    environment = {
        **inherited,
        "POINTSBANK_PARTNER_DATABASE_URL": database_url,
        "POINTSBANK_PARTNER_PLATFORM_URL": f"http://127.0.0.1:{platform_port}",
        "POINTSBANK_PARTNER_SECRET": SECRET,
        "POINTSBANK_PARTNER_COUNTER_PIN": "240618",
        "POINTSBANK_PARTNER_EVENT_SECONDS": "0.1",
    }
    command = [sys.executable, "-m", "uvicorn", "services.canteen.app:create_app", "--factory"]
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--log-level", "warning"],
            cwd=ROOT,
            env=environment,
            stdout=written,
            stderr=written,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(trust_env=False) as http:

            async def ready() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    return (await http.get(f"{url}/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

            await until(ready)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def house(app_url: str, canteen_url_db: str, redis_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        database, queue = Database(app_url), Queue(redis_url)
        database.wake = queue.wake
        stack.push_async_callback(database.close)
        stack.push_async_callback(queue.close)
        world = await small_world(database)
        await give_points(database, world, world.elder, 20 * LUNCH)
        port, platform_port = free_port(), free_port()
        await stack.enter_async_context(events_taken(database, platform_port))
        url = await stack.enter_async_context(
            canteen_process(canteen_url_db, port, platform_port, tmp_path / "canteen.log")
        )
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        canteen = PartnerClient(http, "canteen", url, SECRET)
        house = House(database, world, canteen, url, app_url, redis_url, tmp_path)
        try:
            yield house
        finally:
            for worker in house.workers:
                if worker.poll() is None:
                    worker.kill()
                worker.wait(10)


async def test_a_meal_goes_from_hold_to_capture_through_real_processes(house: House) -> None:
    house.start_worker()
    redeemed = await house.redeem()
    await house.comes_to(redeemed, RedemptionState.ACCEPTED)
    await house.hand_over(redeemed)
    await house.comes_to(redeemed, RedemptionState.FULFILLED)
    assert await house.books() == {"available": 19 * LUNCH, "held": 0, "earned": LUNCH, "captures": 1}


async def test_a_worker_killed_between_hold_and_capture_loses_and_doubles_nothing(house: House) -> None:
    worker = house.start_worker()
    redeemed = await house.redeem()
    await house.comes_to(redeemed, RedemptionState.ACCEPTED)
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    await house.hand_over(redeemed)
    await asyncio.sleep(1)
    assert await house.books() == {"available": 19 * LUNCH, "held": LUNCH, "earned": 0, "captures": 0}
    house.start_worker()
    await house.comes_to(redeemed, RedemptionState.FULFILLED)
    assert await house.books() == {"available": 19 * LUNCH, "held": 0, "earned": LUNCH, "captures": 1}


async def test_a_flushed_queue_is_made_good_by_the_sweep(house: House) -> None:
    redeemed = await house.redeem()
    valkey = redis.Redis.from_url(house.redis_url)
    assert valkey.exists(default_queue_name)
    valkey.flushall()
    valkey.close()
    house.start_worker()
    await house.comes_to(redeemed, RedemptionState.ACCEPTED)


async def test_the_worker_goes_on_without_its_queue(house: House) -> None:
    worker = house.start_worker(POINTSBANK_REDIS_URL=DEAD_REDIS)
    redeemed = await house.redeem()
    await house.comes_to(redeemed, RedemptionState.ACCEPTED)
    await house.hand_over(redeemed)
    await house.comes_to(redeemed, RedemptionState.FULFILLED)
    assert worker.poll() is None


async def test_the_worker_shows_its_health_and_ends_cleanly_when_told(house: House) -> None:
    valkey = redis.Redis.from_url(house.redis_url)
    worker = house.start_worker()

    async def healthy() -> bool:
        return bool(valkey.exists(HEALTH_KEY))

    await until(healthy)
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 10) == 0
    assert not await healthy()
    valkey.close()


async def test_the_worker_logs_json_lines_that_name_nobody(house: House) -> None:
    worker = house.start_worker(POINTSBANK_LOG_LEVEL="DEBUG")
    redeemed = await house.redeem()
    await house.comes_to(redeemed, RedemptionState.ACCEPTED)
    worker.terminate()
    await asyncio.to_thread(worker.wait, 10)
    written = (house.logs / "worker-0.log").read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    assert {"worker_started", "worker_stopped"} <= {line["event"] for line in lines}
    assert {line["process"] for line in lines} == {"worker"}
    elder = house.world.elder
    for secret in (elder.name, elder.phone, str(elder.id), SECRET):
        assert secret is not None
        assert secret not in written


def test_a_worker_without_a_database_says_so_in_one_line() -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POINTSBANK_")}
    done = subprocess.run(
        [sys.executable, "-m", "services.worker"],
        cwd=ROOT,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "the worker needs POINTSBANK_APP_DATABASE_URL; `pointsbank up` sets it"
    ]
