"""What the settlement benchmark stands on: durable servers, real processes, a day of paper to settle."""

from __future__ import annotations

import asyncio
import copy
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import msgspec

from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform import migrations, roles
from pointsbank.platform.clock import SystemClock, local_date, local_day
from pointsbank.platform.database import Database
from pointsbank.platform.servers import EmbeddedPostgres, EmbeddedValkey
from services.ledger import service as ledger
from services.settlement.client import PartnerClient
from services.settlement.records import RedemptionRecord, record_redemptions
from services.settlement.views import PastRedemption
from tests.partners.support import SECRET
from tests.processes import Addresses, Bank, running_bank

TIMEZONE = "Asia/Shanghai"
RECORDS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class World:
    """Addresses of running servers, and a folder."""

    at: Addresses
    owner_url: str
    folder: Path


@contextmanager
def servers() -> Iterator[World]:
    """Start PostgreSQL (fsync on) and Valkey as ``pointsbank up`` does; remove everything after."""
    with tempfile.TemporaryDirectory(prefix="pointsbank-bench-") as name:
        folder = Path(name)
        with (
            EmbeddedPostgres(folder / "postgres", secrets.token_hex(8)) as postgres,
            EmbeddedValkey(folder / "valkey", secrets.token_hex(8)) as valkey,
        ):
            owner = asyncio.run(roles.ensure_database(postgres.url(), secrets.token_hex(8)))
            password = secrets.token_hex(8)
            names = (roles.APP, roles.CANTEEN, roles.STATION)
            asyncio.run(roles.ensure_roles(owner, dict.fromkeys(names, password)))
            app, canteen, station = (roles.role_url(owner, each, password) for each in names)
            for scripts, url in (
                ("services:migrations", owner),
                ("services.canteen:migrations", canteen),
                ("services.station:migrations", station),
            ):
                migrations.upgrade(url, scripts)
            yield World(Addresses(app, canteen, station, valkey.url), owner, folder)


@asynccontextmanager
async def bank(world: World, *, members: int) -> AsyncIterator[Bank]:
    """Run api, canteen and station; the partners have enough for everybody."""
    async with running_bank(world.at, world.folder, members=members) as running:
        for url, enough in (
            (world.at.canteen, "UPDATE canteen.menu SET day_capacity = 100000"),
            (world.at.station, "UPDATE station.stocks SET remaining = 100000"),
        ):
            partner = await asyncpg.connect(url)
            await partner.execute(enough)
            await partner.close()
        yield running


async def paper_day(database: Database, members: Sequence[UUID], lines: int) -> list[PastRedemption]:
    """Record ``lines`` lunches of today that were served on paper; return them in order of id."""
    body = copy.deepcopy(DEFAULT_POLICY)
    body["items"]["canteen"]["lunch_set"]["daily_limit"] = 1_000
    now = SystemClock().now()
    today = local_date(now, TIMEZONE)
    async with database.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow, effective_from=today, body=body, proposed_by=UUID(int=1), approved_by=UUID(int=2)
        )
    begins, _ = local_day(today, TIMEZONE)
    past: list[PastRedemption] = []
    for start in range(0, lines, RECORDS_AT_ONCE):
        records = [
            RedemptionRecord(
                members[number % len(members)],
                "canteen",
                "lunch_set",
                1,
                begins + timedelta(microseconds=number * 100),
            )
            for number in range(start, min(lines, start + RECORDS_AT_ONCE))
        ]
        async with database.unit_of_work(1) as uow:
            outcomes = await record_redemptions(uow, records)
        past += [outcome.redemption for outcome in outcomes if outcome.redemption is not None]
    if len(past) != lines:
        raise SystemExit(f"only {len(past)} of {lines} lines were recorded")
    return sorted(past, key=lambda each: each.id)


def telling(past: Sequence[PastRedemption]) -> PartnerClient:
    """Return a client of a canteen that served exactly this, page by page."""
    totals = {
        "lines": len(past),
        "milli_points": sum(each.milli_points for each in past),
        "fen": sum(each.fen for each in past),
    }

    async def answer(request: httpx.Request) -> httpx.Response:
        start = int(request.url.params["after"] or 0)
        limit = int(request.url.params["limit"])
        lines = [
            {
                "redemption_id": each.id,
                "partner_reference": f"C-{number:09d}",
                "item": each.item,
                "quantity": each.quantity,
                "milli_points": each.milli_points,
                "fen": each.fen,
            }
            for number, each in enumerate(past[start : start + limit], start)
        ]
        end = start + limit
        page = {
            "lines": lines,
            "next_after": f"{end:09d}" if end < len(past) else None,
            "totals": totals,
        }
        return httpx.Response(200, content=msgspec.json.encode(page))

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return PartnerClient(http, "canteen", "http://partner", SECRET)
