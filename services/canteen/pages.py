"""The canteen's pages at its counter: what to cook, what to carry where, and how it was liked."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.response import Redirect

from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.canteen import menu_pages, menu_store, quality_store, sheet_store
from services.canteen.frame import PACKAGE, asked, show
from services.canteen.http import canteen
from services.canteen.menu_store import all_dishes
from services.canteen.rules import Outcome
from services.canteen.sheet_store import Count, Run
from services.partnerkit.http import PlainRequest, desk
from services.partnerkit.pages import Aside, community_of, read_form, say, sign_in_page, signed_in
from services.partnerkit.wire import Voucher, read_text

LINKS = (
    ("/counter/kitchen", "page.kitchen"),
    ("/counter/runs", "page.runs"),
    ("/counter/menu", "page.menu"),
    ("/counter/dishes", "page.dishes"),
    ("/counter/quality", "page.quality"),
)
BOM = "\ufeff"
"""Spreadsheet programs take a CSV file for UTF-8 only with this before it."""


def sheet(rows: Iterable[Sequence[object]], name: str) -> Response[bytes]:
    """Return rows as a CSV file."""
    out = io.StringIO()
    writer = csv.writer(out)
    # A label that begins so would be a formula to a spreadsheet program.
    writer.writerows(
        [f"'{cell}" if str(cell)[:1] in ("=", "+", "-", "@") else cell for cell in row] for row in rows
    )
    return Response(
        (BOM + out.getvalue()).encode(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@get("/counter/kitchen")
async def kitchen(request: PlainRequest) -> Response[str]:
    """Show how many of each dish to cook, for which diet."""
    if not signed_in(request):
        return sign_in_page(request)
    async with asked(request) as (uow, want):
        counts = await sheet_store.counts(uow, want.day, want.meal, None)
        names = await sheet_store.names(uow)
        points = await menu_store.serving_points(uow)
    sheets = [
        (points.get(point, point), list(each)) for point, each in groupby(counts, key=lambda c: c.point)
    ]
    return show(request, "kitchen.html", want, sheets=sheets, names=names)


@get("/counter/kitchen.csv")
async def kitchen_csv(request: PlainRequest) -> Response[Any]:
    """Return the same as a CSV file."""
    if not signed_in(request):
        return sign_in_page(request)
    async with asked(request) as (uow, want):
        counts = await sheet_store.counts(uow, want.day, want.meal, None)
        names = await sheet_store.names(uow)
        points = await menu_store.serving_points(uow)
    head = [say(request, f"column.{each}") for each in ("point", "dish", "diet", "dine_in", "delivery")]
    return sheet(
        [head, *(_count_row(request, each, names, points) for each in counts)],
        f"kitchen-{want.day}-{want.meal}.csv",
    )


def _count_row(
    request: PlainRequest, each: Count, names: Mapping[str, str], points: Mapping[str, str]
) -> list[object]:
    code = each.dish or each.item
    diet = say(request, f"diet.{each.diet}") if each.diet else ""
    return [points.get(each.point, each.point), names.get(code, code), diet, each.dine_in, each.delivery]


@get("/counter/runs")
async def runs(request: PlainRequest) -> Response[str]:
    """Show the delivery runs, each a page of its own on paper."""
    if not signed_in(request):
        return sign_in_page(request)
    async with asked(request) as (uow, want):
        found = await canteen(request).runs(uow, want.day, want.meal)
        names = await sheet_store.names(uow)
        points = await menu_store.serving_points(uow)
        rules = await menu_store.rules(uow)
    return show(
        request, "runs.html", want, found=found, names=names, points=points, hours=rules.hours(want.meal)
    )


@get("/counter/runs.csv")
async def runs_csv(request: PlainRequest) -> Response[Any]:
    """Return the same as a CSV file."""
    if not signed_in(request):
        return sign_in_page(request)
    async with asked(request) as (uow, want):
        found = await canteen(request).runs(uow, want.day, want.meal)
        names = await sheet_store.names(uow)
    columns = ("run", "big_grid", "small_grid", "building", "voucher", "dish", "quantity", "diet")
    head = [say(request, f"column.{each}") for each in columns]
    rows = [row for run in found.runs for row in _run_rows(request, run, names)]
    return sheet([head, *rows], f"runs-{want.day}-{want.meal}.csv")


def _run_rows(request: PlainRequest, run: Run, names: Mapping[str, str]) -> list[list[object]]:
    return [
        [
            run.number,
            stop.parcel.big_grid,
            stop.parcel.small_grid,
            stop.parcel.building,
            stop.parcel.voucher,
            names.get(stop.dish or stop.item, stop.dish or stop.item),
            stop.parcel.quantity,
            say(request, f"diet.{stop.diet}") if stop.diet else "",
        ]
        for stop in run.stops
    ]


@get("/counter/quality")
async def quality(request: PlainRequest) -> Response[str]:
    """Show the complaints that wait for an answer, and the month by dish."""
    if not signed_in(request):
        return sign_in_page(request)
    async with asked(request) as (uow, want):
        waiting = await quality_store.waiting(uow)
        report = await canteen(request).month(uow, want.day.replace(day=1))
        names = await sheet_store.names(uow)
        points = await menu_store.serving_points(uow)
    first = want.day.replace(day=1)
    before, after = (first - timedelta(days=1)).replace(day=1), (first + timedelta(days=31)).replace(day=1)
    return show(
        request,
        "quality.html",
        want,
        waiting=waiting,
        report=report,
        names=names,
        points=points,
        first=first,
        before=before,
        after=after if after <= want.today else None,
    )


@get("/counter/quality.csv")
async def quality_csv(request: PlainRequest) -> Response[Any]:
    """Return the month by dish as a CSV file."""
    if not signed_in(request):
        return sign_in_page(request)
    async with asked(request) as (uow, want):
        report = await canteen(request).month(uow, want.day.replace(day=1))
        names = await sheet_store.names(uow)
    columns = ("dish", "portions", "good", "fair", "poor", "complaints", "upheld", "substituted", "not_taken")
    rows = [
        [
            names.get(each.dish or each.item, each.dish or each.item),
            each.portions,
            *reversed(each.scores),
            each.complaints,
            each.upheld,
            each.substituted,
            each.not_taken,
        ]
        for each in report
    ]
    head = [say(request, f"column.{each}") for each in columns]
    return sheet([head, *rows], f"dishes-{want.day:%Y-%m}.csv")


@post("/counter/answer", status_code=303)
async def answer(request: PlainRequest) -> Response[str] | Redirect:
    """Answer a complaint."""
    if not signed_in(request):
        return sign_in_page(request, say(request, "sign_in.first"), status=403)
    at, form = desk(request), await read_form(request)
    community = await community_of(at, form.get("community_id"))
    try:
        about = UUID(form.get("complaint", ""))
    except ValueError:
        raise NotFound(what="complaint") from None
    async with at.database.unit_of_work(community.community_id) as uow:
        await canteen(request).answer(uow, about, form.get("answer", ""), upheld=form.get("upheld") == "1")
    return Redirect(f"/counter/quality?community_id={community.community_id}", status_code=303)


@post("/counter/end", status_code=303)
async def end(request: PlainRequest) -> Response[str] | Redirect:
    """Record that today's order with a voucher was not taken, or was given as another dish."""
    if not signed_in(request):
        return sign_in_page(request, say(request, "sign_in.first"), status=403)
    at, form = desk(request), await read_form(request)
    community = await community_of(at, form.get("community_id"))
    code = read_text("voucher", form.get("voucher", ""), Voucher)
    try:
        outcome = Outcome(form.get("outcome", ""))
    except ValueError:
        raise InvalidValue(field="outcome", rule="known_outcome") from None
    async with at.database.unit_of_work(community.community_id) as uow:
        today = local_date(uow.clock.now(), community.timezone)
        found = await at.service.store.open_by_voucher(uow, code, today)
        if found is None:
            raise NotFound(what="voucher")
        dish = form.get("dish") if outcome is Outcome.SUBSTITUTED else None
        await canteen(request).end(uow, found, outcome, dish=dish)
    return Redirect(f"/?community_id={community.community_id}", status_code=303)


async def _beside(uow: UnitOfWork) -> Mapping[str, Any]:
    return {
        "dishes": [dish for dish in await all_dishes(uow) if not dish.retired],
        "names": await sheet_store.names(uow),
    }


ASIDE = Aside(PACKAGE, "ending.html", _beside)

PAGES = (
    kitchen,
    kitchen_csv,
    runs,
    runs_csv,
    quality,
    quality_csv,
    answer,
    end,
    *menu_pages.PAGES,
)
