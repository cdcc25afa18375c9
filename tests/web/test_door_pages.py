"""Pages of the door: the printed card, check-in on a leader's or coordinator's word, giving a visit up."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.async_api import Browser

from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.help_request import RequestState
from pointsbank.domain.roles import Role
from pointsbank.domain.visit import VisitState
from services.care import service as care
from services.matching import service as matching
from services.people import service as people
from tests.web.conftest import Site, Visit, open_browser
from tests.web.test_looks import MEASURE
from tests.web.test_pages import program
from tests.worlds import done_visit, planned_visit

BLOCK = re.compile(r"<span>(\d{4})</span>")


async def test_a_card_is_printed_for_an_elder_and_its_number_opens_the_door(site: Site) -> None:
    world = site.world
    visit = await planned_visit(site.database, world, by=world.volunteer)
    site.clock.move_to(visit.planned_start)
    async with program(site, world.coordinator) as coordinator:
        await coordinator.post("/coordinator/act-for", data={"person": str(world.elder.id)})
        assert "旧卡马上作废" in (await coordinator.get("/elder/door")).text
        lost, card = [(await coordinator.post("/elder/door/card")).text for _ in range(2)]
    assert "<svg" in card
    assert world.elder.name in card
    old, number = [" ".join(BLOCK.findall(page)) for page in (lost, card)]
    assert len(number.replace(" ", "")) == 20
    async with program(site, world.volunteer) as volunteer:
        path = f"/volunteer/visits/{visit.id}/check-in"
        assert (await volunteer.post(path, data={"code": old, "key": "one"})).status_code == 403
        assert (await volunteer.post(path, data={"code": number, "key": "two"})).status_code == 303
        assert (await volunteer.post("/elder/door/card")).status_code == 403
    async with site.database.unit_of_work(1) as uow:
        found = await care.visit(uow, world.elder.actor, visit.id)
    assert found.check_in_method is AttendanceMethod.CARD


async def test_the_code_is_shown_to_the_elder_and_never_to_the_desk(site: Site) -> None:
    async with program(site, site.world.elder) as elder, program(site, site.world.coordinator) as desk:
        async with site.database.unit_of_work(1) as uow:
            code = (await care.door_code(uow, site.world.elder.actor, site.world.elder.id)).code
        assert code in (await elder.get("/elder/door")).text
        assert (await elder.post("/elder/door/card")).status_code == 403
        await desk.post("/coordinator/act-for", data={"person": str(site.world.elder.id)})
        assert code not in (await desk.get("/elder/door")).text
    async with program(site, site.world.volunteer) as volunteer:
        assert (await volunteer.get("/elder/door")).status_code == 303  # no elder, no door


async def test_a_leader_checks_in_whom_they_see_and_a_coordinator_whom_they_call_about(site: Site) -> None:
    world = site.world
    visit = await planned_visit(site.database, world, by=world.volunteer)
    async with site.database.unit_of_work(1) as uow:
        await people.grant_role(uow, world.auditor.id, Role.GRID_LEADER, small_grid=6)
    site.clock.move_to(visit.planned_start)
    path = f"/attendance/{visit.id}"
    async with program(site, world.auditor) as elsewhere:
        assert world.elder.name not in (await elsewhere.get("/attendance")).text
        assert (await elsewhere.post(f"{path}/check-in", data={"key": "one"})).status_code == 403
    async with program(site, world.building_leader) as leader:
        assert world.elder.name in (await leader.get("/attendance")).text
        assert (await leader.post(f"{path}/check-in", data={"key": "one"})).status_code == 303
    site.clock.move_to(visit.planned_end)
    async with program(site, world.coordinator) as coordinator:
        assert "走了，签退" in (await coordinator.get("/attendance")).text
        assert (await coordinator.post(f"{path}/check-out", data={"key": "one"})).status_code == 303
        own = await coordinator.post(f"/visits/{visit.id}/confirm", data={"key": "two"})
        assert own.status_code == 403  # who stated the time does not confirm it
        assert (await coordinator.post(f"{path}/dance", data={"key": "three"})).status_code == 404
    async with site.database.unit_of_work(1) as uow:
        found = await care.visit(uow, world.elder.actor, visit.id)
    assert (found.check_in_method, found.check_out_method) == ("witness", "call_back")
    async with program(site, world.volunteer) as volunteer:
        assert (await volunteer.get("/attendance")).status_code == 403


async def test_a_volunteer_gives_a_visit_up_on_their_page_and_nobody_else_does(site: Site) -> None:
    world = site.world
    visit = await planned_visit(site.database, world, starts_in=timedelta(days=3))  # nearest: the first
    assert visit.help_request_id is not None
    path = f"/volunteer/visits/{visit.id}/withdraw"
    async with program(site, world.second_volunteer) as stranger:
        assert (await stranger.post(path, data={"key": "one"})).status_code == 403
    async with program(site, world.volunteer) as volunteer:
        assert path in (await volunteer.get("/volunteer")).text
        first = await volunteer.post(path, data={"key": "one"})
        assert (first.status_code, first.headers["location"]) == (303, "/volunteer?done=withdrawn")
        again = await volunteer.post(path, data={"key": "one"})
        assert again.headers["location"] == first.headers["location"]  # the same press: the same answer
        anew = await volunteer.post(path, data={"key": "two"})
        assert (anew.status_code, "次服务现在是“已取消”" in anew.text) == (409, True)
    async with site.database.unit_of_work(1) as uow:
        found = await care.visit(uow, world.elder.actor, visit.id)
        request = await care.request(uow, world.elder.actor, visit.help_request_id)
        asked_next = (await matching.standing_offers(uow, [request.id]))[request.id]
    assert (found.state, request.state) == (VisitState.CANCELLED, RequestState.OFFERED)
    assert asked_next.volunteer_id == world.second_volunteer.id


@pytest.mark.browser
async def test_pages_of_one_visit_are_large_and_strong_for_an_elder_and_end_at_the_edge(
    site: Site, browser: Browser, visits: list[Visit]
) -> None:
    visit = await done_visit(site.database, site.clock, site.world)
    elder = await open_browser(site, browser, visits, width=320)
    await elder.sign_in(site.world.elder)
    for path in (f"/elder/visits/{visit.id}", f"/elder/visits/{visit.id}/complain"):
        await elder.go(path)
        found = await elder.page.evaluate(MEASURE)
        assert [each for each in found["texts"] if each["size"] < 24 or each["contrast"] < 7] == [], path
        assert [each for each in found["targets"] if min(each["width"], each["height"]) < 60] == [], path
        assert found["sideways"] == 0, path
