"""What the worker does for meals: delivery runs become help requests, feedback goes to the canteen and back.

As everywhere, no transaction is open while the canteen is asked, and everything may be done twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import structlog

from pointsbank.domain.errors import DomainError
from pointsbank.domain.partner import PartnerCode
from pointsbank.platform import outbox
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.outbox import Handler, Intent
from services.care import requests as care
from services.care.views import AskForHelp
from services.people import service as people
from services.settlement.client import MealRun, PartnerRefused, Partners, PartnerUnavailable
from services.settlement.meals import feedback, standing, store

log = structlog.get_logger(__name__)

CANTEEN = PartnerCode.CANTEEN.value
RUN_KIND = "meal_delivery"
RUN_URGENCY = 2
ASKED_AT_ONCE = 50

Answer = TypeVar("Answer")


def handlers(database: Database, partners: Partners) -> Mapping[str, Handler]:
    """Return the handlers of what was said of meals."""

    async def rate(intent: Intent) -> None:
        async with database.unit_of_work(intent.community_id) as uow:
            said = await store.feedback(uow, intent.subject_id)
        if said is not None and said.score is not None:
            await _tell(partners[CANTEEN].rate(intent.community_id, intent.subject_id, said.score), intent)
        async with database.unit_of_work(intent.community_id) as uow:
            await outbox.done(uow, intent)

    async def complain(intent: Intent) -> None:
        async with database.unit_of_work(intent.community_id) as uow:
            said = await store.feedback(uow, intent.subject_id)
        answer = None
        if said is not None and said.complaint is not None:
            asked = partners[CANTEEN].complain(intent.community_id, intent.subject_id, said.complaint)
            answer = await _tell(asked, intent)
        async with database.unit_of_work(intent.community_id) as uow:
            if answer is not None:
                await store.save_answer(
                    uow,
                    intent.subject_id,
                    answer_by=answer.answer_by,
                    answer=answer.answer,
                    upheld=answer.upheld,
                )
            await outbox.done(uow, intent)

    return {feedback.RATE: rate, feedback.COMPLAIN: complain}


async def _tell(asked: Awaitable[Answer], intent: Intent) -> Answer | None:
    """Return the canteen's answer; None when it has decided against it, and will not think again."""
    try:
        return await asked
    except PartnerRefused as refused:
        log.warning("meal_feedback_refused", topic=intent.topic, error=refused.code)
        return None


async def read_runs(database: Database, partners: Partners, community_id: int) -> int:
    """Ask for help with the delivery runs that the canteen has cut; return how many requests were opened.

    One request a run: a meal's runs are read once, in one commit with all their requests.
    """
    async with database.unit_of_work(community_id) as uow:
        today = await people.local_today(uow)
        unread = await store.unread_delivery_days(uow, [today, today + timedelta(days=1)])
    opened = 0
    for day, meal in unread:
        try:
            found = await partners[CANTEEN].runs(community_id, day, meal)
        except (PartnerUnavailable, PartnerRefused) as error:
            log.info("runs_not_read", error=outbox.describe(error))
            return opened
        if not found.planned:
            continue
        async with database.unit_of_work(community_id) as uow:
            if not await store.insert_plan(uow, day, meal):
                continue
            for run in found.runs:
                request_id = await _ask(uow, run)
                if request_id is None:
                    continue
                await store.insert_run(
                    uow,
                    run.run_id,
                    day,
                    meal,
                    number=run.number,
                    portions=run.portions,
                    request_id=request_id,
                )
                opened += 1
    return opened


async def _ask(uow: UnitOfWork, run: MealRun) -> UUID | None:
    """Ask for a volunteer for a run, in the name of whom the first meal is for; None if nobody can be.

    Nothing is left to be carried, or the time has passed, or whom it is for has no building.
    """
    carried = [stop for stop in run.stops if stop.carried]
    members = await store.members_of(uow, [stop.redemption_id for stop in carried])
    first = next((members[stop.redemption_id] for stop in carried if stop.redemption_id in members), None)
    if first is None or run.starts_at <= uow.clock.now():
        return None
    elder = await people.person(uow, first)
    command = AskForHelp(
        elder_id=first,
        kind=RUN_KIND,
        starts_at=run.starts_at,
        minutes=run.minutes,
        urgency=RUN_URGENCY,
        note=f"送餐单 {run.number}：{run.portions} 份 · {len(carried)} 处",
        even_if_similar=True,
    )
    try:
        return (await care.ask(uow, elder.actor, command)).id
    except DomainError as error:
        log.warning("run_not_asked", run=str(run.run_id), error=error.code)
        return None


async def order_standing(database: Database, community_id: int) -> int:
    """Order the standing meals that are due, each in a commit of its own; return how many.

    What cannot be ordered keeps its reason and is tried again the next time.
    """
    async with database.unit_of_work(community_id) as uow:
        due = await standing.due(uow)
    made = 0
    for standing_id, day in due:
        try:
            async with database.unit_of_work(community_id) as uow:
                made += await standing.order_day(uow, standing_id, day)
        except DomainError as error:
            async with database.unit_of_work(community_id) as uow:
                await standing.keep_problem(uow, standing_id, day, error)
    return made


async def read_answers(database: Database, partners: Partners, community_id: int) -> int:
    """Ask the canteen about complaints that wait for an answer; return how many were answered."""
    async with database.unit_of_work(community_id) as uow:
        waiting = await store.unanswered(uow, ASKED_AT_ONCE)
    answered = 0
    for redemption_id in waiting:
        try:
            said = await partners[CANTEEN].complaint(community_id, redemption_id)
        except PartnerUnavailable as error:
            log.info("complaint_not_asked", error=outbox.describe(error))
            return answered
        except PartnerRefused:
            continue  # it has not been told yet
        if said.answer is None:
            continue
        async with database.unit_of_work(community_id) as uow:
            await store.save_answer(
                uow, redemption_id, answer_by=said.answer_by, answer=said.answer, upheld=said.upheld
            )
        answered += 1
    return answered
