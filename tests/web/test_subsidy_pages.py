"""The pages of who pays for meals: a resident's standing, the order, the claim."""

from __future__ import annotations

from uuid import uuid4

from pointsbank.domain.policy import DEFAULT_POLICY
from services.ledger import service as ledger
from tests.unit.subsidy.practice import ZENGCHENG, ZHENGGUO
from tests.web.conftest import Site
from tests.web.test_pages import BUTTON, program
from tests.worlds import give_points

TIERS = [{"code": "low_income", "hardships": ["low_income"], "fen": 1_100}]
SUBSIDY = ZENGCHENG | {
    "meals": DEFAULT_POLICY["subsidy"]["meals"],
    "schemes": [ZENGCHENG["schemes"][0] | {"tiers": TIERS}],
}


async def test_a_standing_set_on_a_page_is_what_the_order_page_tells_the_elder(site: Site) -> None:
    elder = site.world.elder
    await give_points(site.database, site.world, elder, 25_000)
    async with site.database.unit_of_work(1) as uow:
        today = uow.clock.now().date()
        await ledger.add_policy(
            uow,
            effective_from=today,
            body=DEFAULT_POLICY | {"subsidy": SUBSIDY},
            proposed_by=uuid4(),
            approved_by=uuid4(),
        )
    path = f"/coordinator/people/{elder.id}/standing"
    async with program(site, site.world.coordinator) as client:
        page = await client.get(path)
        found = BUTTON.search(page.text)
        assert found is not None
        form = {"hardship": "low_income", "household": "44", "effective_from": str(today), "key": found[1]}
        assert "区划代码" in (await client.post(path, data=form)).text
        done = await client.post(
            path, data=form | {"household": ZHENGGUO, "key": "two"}, follow_redirects=True
        )
        assert "低收入对象" in done.text
    async with program(site, elder) as client:
        assert (await client.get(path)).status_code == 403
        page = await client.get("/order?partner=canteen&item=lunch_set")
        for word in ("市里补贴", "¥3.00", "镇街补贴", "¥5.00", "您用积分付", "¥1.00"):
            assert word in page.text
    async with program(site, site.world.auditor) as client:
        claim = await client.get(f"/books/claims?period={today:%Y-%m}")
        assert (claim.status_code, "没有补贴的餐" in claim.text) == (200, True)
        table = await client.get(f"/books/claims/{today:%Y-%m}/csv?by=person")
        assert (table.status_code, "人员代号" in table.content.decode("utf-8-sig")) == (200, True)
