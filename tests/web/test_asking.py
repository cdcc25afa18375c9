"""Asking for help by hand: an elder, their family, the coordinator on the telephone."""

from __future__ import annotations

import re
from datetime import datetime

import httpx
from playwright.async_api import Browser

from pointsbank.domain.preferences import Relation
from pointsbank.domain.visit import VisitState
from services.care import service as care
from services.care.service import RequestInfo, SeriesInfo
from services.people import service as people
from services.people.service import NewPerson, PersonInfo
from tests.web.conftest import Site, Visit, at, open_browser, program
from tests.worlds import done_visit

ASK = "/elder/ask"
WIDE = {"kind": "shopping", "day": "2026-03-04", "time": "08:00-12:00"}
WEEKLY = WIDE | {"on": "WE,FR", "ends": "w4"}
HIDDEN = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')


async def requests_of(site: Site, elder: PersonInfo) -> list[RequestInfo]:
    """Return an elder's requests, newest first."""
    async with site.database.unit_of_work(site.world.community_id) as uow:
        return await care.requests_of_elder(uow, elder.actor, elder.id)


async def series_of(site: Site, elder: PersonInfo) -> list[SeriesInfo]:
    """Return an elder's series, those that stand first."""
    async with site.database.unit_of_work(site.world.community_id) as uow:
        return await care.series_of(uow, elder.actor, elder.id)


async def sent(client: httpx.AsyncClient, form: dict[str, str], key: str = "one") -> str:
    """Send the asking and return where it leads."""
    answer = await client.post(ASK, data=form | {"key": key})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_the_same_as_last_time_is_asked_in_three_taps_without_javascript(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    async with program(site, site.world.elder) as client:
        await sent(client, WIDE | {"who": "rather_woman", "language": "yue"})
    elder = await open_browser(site, browser, visits, javascript=False, width=360)
    await elder.sign_in(site.world.elder)
    await elder.press("请人帮忙")
    await elder.press("再来一次代买东西")
    assert "3月11日" in await elder.text()
    assert "08:00 至 11:15 之间来" in await elder.text()
    await elder.press("对，请人来")
    assert "报这个号就行" in await elder.text()
    newest, first = await requests_of(site, site.world.elder)
    assert newest.earliest_start.date().isoformat() == "2026-03-11"
    for name in ("kind", "timing", "gender_wanted", "language_wanted", "minutes"):
        assert getattr(newest, name) == getattr(first, name), name
    assert elder.complaints == []


async def test_a_stretch_of_the_day_is_asked_for_before_an_hour(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    elder = await open_browser(site, browser, visits, javascript=False, width=360)
    await elder.sign_in(site.world.elder)
    for tap in ("请人帮忙", "买东西", "不急，可以等", "明天"):
        await elder.press(tap)
    assert await elder.page.locator("a.tile").count() == 4
    assert "10:00" not in await elder.text()
    await elder.press("只有一段时间方便")
    await elder.page.select_option("#from", "09:30")
    await elder.page.select_option("#to", "11:00")
    await elder.press("就这段时间")
    await elder.press("对，请人来")
    (asked,) = await requests_of(site, site.world.elder)
    assert (asked.timing, asked.urgency) == ("window", 0)
    assert asked.latest_start - asked.earliest_start == at(10, 15) - at(9, 30)


async def test_an_appointment_is_asked_for_by_its_hour(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        page = (await client.get(f"{ASK}?kind=clinic_escort&day=2026-03-04")).text
        assert "几点来？" in page
        assert "time=10%3A00" in page
        wide = (await client.get(f"{ASK}?kind=shopping&day=2026-03-04")).text
        loose = await client.get(f"{ASK}?kind=clinic_escort&day=2026-03-04&time=noon")
    assert "time=10%3A00" not in wide
    assert "多半有定好的钟点" in loose.text


async def test_what_is_needed_today_is_offered_at_once(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        step = await client.get(f"{ASK}?kind=shopping&soon=today")
        assert "您什么时候在家？" in step.text
        check = await client.get(f"{ASK}?kind=shopping&soon=today&time=noon")
        assert "马上去问一位合适的志愿者" in check.text
        page = await client.get(await sent(client, dict(HIDDEN.findall(check.text)), key="one"))
    assert "已经问了一位志愿者" in page.text
    (asked,) = await requests_of(site, site.world.elder)
    assert (asked.urgency, asked.state) == (3, "offered")


async def test_what_can_wait_tells_when_the_grid_leader_is_told(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        page = await client.get(f"{ASK}?kind=shopping&soon=week&day=2026-03-04&time=08:00-12:00")
    # A week: eight hours by the policy, from now on (nine in the morning).
    assert "到 3月2日周一 17:00 还没有人答应" in page.text


async def test_something_alike_is_shown_before_it_is_sent_and_can_be_meant(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        await sent(client, WIDE)
        check = await client.get(f"{ASK}?kind=shopping&day=2026-03-04&time=noon")
        assert "您已经约过了：第 1 号" in check.text
        other = await client.get(f"{ASK}?kind=cleaning&day=2026-03-04&time=noon")
        assert "约过了" not in other.text
        form = WIDE | {"time": "noon"}
        assert (await client.post(ASK, data=form | {"key": "two"})).status_code == 409
        await sent(client, form | {"even": "1"}, key="two")
    assert len(await requests_of(site, site.world.elder)) == 2


async def test_help_of_two_is_told_so(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        kinds = (await client.get(ASK)).text
        check = (await client.get(f"{ASK}?kind=outing&day=2026-03-04&time=noon")).text
        page = await client.get(await sent(client, WIDE | {"kind": "outing"}))
    assert kinds.count("两个人来") == 1
    assert "两个人来" in check
    assert "两个人来" in page.text


async def test_a_stretch_that_cannot_be_is_asked_for_again(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        query = "kind=shopping&day=2026-03-04&time=between&from=12:00&to=09:00"
        page = await client.get(f"{ASK}?{query}")
    assert page.status_code == 422
    assert "就这段时间" in page.text


async def test_help_is_asked_for_every_week_a_date_left_out_and_all_of_it_ended(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    elder = await open_browser(site, browser, visits, javascript=False, width=360)
    await elder.sign_in(site.world.elder)
    await elder.go(f"{ASK}?kind=shopping&soon=week&day=2026-03-04&time=08:00-12:00")
    await elder.press("每星期都来")
    assert await elder.page.get_by_label("星期三").is_checked()
    await elder.page.get_by_label("星期五").check()
    await elder.page.select_option("#ends", "w4")
    await elder.press("就这样")
    assert "星期三、星期五" in await elder.text()
    await elder.press("对，请人来")
    assert await elder.page.inner_text(".figure") == "1"
    (series,) = await series_of(site, site.world.elder)
    assert (series.rule, series.window_minutes, series.holidays) == (
        "FREQ=WEEKLY;BYDAY=WE,FR;UNTIL=20260331",
        195,
        "skip",
    )
    made = len(await requests_of(site, site.world.elder))
    assert made == 4

    await elder.press("这次不要来")
    await elder.press("对，这次不要")
    assert "这一次不来了" in await elder.text()
    (series,) = await series_of(site, site.world.elder)
    assert series.coming[0] == datetime(2026, 3, 6, 8)  # noqa: DTZ001 - the clock on the wall
    await elder.press("以后都不要来了")
    await elder.press("对，都停了")
    assert "停了" in await elder.text()
    (series,) = await series_of(site, site.world.elder)
    assert series.ended_at is not None
    assert {each.state for each in await requests_of(site, site.world.elder)} == {"cancelled"}


async def test_every_week_twice_over_is_told_before_it_is_sent(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        await sent(client, WEEKLY)
        alike = await client.get(ASK, params=WEEKLY | {"on": "FR"})
        other = await client.get(ASK, params=WEEKLY | {"on": "TU"})
    assert "这几天您已经有每星期来的了" in alike.text
    assert "这几天您已经有每星期来的了" not in other.text


async def test_every_week_without_an_end_is_told_and_asks_for_nothing(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        refused = await client.post(ASK, data=WIDE | {"on": "WE", "key": "one"})
    assert refused.status_code == 422
    assert "写明次数或截止日" in refused.text
    assert await series_of(site, site.world.elder) == []


async def test_nobody_sees_or_ends_what_comes_to_another(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        address = (await sent(client, WEEKLY)).split("?")[0]
    async with program(site, site.world.second_elder) as client:
        client.headers["Accept"] = "text/html"
        assert (await client.get(address)).status_code == 404
        assert (await client.post(f"{address}/end", data={"key": "one"})).status_code in (403, 404)
    (series,) = await series_of(site, site.world.elder)
    assert series.ended_at is None


async def test_who_should_not_come_again_is_not_sent_until_it_is_taken_back(site: Site) -> None:
    visit = await done_visit(site.database, site.clock, site.world)
    elder = site.world.elder
    async with program(site, elder) as client:
        asked = await client.get("/elder/not-again", params={"visit": str(visit.id)})
        assert f"不要再派{visit.volunteer_name}来" in asked.text
        form = {"visit": str(visit.id), "key": "one"}
        assert (await client.post("/elder/not-again", data=form)).status_code == 303
        async with site.database.unit_of_work(site.world.community_id) as uow:
            kept = await care.exclusions_of(uow, elder.actor, elder.id)
        assert [(each.volunteer_id, each.reason) for each in kept] == [(visit.volunteer_id, "asked")]
        assert "可以再来" in (await client.get("/elder/not-again")).text
        lifted = {"volunteer": str(visit.volunteer_id), "key": "two"}
        assert (await client.post("/elder/not-again/lift", data=lifted)).status_code == 303
    async with site.database.unit_of_work(site.world.community_id) as uow:
        assert await care.exclusions_of(uow, elder.actor, elder.id) == []


async def test_nobody_is_kept_from_an_elder_by_another(site: Site) -> None:
    visit = await done_visit(site.database, site.clock, site.world)
    assert visit.state is VisitState.DONE
    async with program(site, site.world.second_elder) as client:
        refused = await client.post("/elder/not-again", data={"visit": str(visit.id), "key": "one"})
    assert refused.status_code in (403, 404)
    async with site.database.unit_of_work(site.world.community_id) as uow:
        assert await care.exclusions_of(uow, site.world.elder.actor, site.world.elder.id) == []


async def test_family_asks_every_week_and_says_why_somebody_should_not_come_again(site: Site) -> None:
    world = site.world
    visit = await done_visit(site.database, site.clock, world)
    async with site.database.unit_of_work(world.community_id) as uow:
        (member,) = await people.add_people(uow, [NewPerson(name="测试壬")])
        await care.tell_family(uow, world.elder.actor, world.elder.id, member, Relation.CHILD)
        await care.confirm_family(uow, world.coordinator.actor, world.elder.id, member)
        daughter = await people.person(uow, member)
    async with program(site, daughter) as family:
        await family.post("/family/act-for", data={"elder": str(world.elder.id)})
        location = await sent(family, WEEKLY)
        assert "您正在替 测试甲 代办" in (await family.get(location)).text
        form = {"visit": str(visit.id), "why": "太吵", "key": "two"}
        assert (await family.post("/elder/not-again", data=form)).status_code == 303
    (series,) = await series_of(site, world.elder)
    assert (series.asked_through, series.asked_by) == ("family", member)
    async with site.database.unit_of_work(world.community_id) as uow:
        (said,) = await care.feedback_on(uow, world.elder.actor, visit.id)
    assert (said.again, said.note) == ("no", "太吵")


async def test_the_coordinator_fills_in_one_form_and_reads_it_back_before_it_is_sent(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    desk = await open_browser(site, browser, visits, javascript=False)
    await desk.sign_in(site.world.coordinator)
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    await desk.go("/coordinator/people")
    await desk.page.fill("#text", "测试甲")
    await desk.press("查找")
    await desk.press("帮他约")
    await desk.page.select_option("#kind", "cleaning")
    await desk.page.select_option("#soon", "two_days")
    await desk.page.fill("#day", "2026-03-03")
    await desk.page.select_option("#time", "between")
    await desk.page.select_option("#from", "14:00")
    await desk.page.select_option("#to", "17:00")
    await desk.page.fill("#minutes", "120")
    await desk.page.fill("#note", "钥匙在邻居那里")
    await desk.press("念给对方听")
    assert await requests_of(site, site.world.elder) == []
    assert "14:00 至 15:00 之间来" in await desk.text()
    await desk.press("要改")
    assert await desk.page.input_value("#note") == "钥匙在邻居那里"
    assert await desk.page.input_value("#time") == "between"
    await desk.page.select_option("#time", "at")
    await desk.page.select_option("#at", "14:30")
    await desk.press("念给对方听")
    await desk.press("对，请人来")
    assert "钥匙在邻居那里" in await desk.text()
    (found,) = await requests_of(site, site.world.elder)
    assert (found.asked_through, found.timing, found.minutes, found.urgency) == ("phone", "fixed", 120, 2)
    assert [url for url in asked if str(site.world.elder.id) in url or "%E9%92%A5" in url] == []


async def test_the_coordinators_form_says_what_is_missing_and_keeps_the_rest(site: Site) -> None:
    form = WIDE | {"day": "2026-03-01", "note": "带伞", "minutes": "9000"}
    async with program(site, site.world.coordinator) as client:
        nobody = await client.get("/coordinator/ask")
        assert nobody.headers["location"] == "/coordinator/people"
        await client.post("/coordinator/act-for", data={"person": str(site.world.elder.id)})
        past = await client.post("/coordinator/ask", data=form)
        long = await client.post("/coordinator/ask", data=form | {"day": "2026-03-04"})
    assert (past.status_code, long.status_code) == (422, 422)
    assert "带伞" in past.text
    assert "9000" in long.text
