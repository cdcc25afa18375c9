"""Work a partner does by itself: tell the platform what happened, let old orders lapse, forget nonces."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import httpx
import msgspec
import structlog

from pointsbank.platform.database import Database
from pointsbank.platform.signing import sign
from services.partnerkit.service import PartnerService
from services.partnerkit.store import Event

log = structlog.get_logger(__name__)

BATCH_EVENTS = 100
PARALLEL_CALLS = 8
CALL_SECONDS_MAX = 5.0
LEASE = timedelta(seconds=6)
BACKOFF_SECONDS_MAX = 60.0
HOUSEKEEPING_SECONDS = 30.0
FAILED_SECONDS = 1.0
STOP_SECONDS_MAX = 10.0

_jitter = random.SystemRandom()


def backoff(tries: int, first_seconds: float) -> timedelta:
    """Return how long to wait after the ``tries``-th failure: doubling, bounded, spread by half each way."""
    seconds = min(BACKOFF_SECONDS_MAX, first_seconds * 2 ** min(tries - 1, 16))
    return timedelta(seconds=seconds * _jitter.uniform(0.5, 1.5))


class EventDelivery:
    """Sends events until the platform has each: at least once, an order's own in the order they happened."""

    def __init__(
        self, database: Database, service: PartnerService, *, name: str, platform_url: str, secret: str
    ) -> None:
        self._database = database
        self._service = service
        self._name = name
        self._secret = secret
        self.stopping = asyncio.Event()
        self._url = httpx.URL(f"{platform_url.rstrip('/')}/partner-events")

    async def deliver_due(self, client: httpx.AsyncClient, *, first_wait_seconds: float) -> int:
        """Send the events that are due, BATCH_EVENTS a community at most; return how many were tried."""
        tried = 0
        for community in await self._service.communities(self._database):
            async with self._database.unit_of_work(community.community_id) as uow:
                events = await self._service.store.claim_events(uow, limit=BATCH_EVENTS, lease=LEASE)
            chains: defaultdict[object, list[Event]] = defaultdict(list)
            for event in events:
                chains[event.redemption_id].append(event)
            turn = asyncio.Semaphore(PARALLEL_CALLS)

            async def follow(chain: list[Event], turn: asyncio.Semaphore = turn) -> None:
                async with turn:
                    for event in chain:
                        if not self.stopping.is_set():
                            await self._deliver(client, event, first_wait_seconds)

            await asyncio.gather(*(follow(chain) for chain in chains.values()))
            tried += len(events)
        return tried

    async def _deliver(self, client: httpx.AsyncClient, event: Event, first_wait_seconds: float) -> None:
        error = await self._send(client, event)
        async with self._database.unit_of_work(event.community_id) as uow:
            if error is None:
                await self._service.store.event_delivered(uow, event.event_id)
            else:
                again_at = uow.clock.now() + backoff(event.tries, first_wait_seconds)
                await self._service.store.event_failed(uow, event.event_id, error=error, again_at=again_at)
                log.info("event_not_taken", event_id=str(event.event_id), tries=event.tries, error=error)

    async def _send(self, client: httpx.AsyncClient, event: Event) -> str | None:
        """Return None when the platform has the event, else what went wrong."""
        told = {
            "event_id": event.event_id,
            "community_id": event.community_id,
            "partner": self._name,
            "redemption_id": event.redemption_id,
            "type": event.type.value,
            "occurred_at": event.occurred_at,
            "fulfilled_quantity": event.fulfilled_quantity,
        }
        # Said only when there is something to say: who reads the earlier form takes no unknown field.
        body = msgspec.json.encode(told if event.outcome is None else {**told, "outcome": event.outcome})
        path = self._url.raw_path.decode()
        signed = sign(self._secret, self._name, "POST", path, body, at=self._database.clock.now())
        try:
            answer = await client.post(
                self._url, content=body, headers={**signed, "Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        if answer.is_success or _is_duplicate(answer):
            return None
        return f"status {answer.status_code}"


def _is_duplicate(answer: httpx.Response) -> bool:
    if answer.status_code != httpx.codes.CONFLICT:
        return False
    try:
        problem = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return False
    return isinstance(problem, dict) and str(problem.get("code", "")).startswith("duplicate")


@asynccontextmanager
async def background(
    database: Database, service: PartnerService, delivery: EventDelivery, *, event_seconds: float
) -> AsyncIterator[None]:
    """Deliver events and keep house while the block runs; end what is under way before it returns."""
    # Asked to stop, not cancelled: a cancellation inside a database call may come out as that call's error.
    stopping = delivery.stopping

    async def keep_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
        while not stopping.is_set():
            try:
                await work()
            except Exception as error:
                log.warning("partner_work_failed", work=name, error=type(error).__name__)
                await _wait(stopping, FAILED_SECONDS)

    async def deliver() -> None:
        service.event_added.clear()
        if await delivery.deliver_due(client, first_wait_seconds=event_seconds) < BATCH_EVENTS:
            await _wait(service.event_added, event_seconds)

    async def keep_house() -> None:
        for community in await service.communities(database):
            closed = True
            while closed and not stopping.is_set():
                async with database.unit_of_work(community.community_id) as uow:
                    closed = await service.lapse(uow) > 0
        await service.forget_nonces(database)
        await _wait(stopping, HOUSEKEEPING_SECONDS)

    async with httpx.AsyncClient(timeout=CALL_SECONDS_MAX, trust_env=False) as client:
        tasks = [
            asyncio.create_task(keep_going("deliver", deliver)),
            asyncio.create_task(keep_going("keep_house", keep_house)),
        ]
        try:
            yield
        finally:
            stopping.set()
            service.event_added.set()
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS_MAX)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
