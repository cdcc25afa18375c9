"""A community whose canteen really answers: what tests of redemptions and settlement stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from pointsbank.domain import accounts
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.redemption import PartnerWord
from pointsbank.platform import outbox
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.canteen.app import create_app
from services.ledger import service as ledger
from services.people.views import PersonInfo
from services.settlement import jobs, service
from services.settlement.client import PartnerClient, Partners
from services.settlement.events import PartnerEvent, take_event
from services.settlement.service import Redeem
from services.settlement.views import RedemptionInfo
from tests.partners.support import SECRET, Platform, calling, partner_settings
from tests.worlds import World, give_points, small_world

NOON = datetime(2026, 3, 9, 4, 0, tzinfo=UTC)
TODAY = date(2026, 3, 9)
LUNCH = 10_000
PURSE = 50_000


@dataclass
class Shop:
    """The elder has ``PURSE`` milli-points; the canteen is real, but no event of its comes by itself."""

    database: Database
    clock: FixedClock
    world: World
    canteen: Platform
    partners: Partners

    @property
    def elder(self) -> PersonInfo:
        """Who redeems."""
        return self.world.elder

    async def redeem(self, item: str = "lunch_set", *, day: date | None = None) -> RedemptionInfo:
        """Redeem one item for the elder."""
        async with self.database.unit_of_work(1) as uow:
            command = Redeem(self.elder.id, "canteen", item, business_date=day)
            return await service.redeem(uow, self.elder.actor, command)

    async def cancel(self, redemption_id: UUID) -> RedemptionInfo:
        """Call a redemption off for the elder."""
        async with self.database.unit_of_work(1) as uow:
            return await service.cancel_redemption(uow, self.elder.actor, redemption_id)

    async def work(self) -> int:
        """Carry out what waits in the outbox, as the worker does."""
        handlers = jobs.handlers(self.database, self.partners)
        return await outbox.work_off(self.database, 1, handlers)

    async def accepted(self, item: str = "lunch_set") -> RedemptionInfo:
        """Redeem, and have the canteen accept."""
        redeemed = await self.redeem(item)
        await self.work()
        return await self.look(redeemed.id)

    async def served(self, item: str = "lunch_set") -> RedemptionInfo:
        """Redeem, have it accepted, handed over, told and captured."""
        redeemed = await self.accepted(item)
        await self.hand_over(redeemed.id)
        await self.tell(redeemed, "fulfilled")
        await self.work()
        return await self.look(redeemed.id)

    async def hand_over(self, redemption_id: UUID) -> None:
        """Have the canteen hand the meal over."""
        answer = await self.canteen.call("POST", f"/redemptions/{redemption_id}/fulfil", {"community_id": 1})
        assert answer.status_code == 200, answer.text

    async def tell(self, redeemed: RedemptionInfo, word: str, *, event_id: UUID | None = None) -> bool:
        """Let the canteen's event arrive (its signature is another test's matter)."""
        event = PartnerEvent(
            event_id=event_id or uuid4(),
            community_id=1,
            partner=PartnerCode.CANTEEN,
            redemption_id=redeemed.id,
            type=PartnerWord(word),
            occurred_at=self.clock.now(),
            fulfilled_quantity=redeemed.quantity if word == "fulfilled" else 0,
        )
        async with self.database.unit_of_work(1) as uow:
            return await take_event(uow, event)

    async def look(self, redemption_id: UUID) -> RedemptionInfo:
        """Return a redemption as it stands."""
        async with self.database.unit_of_work(1) as uow:
            return await service.known_redemption(uow, redemption_id)

    async def points(self) -> tuple[int, int]:
        """Return the elder's available and held milli-points."""
        codes = accounts.available(self.elder.ledger_ref), accounts.held(self.elder.ledger_ref)
        async with self.database.unit_of_work(1) as uow:
            balances = await ledger.balances(uow, codes)
        return balances[codes[0]], balances[codes[1]]

    async def earned(self) -> int:
        """Return what the canteen has captured and not settled."""
        async with self.database.unit_of_work(1) as uow:
            canteen = await service.partner(uow, "canteen")
            return await ledger.balance(uow, accounts.partner_earned(canteen.id))

    def answering(self, code: str, answer: Answer) -> PartnerClient:
        """Return a client of a partner outside that says whatever the test has it say."""
        http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        return PartnerClient(http, code, "http://partner", SECRET, clock=self.clock)


Answer = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def statement(*lines: dict[str, Any]) -> httpx.Response:
    """A partner's whole statement of a day."""
    sums = {
        "lines": len(lines),
        "milli_points": sum(line["milli_points"] for line in lines),
        "fen": sum(line["fen"] for line in lines),
    }
    return httpx.Response(200, json={"lines": lines, "next_after": None, "totals": sums})


def listed(redemption_id: UUID, *, fen: int = 1_200) -> dict[str, Any]:
    """A lunch in a partner's statement."""
    return {
        "redemption_id": str(redemption_id),
        "partner_reference": f"R-{redemption_id}",
        "item": "lunch_set",
        "quantity": 1,
        "milli_points": LUNCH,
        "fen": fen,
    }


async def refuse_changes(owner_url: str, redemption_id: UUID) -> None:
    """Have the database fail every change of one redemption, as a fault would."""
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(
            "CREATE FUNCTION bank.fail() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'broken'; END $$;"
            "CREATE TRIGGER fail BEFORE UPDATE ON bank.redemptions FOR EACH ROW"
            f" WHEN (OLD.id = '{redemption_id}') EXECUTE FUNCTION bank.fail()"
        )
    finally:
        await owner.close()


@asynccontextmanager
async def open_shop(app_url: str, canteen_url: str) -> AsyncIterator[Shop]:
    """Found the world and run its canteen, at noon until the clock is moved."""
    clock = FixedClock(NOON)
    database = Database(app_url, clock=clock)
    try:
        world = await small_world(database)
        await give_points(database, world, world.elder, PURSE)
        async with calling(create_app(partner_settings(canteen_url), clock=clock), clock) as canteen:
            client = PartnerClient(canteen.http, "canteen", "http://partner", SECRET, clock=clock)
            yield Shop(database, clock, world, canteen, Partners({"canteen": client}))
    finally:
        await database.close()
