"""The pages by hand: the chain from an elder's asking to the statement, in a browser without JavaScript."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from playwright.async_api import Browser

from pointsbank.domain import accounts
from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.preferences import Relation
from pointsbank.domain.redemption import PartnerWord
from services.care import service as care
from services.ledger import service as ledger
from services.ledger.proof import last_verification, seals
from services.ledger.proof.verification import Fault, Finding, verify
from services.matching import service as matching
from services.people import service as people
from services.people.service import NewPerson, PersonInfo
from services.settlement import service as settlement
from tests.web.conftest import Site, Visit, open_browser, program
from tests.worlds import NINE_ON_MONDAY, ask_for_help, done_visit, give_points, planned_visit

pytestmark = pytest.mark.browser

BUTTON = re.compile(r'name="key" value="([0-9a-f-]{36})"')


async def balance(site: Site, person: PersonInfo) -> int:
    """Return a member's available milli-points."""
    async with site.database.unit_of_work(site.world.community_id) as uow:
        return await ledger.balance(uow, accounts.available(person.ledger_ref))


async def test_the_chain_is_walked_by_hand_without_javascript(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    world = site.world
    elder = await open_browser(site, browser, visits, javascript=False, width=360)
    await elder.sign_in(world.elder)
    await elder.press("请人帮忙")
    await elder.press("陪伴聊天")
    await elder.press("不急，可以等")
    await elder.press("今天")
    await elder.press("要准点（比如看病）")
    await elder.press("11:00")
    assert "3月2日" in await elder.text()
    await elder.page.fill("#note", "请带老花镜")
    await elder.press("对，请人来")
    assert "正在找人" in await elder.text()
    assert "请带老花镜" in await elder.text()

    desk = await open_browser(site, browser, visits, javascript=False)
    await desk.sign_in(world.coordinator)
    await desk.press("现在配对")
    assert "测试甲 · 陪伴聊天" in await desk.text()

    volunteer = await open_browser(site, browser, visits, javascript=False, width=360)
    await volunteer.sign_in(world.volunteer)
    await volunteer.press("我去")
    site.clock.move_to(site.clock.now() + timedelta(hours=2))
    await volunteer.press("到了，签到")
    site.clock.move_to(site.clock.now() + timedelta(minutes=60))
    await volunteer.press("做完，签退")
    assert "待确认" in await volunteer.text()

    await elder.go("/elder")
    await elder.press("看一看，确认")
    assert "测试丙" in await elder.text()
    await elder.press("对，来过了")
    assert "已确认" in await elder.text()
    await volunteer.go("/volunteer")
    assert "1 小时" in await volunteer.text()

    await give_points(site.database, world, world.elder, 25_000)
    await elder.go("/elder")
    await elder.press("用积分换")
    await elder.press("午餐套餐")
    await elder.press("对，就要这个")
    assert "下单中" in await elder.text()
    order = UUID(elder.page.url.split("/")[-1].split("?")[0])
    for word, said in ((PartnerWord.ACCEPTED, "订好了"), (PartnerWord.FULFILLED, "已领取")):
        async with site.database.unit_of_work(world.community_id) as uow:
            said_by = (await settlement.known_redemption(uow, order)).partner_id
            await settlement.hear(uow, order, word, said_by=said_by)
        await elder.go(f"/orders/{order}")
        assert said in await elder.text()
    await elder.go("/statement")
    assert "换成实物" in await elder.text() or "留出积分" in await elder.text()
    assert "15" in await elder.text()

    await desk.go("/books?verify=1")
    assert "核验无误" in await desk.text()
    assert "试算平衡" in await desk.text()
    assert [*elder.outside, *desk.outside, *volunteer.outside] == []
    assert [*elder.complaints, *desk.complaints, *volunteer.complaints] == []


async def test_a_second_press_of_the_same_form_pays_once(site: Site) -> None:
    await give_points(site.database, site.world, site.world.elder, 25_000)
    async with program(site, site.world.elder) as client:
        page = await client.get("/order?partner=canteen&item=lunch_set")
        found = BUTTON.search(page.text)
        assert found is not None
        form = {"partner": "canteen", "item": "lunch_set", "key": found[1]}
        first = await client.post("/order", data=form)
        second = await client.post("/order", data=form)
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert await balance(site, site.world.elder) == 15_000


async def test_a_form_without_its_key_changes_nothing(site: Site) -> None:
    await give_points(site.database, site.world, site.world.elder, 25_000)
    async with program(site, site.world.elder) as client:
        answer = await client.post("/order", data={"partner": "canteen", "item": "lunch_set"})
    assert answer.status_code == 422
    assert await balance(site, site.world.elder) == 25_000


async def test_a_refused_request_keeps_the_draft_and_says_why(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    elder = await open_browser(site, browser, visits, width=360)
    await elder.sign_in(site.world.elder)
    await elder.go("/elder/ask?kind=shopping&day=2026-03-02&time=11:00")
    await elder.page.fill("#note", "买一袋米")
    site.clock.move_to(site.clock.now() + timedelta(hours=5))
    await elder.press("对，请人来")
    assert "时间：要晚于现在。" in await elder.text()
    assert await elder.page.input_value("#note") == "买一袋米"
    assert await elder.page.input_value("input[name=time]") == "11:00"


async def test_too_few_points_are_told_before_and_after_the_press(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        page = await client.get("/order?partner=canteen&item=lunch_set")
        assert "还差 10 积分" in page.text
        form = {"partner": "canteen", "item": "lunch_set", "key": "one"}
        answer = await client.post("/order", data=form)
    assert answer.status_code == 409
    assert "积分不够：有 0，要 10。" in answer.text


async def test_a_coordinator_acts_for_an_elder_and_it_is_recorded_as_proxy(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    desk = await open_browser(site, browser, visits)
    await desk.sign_in(site.world.coordinator)
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    await desk.press("找居民")
    await desk.page.fill("#text", "测试甲")
    await desk.press("查找")
    await desk.press("替他办")
    assert "您正在替 测试甲 代办" in await desk.text()
    await desk.go("/elder/ask?kind=cleaning&day=2026-03-03&time=10:00")
    await desk.press("对，请人来")
    async with site.database.unit_of_work(site.world.community_id) as uow:
        (found,) = await care.requests_of_elder(uow, site.world.elder.actor, site.world.elder.id)
    assert found.by_proxy
    assert found.asked_by == site.world.coordinator.id
    await desk.press("结束代办")
    assert "代办" not in await desk.text()
    secrets = (str(site.world.elder.id), site.world.elder.phone or "-", "%E6%B5%8B%E8%AF%95")
    assert [url for url in asked if any(secret in url for secret in secrets)] == []


async def test_the_same_asked_twice_is_told_and_can_be_meant(site: Site) -> None:
    form = {"kind": "shopping", "day": "2026-03-03", "time": "noon", "who": "only_woman", "language": "yue"}
    async with program(site, site.world.elder) as client:
        assert (await client.post("/elder/ask", data=form | {"key": "one"})).status_code == 303
        again = await client.post("/elder/ask", data=form | {"key": "two"})
        assert again.status_code == 409
        assert "同类的求助已经有了：第 1 号" in again.text
        assert "对，再约一次" in again.text
        meant = await client.post("/elder/ask", data=form | {"key": "two", "even": "1"})
        assert meant.status_code == 303
        assert "中午" in (await client.get(meant.headers["location"])).text
    async with site.database.unit_of_work(site.world.community_id) as uow:
        found = await care.requests_of_elder(uow, site.world.elder.actor, site.world.elder.id)
    assert [(each.slot, each.gender_hard, each.language_wanted) for each in found] == [
        ("noon", True, "yue")
    ] * 2


async def test_family_asks_for_an_elder_once_the_coordinator_has_confirmed_it(site: Site) -> None:
    world = site.world
    async with site.database.unit_of_work(world.community_id) as uow:
        (member,) = await people.add_people(uow, [NewPerson(name="测试壬")])
        await care.tell_family(uow, world.elder.actor, world.elder.id, member, Relation.CHILD)
        daughter = await people.person(uow, member)
    pair = {"elder": str(world.elder.id), "member": str(member)}
    form = {"kind": "shopping", "day": "2026-03-03", "time": "noon", "key": "one"}
    async with program(site, daughter) as family, program(site, world.coordinator) as coordinator:
        assert "等社工确认" in (await family.get("/family")).text
        assert (await family.post("/family/act-for", data=pair)).status_code == 403
        assert "待确认的亲属" in (await coordinator.get("/coordinator")).text
        confirmed = await coordinator.post("/coordinator/family/confirm", data=pair | {"key": "one"})
        assert confirmed.status_code == 303
        assert (await family.post("/family/act-for", data=pair)).headers["location"] == "/elder/ask"
        assert "您正在替 测试甲 代办" in (await family.get("/elder/ask")).text
        asked = await family.post("/elder/ask", data=form)
        assert asked.status_code == 303
        assert "测试甲" in (await family.get("/family")).text
        cancelled = await family.post(
            f"{asked.headers['location'].split('?')[0]}/cancel", data={"key": "two"}
        )
        assert cancelled.headers["location"].startswith("/family")
    async with site.database.unit_of_work(world.community_id) as uow:
        (found,) = await care.requests_of_elder(uow, world.elder.actor, world.elder.id)
    assert (found.asked_through, found.asked_by, found.state) == ("family", member, "cancelled")


async def test_only_a_coordinator_can_act_for_somebody(site: Site) -> None:
    async with program(site, site.world.elder) as client:
        client.cookies.set("pointsbank_for", str(site.world.second_elder.id))
        page = await client.get("/elder")
        refused = await client.post("/coordinator/act-for", data={"person": str(site.world.second_elder.id)})
    assert "测试甲" in page.text
    assert "测试乙" not in page.text
    assert refused.status_code == 403


async def test_a_building_leader_confirms_as_witness(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    visit = await done_visit(site.database, site.clock, site.world)
    leader = await open_browser(site, browser, visits)
    await leader.sign_in(site.world.building_leader)
    await leader.go("/")
    await leader.press("确认")
    await leader.press("确认")
    assert "已确认" in await leader.text()
    async with site.database.unit_of_work(site.world.community_id) as uow:
        found = await care.visit(uow, site.world.elder.actor, visit.id)
    assert found.confirmation_method == "witness"


async def test_an_elder_cancels_in_two_presses(site: Site, browser: Browser, visits: list[Visit]) -> None:
    asked = await ask_for_help(site.database, site.world)
    elder = await open_browser(site, browser, visits, width=360)
    await elder.sign_in(site.world.elder)
    await elder.go(f"/elder/requests/{asked.id}")
    await elder.press("不用了，取消")
    await elder.press("真的取消")
    assert "已经取消" in await elder.text()
    async with site.database.unit_of_work(site.world.community_id) as uow:
        assert (await care.request(uow, site.world.elder.actor, asked.id)).state == "cancelled"


async def test_an_auditor_reads_the_books_and_cannot_change_anything(site: Site) -> None:
    async with program(site, site.world.auditor) as client:
        board = await client.get("/coordinator")
        books = await client.get("/books")
        pairing = await client.post("/coordinator/pairing", data={"key": "one"})
    assert (board.status_code, board.headers["location"]) == (303, "/books")
    assert books.status_code == 200
    assert pairing.status_code == 403


async def test_the_books_show_the_seals_and_what_the_last_verification_found(
    site: Site, tmp_path: Path
) -> None:
    await give_points(site.database, site.world, site.world.elder, 25_000)
    async with program(site, site.world.auditor) as client:
        before = (await client.get("/books")).text
        async with site.database.unit_of_work(site.world.community_id) as uow:
            line = await seals.seal_head(uow, seals.load_key(tmp_path))
        async with site.database.unit_of_work(site.world.community_id, snapshot=True) as uow:
            found = await verify(uow)
        last_verification.remember(tmp_path, site.world.community_id, found, NINE_ON_MONDAY)
        after = (await client.get("/books")).text
        broken = replace(found, findings=(Finding(Fault.ENTRY_ALTERED, "entry 1"),))
        last_verification.remember(tmp_path, site.world.community_id, broken, NINE_ON_MONDAY)
        unsound = (await client.get("/books")).text
        last_verification.remember_failure(tmp_path, site.world.community_id, "its_reason", NINE_ON_MONDAY)
        failed = (await client.get("/books")).text
        long_ago = NINE_ON_MONDAY - timedelta(days=3)
        last_verification.remember(tmp_path, site.world.community_id, found, long_ago)
        stale = (await client.get("/books")).text
    assert "还没有封签" in before
    assert "上次整本核验" not in before
    assert json.loads(line)["merkle_root"] in after
    assert f"{found.entries} 笔分录都对得上" in after
    assert "发现 1 处不对" in unsound
    assert "没有做成（its_reason）" in failed
    assert "已经两天多没有核验" in stale
    for page in (unsound, failed, stale):
        assert '<p class="notice bad">' in page


async def test_free_hours_are_saved_and_finer_ones_kept(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    who = site.world.volunteer
    finer, evening = FreeHour(0, 540, 660), FreeHour(1, 1080, 1320)
    async with site.database.unit_of_work(site.world.community_id) as uow:
        await matching.set_free_hours(uow, who.id, [finer, evening])
    volunteer = await open_browser(site, browser, visits)
    await volunteer.sign_in(who)
    await volunteer.go("/volunteer/hours")
    await volunteer.page.uncheck("input[value='1-evening']")
    await volunteer.page.check("input[value='2-afternoon']")
    await volunteer.press("保存")
    assert "已保存" in await volunteer.text()
    async with site.database.unit_of_work(site.world.community_id) as uow:
        assert await matching.free_hours_of(uow, who.id) == [finer, FreeHour(2, 720, 1080)]


async def test_a_volunteer_says_what_is_otherwise_how_much_where_and_in_which_languages(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    who = site.world.volunteer
    volunteer = await open_browser(site, browser, visits, javascript=False, width=360)
    await volunteer.sign_in(who)
    await volunteer.go("/volunteer/hours")
    await volunteer.page.fill("#day", "2026-03-05")
    await volunteer.press("加上")
    assert "3月5日" in await volunteer.text()
    await volunteer.page.fill("#day", "2026-03-06")
    await volunteer.page.select_option("#kind", "free")
    await volunteer.page.fill("#from", "22:00")
    await volunteer.page.fill("#to", "01:00")
    await volunteer.press("加上")
    assert "22:00–01:00" in await volunteer.text()
    await volunteer.page.fill("#day_hours", "1.5")
    await volunteer.page.uncheck("input[name='grid'][value='5']")
    await volunteer.page.check("input[name='language'][value='yue-x-taishan']")
    await volunteer.page.click("#service button")
    await volunteer.page.fill("#proof-1", "陪诊证 7")
    await volunteer.press("交给社工核实")
    assert "等社工核实：陪诊证 7" in await volunteer.text()
    async with site.database.unit_of_work(site.world.community_id) as uow:
        told = await matching.availability_of(uow, who.actor, who.id)
    assert [(each.day.day, each.from_minute, each.to_minute) for each in told.exceptions] == [
        (5, 0, 1440),
        (6, 1320, 1500),
    ]
    assert (told.day_minutes, told.limits.week_minutes) == (90, None)
    assert (told.serves, told.languages) == ((1, 2, 3, 4), ("yue-x-taishan",))
    desk = await open_browser(site, browser, visits, javascript=False)
    await desk.sign_in(site.world.coordinator)
    await desk.go("/coordinator/skills")
    await desk.press("已看过，核实")
    assert "没有等核实的技能" in await desk.text()
    await volunteer.go("/volunteer/hours")
    assert "已核实：陪诊证 7" in await volunteer.text()


async def test_a_volunteer_takes_a_request_that_nobody_was_offered(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    request = await ask_for_help(site.database, site.world)
    volunteer = await open_browser(site, browser, visits, javascript=False, width=360)
    await volunteer.sign_in(site.world.volunteer)
    assert site.world.elder.name not in await volunteer.text()
    await volunteer.press("我来接")
    assert site.world.elder.name in await volunteer.text()
    async with program(site, site.world.second_volunteer) as client:
        key = {"key": "11111111-1111-4111-8111-111111111111"}
        lost = await client.post(f"/volunteer/requests/{request.id}/take", data=key)
    assert lost.status_code == 409
    assert "我来接" not in lost.text


async def test_the_language_is_chosen_once_and_stays(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    elder = await open_browser(site, browser, visits, locale="zh-CN")
    await elder.sign_in(site.world.elder)
    await elder.press("English")
    assert "Hello, 测试甲" in await elder.text()
    assert elder.page.url.endswith("/elder")
    await elder.go("/statement")
    assert await elder.page.get_attribute("html", "lang") == "en"
    await elder.press("繁體中文")
    assert "賬目" in await elder.text()


@pytest.mark.parametrize("back", ["//example.org", "/\\example.org", "https://example.org", "/a\nb"])
async def test_choosing_a_language_never_leads_to_another_site(site: Site, back: str) -> None:
    async with httpx.AsyncClient(base_url=site.address) as client:
        answer = await client.get("/language/en", params={"back": back})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_a_form_of_another_site_is_refused(site: Site) -> None:
    async with program(site, site.world.coordinator) as client:
        client.headers["Origin"] = "https://example.org"
        answer = await client.post("/coordinator/pairing", data={"key": "one"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/elder", "/volunteer", "/coordinator", "/books", "/order", "/statement"])
async def test_nobody_sees_a_page_without_signing_in(site: Site, path: str) -> None:
    async with httpx.AsyncClient(base_url=site.address, headers={"Accept": "text/html"}) as client:
        answer = await client.get(path, headers={"Accept-Language": "zh-CN"})
    assert answer.status_code == 401
    assert "请用社区给您的链接登录" in answer.text
    assert "测试" not in answer.text


async def test_what_a_person_writes_is_shown_as_text_never_as_markup(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    elder = await open_browser(site, browser, visits)
    await elder.sign_in(site.world.elder)
    await elder.go("/elder/ask?kind=shopping&day=2026-03-03&time=10:00")
    await elder.page.fill("#note", "<b id=bold>米</b><script>alert(1)</script>")
    await elder.press("对，请人来")
    assert "<b id=bold>米</b>" in await elder.text()
    assert await elder.page.query_selector("#bold") is None


async def test_elsewhere_than_in_static_no_file_is_served(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.address) as client:
        style = await client.get("/static/pointsbank.css")
        others = [
            (await client.get(f"/static/{name}")).status_code
            for name in ("..%2fpages.py", "%2e%2e%2fpages.py", "nothing.css")
        ]
    assert style.status_code == 200
    assert "immutable" in style.headers["cache-control"]
    assert set(others) == {404}


async def test_an_unknown_difference_and_a_strange_address_are_not_found(site: Site) -> None:
    async with program(site, site.world.coordinator) as client:
        client.headers["Accept"] = "text/html"
        unknown = await client.get("/visits/00000000-0000-7000-8000-000000000000")
        strange = await client.get("/books?kind=nothing&after=-1")
    assert unknown.status_code == 404
    assert strange.status_code == 200


async def test_the_volunteers_page_tells_when_an_offer_was_taken_back(site: Site) -> None:
    visit = await planned_visit(site.database, site.world)
    who = {each.id: each for each in (site.world.volunteer, site.world.second_volunteer)}[visit.volunteer_id]
    async with program(site, who) as client:
        early = await client.post(f"/volunteer/visits/{visit.id}/check-out", data={"key": "one"})
    assert early.status_code == 409
    assert "次服务现在是“已约好”" in early.text
