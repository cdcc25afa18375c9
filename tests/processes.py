"""A bank in real processes: the api, canteen and station over HTTP, and workers that come and go."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx

from pointsbank.domain.accounts import Commodity, available, issuance
from pointsbank.domain.errors import DomainError
from pointsbank.domain.journal import EntryKind, Origin, SourceKind, Transfer, journal_entry
from pointsbank.domain.redemption import PartnerWord
from pointsbank.domain.resident import PlaceKind
from pointsbank.domain.roles import Role
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database
from pointsbank.platform.queue import Queue
from services.founding import found_community
from services.ledger import service as ledger
from services.people import service as people
from services.people.service import NewBuilding, NewPerson, NewPlace
from services.people.views import PersonInfo
from services.settlement import service
from services.settlement.client import PartnerClient, Partners
from services.settlement.service import Redeem
from tests.partners.support import SECRET, free_port

ROOT = Path(__file__).parents[1]
READY_SECONDS_MAX = 120
PURSE = 1_000_000
LUNCHES, PACKS = 7, 3
PER_MEMBER = LUNCHES + PACKS
"""Redemptions one member can make that no daily limit stands against: a lunch a day ahead, some packs."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Roles' databases and the queue."""

    app: str
    canteen: str
    station: str
    redis: str


@dataclass
class Bank:
    """A platform whose partners are processes of their own. folder: for logs, and the platform's data."""

    database: Database
    at: Addresses
    folder: Path
    partners: Partners
    environment: dict[str, str]
    members: list[PersonInfo] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker as a process."""
        worker = _start(
            self.folder / f"worker-{len(self.workers)}.log",
            [sys.executable, "-m", "services.worker"],
            {**self.environment, "POINTSBANK_SWEEP_SECONDS": "1", **changes},
        )
        self.workers.append(worker)
        return worker

    async def found(self, members: int) -> None:
        """Found the community with elders who have points, and have both partners serve it."""
        await found_community(self.database, community_id=1, code="test-1", name="测试社区")
        async with self.database.unit_of_work(1) as uow:
            await people.add_places(uow, [NewPlace(PlaceKind.ESTATE, "测试小区")])
            (building,) = await people.add_buildings(uow, [NewBuilding("测试小区", "1栋", 1)])
            ids = await people.add_people(
                uow,
                [
                    NewPerson(
                        name=f"测试{number}",
                        building_id=building,
                        canteen_eligible=True,
                        roles={Role.ELDER: None},
                    )
                    for number in range(members)
                ],
            )
            found = await people.people_by_id(uow, ids)
            self.members = [found[each] for each in ids]
            community = await people.community(uow)
            now = uow.clock.now()
            await ledger.post_many(
                uow,
                [
                    journal_entry(
                        EntryKind.EARNING,
                        [Transfer(issuance(Commodity.POINT), available(each.ledger_ref), PURSE)],
                        origin=Origin(SourceKind.VISIT, each.ledger_ref, each.ledger_ref, each.ledger_ref, 1),
                        key=f"purse:{each.ledger_ref}",
                        occurred_at=now,
                    )
                    for each in self.members
                ],
            )
        for code in ("canteen", "station"):
            await self.partners[code].introduce(
                1, code=community.code, name=community.name, timezone=community.timezone
            )

    async def redeem(self, number: int) -> UUID:
        """Make the ``number``-th of the redemptions that members can make; return its id.

        Neighbours are of different members; those up to ``LUNCHES`` times the members are lunches.
        """
        place, whose = divmod(number, len(self.members))
        member = self.members[whose]
        async with self.database.unit_of_work(1) as uow:
            today = local_date(uow.clock.now(), "Asia/Shanghai")
            if place < LUNCHES:
                day = today + timedelta(days=place)
                command = Redeem(member.id, "canteen", "lunch_set", business_date=day)
            else:
                day = today + timedelta(days=place - LUNCHES)
                command = Redeem(member.id, "station", "water_rest_pack", business_date=day)
            return (await service.redeem(uow, member.actor, command)).id

    async def cancel(self, redemption_id: UUID) -> None:
        """Call a redemption off for its member, unless it has ended meanwhile."""
        async with self.database.unit_of_work(1) as uow:
            held = await service.known_redemption(uow, redemption_id)
            member = next(each for each in self.members if each.id == held.member_id)
            try:
                await service.cancel_redemption(uow, member.actor, redemption_id)
            except DomainError:
                return

    async def hand_over(self, redemption_id: UUID) -> PartnerWord:
        """Have the partner hand over what was ordered, unless it was called off; return where it stands."""
        async with self.database.unit_of_work(1) as uow:
            held = await service.known_redemption(uow, redemption_id)
        return (await self.partners[held.partner].fulfil(1, redemption_id)).status


def _start(log: Path, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POINTSBANK_")}
    with log.open("wb") as written:
        return subprocess.Popen(
            command, cwd=ROOT, env={**inherited, **environment}, stdout=written, stderr=written
        )


@asynccontextmanager
async def http_process(
    application: str, port: int, environment: dict[str, str], log: Path
) -> AsyncIterator[str]:
    """Run an application as a process; yield its address once it is ready."""
    process = _start(
        log,
        [
            *(sys.executable, "-m", "uvicorn", application, "--factory", "--port", str(port)),
            *("--log-level", "warning", "--no-access-log"),
        ],
        environment,
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

            await until(ready, seconds=READY_SECONDS_MAX)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def until(true: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
    """Wait until something has come about."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 (what is waited for happens in another process)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running_bank(at: Addresses, folder: Path, *, members: int) -> AsyncIterator[Bank]:
    """Run api, canteen and station, found the community, and end every process after."""
    ports = {name: free_port() for name in ("api", "canteen", "station")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    platform = {
        "POINTSBANK_DATA": str(folder),
        "POINTSBANK_APP_DATABASE_URL": at.app,
        "POINTSBANK_REDIS_URL": at.redis,
        "POINTSBANK_PAIRING_SECONDS": "0",
        "POINTSBANK_LOG_LEVEL": "WARNING",
        **{f"POINTSBANK_{name.upper()}_URL": urls[name] for name in ("canteen", "station")},
        **{f"POINTSBANK_{name.upper()}_SECRET": SECRET for name in ("canteen", "station")},
    }
    async with AsyncExitStack() as stack:
        database, queue = Database(at.app), Queue(at.redis)
        database.wake = queue.wake
        stack.push_async_callback(database.close)
        stack.push_async_callback(queue.close)
        for name, address in (("canteen", at.canteen), ("station", at.station)):
            environment = {
                "POINTSBANK_PARTNER_DATABASE_URL": address,
                "POINTSBANK_PARTNER_PLATFORM_URL": urls["api"],
                "POINTSBANK_PARTNER_SECRET": SECRET,
                "POINTSBANK_PARTNER_EVENT_SECONDS": "0.1",
                "POINTSBANK_PARTNER_LOG_LEVEL": "WARNING",
            }
            application = f"services.{name}.app:create_app"
            await stack.enter_async_context(
                http_process(application, ports[name], environment, folder / f"{name}.log")
            )
        await stack.enter_async_context(
            http_process("api.app:create_app", ports["api"], platform, folder / "api.log")
        )
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        clients = {name: PartnerClient(http, name, urls[name], SECRET) for name in ("canteen", "station")}
        bank = Bank(database, at, folder, Partners(clients), platform)
        await bank.found(members)
        try:
            yield bank
        finally:
            for worker in bank.workers:
                if worker.poll() is None:
                    worker.kill()
                worker.wait(10)
