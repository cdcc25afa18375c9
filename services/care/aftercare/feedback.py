"""Feedback from both sides, and what follows from it: a pair's history, a volunteer's reliability."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotAllowed, WrongState
from pointsbank.domain.feedback import (
    FEEDBACK_NOTE_MAX,
    RATING_MAX,
    Again,
    PairHistory,
    Side,
    require_changeable,
)
from pointsbank.domain.reliability import Kept, reliability_of
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.domain.visit import ATTENDED, VisitState
from pointsbank.domain.visit_rules import VisitRules
from pointsbank.platform.database import UnitOfWork
from services.care import ties
from services.care.aftercare import feedback_store as store
from services.care.aftercare.views import FeedbackInfo
from services.care.parting import part
from services.care.visit_access import lock_visit, rules_today, told


async def give_feedback(
    uow: UnitOfWork,
    actor: Actor,
    visit_id: UUID,
    *,
    again: Again,
    rating: int | None = None,
    note: str | None = None,
) -> FeedbackInfo:
    """Say what one side thinks of the other, once a visit is over; it can be changed for the policy's days.

    By the volunteer for their side; by the elder, their family, or a coordinator on the telephone for the
    elder's. rating: 1 to 5. What is agreed for later is called off where one does not want the other again.
    Raises NotFound, NotAllowed, WrongState, InvalidValue.
    """
    row, _ = await lock_visit(uow, visit_id)
    side = await _side(uow, actor, row["volunteer_id"], row["elder_id"])
    if VisitState(row["state"]) not in ATTENDED:
        raise WrongState(what="visit", state=row["state"], action="give_feedback")
    if rating is not None and (type(rating) is not int or not 1 <= rating <= RATING_MAX):
        raise InvalidValue(field="rating", rule=f"between_1_and_{RATING_MAX}")
    said = (note or "").strip() or None
    if said is not None and (len(said) > FEEDBACK_NOTE_MAX or "\0" in said):
        raise InvalidValue(field="note", rule=f"at_most_{FEEDBACK_NOTE_MAX}_characters")
    before = {each.side: each for each in await _of_visits(uow, [visit_id])}
    if side in before:
        days = (await rules_today(uow)).feedback_days
        require_changeable(before[side].given_at, now=uow.clock.now(), days=days)
    await store.save(uow, visit_id, side, given_by=actor.person_id, again=again, rating=rating, note=said)
    if again is Again.NO:
        await part(uow, row["elder_id"], row["volunteer_id"], by=actor.person_id)
    return next(each for each in await _of_visits(uow, [visit_id]) if each.side is side)


async def feedback_on(uow: UnitOfWork, actor: Actor, visit_id: UUID) -> list[FeedbackInfo]:
    """Return the feedback on a visit: each side sees its own, a reader of the community both.

    Raises NotFound, NotAllowed.
    """
    visit = await told(uow, visit_id)
    found = await _of_visits(uow, [visit_id])
    if actor.has(*READERS) and actor.person_id not in (visit.volunteer_id, visit.elder_id):
        return found
    side = await _side(uow, actor, visit.volunteer_id, visit.elder_id)
    return [each for each in found if each.side is side]


async def without_feedback(uow: UnitOfWork, visit_ids: Sequence[UUID], side: Side) -> set[UUID]:
    """Return those of the visits of which ``side`` has said nothing. For callers that show them anyway."""
    said = {each.visit_id for each in await _of_visits(uow, visit_ids) if each.side is side}
    return set(visit_ids) - said


async def pair_history(
    uow: UnitOfWork, elder_ids: Sequence[UUID], volunteer_ids: Sequence[UUID] | None = None
) -> dict[tuple[UUID, UUID], PairHistory]:
    """Return what each elder and volunteer have had with each other, by (elder, volunteer).

    volunteer_ids: of these only; None: of all.
    """
    answer = {None: None, Again.YES.value: True, Again.NO.value: False}
    return {
        (row["elder_id"], row["volunteer_id"]): PairHistory(
            visits=row["visits"],
            last_at=row["last_at"],
            again_elder=answer[row["again_elder"]],
            again_volunteer=answer[row["again_volunteer"]],
        )
        for row in await store.pairs(uow, elder_ids, volunteer_ids)
    }


async def reliability(
    uow: UnitOfWork, volunteer_ids: Sequence[UUID], rules: VisitRules | None = None
) -> dict[UUID, int]:
    """Return each volunteer's reliability in permille; a newcomer's is 1000.

    rules: today's, of a caller that has them at hand; None: those of the policy in force.
    """
    rules = rules or await rules_today(uow)
    since = uow.clock.now() - timedelta(days=rules.reliability_days)
    found = {
        row["volunteer_id"]: Kept(row["in_time"], row["late"], row["no_show"], row["withdrawn"])
        for row in await store.kept(uow, volunteer_ids, since)
    }
    return {each: reliability_of(found.get(each, Kept()), rules) for each in volunteer_ids}


async def _side(uow: UnitOfWork, actor: Actor, volunteer_id: UUID, elder_id: UUID) -> Side:
    if actor.person_id == volunteer_id:
        return Side.VOLUNTEER
    if actor.person_id == elder_id or actor.has(*STAFF):
        return Side.ELDER
    if await ties.is_family(uow, elder_id, actor.person_id):
        return Side.ELDER
    raise NotAllowed(action="give_feedback")


async def _of_visits(uow: UnitOfWork, visit_ids: Sequence[UUID]) -> list[FeedbackInfo]:
    return [
        FeedbackInfo(**{**row, "side": Side(row["side"]), "again": Again(row["again"])})
        for row in await store.of_visits(uow, visit_ids)
    ]
