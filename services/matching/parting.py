"""Two who are to meet no more: what was offered to one of them or agreed with them goes to the next at once.

The turn at promising is taken first: who parts two locks requests, and those who promise lock requests within
that turn.
"""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.feedback import Again
from pointsbank.domain.preferences import ExclusionReason
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import UnitOfWork
from services.care import service as care
from services.care.service import FeedbackInfo
from services.matching import parting_store, store
from services.matching.offers import offer_now, part_offers


async def exclude(
    uow: UnitOfWork, actor: Actor, elder_id: UUID, volunteer_id: UUID, reason: ExclusionReason
) -> None:
    """Have a volunteer not be sent to an elder any more, and ask others in their place.

    As :func:`services.care.service.exclude`, which says who may. Raises NotAllowed, NotFound, InvalidValue.
    """
    await store.take_turn_at_promising(uow)
    await care.exclude(uow, actor, elder_id, volunteer_id, reason)
    await _ask_others(uow, elder_id, volunteer_id)


async def give_feedback(
    uow: UnitOfWork,
    actor: Actor,
    visit_id: UUID,
    *,
    again: Again,
    rating: int | None = None,
    note: str | None = None,
) -> FeedbackInfo:
    """Say what one side thinks of the other; where that is not again, ask others in their place.

    As :func:`services.care.service.give_feedback`, which says who may.
    Raises NotFound, NotAllowed, WrongState, InvalidValue.
    """
    if again is not Again.NO:
        return await care.give_feedback(uow, actor, visit_id, again=again, rating=rating, note=note)
    await store.take_turn_at_promising(uow)
    found = await care.give_feedback(uow, actor, visit_id, again=again, rating=rating, note=note)
    visit = await care.visit(uow, actor, visit_id)
    await _ask_others(uow, visit.elder_id, visit.volunteer_id)
    return found


async def _ask_others(uow: UnitOfWork, elder_id: UUID, volunteer_id: UUID) -> None:
    await part_offers(uow, [elder_id])
    for request_id in await parting_store.given_up(uow, elder_id, volunteer_id):
        await offer_now(uow, request_id)
