"""Pages of what expires, what the caps took, and what waits for a second person."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from playwright.async_api import Browser

from pointsbank.domain.decision import DecisionReason
from pointsbank.domain.roles import Role
from services.care import service as care
from services.ledger import decisions, policies
from services.ledger import service as ledger
from services.people import service as people
from tests.givings import earn, new_rules
from tests.web.conftest import Site, Visit, open_browser
from tests.worlds import done_visit, volunteer_of

pytestmark = pytest.mark.browser


async def test_the_passbook_says_when_points_expire(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    await earn(site.database, site.world, site.world.elder, 3_000, date(2026, 4, 30))
    await earn(site.database, site.world, site.world.elder, 2_000, date(2026, 12, 31))
    await earn(site.database, site.world, site.world.elder, 9_000, None)
    visit = await open_browser(site, browser, visits)
    await visit.sign_in(site.world.elder)
    await visit.go("/elder")
    assert "3 分用到4月30日周四为止" in await visit.text()
    await visit.go("/statement")
    said = await visit.text()
    assert "3 分用到4月30日周四为止" in said
    assert "2 分用到12月31日周四为止" in said
    assert "9 分用到" not in said


async def test_a_coordinator_approves_from_the_board_what_another_proposed(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    world = site.world
    async with site.database.unit_of_work(1) as uow:
        await people.grant_role(uow, world.grid_leader.id, Role.COORDINATOR)
        other = await people.actor_of(uow, world.grid_leader.id)
        proposed = await decisions.propose_adjustment(
            uow, other, world.volunteer.id, amount=5_000, reason=DecisionReason.WRONG_HOURS
        )
        await decisions.propose_adjustment(
            uow, world.coordinator.actor, world.elder.id, amount=-1_000, reason=DecisionReason.DUPLICATE
        )
        body = (await policies.in_force(uow)).body
        await policies.propose(
            uow, other, effective_from=await people.local_today(uow) + timedelta(days=1), body=body
        )
    visit = await open_browser(site, browser, visits)
    await visit.sign_in(world.coordinator)
    await visit.go("/coordinator")
    section = await visit.page.inner_text("#waiting")
    assert "调整 · 5 积分" in section
    assert "测试丙 · 时长记错" in section
    assert "测试辛提出" in section
    assert "要由别人决定" in section, "one's own proposal has no buttons"
    assert await visit.page.locator("#waiting button").count() == 4
    await visit.page.locator("#waiting").get_by_role("button", name="批准").first.click()
    await visit.page.wait_for_load_state()
    assert "已批准" in await visit.text()
    await visit.page.locator("#waiting").get_by_role("button", name="否决").first.click()
    await visit.page.wait_for_load_state()
    assert "已否决" in await visit.text()
    async with site.database.unit_of_work(1) as uow:
        decided = await decisions.decision_of(uow, proposed.id)
        assert (decided.state, decided.decided_by) == ("approved", world.coordinator.ledger_ref)
        assert [each.state for each in await policies.proposals(uow)] == ["refused"]
    assert visit.outside == []


async def test_what_the_caps_took_is_told_to_the_volunteer_and_the_auditor(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    world = site.world
    await new_rules(
        site.database,
        world,
        caps={"day_minutes": 40, "year_milli_points": 500_000, "account_milli_points": 1_500_000},
    )
    done = await done_visit(site.database, site.clock, world, lasts=55)
    async with site.database.unit_of_work(1) as uow:
        await care.confirm(uow, world.elder.actor, done.id)
        assert len(await ledger.entries(uow)) == 1
    volunteer = next(
        each
        for each in (world.volunteer, world.second_volunteer)
        if each.id == volunteer_of(world, done.volunteer_id).person_id
    )
    visit = await open_browser(site, browser, visits)
    await visit.sign_in(volunteer)
    await visit.go("/volunteer")
    assert "超过上限未计：15 分钟，0.25 分" in await visit.text()
    await visit.context.clear_cookies()
    await visit.sign_in(world.auditor)
    await visit.go("/books")
    await visit.press("查看这次服务")
    said = await visit.text()
    assert "超过上限未计：15 分钟，0.25 分" in said
    assert "40 分钟" in said
