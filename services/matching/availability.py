"""What volunteers say of themselves: when and how much they are free, where, and what they can do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from pointsbank.domain.availability import Limits, Skill, grids_near, require_proof, require_skills
from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound
from pointsbank.domain.free_hours import FreeHour, HoursException, require_exceptions, require_free_hours
from pointsbank.domain.roles import STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.ledger import service as ledger
from services.matching import availability_store as store
from services.matching.views import AvailabilityInfo, SkillInfo, SkillToVerify
from services.people import service as people

AHEAD_DAYS_MAX = 400
"""How far ahead exceptions may lie."""


async def set_free_hours(uow: UnitOfWork, volunteer_id: UUID, hours: Sequence[FreeHour]) -> None:
    """Put a volunteer's week in place of the former. Raises NotFound, InvalidValue.

    For callers that have decided who may.
    """
    require_free_hours(hours)
    await _require_volunteers(uow, [volunteer_id])
    await store.delete_free_hours(uow, volunteer_id)
    await store.insert_free_hours(uow, {volunteer_id: hours})


async def add_free_hours_many(uow: UnitOfWork, weeks: Mapping[UUID, Sequence[FreeHour]]) -> None:
    """Give many volunteers who have none yet their weeks. Raises NotFound, InvalidValue."""
    for hours in weeks.values():
        require_free_hours(hours)
    await _require_volunteers(uow, list(weeks))
    await store.insert_free_hours(uow, weeks)


async def free_hours_of(uow: UnitOfWork, volunteer_id: UUID) -> list[FreeHour]:
    """Return a volunteer's week, Monday first."""
    return (await store.free_hours(uow, [volunteer_id])).get(volunteer_id, [])


async def set_skills(uow: UnitOfWork, volunteer_id: UUID, skills: Sequence[str]) -> None:
    """Put what a volunteer can do in place of the former; a skill that stays keeps its proof.

    For callers that have decided who may. Raises NotFound, InvalidValue.
    """
    require_skills(skills)
    await _require_volunteers(uow, [volunteer_id])
    await store.delete_other_skills(uow, volunteer_id, skills)
    await store.insert_skills(uow, {volunteer_id: skills})


async def add_skills_many(uow: UnitOfWork, skills: Mapping[UUID, Sequence[str]]) -> None:
    """Note what many volunteers can do, beside what is known. Raises NotFound, InvalidValue."""
    for listed in skills.values():
        require_skills(listed)
    await _require_volunteers(uow, list(skills))
    await store.insert_skills(uow, skills)


async def skills_of(uow: UnitOfWork, volunteer_id: UUID) -> list[str]:
    """Return what a volunteer says they can do, proven or not, in alphabetical order."""
    return [skill.code for skill in (await store.skills(uow, [volunteer_id])).get(volunteer_id, [])]


async def prove_skill(
    uow: UnitOfWork,
    actor: Actor,
    volunteer_id: UUID,
    skill: str,
    *,
    proof: str,
    valid_until: date | None = None,
) -> None:
    """Tell what proves a skill; whoever verified an earlier proof must look again.

    A skill that was not named before is named with it. By the volunteer or a coordinator. valid_until: the
    last local day on which it holds. Raises NotAllowed, NotFound, InvalidValue.
    """
    actor.require_self_or(volunteer_id, *STAFF, action="prove_skill")
    told = require_proof(proof)
    if valid_until is not None and valid_until < await people.local_today(uow):
        raise InvalidValue(field="valid_until", rule="not_in_the_past")
    await _lock_volunteer(uow, volunteer_id)
    require_skills([*{*await skills_of(uow, volunteer_id), skill}])
    await store.insert_skills(uow, {volunteer_id: [skill]})
    await store.prove_skill(uow, volunteer_id, skill, told, valid_until)


async def verify_skill(uow: UnitOfWork, actor: Actor, volunteer_id: UUID, skill: str, *, proof: str) -> None:
    """Say that one has seen the proof of a skill. By a coordinator, never for themselves.

    proof: as it was shown; if it has been changed meanwhile nothing is verified.
    Raises NotAllowed, NotFound (the volunteer has no such skill with this proof).
    """
    actor.require(*STAFF, action="verify_skill")
    if actor.person_id == volunteer_id:
        raise NotAllowed(action="verify_skill")
    if not await store.verify_skill(uow, volunteer_id, skill, proof, actor.person_id):
        raise NotFound(what="skill")


async def skills_to_verify(uow: UnitOfWork, actor: Actor) -> list[SkillToVerify]:
    """Return the proofs that nobody has looked at, by volunteer. For coordinators. Raises NotAllowed."""
    actor.require(*STAFF, action="verify_skill")
    rows = await store.unverified_skills(uow)
    named = await people.people_by_id(uow, list(rows))
    return [
        SkillToVerify(volunteer_id, named[volunteer_id].name, each.code, each.proof or "", each.valid_until)
        for volunteer_id, skills in rows.items()
        for each in skills
    ]


async def set_exceptions(uow: UnitOfWork, volunteer_id: UUID, exceptions: Sequence[HoursException]) -> None:
    """Put what is otherwise on single days in place of the former.

    For callers that have decided who may. Raises NotFound, InvalidValue (also for a day that is more than
    ``AHEAD_DAYS_MAX`` days ahead).
    """
    require_exceptions(exceptions)
    last = await people.local_today(uow) + timedelta(days=AHEAD_DAYS_MAX)
    if any(each.day > last for each in exceptions):
        raise InvalidValue(field="day", rule=f"within_{AHEAD_DAYS_MAX}_days")
    await _lock_volunteer(uow, volunteer_id)
    await store.replace_exceptions(uow, volunteer_id, exceptions)


async def exceptions_of(uow: UnitOfWork, volunteer_id: UUID) -> list[HoursException]:
    """Return what is otherwise on single days from today on, in order; yesterday's may reach into today."""
    today = await people.local_today(uow)
    return (
        await store.exceptions(
            uow, [volunteer_id], today - timedelta(days=1), today + timedelta(days=AHEAD_DAYS_MAX)
        )
    ).get(volunteer_id, [])


async def set_limits(uow: UnitOfWork, volunteer_id: UUID, limits: Limits) -> None:
    """Put the most a volunteer will give in place of the former; it can only lower what the policy says.

    For callers that have decided who may. Raises NotFound, InvalidValue.
    """
    await _lock_volunteer(uow, volunteer_id)
    await store.replace_limits(uow, volunteer_id, limits)


async def set_grids(uow: UnitOfWork, volunteer_id: UUID, grids: Collection[int]) -> None:
    """Put the small grids a volunteer serves in place of the former; none: those near home.

    For callers that have decided who may. Raises NotFound, InvalidValue.
    """
    if set(grids) - (await people.grid_plan(uow)).small_grids.keys():
        raise InvalidValue(field="grids", rule="known_grid")
    await _lock_volunteer(uow, volunteer_id)
    await store.replace_grids(uow, volunteer_id, grids)


async def availability_of(uow: UnitOfWork, actor: Actor, volunteer_id: UUID) -> AvailabilityInfo:
    """Return all that a volunteer says of themselves. To themselves or a coordinator.

    Raises NotAllowed, NotFound.
    """
    actor.require_self_or(volunteer_id, *STAFF, action="view_availability")
    person = await people.person(uow, volunteer_id)
    today = await people.local_today(uow)
    rules = (await ledger.policy_on(uow, today)).volunteers
    limits = (await store.limits(uow, [volunteer_id])).get(volunteer_id, Limits())
    a_day, a_week = limits.under(rules)
    grids = (await store.grids(uow, [volunteer_id])).get(volunteer_id, frozenset())
    near: frozenset[int] = frozenset()
    if person.small_grid is not None:
        near = grids_near(person.small_grid, await people.grid_plan(uow))
    skills: Sequence[Skill] = (await store.skills(uow, [volunteer_id])).get(volunteer_id, ())
    return AvailabilityInfo(
        volunteer_id=volunteer_id,
        hours=tuple(await free_hours_of(uow, volunteer_id)),
        exceptions=tuple(await exceptions_of(uow, volunteer_id)),
        limits=limits,
        day_minutes=a_day,
        week_minutes=a_week,
        grids=tuple(sorted(grids)),
        serves=tuple(sorted(grids or near)),
        languages=tuple(
            sorted((await people.languages_of(uow, [volunteer_id])).get(volunteer_id, frozenset()))
        ),
        skills=tuple(
            SkillInfo(each, each.code in rules.proven_skills, each.counts(rules, today)) for each in skills
        ),
    )


async def _lock_volunteer(uow: UnitOfWork, volunteer_id: UUID) -> None:
    """Keep others who change the volunteer's words waiting. Raises NotFound, InvalidValue."""
    await people.lock_people(uow, [volunteer_id])
    await _require_volunteers(uow, [volunteer_id])


async def _require_volunteers(uow: UnitOfWork, ids: Sequence[UUID]) -> None:
    found = await people.people_by_id(uow, ids)
    if len(found) != len(set(ids)):
        raise NotFound(what="person")
    if any(Role.VOLUNTEER not in person.roles for person in found.values()):
        raise InvalidValue(field="volunteer_id", rule="volunteer")
