"""How a meal was liked, and complaints: said here, kept by the canteen, answered there and told here."""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.domain.meals import SCORE_MAX, SCORE_MIN
from pointsbank.domain.partner import PartnerCode
from pointsbank.domain.redemption import RedemptionState
from pointsbank.domain.roles import READERS, Actor
from pointsbank.platform import outbox
from pointsbank.platform.database import UnitOfWork
from services.care.ties import require_view, speaks_for
from services.settlement import store as redemptions
from services.settlement.meals import store
from services.settlement.meals.views import FeedbackInfo

RATE, COMPLAIN = "meal.rate", "meal.complain"
COMPLAINT_MAX = 500


async def rate(uow: UnitOfWork, actor: Actor, redemption_id: UUID, score: int) -> FeedbackInfo:
    """Say how a meal was liked: 1 (poor), 2 or 3 (good); said again, the last word stands.

    By the elder, their confirmed family or a coordinator.
    Raises NotFound, NotAllowed, WrongState, InvalidValue.
    """
    if type(score) is not int or not SCORE_MIN <= score <= SCORE_MAX:
        raise InvalidValue(field="score", rule=f"between_{SCORE_MIN}_and_{SCORE_MAX}")
    await _eaten(uow, actor, redemption_id, action="rate")
    await store.save_score(uow, redemption_id, score, given_by=actor.person_id)
    await outbox.add(uow, RATE, redemption_id)
    return await _feedback(uow, redemption_id)


async def complain(uow: UnitOfWork, actor: Actor, redemption_id: UUID, words: str) -> FeedbackInfo:
    """Complain about a meal, once. By the elder, their confirmed family or a coordinator.

    Raises NotFound, NotAllowed, WrongState, InvalidValue.
    """
    said = " ".join(words.split())
    if not 0 < len(said) <= COMPLAINT_MAX or not said.isprintable():
        raise InvalidValue(field="complaint", rule=f"at_most_{COMPLAINT_MAX}_characters")
    await _eaten(uow, actor, redemption_id, action="complain")
    if not await store.save_complaint(uow, redemption_id, said, given_by=actor.person_id):
        raise WrongState(what="complaint", state="filed", action="complain")
    await outbox.add(uow, COMPLAIN, redemption_id)
    return await _feedback(uow, redemption_id)


async def feedback(uow: UnitOfWork, actor: Actor, redemption_id: UUID) -> FeedbackInfo | None:
    """Return what was said of a meal, to its member, family or who may read. Raises NotFound, NotAllowed."""
    found = await redemptions.redemption(uow, redemption_id)
    if found is None:
        raise NotFound(what="redemption")
    if not actor.has(*READERS):
        await require_view(uow, actor, found.member_id, action="view_redemption")
    return await store.feedback(uow, redemption_id)


async def _eaten(uow: UnitOfWork, actor: Actor, redemption_id: UUID, *, action: str) -> None:
    found = await redemptions.redemption(uow, redemption_id)
    if found is None or found.partner != PartnerCode.CANTEEN:
        raise NotFound(what="redemption")
    await speaks_for(uow, actor, found.member_id, action=action)
    if found.state is not RedemptionState.FULFILLED:
        raise WrongState(what="redemption", state=found.state, action=action)


async def _feedback(uow: UnitOfWork, redemption_id: UUID) -> FeedbackInfo:
    found = await store.feedback(uow, redemption_id)
    assert found is not None, "it was written a moment ago"
    return found
