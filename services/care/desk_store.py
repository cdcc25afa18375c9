"""Rows for the lists that lie on a desk: recorded visits, whom to attend, who is kept apart, complaints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.platform.database import UnitOfWork
from services.care.aftercare.complaint_store import COMPLAINT
from services.care.visit_store import VISIT

APART = """
SELECT x.elder_id, e.name AS elder_name, x.volunteer_id, v.name AS volunteer_name, x.reason,
       s.name AS set_by_name, x.set_at
  FROM bank.exclusions x
  JOIN bank.people e ON e.community_id = $1 AND e.id = x.elder_id
  JOIN bank.people v ON v.community_id = $1 AND v.id = x.volunteer_id
  JOIN bank.people s ON s.community_id = $1 AND s.id = x.set_by
 WHERE x.community_id = $1 AND x.lifted_at IS NULL
 ORDER BY x.set_at DESC, x.id LIMIT $2
"""

# The latest answer of each side of each pair, as pairing reads it; only those that are a no.
NOT_AGAIN = """
SELECT l.elder_id, e.name AS elder_name, l.volunteer_id, p.name AS volunteer_name, l.side, l.changed_at
  FROM (SELECT DISTINCT ON (v.elder_id, v.volunteer_id, f.side)
               v.elder_id, v.volunteer_id, f.side, f.again, f.changed_at
          FROM bank.visit_feedback f
          JOIN bank.visits v ON v.community_id = $1 AND v.id = f.visit_id
         WHERE f.community_id = $1 AND f.again IN ('yes', 'no')
         ORDER BY v.elder_id, v.volunteer_id, f.side, f.changed_at DESC, v.id DESC) l
  JOIN bank.people e ON e.community_id = $1 AND e.id = l.elder_id
  JOIN bank.people p ON p.community_id = $1 AND p.id = l.volunteer_id
 WHERE l.again = 'no'
 ORDER BY l.changed_at DESC, l.elder_id, l.volunteer_id, l.side LIMIT $2
"""


async def recorded(uow: UnitOfWork, limit: int) -> list[dict[str, Any]]:
    """Return visits recorded afterwards that nobody has confirmed yet, the oldest record first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        VISIT + "AND recorded_by IS NOT NULL AND state IN ('done', 'disputed') ORDER BY id LIMIT $2",
        uow.community_id,
        limit,
    )
    return [dict(row) for row in rows]


async def to_attend(
    uow: UnitOfWork, person_id: UUID, grids: Sequence[int] | None, until: datetime, limit: int
) -> list[dict[str, Any]]:
    """Return visits of others that begin by ``until`` or go on, to elders in ``grids`` (None: anywhere)."""
    connection = await uow.connection()
    rows = await connection.fetch(
        VISIT
        + """
        AND state IN ('planned', 'under_way') AND planned_start <= $2 AND volunteer_id <> $3
        AND ($4::int[] IS NULL
             OR EXISTS (SELECT FROM bank.people p
                          JOIN bank.buildings b ON b.community_id = $1 AND b.id = p.building_id
                         WHERE p.community_id = $1 AND p.id = elder_id AND b.small_grid = ANY ($4)))
        ORDER BY planned_start, id LIMIT $5
        """,
        uow.community_id,
        until,
        person_id,
        grids,
        limit,
    )
    return [dict(row) for row in rows]


async def apart(uow: UnitOfWork, limit: int) -> list[dict[str, Any]]:
    """Return the exclusions that stand, with names, the newest first."""
    connection = await uow.connection()
    return [dict(row) for row in await connection.fetch(APART, uow.community_id, limit)]


async def not_again(uow: UnitOfWork, limit: int) -> list[dict[str, Any]]:
    """Return who said last of whom that they should not meet again, the newest first."""
    connection = await uow.connection()
    return [dict(row) for row in await connection.fetch(NOT_AGAIN, uow.community_id, limit)]


async def open_complaints(uow: UnitOfWork, limit: int) -> list[dict[str, Any]]:
    """Return complaints that wait to be heard or decided, and open appeals, the oldest first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        COMPLAINT + "AND (state IN ('filed', 'heard') OR appeal = 'open') ORDER BY id LIMIT $2",
        uow.community_id,
        limit,
    )
    return [dict(row) for row in rows]


async def latest_complaints(uow: UnitOfWork, concerning: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Return complaints, the latest first. concerning: only about a person, or by them."""
    connection = await uow.connection()
    rows = await connection.fetch(
        COMPLAINT
        + """
        AND ($2::uuid IS NULL OR volunteer_id = $2 OR complained_by = $2) ORDER BY id DESC LIMIT $3
        """,
        uow.community_id,
        concerning,
        limit,
    )
    return [dict(row) for row in rows]


async def complaints_on(uow: UnitOfWork, visit_id: UUID) -> list[dict[str, Any]]:
    """Return the complaints about a visit, the latest first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        COMPLAINT + "AND visit_id = $2 ORDER BY id DESC", uow.community_id, visit_id
    )
    return [dict(row) for row in rows]
