"""What lies on a desk: visits recorded afterwards, visits to attend for somebody, who is kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pointsbank.domain.feedback import Side
from pointsbank.domain.preferences import ExclusionReason
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.domain.visit import EARLY_CHECK_IN_MAX
from pointsbank.platform.database import UnitOfWork
from services.care import desk_store as store
from services.care.views import VisitInfo
from services.care.visit_access import grids_led, told_all

DESK_MAX = 200
"""Most lines of one list."""


@dataclass(frozen=True, slots=True)
class ApartInfo:
    """An elder and a volunteer whom somebody keeps apart, why, by whose word and since when (aware)."""

    elder_id: UUID
    elder_name: str
    volunteer_id: UUID
    volunteer_name: str
    reason: ExclusionReason
    set_by_name: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class NotAgainInfo:
    """An elder and a volunteer of whom ``side`` said last that they should not meet again."""

    elder_id: UUID
    elder_name: str
    volunteer_id: UUID
    volunteer_name: str
    side: Side
    changed_at: datetime


async def recorded_visits(uow: UnitOfWork, actor: Actor) -> list[VisitInfo]:
    """Return visits recorded afterwards that wait for a coordinator, the oldest record first.

    Those under complaint are among them. Raises NotAllowed.
    """
    actor.require(*READERS, action="view_board")
    return await told_all(uow, await store.recorded(uow, DESK_MAX))


async def visits_to_attend(uow: UnitOfWork, actor: Actor) -> list[VisitInfo]:
    """Return visits that may begin now or go on, which the actor may check in or out for the volunteer.

    A coordinator, who telephones, sees all; a leader, who sees them come, those in their grid; nobody their
    own. Raises NotAllowed.
    """
    actor.require(Role.BUILDING_LEADER, Role.GRID_LEADER, *STAFF, action="check_in")
    grids = None if actor.has(*STAFF) else await grids_led(uow, actor)
    until = uow.clock.now() + EARLY_CHECK_IN_MAX
    return await told_all(uow, await store.to_attend(uow, actor.person_id, grids, until, DESK_MAX))


async def pairs_apart(uow: UnitOfWork, actor: Actor) -> list[ApartInfo]:
    """Return every pair that is kept apart by somebody's word, the newest first. Raises NotAllowed."""
    actor.require(*READERS, action="view_exclusions")
    return [
        ApartInfo(**{**row, "reason": ExclusionReason(row["reason"])})
        for row in await store.apart(uow, DESK_MAX)
    ]


async def said_not_again(uow: UnitOfWork, actor: Actor) -> list[NotAgainInfo]:
    """Return every pair one side of which said last that they should not meet again. Raises NotAllowed."""
    actor.require(*READERS, action="view_exclusions")
    return [
        NotAgainInfo(**{**row, "side": Side(row["side"])}) for row in await store.not_again(uow, DESK_MAX)
    ]
