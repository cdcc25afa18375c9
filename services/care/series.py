"""Series: help asked for again and again; one occurrence left out, and the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from pointsbank.domain.asked_time import Slot, SlotHours, Timing
from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.domain.help_request import AHEAD_MAX, require_minutes
from pointsbank.domain.roles import Actor
from pointsbank.domain.series import (
    DuplicateSeries,
    OnHolidays,
    first_shared,
    require_apart,
    rule_parts,
    spans,
)
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import series_store as store
from services.care import unmade_store
from services.care.making import make, on_the_wall, told
from services.care.recurrence import last_day, occurrences
from services.care.requests import cancel_request, place_of, require_asked
from services.care.store import take_turn
from services.care.ties import require_view, speaks_for
from services.care.views import AskAgainAndAgain, SeriesInfo
from services.ledger import service as ledger
from services.people import service as people

SERIES_MAX = 20
"""Most series of one elder that stand at once."""

COMING_SHOWN = 5
SHOWN_MAX = 50
WINDOW_MINUTES_MAX = 24 * 60


async def ask_series(uow: UnitOfWork, actor: Actor, command: AskAgainAndAgain) -> SeriesInfo:
    """Ask for help again and again; the requests of the next days are made at once.

    By the elder, their confirmed family or a coordinator. Raises NotAllowed, NotFound, InvalidValue
    (``first_at``, ``rule``, ``slot``, ``window_minutes`` and what :func:`requests.ask` names),
    UnknownServiceKind, DuplicateSeries. What of it meets a single request is noted (:func:`making.unmade`).
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
    await take_turn(uow)
    if not command.even_if_similar:
        await _require_new(uow, command, policy.slots, today)
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
    await make(uow, row, set(), timezone)
    return await _series(uow, series_id)


async def end_series(uow: UnitOfWork, actor: Actor, series_id: UUID) -> SeriesInfo:
    """End a series, and cancel those of its requests for which nobody has come yet.

    By the elder, their confirmed family or a coordinator. Raises NotFound, NotAllowed, WrongState.
    """
    row = await _lock(uow, actor, series_id, action="end_series")
    await store.set_ended(uow, row["id"], actor.person_id)
    timezone = (await people.community(uow)).timezone
    await unmade_store.settle(uow, row["id"], after=on_the_wall(uow, timezone))
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
    await unmade_store.settle(uow, series_id, at=occurrence)
    for request_id in await store.made(uow, series_id, occurrence):
        await cancel_request(uow, actor, request_id)
    return await _series(uow, series_id)


async def series_of(uow: UnitOfWork, actor: Actor, elder_id: UUID) -> list[SeriesInfo]:
    """Return an elder's series, those that stand first. Raises NotAllowed."""
    await require_view(uow, actor, elder_id, action="view_request")
    return await _infos(uow, await store.series_of(uow, elder_id, SHOWN_MAX))


async def _require_new(
    uow: UnitOfWork, command: AskAgainAndAgain, slots: Mapping[Slot, SlotHours], today: date
) -> None:
    """Check that no series of the elder asks for the same at a time of this one, nor this one twice itself.

    In the turn that :func:`store.take_turn` gave, so that of two who ask the later sees the earlier.
    Raises DuplicateSeries, InvalidValue (``rule``).
    """
    asked = list(occurrences(command.rule, command.first_at, on_holidays=command.holidays))
    hours = slots[command.slot] if command.slot is not None else None
    ours = list(spans(asked, command.minutes, window_minutes=command.window_minutes, slot=hours))
    require_apart(ours)
    standing = await store.standing_of_kind(uow, command.elder_id, command.kind, today)
    left_out = await store.exceptions(uow, [row["id"] for row in standing])
    for row in standing:
        theirs = occurrences(
            row["rule"],
            row["first_at"],
            on_holidays=OnHolidays(row["holidays"]),
            left_out=left_out[row["id"]],
        )
        hours = slots[Slot(row["slot"])] if row["slot"] else None
        known = spans(theirs, row["minutes"], window_minutes=row["window_minutes"], slot=hours)
        shared = first_shared(ours, known)
        if shared is not None:
            raise DuplicateSeries(series=row["id"], occurrence=shared)


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
    now = on_the_wall(uow, timezone)
    left_out = await store.exceptions(uow, [row["id"] for row in rows])
    return [told(row, _coming(row, left_out[row["id"]], now)) for row in rows]


def _coming(row: dict[str, Any], left_out: set[datetime], now: datetime) -> tuple[datetime, ...]:
    if row["ended_at"] is not None:
        return ()
    holidays = OnHolidays(row["holidays"])
    found = occurrences(row["rule"], row["first_at"], on_holidays=holidays, left_out=left_out)
    return tuple(islice((at for at in found if at >= now), COMING_SHOWN))
