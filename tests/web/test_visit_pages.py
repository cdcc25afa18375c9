"""Pages of a visit: the code at the door, again or not, a complaint heard, times put right."""

from __future__ import annotations

from datetime import timedelta

from playwright.async_api import Browser

from pointsbank.domain.roles import Role
from pointsbank.domain.visit import VisitState
from services.care import jobs
from services.care import service as care
from services.people import service as people
from services.people.service import NewPerson
from tests.web.conftest import Site, Visit, open_browser
from tests.worlds import done_visit, planned_visit


async def test_an_elder_shows_the_code_and_says_whether_the_volunteer_may_come_again(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    visit = await planned_visit(site.database, site.world)
    site.clock.move_to(visit.planned_start)
    elder = await open_browser(site, browser, visits, javascript=False, width=360)
    await elder.sign_in(site.world.elder)
    await elder.go("/elder")
    code = await elder.page.inner_text(".figure.number")
    volunteer = await open_browser(site, browser, visits, javascript=False, width=360)
    await volunteer.sign_in(site.world.volunteer)
    await volunteer.page.get_by_label("门口的号码").fill("000000" if code != "000000" else "111111")
    await volunteer.press("到了，签到")
    assert "号码或卡不对" in await volunteer.text()
    await volunteer.page.get_by_label("门口的号码").fill(code)
    await volunteer.press("到了，签到")
    assert "已签到" in await volunteer.text()
    site.clock.move_to(visit.planned_end)
    await volunteer.press("做完，签退")
    await elder.go("/elder")
    await elder.press("看一看，确认")
    await elder.press("对，来过了")
    await elder.press("请换一位")
    await volunteer.go("/volunteer")
    await volunteer.press("愿意再去")
    async with site.database.unit_of_work(site.world.community_id) as uow:
        (pair,) = (await care.pair_history(uow, [site.world.elder.id])).values()
    assert (pair.again_elder, pair.again_volunteer) == (False, True)
    assert elder.complaints == []


async def test_a_coordinator_puts_right_what_was_never_checked_out_and_hears_a_complaint(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    world = site.world
    visit = await planned_visit(site.database, world)
    site.clock.move_to(visit.planned_start)
    async with site.database.unit_of_work(1) as uow:
        await care.check_in(uow, world.volunteer.actor, visit.id)
    site.clock.move_to(visit.planned_end + timedelta(hours=4))
    async with site.database.unit_of_work(1) as uow:
        await jobs.tend_visits(uow)
    desk = await open_browser(site, browser, visits)
    await desk.sign_in(world.coordinator)
    await desk.go("/coordinator")
    await desk.press("处理")
    assert "没有签退" in await desk.text()
    await desk.page.get_by_label("依据").fill("长者来电")
    await desk.press("记下时间")
    assert "长者来电" in await desk.text()
    elder = await open_browser(site, browser, visits, width=360)
    await elder.sign_in(world.elder)
    await elder.go(f"/elder/visits/{visit.id}")
    await elder.press("不是这样")
    await elder.press("没有来")
    assert "已经告诉社工" in await elder.text()
    await desk.go(f"/visits/{visit.id}")
    await desk.press("看投诉")
    await desk.page.get_by_label("志愿者怎么说").fill("到过")
    await desk.press("记下")
    async with site.database.unit_of_work(1) as uow:
        (other_id,) = await people.add_people(uow, [NewPerson("测试癸", roles={Role.COORDINATOR: None})])
        other = await people.person(uow, other_id)
    judge = await open_browser(site, browser, visits)  # who stated the times does not judge them
    await judge.sign_in(other)
    await judge.go(f"/visits/{visit.id}")
    await judge.press("看投诉")
    await judge.page.get_by_label("查明的情况").fill("邻居没看见")
    await judge.press("成立")
    async with site.database.unit_of_work(1) as uow:
        assert (await care.visit(uow, world.elder.actor, visit.id)).state is VisitState.CANCELLED
    assert [*elder.complaints, *desk.complaints, *judge.complaints] == []


async def test_a_confirmed_visit_shows_what_may_be_complained_of(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    visit = await done_visit(site.database, site.clock, site.world)
    desk = await open_browser(site, browser, visits, width=360)
    await desk.sign_in(site.world.coordinator)
    await desk.go(f"/visits/{visit.id}")
    await desk.page.get_by_label("投诉事由").select_option("conduct")
    await desk.press("记下投诉")
    assert "先听志愿者怎么说" in await desk.text()
