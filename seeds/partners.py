"""How a world reaches the partners: the platform's own clients, and the station's door for visitors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import stamina

from pointsbank.platform.signing import sign
from seeds.geography import COMMUNITY_ID
from services.settlement.client import PLATFORM_KEY, PartnerClient, Partners

VISITS_PATH = "/visits/bulk"
VISITS_MAX = 1_000
SECONDS_MAX = 30.0
KEPT_SECONDS = 2.0
CANTEEN, STATION = "canteen", "station"


class StationRefused(RuntimeError):
    """The station would not take its visitors; the message says why."""


class CanteenRefused(RuntimeError):
    """The canteen would not take its menu; the message says why."""


@dataclass(frozen=True, slots=True)
class PartnerAddresses:
    """Where the partners answer, and the secrets shared with them."""

    canteen_url: str
    canteen_secret: str
    station_url: str
    station_secret: str


@dataclass(frozen=True, slots=True)
class Doors:
    """The partners, ready to be spoken to."""

    partners: Partners
    station: StationDoor
    canteen: CanteenDoor


class StationDoor:
    """The station's book of visitors, a thousand lines a call; a line sent twice counts once."""

    def __init__(self, http: httpx.AsyncClient, url: str, secret: str) -> None:
        self._http = http
        self._url = httpx.URL(url.rstrip("/") + VISITS_PATH)
        self._secret = secret

    async def take_in(self, visits: Sequence[dict[str, Any]]) -> None:
        """Tell the station of past visitors. Raises StationRefused, httpx.TransportError."""
        for start in range(0, len(visits), VISITS_MAX):
            await self._send({"community_id": COMMUNITY_ID, "visits": visits[start : start + VISITS_MAX]})

    @stamina.retry(on=httpx.TransportError, attempts=5, timeout=SECONDS_MAX)
    async def _send(self, body: dict[str, Any]) -> None:
        content = msgspec.json.encode(body)
        path = self._url.raw_path.decode()
        headers = sign(self._secret, PLATFORM_KEY, "POST", path, content, at=datetime.now(UTC))
        headers["Content-Type"] = "application/json"
        answer = await self._http.post(self._url, content=content, headers=headers)
        if not answer.is_success:
            raise StationRefused(
                f"the station refused its visitors: {answer.status_code} {answer.text[:200]}"
            )


class CanteenDoor:
    """The canteen's kitchen: dishes are written down and menus set as its staff would."""

    def __init__(self, http: httpx.AsyncClient, url: str, secret: str) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._secret = secret

    @stamina.retry(on=httpx.TransportError, attempts=5, timeout=SECONDS_MAX)
    async def send(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Send one signed call. Raises CanteenRefused, httpx.TransportError."""
        content = msgspec.json.encode({"community_id": COMMUNITY_ID, **body})
        url = httpx.URL(self._url + path)
        headers = sign(
            self._secret, PLATFORM_KEY, method, url.raw_path.decode(), content, at=datetime.now(UTC)
        )
        headers["Content-Type"] = "application/json"
        answer = await self._http.request(method, url, content=content, headers=headers)
        if not answer.is_success:
            raise CanteenRefused(f"the canteen refused its menu: {answer.status_code} {answer.text[:200]}")


@asynccontextmanager
async def open_doors(at: PartnerAddresses) -> AsyncIterator[Doors]:
    """Yield the doors of both partners."""
    # A connection is let go before a server would close it under a request.
    limits = httpx.Limits(keepalive_expiry=KEPT_SECONDS)
    async with httpx.AsyncClient(timeout=SECONDS_MAX, limits=limits, trust_env=False) as http:
        yield Doors(
            Partners(
                {
                    CANTEEN: PartnerClient(http, CANTEEN, at.canteen_url, at.canteen_secret),
                    STATION: PartnerClient(http, STATION, at.station_url, at.station_secret),
                }
            ),
            StationDoor(http, at.station_url, at.station_secret),
            CanteenDoor(http, at.canteen_url, at.canteen_secret),
        )
