"""Help requests: asked, listed, cancelled; the board and what waits too long."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import ConfigDict

from api.auth import SIGNED_IN, may
from api.dependencies import CREATED, SignedIn, change, read
from api.http.wire import (
    PAGE_DEFAULT,
    AfterNumber,
    Asked,
    Code,
    Day,
    Flag,
    Limit,
    Moment,
    Told,
    WholeNumber,
    text,
)
from pointsbank.domain.asked_time import Slot, SlotOn, Timing, When, Window
from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.help_request import MINUTES_MAX, MINUTES_MIN, AskedThrough, RequestState
from pointsbank.domain.preferences import GenderWanted, Preferences
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.domain.waiting import URGENCY_MAX, Escalation
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.matching import service as matching

NOTE_MAX = 500
LANGUAGE_MAX = 20

ElderId = Annotated[UUID | None, QueryParameter(description="whose; yourself unless named")]


class Wanted(Asked):
    """What is wanted beside kind and time. ``building_id``: where; the elder's own building unless named."""

    urgency: Annotated[int, WholeNumber(0, URGENCY_MAX)] = 0
    note: Annotated[str, text(NOTE_MAX)] | None = None
    gender_wanted: GenderWanted | None = None
    gender_hard: Flag = False
    language_wanted: Annotated[str, text(LANGUAGE_MAX)] | None = None
    same_carer: Flag = False
    building_id: UUID | None = None

    @property
    def preferences(self) -> Preferences:
        """Whom the elder would like."""
        return Preferences(self.gender_wanted, self.gender_hard, self.language_wanted, self.same_carer)


class AskForHelp(Wanted):
    """What an elder asks for. ``elder_id``: yourself unless named (family and coordinators ask for others).

    When: ``day`` with ``slot``, or ``earliest_start`` with ``latest_start``, or a fixed ``starts_at``.
    ``even_if_similar``: ask although something like it has been asked for.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "companionship",
                    "day": "2026-11-24",
                    "slot": "morning",
                    "minutes": 60,
                    "urgency": 0,
                },
                {"kind": "clinic_escort", "starts_at": "2026-11-24T09:00:00+08:00", "minutes": 150},
            ]
        }
    )
    elder_id: UUID | None = None
    kind: Code
    starts_at: Moment | None = None
    day: Day | None = None
    slot: Slot | None = None
    earliest_start: Moment | None = None
    latest_start: Moment | None = None
    minutes: Annotated[int, WholeNumber(MINUTES_MIN, MINUTES_MAX)]
    even_if_similar: Flag = False

    @property
    def when(self) -> When:
        """The one way in which the time is told. Raises InvalidValue for none, a part, or more than one."""
        told = [
            self.starts_at,
            SlotOn(self.day, self.slot) if self.day and self.slot else None,
            Window(self.earliest_start, self.latest_start)
            if self.earliest_start and self.latest_start
            else None,
        ]
        whole = [each for each in told if each is not None]
        named = (self.starts_at, self.day, self.slot, self.earliest_start, self.latest_start)
        parts = sum(each is not None for each in named)
        if len(whole) != 1 or parts != (1 if self.starts_at else 2):
            raise InvalidValue(field="starts_at", rule="told_in_one_way")
        return whole[0]


class HelpRequestAnswer(Told):
    """A help request. ``number`` is short enough to be read out on the telephone.

    The visit may begin from ``earliest_start`` to ``latest_start``; ``starts_at`` is wanted, later agreed.
    """

    id: UUID
    number: int
    elder_id: UUID
    elder_name: str
    building: str
    building_id: UUID
    small_grid: int
    asked_by: UUID
    asked_through: AskedThrough
    by_proxy: bool
    kind: str
    carers: int
    timing: Timing
    slot: Slot | None
    earliest_start: datetime
    latest_start: datetime
    starts_at: datetime
    ends_at: datetime
    minutes: int
    urgency: int
    note: str | None
    gender_wanted: GenderWanted | None
    gender_hard: bool
    language_wanted: str | None
    same_carer: bool
    state: RequestState
    asked_at: datetime
    escalation: Escalation
    series_id: UUID | None


class HelpRequestPage(Told):
    """Help requests, newest first. ``next_after`` is null on the last page."""

    items: list[HelpRequestAnswer]
    next_after: int | None


class WaitingAnswer(Told):
    """A request that nobody has taken, and how many minutes it has waited."""

    request: HelpRequestAnswer
    waited_minutes: int


class WaitingPage(Told):
    """What waits too long, the longest first."""

    items: list[WaitingAnswer]


class BoardLineAnswer(Told):
    """One small grid's requests by state.

    ``late``: about to start, or started, with nobody there; ``escalated``: waits too long for a volunteer.
    """

    small_grid: int
    name: str
    big_grid: int
    open: int
    offered: int
    accepted: int
    under_way: int
    to_confirm: int
    late: int
    escalated: int


class BoardAnswer(Told):
    """Every small grid once, in order of number."""

    items: list[BoardLineAnswer]


@post("/help-requests", opt=SIGNED_IN, operation_id="ask_for_help", status_code=CREATED)
async def ask(request: SignedIn, data: JSONBody[AskForHelp]) -> Response[HelpRequestAnswer]:
    """Ask for help: for yourself, as confirmed family, or as a coordinator told by phone."""

    async def work(uow: UnitOfWork, actor: Actor) -> HelpRequestAnswer:
        command = care.AskForHelp(
            elder_id=data.elder_id or actor.person_id,
            kind=data.kind,
            starts_at=data.when,
            minutes=data.minutes,
            urgency=data.urgency,
            note=data.note,
            preferences=data.preferences,
            building_id=data.building_id,
            even_if_similar=data.even_if_similar,
        )
        asked = await care.ask(uow, actor, command)
        return HelpRequestAnswer.of(await matching.offer_if_urgent(uow, asked))

    return await change(request, work, status=CREATED)


@get("/help-requests", opt=SIGNED_IN, operation_id="list_help_requests")
async def requests(
    request: SignedIn, elder_id: ElderId = None, after: AfterNumber = 0, limit: Limit = PAGE_DEFAULT
) -> HelpRequestPage:
    """List an elder's requests, newest first."""

    async def work(uow: UnitOfWork, actor: Actor) -> HelpRequestPage:
        found = await care.requests_of_elder(
            uow, actor, elder_id or actor.person_id, after=after or None, limit=limit
        )
        items = [HelpRequestAnswer.of(info) for info in found]
        return HelpRequestPage(items=items, next_after=items[-1].number if len(items) == limit else None)

    return await read(request, work)


@get("/help-requests/waiting", opt=may(*STAFF, Role.GRID_LEADER), operation_id="list_waiting_help_requests")
async def waiting(request: SignedIn) -> WaitingPage:
    """List what waits too long: a grid leader's own grid; all of it for a coordinator."""

    async def work(uow: UnitOfWork, actor: Actor) -> WaitingPage:
        return WaitingPage(items=[WaitingAnswer.of(line) for line in await care.waiting_for(uow, actor)])

    return await read(request, work)


@get("/help-requests/{request_id:uuid}", opt=SIGNED_IN, operation_id="get_help_request")
async def help_request(request: SignedIn, request_id: FromPath[UUID]) -> HelpRequestAnswer:
    """Return one request, to its elder, their family or to who may read the community."""

    async def work(uow: UnitOfWork, actor: Actor) -> HelpRequestAnswer:
        return HelpRequestAnswer.of(await care.request(uow, actor, request_id))

    return await read(request, work)


@post(
    "/help-requests/{request_id:uuid}/cancel",
    opt=SIGNED_IN,
    operation_id="cancel_help_request",
    status_code=200,
)
async def cancel(request: SignedIn, request_id: FromPath[UUID]) -> Response[HelpRequestAnswer]:
    """Cancel a request for which nobody has come yet."""

    async def work(uow: UnitOfWork, actor: Actor) -> HelpRequestAnswer:
        return HelpRequestAnswer.of(await care.cancel_request(uow, actor, request_id))

    return await change(request, work)


@get("/board", opt=may(*READERS), operation_id="get_board")
async def board(request: SignedIn) -> BoardAnswer:
    """Return the requests under way, by small grid."""

    async def work(uow: UnitOfWork, _actor: Actor) -> BoardAnswer:
        return BoardAnswer(items=[BoardLineAnswer.of(line) for line in await care.board(uow)])

    return await read(request, work)


ROUTES: list[Any] = [ask, requests, waiting, help_request, cancel, board]
