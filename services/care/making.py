"""Occurrences of series become requests some days ahead, each once; what could not is not forgotten."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from pointsbank.domain.asked_time import Slot, SlotOn, Timing, When, Window, asked_time, at_minute
from pointsbank.domain.errors import DomainError
from pointsbank.domain.help_request import AskedThrough, DuplicateRequest
from pointsbank.domain.preferences import GenderWanted
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.series import AHEAD_DAYS, RETRY_EVERY, TOO_LATE, OnHolidays
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import series_store as store
from services.care import unmade_store
from services.care.recurrence import occurrences
from services.care.requests import place_of
from services.care.store import insert_request, number_of_similar, take_turn
from services.care.views import SeriesInfo, UnmadeInfo
from services.ledger import service as ledger
from services.people import service as people

log = structlog.get_logger(__name__)

MADE_AT_ONCE = 100
"""Series one round makes requests for; the rest wait for the next."""

TRIED_AT_ONCE = 200
"""Occurrences one round tries again; the rest wait for the next."""

SHOWN_MAX = 200
SHOWN_DAYS = 60
"""How long a lost occurrence is shown."""

DETAIL_MAX = 100


async def make_requests(uow: UnitOfWork) -> int:
    """Make the requests of the next ``AHEAD_DAYS`` days for series that stand, and return how many.

    Each occurrence gets one request, whoever else does the same at the same time: a series is locked while
    its requests are made, and the database knows each occurrence once. An occurrence that cannot be asked for
    (something like it stands, its kind is no longer in the policy, the elder has no building) is noted with
    its reason, and tried again every ``RETRY_EVERY`` until it has come.
    """
    timezone = (await people.community(uow)).timezone
    through = local_date(uow.clock.now(), timezone) + timedelta(days=AHEAD_DAYS)
    rows = await store.lock_unmade(uow, through, MADE_AT_ONCE)
    left_out = await store.exceptions(uow, [row["id"] for row in rows])
    made = sum([await make(uow, row, left_out[row["id"]], timezone) for row in rows])
    return made + await _try_again(uow, timezone)


async def make(uow: UnitOfWork, row: dict[str, Any], left_out: set[datetime], timezone: str) -> int:
    """Make what is due of one series, locked before; return how many requests."""
    today = local_date(uow.clock.now(), timezone)
    after, through = row["made_through"] or date.min, today + timedelta(days=AHEAD_DAYS)
    made, missed = 0, []
    for at in occurrences(
        row["rule"], row["first_at"], on_holidays=OnHolidays(row["holidays"]), left_out=left_out
    ):
        if at.date() > through:
            break
        if at.date() <= after:
            continue
        if at.date() < today:
            missed.append(at)
            continue
        made += await _try(uow, row, at, timezone)
    if missed:
        await unmade_store.note(uow, row["id"], missed, reason=TOO_LATE, detail=None)
    await store.set_made(uow, row["id"], through)
    return made


async def unmade(uow: UnitOfWork, actor: Actor) -> list[UnmadeInfo]:
    """Return the occurrences without a request, lost ones of the last ``SHOWN_DAYS`` too, the earliest first.

    For who may read the community. Raises NotAllowed.
    """
    actor.require(*READERS, action="view_board")
    timezone = (await people.community(uow)).timezone
    now = on_the_wall(uow, timezone)
    return [
        UnmadeInfo(**row, waits=row["occurrence"] > now)
        for row in await unmade_store.unsettled(uow, now - timedelta(days=SHOWN_DAYS), SHOWN_MAX)
    ]


def on_the_wall(uow: UnitOfWork, timezone: str) -> datetime:
    """Return what the clock on the wall shows now, without a zone."""
    return uow.clock.now().astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


async def _try_again(uow: UnitOfWork, timezone: str) -> int:
    """Make what could not be made before and has not come yet; return how many requests."""
    due = await unmade_store.to_try(
        uow, after=on_the_wall(uow, timezone), every=RETRY_EVERY, limit=TRIED_AT_ONCE
    )
    locked = await store.lock_free(uow, sorted({series_id for series_id, _ in due}))
    rows = {row["id"]: row for row in locked}
    left_out = await store.exceptions(uow, list(rows))
    return sum(
        [
            await _try(uow, rows[series_id], at, timezone)
            for series_id, at in due
            if series_id in rows and at not in left_out[series_id]
        ]
    )


async def _try(uow: UnitOfWork, row: dict[str, Any], at: datetime, timezone: str) -> bool:
    """Make the request of one occurrence, or note why it cannot be; tell whether it is new."""
    try:
        new = await _ask(uow, row, at, timezone)
    except DomainError as error:
        log.warning("occurrence_not_made", community=uow.community_id, reason=error.code)
        await unmade_store.note(uow, row["id"], [at], reason=error.code, detail=_detail(error))
        return False
    await unmade_store.settle(uow, row["id"], at=at)
    return new


def _detail(error: DomainError) -> str | None:
    """Return what an error says beside its code: its facts, one after another."""
    told = ": ".join(str(fact) for fact in error.facts().values() if fact is not None)
    return told[:DETAIL_MAX] or None


async def _ask(uow: UnitOfWork, row: dict[str, Any], at: datetime, timezone: str) -> bool:
    """Make the request of one occurrence; tell whether it is new. Raises DuplicateRequest and others."""
    info = told(row)
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
    if not row["similar_meant"]:
        first = await number_of_similar(
            uow, info.elder_id, kind.code, time.earliest_start, time.latest_end, beside=info.id
        )
        if first is not None:
            raise DuplicateRequest(number=first)
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
        similar_meant=row["similar_meant"],
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


def told(row: dict[str, Any], coming: tuple[datetime, ...] = ()) -> SeriesInfo:
    """Return what a row of a series says. coming: its next occurrences."""
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
