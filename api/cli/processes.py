"""The four child processes: what each is started with and how its health is asked."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import httpx
import redis.asyncio
from arq.constants import default_queue_name, health_check_key_suffix
from redis.exceptions import RedisError

from api.cli.runtime import Runtime
from api.cli.supervisor import Service
from pointsbank.platform.secrets import Secrets
from pointsbank.platform.settings import Settings

API, CANTEEN, STATION, WORKER = "api", "canteen", "station", "worker"
STOP_ORDER = (WORKER, API, CANTEEN, STATION)
PORT_OFFSETS = {API: 0, CANTEEN: 1, STATION: 2}

HEALTH_KEY = default_queue_name + health_check_key_suffix
PROBE_SECONDS_MAX = 5.0
GRACE_SECONDS = 5

# The owner's address stays with `up`: no child can do more than its own role.
PLATFORM_PREFIX = "POINTSBANK_"
PARTNER_PREFIX = "POINTSBANK_PARTNER_"


def http_probe(url: str) -> Callable[[], Awaitable[bool]]:
    """Return a probe that is satisfied when ``url`` answers 200."""

    async def probe() -> bool:
        try:
            async with httpx.AsyncClient(timeout=PROBE_SECONDS_MAX, trust_env=False) as client:
                return (await client.get(url)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return probe


def worker_probe(redis_url: str) -> Callable[[], Awaitable[bool]]:
    """Return a probe that is satisfied while arq renews its health key."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS_MAX), redis.asyncio.Redis.from_url(redis_url) as client:
                return bool(await client.exists(HEALTH_KEY))
        except (RedisError, TimeoutError):  # a server may take the connection and say nothing
            return False

    return probe


def forget_worker_health(redis_url: str) -> Callable[[], Awaitable[None]]:
    """Return what removes the health key of the worker before, which outlives a kill."""

    async def forget() -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS_MAX), redis.asyncio.Redis.from_url(redis_url) as client:
                await client.delete(HEALTH_KEY)
        except (RedisError, TimeoutError):
            return

    return forget


def _uvicorn(application: str, host: str, port: int) -> list[str]:
    # No access log: an address may carry a sign-in token.
    return [
        *(sys.executable, "-m", "uvicorn", application, "--factory", "--host", host, "--port", str(port)),
        *("--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", str(GRACE_SECONDS)),
        *("--log-level", "warning"),
    ]


def _inherited(*, keep: str | None = None, drop: str | None = None) -> dict[str, str]:
    """Return this process's environment; of ours (POINTSBANK_…) only what begins with ``keep``."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PLATFORM_PREFIX)
        or (keep is not None and name.startswith(keep) and (drop is None or not name.startswith(drop)))
    } | {"PYTHONUNBUFFERED": "1"}


def platform_environment(settings: Settings, secrets: Secrets, runtime: Runtime) -> dict[str, str]:
    """Return what the api and the worker are started with."""
    environment = _inherited(keep=PLATFORM_PREFIX, drop=PARTNER_PREFIX)
    environment.pop("POINTSBANK_DATABASE_URL", None)
    return environment | {
        "POINTSBANK_DATA": str(settings.data),
        "POINTSBANK_HOST": settings.host,
        "POINTSBANK_PORT": str(settings.port),
        "POINTSBANK_APP_DATABASE_URL": runtime.app_url,
        "POINTSBANK_REDIS_URL": runtime.redis_url,
        "POINTSBANK_CANTEEN_URL": runtime.addresses[CANTEEN],
        "POINTSBANK_STATION_URL": runtime.addresses[STATION],
        "POINTSBANK_CANTEEN_SECRET": secrets.canteen_secret,
        "POINTSBANK_STATION_SECRET": secrets.station_secret,
    }


def partner_environment(runtime: Runtime, *, database_url: str, secret: str, pin: str) -> dict[str, str]:
    """Return what a partner is started with: its own address and secret, nothing of the platform's."""
    return _inherited(keep=PARTNER_PREFIX) | {
        "POINTSBANK_PARTNER_DATABASE_URL": database_url,
        "POINTSBANK_PARTNER_PLATFORM_URL": runtime.addresses[API],
        "POINTSBANK_PARTNER_SECRET": secret,
        "POINTSBANK_PARTNER_COUNTER_PIN": pin,
    }


def addresses(settings: Settings) -> dict[str, str]:
    """Return where each HTTP process answers."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host  # IPv6
    return {name: f"http://{host}:{settings.port + offset}" for name, offset in PORT_OFFSETS.items()}


def services(settings: Settings, secrets: Secrets, runtime: Runtime) -> list[Service]:
    """Return the four children in the order in which they start."""

    def http(name: str, application: str, environment: Mapping[str, str]) -> Service:
        return Service(
            name=name,
            command=_uvicorn(application, settings.host, settings.port + PORT_OFFSETS[name]),
            environment=environment,
            directory=settings.data,
            log=_log(settings.data, name),
            probe=http_probe(f"{runtime.addresses[name]}/readyz"),
        )

    platform = platform_environment(settings, secrets, runtime)
    canteen = partner_environment(
        runtime, database_url=runtime.canteen_url, secret=secrets.canteen_secret, pin=secrets.canteen_pin
    )
    station = partner_environment(
        runtime, database_url=runtime.station_url, secret=secrets.station_secret, pin=secrets.station_pin
    )
    return [
        http(CANTEEN, "services.canteen.app:create_app", canteen),
        http(STATION, "services.station.app:create_app", station),
        http(API, "api.app:create_app", platform),
        Service(
            name=WORKER,
            command=[sys.executable, "-m", "services.worker"],
            environment=platform,
            directory=settings.data,
            log=_log(settings.data, WORKER),
            probe=worker_probe(runtime.redis_url),
            prepare=forget_worker_health(runtime.redis_url),
        ),
    ]


def _log(data: Path, name: str) -> Path:
    return data / "logs" / f"{name}.log"
