"""Rows of what volunteers say of themselves: hours, exceptions, limits, grids, skills."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from uuid import UUID

from pointsbank.domain.availability import Limits, Skill
from pointsbank.domain.free_hours import ExceptionKind, FreeHour, HoursException
from pointsbank.platform.database import UnitOfWork


async def delete_free_hours(uow: UnitOfWork, volunteer_id: UUID) -> None:
    """Delete a volunteer's week."""
    connection = await uow.connection()
    await connection.execute(
        "DELETE FROM bank.free_hours WHERE community_id = $1 AND volunteer_id = $2",
        uow.community_id,
        volunteer_id,
    )


async def insert_free_hours(uow: UnitOfWork, weeks: Mapping[UUID, Sequence[FreeHour]]) -> None:
    """Insert weeks; a stretch that begins where one of the volunteer's begins is left out."""
    rows = [(volunteer_id, hour) for volunteer_id, hours in weeks.items() for hour in hours]
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.free_hours (community_id, volunteer_id, weekday, from_minute, to_minute)
        SELECT $1, u.* FROM unnest($2::uuid[], $3::int[], $4::int[], $5::int[]) AS u
        ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        [volunteer_id for volunteer_id, _ in rows],
        [hour.weekday for _, hour in rows],
        [hour.from_minute for _, hour in rows],
        [hour.to_minute for _, hour in rows],
    )


async def free_hours(uow: UnitOfWork, volunteer_ids: Sequence[UUID]) -> dict[UUID, list[FreeHour]]:
    """Return the weeks of those volunteers that have one, in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, weekday, from_minute, to_minute FROM bank.free_hours
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[])
         ORDER BY volunteer_id, weekday, from_minute
        """,
        uow.community_id,
        list(volunteer_ids),
    )
    weeks: dict[UUID, list[FreeHour]] = {}
    for row in rows:
        hour = FreeHour(row["weekday"], row["from_minute"], row["to_minute"])
        weeks.setdefault(row["volunteer_id"], []).append(hour)
    return weeks


async def replace_exceptions(
    uow: UnitOfWork, volunteer_id: UUID, exceptions: Sequence[HoursException]
) -> None:
    """Put a volunteer's exceptions in place of the former."""
    await _delete(uow, "hours_exceptions", volunteer_id)
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.hours_exceptions (community_id, volunteer_id, day, kind, from_minute, to_minute)
        SELECT $1, $2, u.* FROM unnest($3::date[], $4::text[], $5::int[], $6::int[]) AS u
        """,
        uow.community_id,
        volunteer_id,
        [each.day for each in exceptions],
        [each.kind.value for each in exceptions],
        [each.from_minute for each in exceptions],
        [each.to_minute for each in exceptions],
    )


async def exceptions(
    uow: UnitOfWork, volunteer_ids: Collection[UUID], first: date, last: date
) -> dict[UUID, list[HoursException]]:
    """Return the exceptions on local days from ``first`` to ``last``, both included, in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, day, kind, from_minute, to_minute FROM bank.hours_exceptions
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[]) AND day BETWEEN $3 AND $4
         ORDER BY volunteer_id, day, from_minute, kind
        """,
        uow.community_id,
        list(volunteer_ids),
        first,
        last,
    )
    found: dict[UUID, list[HoursException]] = {}
    for row in rows:
        told = HoursException(row["day"], row["from_minute"], row["to_minute"], ExceptionKind(row["kind"]))
        found.setdefault(row["volunteer_id"], []).append(told)
    return found


async def replace_limits(uow: UnitOfWork, volunteer_id: UUID, limits: Limits) -> None:
    """Put a volunteer's limits in place of the former."""
    await _delete(uow, "volunteer_limits", volunteer_id)
    if limits == Limits():
        return
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.volunteer_limits (community_id, volunteer_id, day_minutes, week_minutes)
        VALUES ($1, $2, $3, $4)
        """,
        uow.community_id,
        volunteer_id,
        limits.day_minutes,
        limits.week_minutes,
    )


async def limits(uow: UnitOfWork, volunteer_ids: Collection[UUID]) -> dict[UUID, Limits]:
    """Return the limits of those volunteers who have told any."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, day_minutes, week_minutes FROM bank.volunteer_limits
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[])
        """,
        uow.community_id,
        list(volunteer_ids),
    )
    return {row["volunteer_id"]: Limits(row["day_minutes"], row["week_minutes"]) for row in rows}


async def replace_grids(uow: UnitOfWork, volunteer_id: UUID, grids: Collection[int]) -> None:
    """Put the grids a volunteer serves in place of the former."""
    await _delete(uow, "served_grids", volunteer_id)
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.served_grids (community_id, volunteer_id, small_grid)
        SELECT $1, $2, u.grid FROM unnest($3::int[]) AS u(grid)
        """,
        uow.community_id,
        volunteer_id,
        sorted(set(grids)),
    )


async def grids(uow: UnitOfWork, volunteer_ids: Collection[UUID]) -> dict[UUID, frozenset[int]]:
    """Return the grids named by those volunteers who have named any."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, array_agg(small_grid) AS grids FROM bank.served_grids
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[]) GROUP BY volunteer_id
        """,
        uow.community_id,
        list(volunteer_ids),
    )
    return {row["volunteer_id"]: frozenset(row["grids"]) for row in rows}


async def delete_other_skills(uow: UnitOfWork, volunteer_id: UUID, kept: Sequence[str]) -> None:
    """Delete what a volunteer can do, but for ``kept``."""
    connection = await uow.connection()
    await connection.execute(
        """
        DELETE FROM bank.volunteer_skills
         WHERE community_id = $1 AND volunteer_id = $2 AND skill <> ALL ($3::text[])
        """,
        uow.community_id,
        volunteer_id,
        list(kept),
    )


async def insert_skills(uow: UnitOfWork, skills: Mapping[UUID, Sequence[str]]) -> None:
    """Insert the skills that are not known yet."""
    rows = [(volunteer_id, skill) for volunteer_id, listed in skills.items() for skill in listed]
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.volunteer_skills (community_id, volunteer_id, skill)
        SELECT $1, u.* FROM unnest($2::uuid[], $3::text[]) AS u ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        [volunteer_id for volunteer_id, _ in rows],
        [skill for _, skill in rows],
    )


async def prove_skill(
    uow: UnitOfWork, volunteer_id: UUID, skill: str, proof: str, valid_until: date | None
) -> bool:
    """Note the proof of a skill, which nobody has verified yet; tell whether the volunteer has the skill."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        UPDATE bank.volunteer_skills
           SET proof = $4, valid_until = $5, verified_by = NULL, verified_at = NULL
         WHERE community_id = $1 AND volunteer_id = $2 AND skill = $3 RETURNING skill
        """,
        uow.community_id,
        volunteer_id,
        skill,
        proof,
        valid_until,
    )
    return row is not None


async def verify_skill(
    uow: UnitOfWork, volunteer_id: UUID, skill: str, proof: str, verified_by: UUID
) -> bool:
    """Note who has seen the proof; tell whether the skill has this very proof."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        UPDATE bank.volunteer_skills SET verified_by = $5, verified_at = $6
         WHERE community_id = $1 AND volunteer_id = $2 AND skill = $3 AND proof = $4 RETURNING skill
        """,
        uow.community_id,
        volunteer_id,
        skill,
        proof,
        verified_by,
        uow.clock.now(),
    )
    return row is not None


async def unverified_skills(uow: UnitOfWork) -> dict[UUID, list[Skill]]:
    """Return the skills with a proof that nobody has verified, by volunteer."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, skill, proof, valid_until FROM bank.volunteer_skills
         WHERE community_id = $1 AND proof IS NOT NULL AND verified_at IS NULL ORDER BY volunteer_id, skill
        """,
        uow.community_id,
    )
    found: dict[UUID, list[Skill]] = {}
    for row in rows:
        skill = Skill(row["skill"], row["proof"], valid_until=row["valid_until"])
        found.setdefault(row["volunteer_id"], []).append(skill)
    return found


async def skills(uow: UnitOfWork, volunteer_ids: Collection[UUID]) -> dict[UUID, list[Skill]]:
    """Return what those volunteers can do who can do anything particular, in alphabetical order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, skill, proof, verified_by, verified_at, valid_until FROM bank.volunteer_skills
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[]) ORDER BY volunteer_id, skill
        """,
        uow.community_id,
        list(volunteer_ids),
    )
    found: dict[UUID, list[Skill]] = {}
    for row in rows:
        skill = Skill(row["skill"], row["proof"], row["verified_by"], row["verified_at"], row["valid_until"])
        found.setdefault(row["volunteer_id"], []).append(skill)
    return found


async def _delete(uow: UnitOfWork, table: str, volunteer_id: UUID) -> None:
    connection = await uow.connection()
    await connection.execute(
        f"DELETE FROM bank.{table} WHERE community_id = $1 AND volunteer_id = $2",  # noqa: S608
        uow.community_id,
        volunteer_id,
    )
