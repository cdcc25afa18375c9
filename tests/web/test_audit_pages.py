"""The auditor's pages: six answers, a worksheet to take along, and one member's account."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import httpx
import openpyxl
import pytest
from playwright.async_api import Browser

from services.people.service import PersonInfo
from tests.auditing import earned
from tests.web.conftest import Site, Visit, open_browser
from tests.web.oddities import plant
from tests.web.test_looks import measured
from tests.web.test_pages import program
from tests.worlds import NINE_ON_MONDAY

AUDIT, ACCOUNT = "/books/audit", "/books/account"


def section(page: httpx.Response, name: str) -> str:
    """Return the words of one question's part of the page."""
    found = re.search(rf'<section class="sheet" id="{name}">(.*?)</section>', page.text, re.DOTALL)
    assert found is not None, name
    return re.sub(r"<[^>]+>", " ", found[1])


async def test_the_page_answers_six_questions_and_leads_to_the_entries(site: Site) -> None:
    await plant(site)
    async with program(site, site.world.auditor) as client:
        page = await client.get(AUDIT, params={"hours": "7"})
        assert page.status_code == 200
        assert "测试丙 T003" in section(page, "self_acted")
        assert "要查" in section(page, "self_acted")
        assert "没有写" in section(page, "reversals")
        assert "7 小时 50 分钟" in section(page, "long_days")
        assert section(page, "rings").count("个人一圈") == 3
        assert "20 积分" in section(page, "night")
        assert "纸质记录" in section(page, "weak")
        link = re.search(r'href="(/books\?after=\d+)">第 (\d+) 号', page.text)
        assert link is not None
        books = await client.get(link[1])
    first = re.search(r'data-label="号">(\d+)<', books.text)
    assert first is not None
    assert first[1] == link[2]


async def test_a_quiet_period_says_so(site: Site) -> None:
    async with program(site, site.world.auditor) as client:
        page = await client.get(AUDIT)
    for name in ("self_acted", "reversals", "long_days", "rings", "night"):
        assert "没有" in section(page, name)
    assert "这段时间没有记账" in page.text


async def test_one_question_alone_is_paged(site: Site) -> None:
    for _ in range(60):
        await earned(site.database, site.world, site.world.volunteer, 1_000, actor=site.world.volunteer)
    async with program(site, site.world.auditor) as client:
        page = await client.get(AUDIT)
        assert section(page, "self_acted").count("服务得积分") == 1 + 5
        assert 'id="rings"' in page.text
        addresses = []
        while link := re.search(r'href="(/books/audit\?[^"]*only=self_acted[^"]*)"', page.text):
            addresses.append(link[1])
            page = await client.get(link[1].replace("&amp;", "&"))
    assert len(addresses) == 2
    assert section(page, "self_acted").count("服务得积分") == 1 + 10
    assert 'id="rings"' not in page.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=2026-13-01", "开始"),
        ("from=2020-01-01", "400 天"),
        ("from=2026-03-02&to=2026-03-01", "结束"),
        ("to=9999-12-31", "日期不合理"),
        ("to=0001-01-01", "日期不合理"),
        ("from=0001-01-01&to=0001-01-02", "日期不合理"),
        ("hours=25", "0 到 24"),
        ("points=x", "整数的倍数"),
    ],
)
async def test_a_form_that_cannot_be_read_is_told_on_the_page(site: Site, query: str, said: str) -> None:
    async with program(site, site.world.auditor) as client:
        page = await client.get(f"{AUDIT}?{query}")
    assert page.status_code == 422
    problem = re.search(r'id="problem">([^<]+)<', page.text)
    assert problem is not None
    assert said in problem[1]
    assert not re.search(r"[{}_]", problem[1])


async def test_a_worksheet_is_downloaded_with_numbers_only_unless_names_are_asked_for(site: Site) -> None:
    await plant(site)
    async with program(site, site.world.auditor) as client:
        drawn = {"seed": "今天的头条", "size": "4", "form": "csv"}
        plain = await client.get(f"{AUDIT}/worksheet", params=drawn)
        named = await client.get(f"{AUDIT}/worksheet", params=drawn | {"names": "1"})
        book = await client.get(f"{AUDIT}/worksheet", params=drawn | {"form": "xlsx", "names": "1"})
        refused = await client.get(f"{AUDIT}/worksheet", params=drawn | {"seed": ""})
    assert plain.headers["content-type"] == "text/csv; charset=utf-8"
    assert plain.headers["content-disposition"].startswith('attachment; filename="worksheet-2026-02-01')
    assert plain.headers["cache-control"] == "no-store"
    rows = list(csv.DictReader(io.StringIO(plain.content.decode("utf-8-sig"))))
    assert len(rows) == 4
    assert "测试" not in plain.text
    assert "测试" in named.text
    assert "1540" in named.text
    front, sheet = openpyxl.load_workbook(io.BytesIO(book.content)).worksheets
    told = "\n".join(str(cell) for row in front.values for cell in row)
    assert "测试己 T006" in told
    assert "只给有权看账的社工和审计员" in told
    assert [row[1] for row in list(sheet.values)[1:]] == [int(row["分录号"]) for row in rows]
    assert refused.status_code == 422


async def test_a_worksheet_tells_by_which_entries_the_page_draws_it_again(site: Site) -> None:
    await plant(site)
    drawn = {"seed": "今天的头条", "size": "4", "form": "csv"}
    async with program(site, site.world.auditor) as client:
        plain = await client.get(f"{AUDIT}/worksheet", params=drawn)
        book = await client.get(f"{AUDIT}/worksheet", params=drawn | {"form": "xlsx"})
        front = openpyxl.load_workbook(io.BytesIO(book.content)).worksheets[0]
        told = "\n".join(str(cell) for row in front.values for cell in row)
        entries = re.search(r"「分录号」填 (\d+-\d+)，", told)
        assert entries is not None
        again = await client.get(f"{AUDIT}/worksheet", params=drawn | {"entries": entries[1]})
        beyond = await client.get(f"{AUDIT}/worksheet", params=drawn | {"entries": "1-999999"})
        never = await client.get(f"{AUDIT}/worksheet", params=drawn | {"to": "9999-12-31"})
    assert again.content == plain.content
    days = "2026-02-01-2026-03-02"
    for answer, name in ((plain, f"worksheet-{days}-entries-"), (again, "worksheet-entries-")):
        said = answer.headers["content-disposition"]
        assert said == f'attachment; filename="{name}{entries[1]}.csv"'
    assert (never.status_code, beyond.status_code) == (422, 422)
    assert "还没有入账" in beyond.text


async def test_an_account_is_told_as_known_then_and_as_known_today(site: Site) -> None:
    world, day = site.world, NINE_ON_MONDAY
    await earned(site.database, world, world.volunteer, 1_000, actor=world.coordinator)
    site.clock.move_to(day + timedelta(days=3))
    await earned(site.database, world, world.volunteer, 2_000, actor=world.coordinator, occurred_at=day)
    asked = {"member": "T003", "of": "points", "from": "2026-03-01", "to": "2026-03-03"}
    async with program(site, world.auditor) as client:
        page = await client.post(ACCOUNT, data=asked)
        by_name = await client.post(ACCOUNT, data=asked | {"member": "测试丙"})
    words = " ".join(re.sub(r"<[^>]+>", " ", page.text).split())
    assert page.status_code == 200
    assert "3月3日周二结束时（当时所知） 1 积分" in words
    assert "3月3日周二结束时（今天回看） 3 积分" in words
    assert "有 2 积分 是那天以前发生、后来才入账的" in words
    assert "测试丙 T003" in by_name.text


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"member": ""}, 422, "请填写"),
        ({"member": "X1"}, 404, "居民"),
        ({"to": "2026-03-03"}, 422, "不能晚于现在"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, 422, "要晚于开始"),
        ({"from": "0001-01-01"}, 422, "日期不合理"),
        ({"to": "9999-12-31"}, 422, "日期不合理"),
    ],
)
async def test_an_account_that_cannot_be_shown_says_why_and_keeps_the_form(
    site: Site, changed: dict[str, str], status: int, said: str
) -> None:
    asked = {"member": "T003", "of": "points", "from": "2026-03-01", "to": "2026-03-02"} | changed
    async with program(site, site.world.auditor) as client:
        page = await client.post(ACCOUNT, data=asked)
    assert page.status_code == status
    assert said in page.text
    assert f'value="{asked["from"]}"' in page.text


@pytest.mark.parametrize("path", [AUDIT, f"{AUDIT}/worksheet?seed=a", ACCOUNT])
async def test_only_who_reads_the_books_sees_these_pages(site: Site, path: str) -> None:
    for person, status in ((site.world.elder, 403), (site.world.coordinator, 200)):
        async with program(site, person) as client:
            assert (await client.get(path)).status_code == status


@pytest.mark.browser
@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
async def test_the_full_page_is_legible_and_scrolls_one_way_on_the_smallest_screen(
    site: Site, browser: Browser, visits: list[Visit], locale: str
) -> None:
    await plant(site)
    auditor: PersonInfo = site.world.auditor
    visit = await open_browser(site, browser, visits, locale=locale, width=320)
    await visit.sign_in(auditor)
    found = await measured(visit, f"{AUDIT}?hours=7")
    assert found["sideways"] == 0
    assert [each for each in found["texts"] if each["contrast"] < 7 or each["size"] < 14] == []
    assert visit.complaints == []
    assert visit.outside == []
