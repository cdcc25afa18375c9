"""The fairness page and the page of a pairing run."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import Browser

from api.web.fairness import report_facts
from api.web.pages import environment
from api.web.pairing import run_facts
from api.web.words import Words
from pointsbank.domain.fairness import AgeBand, Asking, fairness
from pointsbank.platform.messages import LOCALES
from services.matching.engine.run import plan_by_greed
from services.matching.fairness import FairnessInfo
from services.people.views import GridInfo
from tests.unit.pairing.days import day
from tests.web.conftest import Site, Visit, open_browser
from tests.web.test_looks import measured
from tests.web.test_pages import program
from tests.worlds import done_visit


async def test_coordinator_and_auditor_see_who_is_left_behind_and_nobody_else_does(site: Site) -> None:
    world = site.world
    await done_visit(site.database, site.clock, world)
    async with program(site, world.coordinator) as client:
        board = await client.get("/coordinator")
        assert 'href="/coordinator/fairness"' in board.text
        page = await client.get("/coordinator/fairness")
    assert page.status_code == 200
    assert "没有哪个网格、年龄段或服务被落下" in page.text
    (community, *_) = re.findall(r'<tr class="group">.*?</tr>', page.text, re.DOTALL)
    assert "1 / 应上门 1" in community
    assert "100%" in community
    assert world.elder.name not in page.text
    async with program(site, world.auditor) as client:
        assert (await client.get("/coordinator/fairness")).status_code == 200
        answer = (await client.get("/api/v1/fairness")).json()
    assert answer["community"]["rate_permille"] == 1_000
    assert len(answer["grids"]) == 16
    async with program(site, world.elder) as client:
        assert (await client.get("/coordinator/fairness")).status_code == 403
        assert (await client.get("/api/v1/fairness")).status_code == 403


@pytest.mark.browser
async def test_the_tables_fit_a_wide_screen_too(site: Site, browser: Browser, visits: list[Visit]) -> None:
    coordinator = await open_browser(site, browser, visits, width=1280)
    await coordinator.sign_in(site.world.coordinator)
    assert (await measured(coordinator, "/coordinator/fairness"))["sideways"] == 0
    assert (coordinator.outside, coordinator.complaints) == ([], [])


def shown(template: str, words: Words, facts: dict[str, Any]) -> str:
    """Return a page as a template makes it, in a frame without a visitor."""
    frame = {
        "here": "/coordinator",
        "nav": [],
        "community": None,
        "signed_in": True,
        "acting_for": None,
        "done": None,
        "problem": None,
    }
    return environment.get_template(template).render({**words.on_pages(), **frame, **facts})


def test_a_grid_left_behind_is_named_with_both_figures() -> None:
    served = [Asking(1, AgeBand.EIGHTIES, "shopping", 600, due=True, visited=True)] * 90
    missed = [Asking(2, AgeBand.EIGHTIES, "shopping", 3_000, due=True, visited=False)] * 10
    found = FairnessInfo(
        first=date(2026, 2, 3),
        last=date(2026, 3, 2),
        report=fairness([*served, *missed], [(9, 600)], grids=[1, 2], kinds=["shopping"]),
        grids=(GridInfo(1, "1", 1, ""), GridInfo(2, "滨江网格", 1, "")),
        complete=True,
    )
    words = Words("zh_CN", timezone="Asia/Shanghai", today=date(2026, 3, 2))
    page = shown("fairness.html", words, report_facts(words, found))
    (notice,) = re.findall(r'<section class="notice warn".*?</section>', page, re.DOTALL)
    assert re.sub(r"<[^>]+>", "", notice).split() == [
        "有人被落下了，请看看为什么：",
        "滨江网格:",
        "上门率",
        "0%，全社区",
        "90%。滨江网格:",
        "一般要等",
        "2",
        "天",
        "2",
        "小时，全社区",
        "10",
        "小时。",
    ]
    assert page.count('class="seal"') == 2


def test_a_run_is_shown_whole_in_every_language_and_asks_nobody_outside() -> None:
    given = day(seed=4, requests=60, volunteers=50, mode="window")
    plan = plan_by_greed(given)
    names = {each.elder: f"<b>{each.elder}" for each in given.requests}
    for locale in LOCALES:
        words = Words(locale, timezone="Asia/Shanghai", today=date(2026, 3, 2))
        grids = [GridInfo(number, str(number), (number - 1) // 4 + 1, "") for number in range(1, 17)]
        info = SimpleNamespace(ran_at=datetime(2026, 3, 1, 10, tzinfo=UTC), engine="engine", left_out=0)
        told = shown("pairing.html", words, {"info": info, **run_facts(words, given, plan, names, grids)})
        assert told.count('class="paired"') == len(plan.visits) + 1  # and the legend's
        assert told.count('class="unpaired"') == len(plan.unpaired) + 1
        assert told.count('<line class="way"') == len(plan.visits)
        assert told.count(" → ") == len(plan.visits)
        assert "<b>e" not in told, "a name is text, never markup"
        assert "style=" not in told
        assert re.findall(r'(?:src|href)="(?!/|#)[^"]*"', told) == []
        assert "pairing." not in told
