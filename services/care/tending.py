"""What only time moves: no-shows, visits never checked out, plans for requests that are no more.

May run twice, and beside everything else: each visit is looked at again once it is locked.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from pointsbank.domain.errors import NotFound
from pointsbank.domain.visit import VisitState
from pointsbank.platform.database import UnitOfWork
from services.care import attendance_store, visit_store
from services.care.apart import kept_apart
from services.care.parting import part
from services.care.visit_access import lock_visit, rules_today, settle_request

NO_REQUEST = UUID(int=0)

TEND_MAX = 100
"""How many visits of each kind one unit of work tends; the next takes the rest."""


async def tend_visits(uow: UnitOfWork) -> int:
    """Mark what is overdue by the policy in force, and return how many visits were moved."""
    try:
        rules = await rules_today(uow)
    except NotFound:
        return 0  # a community without a policy yet
    now = uow.clock.now()
    overdue = attendance_store.overdue
    planned, under_way, missing = VisitState.PLANNED, VisitState.UNDER_WAY, VisitState.MISSING
    late = now - timedelta(minutes=rules.no_show_minutes)
    silent = now - timedelta(minutes=rules.missing_minutes)
    given_up = now - timedelta(days=rules.missing_days)
    moves: list[tuple[list[UUID], VisitState, VisitState]] = [
        (await attendance_store.planned_for_nothing(uow, TEND_MAX), planned, VisitState.CANCELLED),
        (
            await overdue(uow, planned, started_by=late, ended_by=None, limit=TEND_MAX),
            planned,
            VisitState.NO_SHOW_VOLUNTEER,
        ),
        (
            await overdue(uow, under_way, started_by=None, ended_by=silent, limit=TEND_MAX),
            under_way,
            missing,
        ),
        (
            await overdue(uow, missing, started_by=None, ended_by=given_up, limit=TEND_MAX),
            missing,
            VisitState.CANCELLED,
        ),
    ]
    due: dict[UUID, tuple[VisitState, VisitState]] = {}
    for ids, before, after in moves:
        for visit_id in ids:
            due.setdefault(visit_id, (before, after))
    asked = {visit_id: await visit_store.request_of(uow, visit_id) for visit_id in due}
    in_order = sorted(due, key=lambda each: (asked[each] or NO_REQUEST, each))
    return sum([await _move(uow, visit_id, *due[visit_id]) for visit_id in in_order])


async def part_kept_apart(uow: UnitOfWork) -> int:
    """Call off what is agreed for later by two who are kept apart, and return how many visits.

    What was agreed at the very moment at which they were parted, or by two who have moved in together since.
    """
    pairs = await visit_store.pairs_ahead(uow)
    apart = await kept_apart(uow, {elder for elder, _ in pairs})
    return sum(
        [
            await part(uow, elder, volunteer, by=None)
            for elder, volunteer in pairs
            if volunteer in apart[elder]
        ]
    )


async def _move(uow: UnitOfWork, visit_id: UUID, before: VisitState, after: VisitState) -> bool:
    row, request = await lock_visit(uow, visit_id)
    if row["state"] != before:
        return False
    await visit_store.set_state(uow, visit_id, after)
    await settle_request(uow, request)
    return True
