"""The waiting clock: who is told, once each, of a request that nobody has taken."""

from __future__ import annotations

from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.domain.waiting import WaitingRules, escalation_due, waiting_since
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.care import store
from services.care.requests import infos_of
from services.care.views import WaitingLine
from services.ledger import service as ledger
from services.people import service as people

ESCALATE_MAX = 500
"""Requests raised by one round; the rest wait for the next."""

SHOWN_MAX = 100


async def escalate_waiting(uow: UnitOfWork) -> int:
    """Raise requests that wait too long to the grid leader, then to the coordinator; return how many.

    Compare and set: of all who do it at once, one raises a request.
    """
    now = uow.clock.now()
    rules = await _rules(uow)
    rises = []
    for info in await infos_of(uow, await store.overdue(uow, rules, now, ESCALATE_MAX)):
        since = waiting_since(info.asked_at, info.earliest_start, rules)
        due = escalation_due(since, info.urgency, now, rules)
        if due > info.escalation:
            rises.append((info.id, info.escalation, due))
    return await store.escalate(uow, rises, now)


async def waiting_for(uow: UnitOfWork, actor: Actor) -> list[WaitingLine]:
    """Return the requests that wait too long and of which the actor has been told, the longest first.

    A grid leader: those in their grid; a coordinator: all, first those that were raised to them.
    Raises NotAllowed.
    """
    actor.require(*STAFF, Role.GRID_LEADER, action="view_waiting")
    grids = None
    if not actor.has(*STAFF):
        grid = (await people.person(uow, actor.person_id)).roles[Role.GRID_LEADER]
        grids = [] if grid is None else [grid]
    rules, now = await _rules(uow), uow.clock.now()
    return [
        WaitingLine(
            request=info,
            waited_minutes=int(
                (now - waiting_since(info.asked_at, info.earliest_start, rules)).total_seconds() // 60
            ),
        )
        for info in await infos_of(uow, await store.escalated(uow, grids, SHOWN_MAX))
    ]


async def _rules(uow: UnitOfWork) -> WaitingRules:
    timezone = (await people.community(uow)).timezone
    return (await ledger.policy_on(uow, local_date(uow.clock.now(), timezone))).waiting
