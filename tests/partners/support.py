"""A platform's hands for tests of the partners: signed calls, and a place that takes events."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import uvicorn
from litestar import Litestar, Request, Response, post
from pydantic import SecretStr

from pointsbank.platform.clock import Clock, FixedClock, SystemClock
from pointsbank.platform.settings import PartnerSettings
from pointsbank.platform.signing import sign, verify

SECRET = "a secret of the tests"
PIN = "240618"
COMMUNITY = 7
NOON = datetime(2026, 3, 9, 4, 0, tzinfo=UTC)
"""Noon of a Monday in Shanghai."""
TODAY = date(2026, 3, 9)
WAIT_STEP_SECONDS = 0.02
NOWHERE = "http://127.0.0.1:9"


def partner_settings(database_url: str, **changes: Any) -> PartnerSettings:
    """Settings of a partner under test."""
    values: dict[str, Any] = {
        "database_url": SecretStr(database_url),
        "platform_url": NOWHERE,
        "secret": SecretStr(SECRET),
        "counter_pin": SecretStr(PIN),
        "event_seconds": 0.05,
    }
    return PartnerSettings(**{**values, **changes})


@dataclass
class Platform:
    """Calls a partner as the platform does."""

    http: httpx.AsyncClient
    clock: Clock = field(default_factory=SystemClock)
    secret: str = SECRET

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send one signed call."""
        content = b"" if body is None else json.dumps(body, default=str).encode()
        return await self.send(method, path, content)

    async def send(self, method: str, path: str, content: bytes) -> httpx.Response:
        """Send one signed call with ``content`` as it is."""
        request = self.http.build_request(method, path, content=content)
        signed_path = request.url.raw_path.decode()
        request.headers.update(
            sign(self.secret, "platform", method, signed_path, content, at=self.clock.now())
        )
        return await self.http.send(request)

    async def serve(self, community_id: int = COMMUNITY, *, timezone: str = "Asia/Shanghai") -> None:
        """Make the partner serve a community. timezone: IANA name."""
        answer = await self.call(
            "PUT",
            f"/communities/{community_id}",
            {"code": f"test-{community_id}", "name": "测试社区", "timezone": timezone},
        )
        assert answer.status_code == 200, answer.text

    async def place(self, redemption_id: UUID | None = None, **changes: Any) -> httpx.Response:
        """Order; without ``redemption_id`` a new one."""
        return await self.call("PUT", f"/redemptions/{redemption_id or uuid4()}", order(**changes))

    async def status(self, redemption_id: UUID, community_id: int = COMMUNITY) -> str:
        """Return where an order stands."""
        answer = await self.call("GET", f"/redemptions/{redemption_id}?community_id={community_id}")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["status"])

    async def remaining(self, code: str, community_id: int = COMMUNITY) -> int:
        """Return how many of an item are left today."""
        answer = await self.call("GET", f"/items?community_id={community_id}")
        return next(int(item["remaining"]) for item in answer.json() if item["code"] == code)


def order(**changes: Any) -> dict[str, Any]:
    """Body of an order for a lunch today."""
    body = {
        "community_id": COMMUNITY,
        "item": "lunch_set",
        "quantity": 1,
        "business_date": TODAY.isoformat(),
        "milli_points": 10_000,
        "fen": 1_200,
        "voucher": uuid4().hex[:8].upper(),
    }
    return {**body, **changes}


def past_order(**changes: Any) -> dict[str, Any]:
    """A line of a bulk call: a lunch eaten an hour ago."""
    line = {**order(), "redemption_id": str(uuid4()), "status": "fulfilled"}
    del line["community_id"]
    return {**line, "fulfilled_at": "2026-03-09T11:30:00+08:00", **changes}


@asynccontextmanager
async def calling(app: Litestar, clock: Clock) -> AsyncIterator[Platform]:
    """Run a partner's application inside the test and call it."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        # A lifespan must end in the task it began in; a fixture's two halves run in two.
        async with app.lifespan():
            started.set()
            await ended.wait()

    life = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait([life, waiting], return_when=asyncio.FIRST_COMPLETED)
    if life.done():
        life.result()
    try:
        transport = httpx.ASGITransport(app=cast(Any, app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://partner") as http:
            yield Platform(http, clock)
    finally:
        ended.set()
        await life


async def until(true: Callable[[], Awaitable[bool]], *, seconds: float = 20) -> None:
    """Wait until something is true. Raises TimeoutError."""
    for _ in range(int(seconds / WAIT_STEP_SECONDS)):
        if await true():
            return
        await asyncio.sleep(WAIT_STEP_SECONDS)
    raise TimeoutError


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Receiver:
    """Takes partner events over real HTTP, checks signatures, and refuses as many as it is told to."""

    url: str
    clock: Clock
    refuse_next: int = 0
    refused: int = 0
    answer: Response[Any] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, redemption_id: UUID) -> list[str]:
        """Return the types of an order's events in the order they came."""
        return [each["type"] for each in self.events if each["redemption_id"] == str(redemption_id)]

    async def wait_for(self, count: int) -> None:
        """Wait until ``count`` events have come."""

        async def come() -> bool:
            return len(self.events) >= count

        await until(come)


@asynccontextmanager
async def receiving(clock: Clock, *, key: str = "canteen") -> AsyncIterator[Receiver]:
    """Stand where the platform takes events."""
    port = free_port()
    receiver = Receiver(f"http://127.0.0.1:{port}", clock)

    @post("/partner-events", status_code=200)
    async def take(request: Request[Any, Any, Any]) -> Response[Any]:
        body = await request.body()
        verify(request.headers, "POST", "/partner-events", body, secrets_by_key={key: SECRET}, at=clock.now())
        if receiver.refuse_next > 0:
            receiver.refuse_next -= 1
            receiver.refused += 1
            return Response({}, status_code=503)
        receiver.events.append(json.loads(body))
        return receiver.answer or Response({}, status_code=200)

    server = uvicorn.Server(
        uvicorn.Config(Litestar([take], openapi_config=None), port=port, log_level="critical", ws="none")
    )
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await until(started)
    try:
        yield receiver
    finally:
        server.should_exit = True
        await running


def at_noon() -> FixedClock:
    """A clock that stands at noon."""
    return FixedClock(NOON)
