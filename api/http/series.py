"""Series: help asked for again and again, one occurrence left out, ended."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody
from pydantic import BeforeValidator, ConfigDict, WithJsonSchema

from api.auth import SIGNED_IN, may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.help_requests import ElderId, Wanted
from api.http.wire import Asked, Code, Flag, Told, WholeNumber, broken, text
from pointsbank.domain.asked_time import Slot, Timing
from pointsbank.domain.help_request import MINUTES_MAX, MINUTES_MIN, AskedThrough
from pointsbank.domain.preferences import GenderWanted
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.series import RULE_LENGTH_MAX, OnHolidays
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.series import WINDOW_MINUTES_MAX

_WALL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:00)?")


def _wall(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _WALL.fullmatch(value):
        raise broken("wall_clock")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise broken("wall_clock") from None


WallClock = Annotated[
    datetime,
    BeforeValidator(_wall),
    WithJsonSchema({"type": "string", "pattern": f"^{_WALL.pattern}$", "examples": ["2026-11-24T09:00"]}),
]
"""A minute on the community's clock on the wall, without an offset."""


class AskAgainAndAgain(Wanted):
    """What is asked for again and again. ``elder_id``: yourself unless named.

    ``rule`` is an RFC 5545 recurrence rule that ends within two years and names at most three times a day;
    ``first_at`` is its DTSTART. With ``slot`` each is asked for in that part of its day; else it may begin up
    to ``window_minutes`` after the rule's hour. ``even_if_similar``: ask although something like it is asked
    for already.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "companionship",
                    "first_at": "2026-11-24T09:00",
                    "rule": "FREQ=WEEKLY;BYDAY=TU;COUNT=26",
                    "minutes": 60,
                    "slot": "morning",
                    "holidays": "skip",
                }
            ]
        }
    )
    elder_id: UUID | None = None
    kind: Code
    first_at: WallClock
    rule: Annotated[str, text(RULE_LENGTH_MAX)]
    minutes: Annotated[int, WholeNumber(MINUTES_MIN, MINUTES_MAX)]
    slot: Slot | None = None
    window_minutes: Annotated[int, WholeNumber(0, WINDOW_MINUTES_MAX)] = 0
    holidays: OnHolidays = OnHolidays.KEEP
    even_if_similar: Flag = False


class LeaveOut(Asked):
    """Which occurrence is left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"occurrence": "2026-12-01T09:00"}]})
    occurrence: WallClock


class SeriesAnswer(Told):
    """A series. ``coming``: its next occurrences on the clock on the wall."""

    id: UUID
    elder_id: UUID
    asked_by: UUID
    asked_through: AskedThrough
    kind: str
    minutes: int
    timing: Timing
    slot: Slot | None
    window_minutes: int
    first_at: datetime
    last_on: date
    rule: str
    holidays: OnHolidays
    urgency: int
    note: str | None
    building_id: UUID | None
    gender_wanted: GenderWanted | None
    gender_hard: bool
    language_wanted: str | None
    same_carer: bool
    similar_meant: bool
    asked_at: datetime
    ended_at: datetime | None
    coming: list[datetime]


class UnmadeAnswer(Told):
    """An occurrence that has no request, by the community's clock on the wall.

    ``reason``: a refusal's code (such as ``duplicate_request``), or ``too_late``; ``detail``: its fact, such
    as the number of the request like it. ``waits``: it has not come yet and is tried again; else it is lost.
    """

    series_id: UUID
    elder_id: UUID
    elder_name: str
    kind: str
    occurrence: datetime
    reason: str
    detail: str | None
    tries: int
    failed_at: datetime
    tried_at: datetime
    waits: bool


class UnmadePage(Told):
    """Occurrences without a request, the earliest first."""

    items: list[UnmadeAnswer]


class SeriesPage(Told):
    """Series, those that stand first."""

    items: list[SeriesAnswer]


@post("/series", opt=SIGNED_IN, operation_id="ask_again_and_again", status_code=CREATED)
async def ask(request: SignedIn, data: JSONBody[AskAgainAndAgain]) -> Response[SeriesAnswer]:
    """Ask for help again and again; requests are made two weeks ahead."""

    async def work(uow: UnitOfWork, actor: Actor) -> SeriesAnswer:
        command = care.AskAgainAndAgain(
            elder_id=data.elder_id or actor.person_id,
            kind=data.kind,
            first_at=data.first_at,
            rule=data.rule,
            minutes=data.minutes,
            slot=data.slot,
            window_minutes=data.window_minutes,
            holidays=data.holidays,
            urgency=data.urgency,
            note=data.note,
            preferences=data.preferences,
            building_id=data.building_id,
            even_if_similar=data.even_if_similar,
        )
        return SeriesAnswer.of(await care.ask_series(uow, actor, command))

    return await change(request, work, status=CREATED)


@get("/series", opt=SIGNED_IN, operation_id="list_series")
async def listed(request: SignedIn, elder_id: ElderId = None) -> SeriesPage:
    """List an elder's series."""

    async def work(uow: UnitOfWork, actor: Actor) -> SeriesPage:
        found = await care.series_of(uow, actor, elder_id or actor.person_id)
        return SeriesPage(items=[SeriesAnswer.of(info) for info in found])

    return await read(request, work)


@get("/series/unmade", opt=may(*READERS), operation_id="list_unmade_occurrences")
async def not_made(request: SignedIn) -> UnmadePage:
    """List the occurrences that could not be made into requests, and why; lost ones for sixty days."""

    async def work(uow: UnitOfWork, actor: Actor) -> UnmadePage:
        return UnmadePage(items=[UnmadeAnswer.of(info) for info in await care.unmade(uow, actor)])

    return await read(request, work)


@post("/series/{series_id:uuid}/skip", opt=SIGNED_IN, operation_id="skip_occurrence", status_code=200)
async def skip(
    request: SignedIn, series_id: FromPath[UUID], data: JSONBody[LeaveOut]
) -> Response[SeriesAnswer]:
    """Leave one occurrence out, and cancel its request if it has been made."""

    async def work(uow: UnitOfWork, actor: Actor) -> SeriesAnswer:
        return SeriesAnswer.of(await care.skip_occurrence(uow, actor, series_id, data.occurrence))

    return await change(request, work)


@post("/series/{series_id:uuid}/end", opt=SIGNED_IN, operation_id="end_series", status_code=200)
async def end(request: SignedIn, series_id: FromPath[UUID]) -> Response[SeriesAnswer]:
    """End a series, and cancel those of its requests for which nobody has come yet."""

    async def work(uow: UnitOfWork, actor: Actor) -> SeriesAnswer:
        return SeriesAnswer.of(await care.end_series(uow, actor, series_id))

    return await change(request, work)


ROUTES: list[Any] = [ask, listed, not_made, skip, end]
