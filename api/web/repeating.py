"""What comes again and again: an elder's series, their next dates, one date left out, the end of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from api.auth import SIGNED_IN
from api.dependencies import SignedIn
from api.web.drafts import clock, weekdays_of
from api.web.forms import Work, do_once, read_form
from api.web.pages import page
from api.web.visitor import Visitor, visit
from pointsbank.domain.asked_time import Timing
from pointsbank.domain.errors import DomainError, InvalidValue, NotFound
from pointsbank.domain.roles import Actor
from pointsbank.domain.series import OnHolidays
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.views import SeriesInfo

SERIES = "/elder/series"
LOOKED_BACK = 50


@get(SERIES, opt=SIGNED_IN, include_in_schema=False)
async def listed(request: SignedIn) -> Response[str]:
    """Show an elder's series, those that stand first."""
    async with visit(request, for_family=True) as (uow, visitor):
        found = await care.series_of(uow, visitor.actor, visitor.subject.id)
        return page(
            request,
            visitor,
            "series_list.html",
            standing=[_told(each) for each in found if each.coming],
            over=[_told(each) for each in found if not each.coming],
        )


@get(SERIES + "/{series_id:uuid}", opt=SIGNED_IN, include_in_schema=False)
async def one(request: SignedIn, series_id: FromPath[UUID]) -> Response[str]:
    """Show one series with its next dates."""
    async with visit(request, for_family=True) as (uow, visitor):
        return await show_series(request, uow, visitor, series_id)


async def show_series(
    request: SignedIn,
    uow: UnitOfWork,
    visitor: Visitor,
    series_id: UUID,
    refused: DomainError | None = None,
) -> Response[str]:
    """Return the page of one series of the elder the visit is about. Raises NotFound, NotAllowed."""
    elder_id = visitor.subject.id
    found = {each.id: each for each in await care.series_of(uow, visitor.actor, elder_id)}
    if series_id not in found:
        raise NotFound(what="series")
    made = await care.requests_of_elder(uow, visitor.actor, elder_id, limit=LOOKED_BACK)
    return page(
        request,
        visitor,
        "series.html",
        refused=refused,
        series=_told(found[series_id]),
        numbers={
            visitor.words.date_of(each.earliest_start): each.number
            for each in made
            if each.series_id == series_id
        },
        leaving_out=request.query_params.get("skip", ""),
        sure=request.query_params.get("sure") == "1",
        back=SERIES,
    )


@post(SERIES + "/{series_id:uuid}/skip", opt=SIGNED_IN, include_in_schema=False)
async def skip(request: SignedIn, series_id: FromPath[UUID]) -> Response[Any]:
    """Leave one date out; a request that was made for it is called off."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        try:
            occurrence = datetime.fromisoformat(form.get("occurrence", "")).replace(tzinfo=None)
        except ValueError:
            raise InvalidValue(field="occurrence", rule="one_of_the_series") from None
        await care.skip_occurrence(uow, actor, series_id, occurrence)
        return f"{SERIES}/{series_id}?done=left_out"

    return await _on_series(request, series_id, work, form)


@post(SERIES + "/{series_id:uuid}/end", opt=SIGNED_IN, include_in_schema=False)
async def end(request: SignedIn, series_id: FromPath[UUID]) -> Response[Any]:
    """End a series; what was asked for and nobody has come to yet is called off."""
    form = await read_form(request)

    async def work(uow: UnitOfWork, actor: Actor) -> str:
        await care.end_series(uow, actor, series_id)
        return f"{SERIES}?done=series_ended"

    return await _on_series(request, series_id, work, form)


async def _on_series(request: SignedIn, series_id: UUID, work: Work, form: dict[str, str]) -> Response[Any]:
    try:
        return await do_once(request, work, key=form.get("key", ""))
    except DomainError as error:
        async with visit(request, for_family=True) as (uow, visitor):
            return await show_series(request, uow, visitor, series_id, error)


def _told(series: SeriesInfo) -> dict[str, Any]:
    """Return what a page says of a series. between: the first and the last start; None for a slot."""
    begins = series.first_at.hour * 60 + series.first_at.minute
    last = series.first_at + timedelta(minutes=series.window_minutes)
    return {
        "id": series.id,
        "kind": series.kind,
        "weekdays": weekdays_of(series),
        "slot": series.slot,
        "hour": clock(begins) if series.timing is Timing.FIXED else None,
        "between": (clock(begins), f"{last:%H:%M}") if series.timing is Timing.WINDOW else None,
        "minutes": series.minutes,
        "last_on": series.last_on,
        "skips_holidays": series.holidays is OnHolidays.SKIP,
        "note": series.note,
        "ended": series.ended_at is not None,
        "coming": [(at.isoformat(timespec="minutes"), at.date()) for at in series.coming],
    }


ROUTES = [listed, one, skip, end]
