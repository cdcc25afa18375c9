"""What a coordinator puts right: missing check-outs, overlaps, no-shows that were none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pointsbank.domain.attendance import AttendanceMethod
from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.points import Minutes
from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.visit import CancelledWhy, VisitState, advance_visit, late_minutes, minutes_between
from pointsbank.platform.database import UnitOfWork
from services.care import attendance_store, visit_store
from services.care.attending import come_after_all, end_visit
from services.care.requests import lock_request
from services.care.views import VisitInfo
from services.care.visit_access import (
    lock_visit,
    require_staff_apart,
    rules_today,
    settle_request,
    told,
    told_all,
)
from services.people import service as people

WHY_MAX = 200
PAGE_MAX = 200
TO_PUT_RIGHT = (VisitState.UNDER_WAY, VisitState.MISSING, VisitState.DONE, VisitState.NO_SHOW_VOLUNTEER)


async def put_right(
    uow: UnitOfWork,
    actor: Actor,
    visit_id: UUID,
    *,
    checked_out_at: datetime,
    checked_in_at: datetime | None = None,
    why: str,
) -> VisitInfo:
    """State when a visit really took place; it is done then, and waits to be confirmed.

    checked_in_at: as it is, unless given. why: what the coordinator goes by. By a coordinator who is not paid
    by it, for one that is under way, missing or done, or a no-show that was none; who confirmed a long one
    first has to do it again. Raises NotFound, NotAllowed, ConcernsOneself, WrongState, InvalidValue.
    """
    row, request = await lock_visit(uow, visit_id)
    require_staff_apart(actor, row, action="put_right")
    if row["state"] not in TO_PUT_RIGHT:
        raise WrongState(what="visit", state=row["state"], action="put_right")
    request = await come_after_all(uow, row, request, action="put_right")
    begun = checked_in_at or row["checked_in_at"]
    for field, moment in (("checked_in", begun), ("checked_out", checked_out_at)):
        if moment is None:
            raise InvalidValue(field=field, rule="not_blank")
        if moment.tzinfo is None:
            raise InvalidValue(field=field, rule="timezone")
    if checked_out_at > uow.clock.now():
        raise InvalidValue(field="checked_out", rule="not_in_the_future")
    minutes = minutes_between(begun, checked_out_at)
    reason = require_text(why, field="why", longest=WHY_MAX)
    await people.lock_people(uow, [row["volunteer_id"]])
    await end_visit(uow, row, begun, checked_out_at, minutes, method=AttendanceMethod.CALL_BACK)
    grace = Minutes((await rules_today(uow)).late_grace_minutes)
    late = late_minutes(row["planned_start"], begun, grace=grace)
    await attendance_store.set_times_by(uow, visit_id, by=actor.person_id, why=reason, late_minutes=late)
    await settle_request(uow, request)
    return await told(uow, visit_id)


async def settle_overlap(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Say that this visit stands: those of the volunteer that overlap it are cancelled.

    By a coordinator who is not paid by it. Where only a time is wrong, :func:`put_right` is what helps.
    Raises NotFound, NotAllowed, ConcernsOneself, WrongState (it is no visit with two times; another is
    confirmed already, under way, or under complaint).
    """
    before = await visit_store.visits(uow, [visit_id])
    if not before or before[0]["checked_in_at"] is None:
        await told(uow, visit_id)
        raise WrongState(what="visit", state=before[0]["state"], action="settle_overlap")
    times = before[0]["checked_in_at"], before[0]["checked_out_at"]
    others = await attendance_store.overlapping(uow, visit_id, before[0]["volunteer_id"], *times)
    together = sorted([visit_id, *others])
    asked = {each: await visit_store.request_of(uow, each) for each in together}
    requests = {
        each: await lock_request(uow, each) for each in sorted({each for each in asked.values() if each})
    }
    rows = {each: await visit_store.lock(uow, each) for each in together}
    row = rows[visit_id]
    assert row is not None
    require_staff_apart(actor, row, action="settle_overlap")
    await people.lock_people(uow, [row["volunteer_id"]])
    for each in others:
        other = rows[each]
        assert other is not None
        advance_visit(VisitState(other["state"]), VisitState.CANCELLED, action="settle_overlap")
        await visit_store.set_state(uow, each, VisitState.CANCELLED)
    if row["state"] != VisitState.CONFIRMED:
        await attendance_store.clear_overlaps(uow, [visit_id])
    for request in requests.values():
        await settle_request(uow, request)
    return await told(uow, visit_id)


async def excuse_no_show(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> VisitInfo:
    """Excuse a volunteer who did not come, or withdrew late: it counts against nobody then.

    By a coordinator who is not that volunteer. Raises NotFound, NotAllowed, ConcernsOneself, WrongState.
    """
    row, _ = await lock_visit(uow, visit_id)
    require_staff_apart(actor, row, action="excuse_no_show")
    if row["cancelled_late"] and row["cancelled_why"] == CancelledWhy.VOLUNTEER:
        await visit_store.excuse_late(uow, visit_id)
    elif row["state"] == VisitState.NO_SHOW_VOLUNTEER:
        await visit_store.set_state(uow, visit_id, VisitState.CANCELLED)
    else:
        raise WrongState(what="visit", state=row["state"], action="excuse_no_show")
    return await told(uow, visit_id)


async def unsettled_visits(
    uow: UnitOfWork, actor: Actor, *, after: UUID | None = None, limit: int = 50
) -> Sequence[VisitInfo]:
    """Return visits that wait for a coordinator (missing, disputed, overlapping), in order of id.

    after: id to go on from. Raises NotAllowed.
    """
    actor.require(*READERS, action="view_board")
    rows = await visit_store.unsettled(uow, after, max(1, min(limit, PAGE_MAX)))
    return await told_all(uow, rows)


def require_text(text: str, *, field: str, longest: int) -> str:
    """Return a text without surrounding blanks. Raises InvalidValue for an empty one, or a longer one."""
    trimmed = text.strip()
    if not trimmed:
        raise InvalidValue(field=field, rule="not_blank")
    if len(trimmed) > longest or "\0" in trimmed:
        raise InvalidValue(field=field, rule=f"at_most_{longest}_characters")
    return trimmed
