"""Hardship and household of residents, each from a day on: what a meal's subsidy is judged by.

Nothing is changed or removed: what is set later for the same day counts instead, and a meal that was ordered
before keeps the split it was given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from pointsbank.domain.decision import ConcernsOneself
from pointsbank.domain.errors import InvalidValue, NotFound
from pointsbank.domain.roles import READERS, STAFF, Actor
from pointsbank.domain.subsidy.payers import Hardship, require_division
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from services.people import places_store, standing_store, store
from services.people.views import StandingInfo

SET_AHEAD = timedelta(days=366)
FIRST_DAY = date(2000, 1, 1)

Standing = tuple[Hardship | None, str | None]
"""Hardship and household."""


async def set_standing(
    uow: UnitOfWork,
    actor: Actor,
    person_id: UUID,
    *,
    effective_from: date,
    hardship: Hardship | None,
    household: str | None,
) -> StandingInfo:
    """Say what a resident's hardship and household are from a day on. By a coordinator, not for themselves.

    household: the administrative division of the household register, see ``require_division``; None: not
    known. Raises NotAllowed, ConcernsOneself, NotFound, InvalidValue.
    """
    actor.require(*STAFF, action="set_standing")
    if actor.person_id == person_id:
        raise ConcernsOneself
    if household is not None:
        require_division(household, field="household")
    community = await places_store.community(uow)
    if community is None or not await store.lock_people(uow, [person_id]):
        raise NotFound(what="person")
    today = local_date(uow.clock.now(), community.timezone)
    if not FIRST_DAY <= effective_from <= today + SET_AHEAD:
        raise InvalidValue(field="effective_from", rule="plausible_date")
    row = person_id, effective_from, hardship, household
    await standing_store.insert_many(uow, [row], set_by=actor.person_id)
    found = await standing_store.of(uow, [person_id])
    return next(each for each in found[person_id] if each.effective_from == effective_from)


async def add_standings_many(
    uow: UnitOfWork, standings: Mapping[UUID, Standing], *, effective_from: date
) -> None:
    """Note the standing of many people, where it differs from what counts that day. Raises InvalidValue.

    For callers that have decided who may.
    """
    known = await standing_store.of(uow, standings)
    rows: list[standing_store.Row] = []
    for person_id, (hardship, household) in standings.items():
        if household is not None:
            require_division(household, field="household")
        now = standing_at(known.get(person_id, []), effective_from)
        if now is None or (now.hardship, now.household) != (hardship, household):
            rows.append((person_id, effective_from, hardship, household))
    await standing_store.insert_many(uow, rows, set_by=None)


async def view_standings(uow: UnitOfWork, actor: Actor, person_id: UUID) -> list[StandingInfo]:
    """Return a resident's standings, the latest day first, to themselves or to who may read the community.

    Raises NotAllowed, NotFound.
    """
    actor.require_self_or(person_id, *READERS, action="view_person")
    if not await store.people_by_id(uow, [person_id]):
        raise NotFound(what="person")
    return (await standing_store.of(uow, [person_id])).get(person_id, [])


async def standings_of(uow: UnitOfWork, person_ids: Collection[UUID]) -> dict[UUID, list[StandingInfo]]:
    """Return the standings of those who have any, by person; :func:`standing_at` finds a day's.

    For callers that have decided who may know.
    """
    return await standing_store.of(uow, person_ids)


def standing_at(standings: Sequence[StandingInfo], day: date) -> StandingInfo | None:
    """Return the standing that counts on ``day``. standings: of one person, as they are returned here."""
    return next((each for each in standings if each.effective_from <= day), None)
