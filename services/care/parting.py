"""Two who are to meet no more: what they have agreed for later is called off, and asked of others again."""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.preferences import ExclusionReason
from pointsbank.domain.roles import Actor, Role
from pointsbank.domain.visit import CancelledWhy, VisitState
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care import ties, ties_store, visit_store
from services.care.visit_access import lock_visit, settle_request
from services.people import service as people


async def exclude(
    uow: UnitOfWork, actor: Actor, elder_id: UUID, volunteer_id: UUID, reason: ExclusionReason
) -> None:
    """Have a volunteer not be sent to an elder any more; one that is not sent already stays so.

    By the elder, their family or a coordinator. What the two have agreed for later is called off.
    Raises NotAllowed, NotFound, InvalidValue.
    """
    await ties.speaks_for(uow, actor, elder_id, action="exclude_volunteer")
    await exclude_pair(uow, elder_id, volunteer_id, reason, set_by=actor.person_id)


async def exclude_pair(
    uow: UnitOfWork, elder_id: UUID, volunteer_id: UUID, reason: ExclusionReason, *, set_by: UUID
) -> None:
    """Keep two apart, for callers that have decided who may (a volunteer's own word counts too).

    Raises NotFound, InvalidValue.
    """
    await ties.require_elder(uow, elder_id)
    if elder_id == volunteer_id:
        raise InvalidValue(field="volunteer_id", rule="not_oneself")
    if Role.VOLUNTEER not in (await people.person(uow, volunteer_id)).roles:
        raise InvalidValue(field="volunteer_id", rule="volunteer")
    await ties_store.insert_exclusion(uow, uuid7(), elder_id, volunteer_id, reason, set_by)
    await part(uow, elder_id, volunteer_id, by=set_by)


async def part(uow: UnitOfWork, elder_id: UUID, volunteer_id: UUID, *, by: UUID | None) -> int:
    """Call off what a volunteer has agreed with an elder and has not begun; return how many visits.

    For callers that have found that the two are kept apart. Their requests are open again and have waited as
    long as they have. Nobody is blamed; by: whose word it was, None: nobody's.
    """
    ahead = await visit_store.planned_between(uow, elder_id, volunteer_id)
    return sum([await _call_off(uow, visit_id, by) for visit_id in ahead])


async def _call_off(uow: UnitOfWork, visit_id: UUID, by: UUID | None) -> bool:
    row, request = await lock_visit(uow, visit_id)
    if row["state"] != VisitState.PLANNED:
        return False
    await visit_store.call_off(uow, visit_id, why=CancelledWhy.KEPT_APART, by=by)
    await settle_request(uow, request)
    return True
