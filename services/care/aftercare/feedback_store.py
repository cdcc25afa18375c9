"""Rows of feedback, and what visits and feedback together say of a pair or a volunteer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.platform.database import UnitOfWork

FEEDBACK = """
SELECT visit_id, side, given_by, again, rating, note, given_at, changed_at
  FROM bank.visit_feedback WHERE community_id = $1
"""

# A complaint that stands upheld: at most one of a visit.
STRUCK = """
  LEFT JOIN bank.complaints c ON c.community_id = $1 AND c.visit_id = v.id AND c.state = 'upheld'
                             AND c.appeal IS DISTINCT FROM 'upheld'
"""

PAIRS = """
SELECT v.elder_id, v.volunteer_id,
       count(*) FILTER (WHERE v.state IN ('done', 'disputed', 'confirmed') AND NOT v.nobody_home
                          AND c.id IS NULL) AS visits,
       max(v.checked_out_at) FILTER (WHERE v.state IN ('done', 'disputed', 'confirmed') AND NOT v.nobody_home
                                       AND c.id IS NULL) AS last_at,
       (array_agg(e.again ORDER BY e.changed_at DESC, v.id DESC) FILTER (WHERE e.again IN ('yes', 'no')))[1]
           AS again_elder,
       (array_agg(f.again ORDER BY f.changed_at DESC, v.id DESC) FILTER (WHERE f.again IN ('yes', 'no')))[1]
           AS again_volunteer
  FROM bank.visits v
  LEFT JOIN bank.visit_feedback e ON e.community_id = $1 AND e.visit_id = v.id AND e.side = 'elder'
  LEFT JOIN bank.visit_feedback f ON f.community_id = $1 AND f.visit_id = v.id AND f.side = 'volunteer'
"""
PAIRS += STRUCK
PAIRS += """
 WHERE v.community_id = $1 AND v.elder_id = ANY ($2::uuid[])
   AND ($3::uuid[] IS NULL OR v.volunteer_id = ANY ($3))
 GROUP BY v.elder_id, v.volunteer_id
"""

KEPT = """
SELECT v.volunteer_id,
       count(*) FILTER (WHERE v.state IN ('done', 'disputed', 'confirmed') AND v.late_minutes = 0
                          AND c.id IS NULL) AS in_time,
       count(*) FILTER (WHERE v.state IN ('done', 'disputed', 'confirmed') AND v.late_minutes > 0
                          AND c.id IS NULL) AS late,
       count(*) FILTER (WHERE v.state = 'no_show_volunteer' OR c.ground = 'not_rendered') AS no_show,
       count(*) FILTER (WHERE v.cancelled_why = 'volunteer' AND v.cancelled_late) AS withdrawn
  FROM bank.visits v
"""
KEPT += STRUCK
KEPT += """
 WHERE v.community_id = $1 AND v.volunteer_id = ANY ($2::uuid[]) AND v.planned_start >= $3
   AND v.recorded_by IS NULL AND NOT v.nobody_home
 GROUP BY v.volunteer_id
"""


async def of_visits(uow: UnitOfWork, visit_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return the feedback on visits."""
    connection = await uow.connection()
    rows = await connection.fetch(
        FEEDBACK + "AND visit_id = ANY ($2::uuid[]) ORDER BY visit_id, side",
        uow.community_id,
        list(visit_ids),
    )
    return [dict(row) for row in rows]


async def save(
    uow: UnitOfWork,
    visit_id: UUID,
    side: str,
    *,
    given_by: UUID,
    again: str,
    rating: int | None,
    note: str | None,
) -> None:
    """Write one side's feedback; what it said before is replaced, when it first spoke is kept."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.visit_feedback (community_id, visit_id, side, given_by, again, rating, note,
        given_at,
                                         changed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
        ON CONFLICT (community_id, visit_id, side) DO UPDATE
           SET given_by = excluded.given_by, again = excluded.again, rating = excluded.rating,
               note = excluded.note, changed_at = excluded.changed_at
        """,
        uow.community_id,
        visit_id,
        side,
        given_by,
        again,
        rating,
        note,
        uow.clock.now(),
    )


async def pairs(
    uow: UnitOfWork, elder_ids: Sequence[UUID], volunteer_ids: Sequence[UUID] | None
) -> list[dict[str, Any]]:
    """Return what each of the elders has had with each volunteer, or each of these volunteers."""
    connection = await uow.connection()
    rows = await connection.fetch(PAIRS, uow.community_id, list(elder_ids), volunteer_ids)
    return [dict(row) for row in rows]


async def kept(uow: UnitOfWork, volunteer_ids: Sequence[UUID], since: datetime) -> list[dict[str, Any]]:
    """Return how the volunteers kept the promises that began at ``since`` or after."""
    connection = await uow.connection()
    return [dict(row) for row in await connection.fetch(KEPT, uow.community_id, list(volunteer_ids), since)]
