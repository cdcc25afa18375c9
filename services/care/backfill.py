"""Visits recorded afterwards, within the policy's days and number, confirmed with the weakest strength."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.backfill import Barred, require_backfill
from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.domain.visit import VisitState, minutes_between
from pointsbank.domain.visit_rules import BarKind, Consequence, Ground
from pointsbank.platform.clock import local_date, local_day
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import attendance_store, ties
from services.care.aftercare import complaint_store, sanctions
from services.care.attending import require_pair
from services.care.views import Backfill, VisitInfo
from services.care.visit_access import Row, told
from services.ledger import service as ledger
from services.people import service as people


@dataclass(frozen=True, slots=True)
class BackfillRoom:
    """What a volunteer may still record: visits that ended up to ``days`` ago, ``used`` of ``a_month`` gone.

    bars: what sanctions keep them from, and until when (aware). if_false: what a false record brings.
    """

    days: int
    a_month: int
    used: int
    bars: Mapping[BarKind, datetime]
    if_false: Consequence


async def backfill_room(uow: UnitOfWork, actor: Actor, volunteer_id: UUID) -> BackfillRoom:
    """Return what a volunteer may record afterwards today, to them or a coordinator. Raises NotAllowed."""
    actor.require_self_or(volunteer_id, *STAFF, action="backfill")
    timezone = (await people.community(uow)).timezone
    today = local_date(uow.clock.now(), timezone)
    rules = (await ledger.policy_on(uow, today)).visits
    bars = {kind: await sanctions.barred_until(uow, volunteer_id, kind) for kind in BarKind}
    return BackfillRoom(
        days=rules.backfill_days,
        a_month=rules.backfills_a_month,
        used=await attendance_store.recorded_between(uow, volunteer_id, *_month(today, timezone)),
        bars={kind: until for kind, until in bars.items() if until is not None},
        if_false=rules.consequences[Ground.FALSE_RECORD],
    )


async def backfill(uow: UnitOfWork, actor: Actor, command: Backfill) -> VisitInfo:
    """Record a visit that took place without check-in; it waits to be confirmed by the elder or a
    coordinator.

    By the volunteer, or a coordinator who then cannot confirm it. A time that overlaps another visit is
    noted, as with any other. Raises NotAllowed, NotFound, InvalidValue, KeptApart, UnknownServiceKind,
    Barred, BackfillLimit, TooManyPairs, WrongState (a complaint about that time was upheld).
    """
    actor.require_self_or(command.volunteer_id, *STAFF, action="backfill")
    for field, moment in (("started_at", command.started_at), ("ended_at", command.ended_at)):
        if moment.tzinfo is None:
            raise InvalidValue(field=field, rule="timezone")
    minutes = minutes_between(command.started_at, command.ended_at)
    await _require_people(uow, command)
    now, timezone = uow.clock.now(), (await people.community(uow)).timezone
    await people.lock_people(uow, [command.volunteer_id])
    day = local_date(command.ended_at, timezone)
    rules = (await ledger.policy_on(uow, local_date(now, timezone))).visits
    require_backfill(
        rules,
        ended_at=command.ended_at,
        now=now,
        this_month=await attendance_store.recorded_between(
            uow, command.volunteer_id, *_month(local_date(now, timezone), timezone)
        ),
        barred_until=await sanctions.barred_until(uow, command.volunteer_id, BarKind.BACKFILL),
    )
    (await ledger.policy_on(uow, day)).kind(command.kind)
    visit_id = uuid7()
    row = {
        "id": visit_id,
        "volunteer_id": command.volunteer_id,
        "elder_id": command.elder_id,
        "kind": command.kind,
    }
    await require_not_struck(uow, row, command.started_at, command.ended_at)
    await require_pair(uow, row, command.ended_at, limit=rules.pairs_a_day)
    others = await attendance_store.overlapping(
        uow, visit_id, command.volunteer_id, command.started_at, command.ended_at
    )
    await attendance_store.insert_recorded(
        uow,
        visit_id,
        volunteer_id=command.volunteer_id,
        elder_id=command.elder_id,
        kind=command.kind,
        started_at=command.started_at,
        ended_at=command.ended_at,
        minutes=minutes,
        recorded_by=actor.person_id,
        method=AttendanceMethod.PLAIN,
        overlap=next(iter(others), None),
    )
    return await told(uow, visit_id)


async def _require_people(uow: UnitOfWork, command: Backfill) -> None:
    volunteer = await people.person(uow, command.volunteer_id)
    elder = await people.person(uow, command.elder_id)
    if Role.VOLUNTEER not in volunteer.roles:
        raise InvalidValue(field="volunteer_id", rule="volunteer")
    if Role.ELDER not in elder.roles:
        raise InvalidValue(field="elder_id", rule="elder")
    if command.volunteer_id == command.elder_id:
        raise InvalidValue(field="volunteer_id", rule="not_oneself")
    await ties.require_not_apart(uow, command.elder_id, command.volunteer_id)
    until = await sanctions.barred_until(uow, command.volunteer_id, BarKind.SERVICE)
    if until is not None:
        raise Barred(bar=BarKind.SERVICE, until=until)


async def require_not_struck(uow: UnitOfWork, row: Row, start: datetime, end: datetime) -> None:
    """Check that no complaint was upheld about a visit of this pair that reaches into [start, end).

    Hours that were found wanting do not come back as others. Raises WrongState.
    """
    if await complaint_store.upheld_between(uow, row["volunteer_id"], row["elder_id"], start, end):
        raise WrongState(what="visit", state=VisitState.CANCELLED, action="backfill")


def _month(today: date, timezone: str) -> tuple[datetime, datetime]:
    """Return the first moment of today's local month and of the next."""
    first = today.replace(day=1)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return local_day(first, timezone)[0], local_day(after, timezone)[0]
