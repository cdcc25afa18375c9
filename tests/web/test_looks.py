"""What eyes and hands need: size, contrast, no sideways scroll. Measured in the browser, page by page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser

from services.people.service import PersonInfo
from tests.web.conftest import Site, Visit, open_browser
from tests.worlds import ask_for_help, done_visit, give_points, planned_visit

pytestmark = pytest.mark.browser

ELDERS_PAGES = (
    "/elder",
    "/elder/ask",
    "/elder/ask?kind=shopping",
    "/elder/ask?kind=shopping&soon=can_wait",
    "/elder/ask?kind=shopping&day=2026-03-04",
    "/elder/ask?kind=shopping&day=2026-03-04&step=part",
    "/elder/ask?kind=shopping&day=2026-03-04&time=10:00",
    "/elder/ask?kind=shopping&day=2026-03-04&time=noon",
    "/elder/ask?kind=shopping&day=2026-03-04&time=08:00-12:00&on=TU,TH&ends=w8",
    "/elder/ask?kind=shopping&day=2026-03-04&time=noon&step=often",
    "/elder/series",
    "/elder/not-again",
    "/order",
    "/order?partner=canteen&item=lunch_set",
    "/statement",
    "/elder/visits",
    "/elder/door",
    "/",
)
DESK_PAGES = (
    "/coordinator",
    "/coordinator/people",
    "/coordinator/fairness",
    "/books",
    "/books?verify=1",
    "/books/audit",
    "/books/account",
    "/books/settlement",
    "/confirm",
    "/coordinator/skills",
    "/coordinator/past-visits",
    "/coordinator/apart",
    "/complaints",
    "/attendance",
)
VOLUNTEERS_PAGES = ("/volunteer", "/volunteer/hours", "/volunteer/past-visits", "/complaints", "/family")

MEASURE = """
() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      const alpha = channels(color)[3];
      if (alpha === undefined || alpha === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && box.right > 0;
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !seen(element)) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(style.color), light(behind(element))].sort((a, b) => b - a);
    texts.push({ text, size: parseFloat(style.fontSize), contrast: (one + 0.05) / (other + 0.05) });
  }
  const targets = [...document.querySelectorAll("a, button, input:not([type=hidden]), textarea, select")]
    .filter(seen)
    .map((element) => {
      const box = (element.closest("label") ?? element).getBoundingClientRect();
      return { text: element.textContent.trim() || element.name, width: box.width, height: box.height };
    });
  const root = document.documentElement;
  return { texts, targets, sideways: root.scrollWidth - root.clientWidth };
}
"""


async def measured(visit: Visit, path: str) -> dict[str, Any]:
    """Open a page and return its texts, its targets, and how far it scrolls sideways."""
    assert await visit.go(path) == 200
    found: dict[str, Any] = await visit.page.evaluate(MEASURE)
    return found


@pytest.fixture
async def busy_site(site: Site) -> Site:
    """A site with something of everything on its pages."""
    world = site.world
    await give_points(site.database, world, world.elder, 1_036_555)
    await give_points(site.database, world, world.volunteer, 12_000, minutes=72_525)
    await done_visit(site.database, site.clock, world)
    await planned_visit(site.database, world, kind="clinic_escort", starts_in=timedelta(hours=26))
    await ask_for_help(site.database, world, kind="shopping", starts_in=timedelta(days=2))
    return site


@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
async def test_elders_pages_have_large_type_strong_contrast_and_large_targets(
    busy_site: Site, browser: Browser, visits: list[Visit], locale: str
) -> None:
    elder = await open_browser(busy_site, browser, visits, locale=locale, width=360)
    await elder.sign_in(busy_site.world.elder)
    for path in ELDERS_PAGES:
        found = await measured(elder, path)
        assert [each for each in found["texts"] if each["size"] < 24] == [], path
        assert [each for each in found["texts"] if each["contrast"] < 7] == [], path
        assert [each for each in found["targets"] if min(each["width"], each["height"]) < 60] == [], path


@pytest.mark.parametrize("locale", ["zh-CN", "zh-HK", "en-GB"])
async def test_no_page_scrolls_sideways_on_the_smallest_screen(
    busy_site: Site, browser: Browser, visits: list[Visit], locale: str
) -> None:
    world = busy_site.world
    people: tuple[tuple[PersonInfo, tuple[str, ...]], ...] = (
        (world.elder, ELDERS_PAGES),
        (world.volunteer, VOLUNTEERS_PAGES),
        (world.coordinator, DESK_PAGES),
    )
    for person, paths in people:
        visit = await open_browser(busy_site, browser, visits, locale=locale, width=320)
        await visit.sign_in(person)
        for path in paths:
            assert (await measured(visit, path))["sideways"] == 0, path


async def test_staffs_pages_are_legible_too(busy_site: Site, browser: Browser, visits: list[Visit]) -> None:
    for person, paths in (
        (busy_site.world.coordinator, DESK_PAGES),
        (busy_site.world.volunteer, VOLUNTEERS_PAGES),
    ):
        visit = await open_browser(busy_site, browser, visits)
        await visit.sign_in(person)
        for path in paths:
            found = await measured(visit, path)
            assert [each for each in found["texts"] if each["contrast"] < 7] == [], path
            assert [each for each in found["texts"] if each["size"] < 14] == [], path


async def test_every_control_has_a_name_and_every_page_one_heading(
    busy_site: Site, browser: Browser, visits: list[Visit]
) -> None:
    coordinator = await open_browser(busy_site, browser, visits)
    await coordinator.sign_in(busy_site.world.coordinator)
    for path in (*DESK_PAGES, *ELDERS_PAGES):
        await coordinator.go(path)
        unnamed = await coordinator.page.evaluate(
            "() => [...document.querySelectorAll('input:not([type=hidden]), textarea, select')]"
            ".filter((each) => !each.labels.length && !each.ariaLabel).map((each) => each.name)"
        )
        assert unnamed == [], path
        assert await coordinator.page.locator("h1").count() == 1, path
        assert await coordinator.page.locator("main").count() == 1, path
    assert coordinator.complaints == []
