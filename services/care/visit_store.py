"""Rows of visits. The database refuses double booking; here that refusal gets its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from pointsbank.domain.visit import OverlappingVisit, VisitState
from pointsbank.platform.database import UnitOfWork

VISIT = """
SELECT id, help_request_id, volunteer_id, elder_id, kind, planned_start, planned_end, checked_in_at,
       checked_out_at, minutes, state, confirmed_by, confirmation_method, strength, confirmed_at,
       policy_version, credited_minutes, clipped_milli_points, entry_number
  FROM bank.visits WHERE community_id = $1
"""
LATEST_FIRST = """
AND ($3::uuid IS NULL OR (planned_start, id) < (SELECT a.planned_start, a.id FROM bank.visits a
                                                 WHERE a.community_id = $1 AND a.id = $3))
ORDER BY planned_start DESC, id DESC LIMIT $4
"""


@contextmanager
def overlaps_named() -> Iterator[None]:
    """Turn a refusal by an exclusion constraint of visits into OverlappingVisit."""
    try:
        yield
    except asyncpg.ExclusionViolationError as error:
        raise OverlappingVisit from error


async def insert_planned(
    uow: UnitOfWork, visit_id: UUID, request: dict[str, Any], volunteer_id: UUID
) -> None:
    """Insert the planned visit for a request. Raises OverlappingVisit."""
    connection = await uow.connection()
    with overlaps_named():
        await connection.execute(
            """
            INSERT INTO bank.visits (community_id, id, help_request_id, volunteer_id, elder_id, kind,
                                     planned_start, planned_end, state, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'planned', $9)
            """,
            uow.community_id,
            visit_id,
            request["id"],
            volunteer_id,
            request["elder_id"],
            request["kind"],
            request["starts_at"],
            request["ends_at"],
            uow.clock.now(),
        )


async def visits(uow: UnitOfWork, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return those of ``ids`` that exist."""
    return await _fetch(uow, VISIT + "AND id = ANY ($2::uuid[]) ORDER BY id", list(ids))


async def lock(uow: UnitOfWork, visit_id: UUID) -> dict[str, Any] | None:
    """Lock a visit and return it, or None."""
    rows = await _fetch(uow, VISIT + "AND id = $2 FOR NO KEY UPDATE", visit_id)
    return rows[0] if rows else None


async def request_of(uow: UnitOfWork, visit_id: UUID) -> UUID | None:
    """Return the request a visit answers, if any. It never changes."""
    connection = await uow.connection()
    found: UUID | None = await connection.fetchval(
        "SELECT help_request_id FROM bank.visits WHERE community_id = $1 AND id = $2",
        uow.community_id,
        visit_id,
    )
    return found


async def planned_for(uow: UnitOfWork, request_id: UUID) -> UUID | None:
    """Return the planned visit for a request, locked, or None."""
    connection = await uow.connection()
    found: UUID | None = await connection.fetchval(
        """
        SELECT id FROM bank.visits WHERE community_id = $1 AND help_request_id = $2 AND state = 'planned'
           FOR NO KEY UPDATE
        """,
        uow.community_id,
        request_id,
    )
    return found


async def set_state(uow: UnitOfWork, visit_id: UUID, state: VisitState) -> None:
    """Put a visit, locked before, into ``state``."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.visits SET state = $3 WHERE community_id = $1 AND id = $2",
        uow.community_id,
        visit_id,
        state.value,
    )


async def is_busy_at(uow: UnitOfWork, volunteer_id: UUID, at: datetime) -> bool:
    """Tell whether a visit of the volunteer is under way, or is recorded to reach beyond ``at``."""
    connection = await uow.connection()
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (SELECT FROM bank.visits
                            WHERE community_id = $1 AND volunteer_id = $2
                              AND (state = 'under_way'
                                   OR state IN ('done', 'confirmed') AND checked_in_at <= $3
                                      AND checked_out_at > $3))
            """,
            uow.community_id,
            volunteer_id,
            at,
        )
    )


async def set_checked_in(uow: UnitOfWork, visit_id: UUID, at: datetime) -> None:
    """Note the check-in."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.visits SET state = 'under_way', checked_in_at = $3 WHERE community_id = $1 AND id = $2",
        uow.community_id,
        visit_id,
        at,
    )


async def set_checked_out(uow: UnitOfWork, visit_id: UUID, at: datetime, minutes: int) -> None:
    """Note the check-out and the minutes between."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET state = 'done', checked_out_at = $3, minutes = $4
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        visit_id,
        at,
        minutes,
    )


async def set_confirmed(
    uow: UnitOfWork,
    visit_id: UUID,
    *,
    confirmed_by: UUID,
    method: str,
    strength: int,
    confirmed_at: datetime,
    policy_version: int,
    credited_minutes: int,
    clipped_milli_points: int,
    entry_number: int | None,
) -> None:
    """Note the confirmation and what it earned. Raises OverlappingVisit."""
    connection = await uow.connection()
    with overlaps_named():
        await connection.execute(
            """
            UPDATE bank.visits
               SET state = 'confirmed', confirmed_by = $3, confirmation_method = $4, strength = $5,
                   confirmed_at = $6, policy_version = $7, credited_minutes = $8, clipped_milli_points = $9,
                   entry_number = $10
             WHERE community_id = $1 AND id = $2
            """,
            uow.community_id,
            visit_id,
            confirmed_by,
            method,
            strength,
            confirmed_at,
            policy_version,
            credited_minutes,
            clipped_milli_points,
            entry_number,
        )


async def credited_minutes(uow: UnitOfWork, volunteer_id: UUID, start: datetime, end: datetime) -> int:
    """Return the minutes credited to a volunteer for visits that ended in [start, end)."""
    connection = await uow.connection()
    total = await connection.fetchval(
        """
        SELECT sum(credited_minutes) FROM bank.visits
         WHERE community_id = $1 AND volunteer_id = $2 AND state = 'confirmed'
           AND checked_out_at >= $3 AND checked_out_at < $4
        """,
        uow.community_id,
        volunteer_id,
        start,
        end,
    )
    return int(total or 0)


async def of_volunteer(
    uow: UnitOfWork, volunteer_id: UUID, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Return a volunteer's visits, latest planned first, beyond ``after``."""
    return await _fetch(uow, VISIT + "AND volunteer_id = $2" + LATEST_FIRST, volunteer_id, after, limit)


async def of_elder(uow: UnitOfWork, elder_id: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Return the visits to an elder, latest planned first, beyond ``after``."""
    return await _fetch(uow, VISIT + "AND elder_id = $2" + LATEST_FIRST, elder_id, after, limit)


async def to_confirm(
    uow: UnitOfWork, person_id: UUID, grids: Sequence[int] | None, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Return done visits to ``person_id`` or in ``grids`` (None: anywhere), not made by them, in id order."""
    return await _fetch(
        uow,
        VISIT
        + """
        AND state = 'done' AND volunteer_id <> $2
        AND (elder_id = $2 OR $3::int[] IS NULL
             OR EXISTS (SELECT FROM bank.help_requests r WHERE r.community_id = $1 AND r.id = help_request_id
                           AND r.small_grid = ANY ($3)))
        AND ($4::uuid IS NULL OR id > $4)
        ORDER BY id LIMIT $5
        """,
        person_id,
        grids,
        after,
        limit,
    )


async def promises(
    uow: UnitOfWork, volunteer_ids: Sequence[UUID], start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """Return the planned times of visits agreed or under way that touch [start, end)."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, planned_start AS start, planned_end AS "end" FROM bank.visits
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[]) AND state IN ('planned', 'under_way')
           AND planned_start < $4 AND planned_end > $3
        """,
        uow.community_id,
        list(volunteer_ids),
        start,
        end,
    )
    return [dict(row) for row in rows]


async def _fetch(uow: UnitOfWork, query: str, *arguments: Any) -> list[dict[str, Any]]:
    connection = await uow.connection()
    return [dict(row) for row in await connection.fetch(query, uow.community_id, *arguments)]


async def credited(
    uow: UnitOfWork, volunteers: Sequence[UUID], start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """Return what the volunteers' visits that ended in [start, end) were credited, and by which entry."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, checked_out_at, credited_minutes, entry_number FROM bank.visits
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[]) AND state = 'confirmed'
           AND checked_out_at >= $3 AND checked_out_at < $4 AND entry_number IS NOT NULL
        """,
        uow.community_id,
        volunteers,
        start,
        end,
    )
    return [dict(row) for row in rows]
