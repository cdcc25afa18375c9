"""Series: help asked for again and again, made into requests some days ahead, each occurrence once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from pointsbank.domain.asked_time import (
    Slot,
    SlotHours,
    SlotOn,
    Timing,
    When,
    Window,
    asked_time,
    at_minute,
)
from pointsbank.domain.errors import DomainError, InvalidValue, NotFound, WrongState
from pointsbank.domain.help_request import AHEAD_MAX, AskedThrough, require_minutes
from pointsbank.domain.preferences import GenderWanted
from pointsbank.domain.roles import Actor
from pointsbank.domain.series import AHEAD_DAYS, OnHolidays, rule_parts
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import series_store as store
from services.care.recurrence import last_day, occurrences
from services.care.requests import cancel_request, place_of, require_asked
from services.care.store import insert_request, take_turn
from services.care.ties import require_view, speaks_for
from services.care.views import AskAgainAndAgain, SeriesInfo
from services.ledger import service as ledger
from services.people import service as people

log = structlog.get_logger(__name__)

SERIES_MAX = 20
"""Most series of one elder that stand at once."""

COMING_SHOWN = 5
SHOWN_MAX = 50
MADE_AT_ONCE = 100
"""Series one round makes requests for; the rest wait for the next."""

WINDOW_MINUTES_MAX = 24 * 60


async def ask_series(uow: UnitOfWork, actor: Actor, command: AskAgainAndAgain) -> SeriesInfo:
    """Ask for help again and again; the requests of the next days are made at once.

    By the elder, their confirmed family or a coordinator. Raises NotAllowed, NotFound, InvalidValue
    (``first_at``, ``rule``, ``slot``, ``window_minutes`` and what :func:`requests.ask` names),
    UnknownServiceKind.
    """
    through = await speaks_for(uow, actor, command.elder_id, action="ask_for_help")
    note = require_asked(command.urgency, command.note, command.preferences)
    require_minutes(command.minutes)
    await place_of(uow, command.elder_id, command.building_id)
    timezone = (await people.community(uow)).timezone
    today = local_date(uow.clock.now(), timezone)
    _require_first(command.first_at, today)
    policy = await ledger.policy_on(uow, command.first_at.date())
    policy.kind(command.kind)
    timing = _timing(command)
    if command.slot is not None:
        command = replace(command, first_at=_begins(command.first_at, policy.slots[command.slot]))
    last_on = last_day(command.rule, command.first_at)
    if await store.count_standing(uow, command.elder_id, today) >= SERIES_MAX:
        raise InvalidValue(field="rule", rule=f"at_most_{SERIES_MAX}")
    series_id = uuid7()
    await store.insert_series(
        uow,
        series_id,
        command,
        asked_by=actor.person_id,
        asked_through=through,
        timing=timing,
        last_on=last_on,
        note=note,
    )
    row = await store.lock_series(uow, series_id)
    assert row is not None, "it was inserted"
    await _make(uow, row, set(), timezone)
    return await _series(uow, series_id)


async def end_series(uow: UnitOfWork, actor: Actor, series_id: UUID) -> SeriesInfo:
    """End a series, and cancel those of its requests for which nobody has come yet.

    By the elder, their confirmed family or a coordinator. Raises NotFound, NotAllowed, WrongState.
    """
    row = await _lock(uow, actor, series_id, action="end_series")
    await store.set_ended(uow, row["id"], actor.person_id)
    for request_id in await store.made(uow, series_id):
        await cancel_request(uow, actor, request_id)
    return await _series(uow, series_id)


async def skip_occurrence(uow: UnitOfWork, actor: Actor, series_id: UUID, occurrence: datetime) -> SeriesInfo:
    """Leave one occurrence out (EXDATE), and cancel its request if it has been made.

    occurrence: its moment on the clock on the wall, without a zone. By the elder, their confirmed family or
    a coordinator. Raises NotFound, NotAllowed, WrongState, InvalidValue (``occurrence``).
    """
    row = await _lock(uow, actor, series_id, action="skip_occurrence")
    if occurrence not in occurrences(row["rule"], row["first_at"]):
        raise InvalidValue(field="occurrence", rule="one_of_the_series")
    await store.insert_exception(uow, series_id, occurrence, actor.person_id)
    for request_id in await store.made(uow, series_id, occurrence):
        await cancel_request(uow, actor, request_id)
    return await _series(uow, series_id)


async def series_of(uow: UnitOfWork, actor: Actor, elder_id: UUID) -> list[SeriesInfo]:
    """Return an elder's series, those that stand first. Raises NotAllowed."""
    await require_view(uow, actor, elder_id, action="view_request")
    return await _infos(uow, await store.series_of(uow, elder_id, SHOWN_MAX))


async def make_requests(uow: UnitOfWork) -> int:
    """Make the requests of the next ``AHEAD_DAYS`` days for series that stand, and return how many.

    Each occurrence gets one request, whoever else does the same at the same time: a series is locked while
    its requests are made, and the database knows each occurrence once. An occurrence that cannot be asked for
    (its kind is no longer in the policy, the elder has no building) is left out, and logged.
    """
    timezone = (await people.community(uow)).timezone
    through = local_date(uow.clock.now(), timezone) + timedelta(days=AHEAD_DAYS)
    rows = await store.lock_unmade(uow, through, MADE_AT_ONCE)
    left_out = await store.exceptions(uow, [row["id"] for row in rows])
    return sum([await _make(uow, row, left_out[row["id"]], timezone) for row in rows])


async def _make(uow: UnitOfWork, row: dict[str, Any], left_out: set[datetime], timezone: str) -> int:
    """Make what is due of one series, locked before; return how many requests."""
    today = local_date(uow.clock.now(), timezone)
    after, through = row["made_through"] or date.min, today + timedelta(days=AHEAD_DAYS)
    made = 0
    for at in occurrences(
        row["rule"], row["first_at"], on_holidays=OnHolidays(row["holidays"]), left_out=left_out
    ):
        if at.date() > through:
            break
        if at.date() <= after or at.date() < today:
            continue
        try:
            made += await _ask(uow, row, at, timezone)
        except DomainError as error:
            log.warning("occurrence_not_made", community=uow.community_id, reason=error.code)
    await store.set_made(uow, row["id"], through)
    return made


async def _ask(uow: UnitOfWork, row: dict[str, Any], at: datetime, timezone: str) -> bool:
    """Make the request of one occurrence; tell whether it is new."""
    info = _info(row, ())
    policy = await ledger.policy_on(uow, at.date())
    kind = policy.kind(info.kind)
    building = await place_of(uow, info.elder_id, info.building_id)
    time = asked_time(
        _when(info, at, timezone),
        info.minutes,
        slots=policy.slots,
        timezone=timezone,
        now=uow.clock.now(),
    )
    await take_turn(uow)
    return await insert_request(
        uow,
        uuid7(),
        elder_id=info.elder_id,
        asked_by=info.asked_by,
        asked_through=info.asked_through,
        kind=kind.code,
        carers=kind.carers,
        small_grid=building.small_grid,
        building_id=building.id,
        time=time,
        urgency=info.urgency,
        note=info.note,
        wanted=info.preferences,
        similar_meant=True,
        asked_at=uow.clock.now(),
        series=(info.id, at),
    )


def _when(info: SeriesInfo, at: datetime, timezone: str) -> When:
    if info.slot is not None:
        return SlotOn(at.date(), info.slot)
    starts_at = at.replace(tzinfo=ZoneInfo(timezone))
    if info.timing is Timing.FIXED:
        return starts_at
    # By the clock on the wall: a window over a clock change is as long as the clock says.
    ends = at.hour * 60 + at.minute + info.window_minutes
    return Window(starts_at, at_minute(at.date(), ends, timezone))


def _timing(command: AskAgainAndAgain) -> Timing:
    if type(command.window_minutes) is not int or not 0 <= command.window_minutes <= WINDOW_MINUTES_MAX:
        raise InvalidValue(field="window_minutes", rule=f"between_0_and_{WINDOW_MINUTES_MAX}")
    if command.slot is None:
        return Timing.WINDOW if command.window_minutes else Timing.FIXED
    if command.window_minutes:
        raise InvalidValue(field="window_minutes", rule="told_in_one_way")
    if {"BYHOUR", "BYMINUTE"} & rule_parts(command.rule).keys():
        raise InvalidValue(field="rule", rule="told_in_one_way")
    return Timing.SLOT


def _require_first(first_at: datetime, today: date) -> None:
    if first_at.tzinfo is not None:
        raise InvalidValue(field="first_at", rule="without_a_zone")
    if first_at.second or first_at.microsecond:
        raise InvalidValue(field="first_at", rule="whole_minute")
    if first_at.date() < today:
        raise InvalidValue(field="first_at", rule="in_the_future")
    if first_at.date() > today + AHEAD_MAX:
        raise InvalidValue(field="first_at", rule="within_60_days")


def _begins(first_at: datetime, hours: SlotHours) -> datetime:
    hour, minute = divmod(hours.from_minute, 60)
    return first_at.replace(hour=hour, minute=minute)


async def _lock(uow: UnitOfWork, actor: Actor, series_id: UUID, *, action: str) -> dict[str, Any]:
    row = await store.lock_series(uow, series_id)
    if row is None:
        raise NotFound(what="series")
    await speaks_for(uow, actor, row["elder_id"], action=action)
    if row["ended_at"] is not None:
        raise WrongState(what="series", state="ended", action=action)
    return row


async def _series(uow: UnitOfWork, series_id: UUID) -> SeriesInfo:
    row = await store.lock_series(uow, series_id)
    if row is None:
        raise NotFound(what="series")
    return (await _infos(uow, [row]))[0]


async def _infos(uow: UnitOfWork, rows: Sequence[dict[str, Any]]) -> list[SeriesInfo]:
    timezone = (await people.community(uow)).timezone
    now = uow.clock.now().astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    left_out = await store.exceptions(uow, [row["id"] for row in rows])
    return [_info(row, _coming(row, left_out[row["id"]], now)) for row in rows]


def _coming(row: dict[str, Any], left_out: set[datetime], now: datetime) -> tuple[datetime, ...]:
    if row["ended_at"] is not None:
        return ()
    holidays = OnHolidays(row["holidays"])
    found = occurrences(row["rule"], row["first_at"], on_holidays=holidays, left_out=left_out)
    return tuple(islice((at for at in found if at >= now), COMING_SHOWN))


def _info(row: dict[str, Any], coming: tuple[datetime, ...]) -> SeriesInfo:
    return SeriesInfo(
        **{
            **row,
            "asked_through": AskedThrough(row["asked_through"]),
            "timing": Timing(row["timing"]),
            "slot": Slot(row["slot"]) if row["slot"] else None,
            "holidays": OnHolidays(row["holidays"]),
            "gender_wanted": GenderWanted(row["gender_wanted"]) if row["gender_wanted"] else None,
        },
        coming=coming,
    )
