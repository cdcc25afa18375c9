"""Pages after a visit: complaints with what follows said before the button, appeals, who is kept apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest

from pointsbank.domain import accounts
from pointsbank.domain.feedback import Again, Side
from pointsbank.domain.preferences import Relation
from pointsbank.domain.roles import Role
from pointsbank.domain.visit import VisitState
from pointsbank.domain.visit_rules import Ground
from services.care import service as care
from services.care.service import VisitInfo
from services.ledger import service as ledger
from services.people import service as people
from services.people.service import NewPerson, PersonInfo
from tests.web.conftest import Site
from tests.web.test_pages import program
from tests.worlds import NINE_ON_MONDAY, done_visit


@dataclass(frozen=True, slots=True)
class Desk:
    """Two coordinators more than the world has."""

    second: PersonInfo
    third: PersonInfo


@pytest.fixture
async def desk(site: Site) -> Desk:
    async with site.database.unit_of_work(1) as uow:
        ids = await people.add_people(
            uow, [NewPerson(name, roles={Role.COORDINATOR: None}) for name in ("测试癸", "测试子")]
        )
        return Desk(*[await people.person(uow, each) for each in ids])


async def confirmed_visit(site: Site) -> VisitInfo:
    visit = await done_visit(site.database, site.clock, site.world, by=site.world.volunteer)
    async with site.database.unit_of_work(1) as uow:
        return await care.confirm(uow, site.world.elder.actor, visit.id)


async def family_of(site: Site, elder: PersonInfo) -> PersonInfo:
    """Return a daughter of the elder, confirmed by the coordinator."""
    async with site.database.unit_of_work(1) as uow:
        (member,) = await people.add_people(uow, [NewPerson("测试壬")])
        await care.tell_family(uow, elder.actor, elder.id, member, Relation.CHILD)
        await care.confirm_family(uow, site.world.coordinator.actor, elder.id, member)
        return await people.person(uow, member)


async def complaint_about(site: Site, visit: VisitInfo, ground: Ground, note: str) -> str:
    """Let the elder complain and the coordinator hear it; return the address of its page."""
    async with site.database.unit_of_work(1) as uow:
        filed = await care.complain(uow, site.world.elder.actor, visit.id, ground=ground, note=note)
        await care.hear(uow, site.world.coordinator.actor, filed.id, answer="到过")
    return f"/complaints/{filed.id}"


async def test_family_complains_with_one_press_and_the_elder_reads_what_came_of_it(
    site: Site, desk: Desk
) -> None:
    visit = await done_visit(site.database, site.clock, site.world, by=site.world.volunteer)
    daughter = await family_of(site, site.world.elder)
    page = f"/elder/visits/{visit.id}"
    async with program(site, daughter) as family:
        assert page in (await family.get("/family")).text
        form = await family.get(f"{page}/complain")
        assert "补录不实" not in form.text  # it was not recorded afterwards
        said = {"ground": "conduct", "text": "说话很凶", "key": "one"}
        told = await family.post(f"{page}/complain", data=said)
        assert (told.status_code, told.headers["location"]) == (303, f"{page}?done=complained")
        again = await family.post(f"{page}/complain", data=said | {"key": "two"})
        assert again.status_code == 409
        assert "说话很凶" in again.text  # the words are not lost
        assert f"{page}/complain" not in (await family.get(page)).text  # one stands: no second
    async with site.database.unit_of_work(1) as uow:
        (filed,) = await care.open_complaints(uow, site.world.coordinator.actor)
        assert (filed.ground, filed.complained_by) == (Ground.CONDUCT, daughter.id)
        await care.hear(uow, site.world.coordinator.actor, filed.id, answer="没有")
        await care.decide(uow, desk.second.actor, filed.id, upheld=False, finding="邻居说没有")
    async with program(site, site.world.elder) as elder:
        read = (await elder.get(page)).text
    assert "邻居说没有" in read
    assert "查明不是这样" in read


async def test_what_upholding_brings_is_said_before_the_button_and_then_happens(
    site: Site, desk: Desk
) -> None:
    visit = await confirmed_visit(site)
    page = await complaint_about(site, visit, Ground.NOT_RENDERED, "一直没人来")
    async with program(site, site.world.coordinator) as coordinator:
        asked = (await coordinator.get(page)).text
        assert f"提出冲正第 {visit.entry_number} 号分录：收回 1 小时、1 积分，要另一个人批准才入账" in asked
        assert "志愿者 90 天内不派去服务（到5月31日周日）" in asked
        assert "一切照旧，已入账的不动" in asked
        assert asked.index("收回 1 小时") < asked.index('name="upheld" value="yes"')
        refused = await coordinator.post(f"{page}/decide", data={"text": "查实", "key": "zero"})
        assert refused.status_code == 422  # neither button
        done = await coordinator.post(f"{page}/decide", data={"text": "查实", "upheld": "yes", "key": "one"})
        assert done.status_code == 303
        assert "冲正已提出" in (await coordinator.get(page)).text
    async with site.database.unit_of_work(1) as uow:
        assert await ledger.balance(uow, accounts.available(site.world.volunteer.ledger_ref)) == 1_000
        (sanction,) = await care.sanctions_of(uow, site.world.volunteer.actor, site.world.volunteer.id)
    assert sanction.until_at == site.clock.now() + timedelta(days=90)


async def test_who_had_a_hand_in_it_finds_no_button_and_cannot_post_one(site: Site, desk: Desk) -> None:
    visit = await done_visit(site.database, site.clock, site.world, by=site.world.volunteer)
    async with site.database.unit_of_work(1) as uow:
        filed = await care.complain(uow, desk.second.actor, visit.id, ground=Ground.CONDUCT)
        await care.hear(uow, desk.second.actor, filed.id, answer="没有")
    page = f"/complaints/{filed.id}"
    async with program(site, desk.second) as second:
        shown = await second.get(page)
        posted = await second.post(f"{page}/decide", data={"text": "查实", "upheld": "yes", "key": "one"})
    assert "您经手过这件事" in shown.text
    assert 'name="upheld"' not in shown.text
    assert posted.status_code == 403
    async with program(site, desk.third) as third:
        assert 'name="upheld"' in (await third.get(page)).text


async def test_the_volunteer_reads_what_was_decided_and_appeals_and_another_decides(
    site: Site, desk: Desk
) -> None:
    visit = await done_visit(site.database, site.clock, site.world, by=site.world.volunteer)
    page = await complaint_about(site, visit, Ground.NOT_RENDERED, "一直没人来")
    async with program(site, desk.second) as second, program(site, site.world.volunteer) as volunteer:
        assert "这次服务取消，1 小时不入账" in (await second.get(page)).text
        await second.post(f"{page}/decide", data={"text": "邻居没看见", "upheld": "yes", "key": "one"})
        assert "有一件投诉与您有关" in (await volunteer.get("/volunteer")).text
        assert page in (await volunteer.get("/complaints")).text
        read = (await volunteer.get(page)).text
        assert "邻居没看见" in read
        assert "不派去服务" in read
        assert "一直没人来" not in read  # what the elder said, and who complained, stays with the desk
        assert "提出的人" not in read
        sent = await volunteer.post(f"{page}/appeal", data={"text": "楼长看见我了", "key": "two"})
        assert sent.status_code == 303
        assert "楼长看见我了" in (await volunteer.get(page)).text
        assert "您经手过这件事" in (await second.get(page)).text
    async with program(site, desk.third) as third:
        asked = (await third.get(page)).text
        assert "取消的服务恢复，等人确认" in asked
        assert "对志愿者的限制解除" in asked
        decided = await third.post(
            f"{page}/decide-appeal", data={"text": "问过楼长", "upheld": "yes", "key": "one"}
        )
        assert decided.status_code == 303
    async with site.database.unit_of_work(1) as uow:
        assert (await care.visit(uow, site.world.elder.actor, visit.id)).state is VisitState.DONE
        (sanction,) = await care.sanctions_of(uow, site.world.volunteer.actor, site.world.volunteer.id)
    assert sanction.lifted_by == desk.third.id


async def test_nobody_else_reads_a_complaint_and_no_volunteer_speaks_for_the_elder(site: Site) -> None:
    visit = await done_visit(site.database, site.clock, site.world, by=site.world.volunteer)
    page = await complaint_about(site, visit, Ground.CONDUCT, "说话很凶")
    async with program(site, site.world.second_volunteer) as stranger:
        assert (await stranger.get(page)).status_code == 403
        assert page not in (await stranger.get("/complaints")).text
    async with program(site, site.world.volunteer) as volunteer:
        for path in (f"/elder/visits/{visit.id}", f"/elder/visits/{visit.id}/complain"):
            assert (await volunteer.get(path)).status_code == 403
        own = await volunteer.post(f"{page}/decide", data={"text": "没有", "upheld": "no", "key": "one"})
        assert own.status_code == 403
    async with program(site, site.world.second_elder) as neighbour:
        assert (await neighbour.get(f"/elder/visits/{visit.id}")).status_code == 403


async def test_family_says_whether_the_volunteer_may_come_again(site: Site) -> None:
    visit = await confirmed_visit(site)
    daughter = await family_of(site, site.world.elder)
    async with program(site, daughter) as family:
        assert "您愿意让测试丙再来吗？" in (await family.get(f"/elder/visits/{visit.id}")).text
        said = await family.post(f"/elder/visits/{visit.id}/again", data={"again": "no", "key": "one"})
    assert said.headers["location"] == "/family?done=feedback_given"
    async with site.database.unit_of_work(1) as uow:
        (given,) = await care.feedback_on(uow, site.world.coordinator.actor, visit.id)
    assert (given.side, given.again, given.given_by) == (Side.ELDER, Again.NO, daughter.id)
    async with program(site, site.world.coordinator) as coordinator:
        assert "长者或家人说的" in (await coordinator.get("/coordinator/apart")).text


async def test_a_coordinator_keeps_two_apart_with_a_reason_and_lifts_it(site: Site) -> None:
    world, page = site.world, "/coordinator/apart"
    pair = {"elder": "测试甲", "volunteer": "T003", "reason": "coordinator", "key": "one"}
    async with program(site, world.coordinator) as coordinator:
        many = await coordinator.post(page, data=pair | {"elder": "测试小区"})
        assert (many.status_code, "不止一位" in many.text) == (422, True)
        nobody = await coordinator.post(page, data=pair | {"volunteer": "测试甲"})
        assert "没有找到这个人" in nobody.text  # an elder is no volunteer
        assert (await coordinator.post(page, data=pair)).status_code == 303
        shown = (await coordinator.get(page)).text
        assert "社工判断" in shown
        ids = dict(re.findall(r'name="(elder|volunteer)" value="([0-9a-f-]{36})"', shown))
        assert ids == {"elder": str(world.elder.id), "volunteer": str(world.volunteer.id)}
        async with site.database.unit_of_work(1) as uow:
            (kept,) = await care.exclusions_of(uow, world.coordinator.actor, world.elder.id)
        assert (kept.volunteer_id, kept.set_by) == (world.volunteer.id, world.coordinator.id)
        assert (await coordinator.post(f"{page}/lift", data=ids | {"key": "two"})).status_code == 303
        assert "名单是空的" in (await coordinator.get(page)).text
    async with program(site, world.auditor) as auditor:
        assert (await auditor.get(page)).status_code == 200
        assert (await auditor.post(page, data=pair)).status_code == 403
    async with program(site, world.volunteer) as volunteer:
        assert (await volunteer.get(page)).status_code == 403


async def test_a_past_visit_is_recorded_approved_and_booked(site: Site) -> None:
    world = site.world
    await done_visit(site.database, site.clock, world, by=world.volunteer)
    form = {"elder": str(world.elder.id), "kind": "shopping", "day": "2026-03-01", "key": "one"}
    form |= {"from": "09:00", "to": "09:45"}
    async with program(site, world.volunteer) as volunteer:
        page = (await volunteer.get("/volunteer/past-visits")).text
        assert "只能补录 14 天以内做完的" in page
        assert "每月最多补录 2 次，本月已用 0 次" in page
        assert "365 天内不能补录" in page
        assert world.second_elder.name not in page
        stranger = await volunteer.post(
            "/volunteer/past-visits", data=form | {"elder": str(world.second_elder.id)}
        )
        assert stranger.status_code == 404
        late = await volunteer.post("/volunteer/past-visits", data=form | {"day": "2026-02-01"})
        assert (late.status_code, 'value="2026-02-01"' in late.text) == (422, True)
        assert (await volunteer.post("/volunteer/past-visits", data=form)).status_code == 303
        assert "本月已用 1 次" in (await volunteer.get("/volunteer/past-visits")).text
    async with site.database.unit_of_work(1) as uow:
        (recorded,) = await care.recorded_visits(uow, world.coordinator.actor)
    path = f"/coordinator/past-visits/{recorded.id}/approve"
    async with program(site, world.volunteer) as volunteer:
        assert (await volunteer.get("/coordinator/past-visits")).status_code == 403
        assert (await volunteer.post(path, data={"key": "two"})).status_code == 403
    async with program(site, world.coordinator) as coordinator:
        queue = (await coordinator.get("/coordinator/past-visits")).text
        assert queue.index("批准后，45 分钟按规则折成积分") < queue.index("属实，批准")
        assert (await coordinator.post(path, data={"key": "one"})).status_code == 303
        assert "没有等审核的补录" in (await coordinator.get("/coordinator/past-visits")).text
    async with site.database.unit_of_work(1) as uow:
        assert await ledger.balance(uow, accounts.available(world.volunteer.ledger_ref)) == 750


async def test_what_a_coordinator_records_for_a_volunteer_another_approves(site: Site, desk: Desk) -> None:
    form = {"volunteer": "测试丙", "elder": "测试甲", "kind": "shopping", "day": "2026-03-01"}
    form |= {"from": "23:30", "to": "00:30"}
    site.clock.move_to(NINE_ON_MONDAY + timedelta(hours=1))
    async with program(site, site.world.coordinator) as coordinator:
        sent = await coordinator.post("/coordinator/past-visits", data=form | {"key": "one"})
        assert sent.status_code == 303
        async with site.database.unit_of_work(1) as uow:
            (recorded,) = await care.recorded_visits(uow, site.world.coordinator.actor)
        assert recorded.minutes == 60  # over midnight
        assert "由您补录，要由别人批准" in (await coordinator.get("/coordinator/past-visits")).text
        path = f"/coordinator/past-visits/{recorded.id}/approve"
        own = await coordinator.post(path, data={"key": "two"})
        assert own.status_code == 403
    async with program(site, desk.second) as second:
        assert (await second.post(path, data={"key": "one"})).status_code == 303


async def test_a_false_record_bars_and_the_volunteer_reads_until_when(site: Site, desk: Desk) -> None:
    world = site.world
    async with site.database.unit_of_work(1) as uow:
        recorded = await care.backfill(
            uow,
            world.volunteer.actor,
            care.Backfill(
                world.volunteer.id,
                world.elder.id,
                "shopping",
                NINE_ON_MONDAY - timedelta(hours=3),
                NINE_ON_MONDAY - timedelta(hours=2),
            ),
        )
    async with program(site, world.coordinator) as coordinator, program(site, desk.second) as second:
        queue = (await coordinator.get("/coordinator/past-visits")).text
        assert queue.index("365 天内不能补录") < queue.index("不实，记下")
        filed = await coordinator.post(
            f"/coordinator/past-visits/{recorded.id}/false", data={"text": "长者住院", "key": "one"}
        )
        page = filed.headers["location"].split("?")[0]
        await coordinator.post(f"{page}/hear", data={"text": "记错了", "key": "two"})
        assert "志愿者 365 天内不能补录（到2027年3月2日周二）" in (await second.get(page)).text
        await second.post(f"{page}/decide", data={"text": "那天在住院", "upheld": "yes", "key": "one"})
        assert "没有等审核的补录" in (await coordinator.get("/coordinator/past-visits")).text
    async with program(site, world.volunteer) as volunteer:
        barred = (await volunteer.get("/volunteer/past-visits")).text
    assert "现在受限制：不能补录，到2027年3月2日周二 09:00 为止" in barred
    assert 'name="from"' not in barred
