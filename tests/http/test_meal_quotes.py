"""Quotes, standings and claims over the JSON API."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from pointsbank.domain.policy import DEFAULT_POLICY
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service as ledger
from tests.http.conftest import Caller
from tests.unit.subsidy.practice import ZENGCHENG, ZHENGGUO
from tests.worlds import World, give_points

ANYBODY = {"code": "all", "fen": 200}
SUBSIDY: dict[str, Any] = ZENGCHENG | {
    "meals": DEFAULT_POLICY["subsidy"]["meals"],
    "schemes": [ZENGCHENG["schemes"][0] | {"tiers": [ANYBODY | {"hardships": ["low_income"]}]}],
}


async def test_who_pays_is_told_before_ordering_by_whom_it_concerns(
    elder: Caller,
    volunteer: Caller,
    coordinator: Caller,
    auditor: Caller,
    bank: Database,
    world: World,
    clock: FixedClock,
) -> None:
    today = clock.now().date()
    async with bank.unit_of_work(1) as uow:
        await ledger.add_policy(
            uow,
            effective_from=today,
            body=DEFAULT_POLICY | {"subsidy": SUBSIDY},
            proposed_by=uuid4(),
            approved_by=uuid4(),
        )
    await give_points(bank, world, world.elder, 50_000)
    asked = {"partner": "canteen", "item": "lunch_set", "member_id": str(world.elder.id)}
    plain = (await elder.get("/redemptions/quote", params=asked)).json()
    assert (plain["fen"], plain["milli_points"], plain["subsidised"]) == (1_200, 10_000, False)
    path = f"/people/{world.elder.id}/standings"
    standing = {"effective_from": str(today), "hardship": "low_income", "household": ZHENGGUO}
    assert (await elder.post(path, standing)).status_code == 403
    assert (await coordinator.post(path, standing)).status_code == 201
    wrong = await coordinator.post(path, standing | {"household": "44"})
    assert [each["rule"] for each in wrong.json()["errors"]] == ["division_code"]
    assert len((await elder.get(path)).json()["items"]) == 1
    assert (await volunteer.get(path)).status_code == 403
    quote = (await elder.get("/redemptions/quote", params=asked)).json()
    assert (quote["meal"], quote["tier"], quote["milli_points"]) == ("lunch", "all", 8_333)
    assert [(each["payer"], each["fen"]) for each in quote["shares"]] == [("city", 200), ("points", 1_000)]
    assert (await volunteer.get("/redemptions/quote", params=asked)).status_code == 403
    ordered = (await elder.post("/redemptions", {"partner": "canteen", "item": "lunch_set"})).json()
    assert ordered["shares"] == quote["shares"]
    month = f"{today:%Y-%m}"
    claim = await auditor.get(f"/subsidy-claims/{month}", params={"by": "person"})
    assert (claim.json()["lines"], claim.json()["fen"]) == ([], 0)
    assert (await elder.get(f"/subsidy-claims/{month}")).status_code == 403
