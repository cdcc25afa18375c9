"""Rows of visits as they are attended: check-in and check-out, real times, overlaps, no-shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pointsbank.domain.visit import VisitState
from pointsbank.platform.database import UnitOfWork

OVERLAPPING = """
SELECT id FROM bank.visits
 WHERE community_id = $1 AND volunteer_id = $2 AND id <> $3
   AND state IN ('under_way', 'missing', 'done', 'disputed', 'confirmed')
   AND checked_in_at < $5
   AND coalesce(checked_out_at, CASE WHEN state = 'missing' THEN planned_end ELSE 'infinity' END) > $4
 ORDER BY id
"""


async def overlapping(
    uow: UnitOfWork, visit_id: UUID, volunteer_id: UUID, start: datetime, end: datetime | None
) -> list[UUID]:
    """Return the volunteer's other visits whose real times reach into [start, end).

    end: None for a visit that goes on. One that was never checked out is taken to have ended as planned.
    """
    connection = await uow.connection()
    # A moment is enough of a visit that has only begun: whatever is open at its start overlaps it.
    until = end or start + timedelta(microseconds=1)
    rows = await connection.fetch(OVERLAPPING, uow.community_id, volunteer_id, visit_id, start, until)
    return [row["id"] for row in rows]


async def pairs_on(
    uow: UnitOfWork, row: dict[str, Any], start: datetime, end: datetime, *, confirmed: bool = False
) -> int:
    """Return how many other visits of the same activity there are in [start, end): by end, or by begin."""
    connection = await uow.connection()
    states = ["confirmed"] if confirmed else ["under_way", "missing", "done", "disputed", "confirmed"]
    return int(
        await connection.fetchval(
            """
            SELECT count(*) FROM bank.visits
             WHERE community_id = $1 AND volunteer_id = $2 AND elder_id = $3 AND kind = $4 AND id <> $5
               AND state = ANY ($8::text[]) AND NOT nobody_home
               AND coalesce(checked_out_at, checked_in_at) >= $6 AND coalesce(checked_out_at, checked_in_at) <
               $7
            """,
            uow.community_id,
            row["volunteer_id"],
            row["elder_id"],
            row["kind"],
            row["id"],
            start,
            end,
            states,
        )
    )


async def set_checked_in(
    uow: UnitOfWork, visit_id: UUID, at: datetime, *, method: str, late_minutes: int, overlap: UUID | None
) -> None:
    """Note the check-in."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET state = 'under_way', checked_in_at = $3, check_in_method = $4, late_minutes =
        $5,
                               overlap_with = $6
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        visit_id,
        at,
        method,
        late_minutes,
        overlap,
    )


async def set_over(
    uow: UnitOfWork,
    visit_id: UUID,
    *,
    checked_in_at: datetime,
    checked_out_at: datetime,
    minutes: int,
    method: str,
    overlap: UUID | None,
) -> None:
    """Note that a visit is done: its real times and the minutes between."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET state = 'done', checked_in_at = $3, checked_out_at = $4, minutes = $5,
                               check_in_method = coalesce(check_in_method, $6), check_out_method = $6,
                               overlap_with = $7
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        visit_id,
        checked_in_at,
        checked_out_at,
        minutes,
        method,
        overlap,
    )


async def set_times_by(uow: UnitOfWork, visit_id: UUID, *, by: UUID, why: str, late_minutes: int) -> None:
    """Note who put a visit's times right, and that nobody has confirmed these yet."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET times_by = $3, times_why = $4, late_minutes = $5, also_confirmed_by = NULL,
                               also_method = NULL, also_confirmed_at = NULL
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        visit_id,
        by,
        why,
        late_minutes,
    )


async def set_called_back(uow: UnitOfWork, visit_id: UUID, *, by: UUID) -> None:
    """Note who stated a time of a visit by phone."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.visits SET times_by = $3 WHERE community_id = $1 AND id = $2",
        uow.community_id,
        visit_id,
        by,
    )


async def set_nobody_home(uow: UnitOfWork, visit_id: UUID) -> None:
    """Note that nobody was at home."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.visits SET nobody_home = true WHERE community_id = $1 AND id = $2",
        uow.community_id,
        visit_id,
    )


async def set_also_confirmed(uow: UnitOfWork, visit_id: UUID, *, by: UUID, method: str, at: datetime) -> None:
    """Note the first of the two confirmations a long visit needs."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET also_confirmed_by = $3, also_method = $4, also_confirmed_at = $5
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        visit_id,
        by,
        method,
        at,
    )


async def clear_overlaps(uow: UnitOfWork, ids: Sequence[UUID]) -> None:
    """Note that visits overlap no longer."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET overlap_with = NULL
         WHERE community_id = $1 AND id = ANY ($2::uuid[]) AND overlap_with IS NOT NULL
        """,
        uow.community_id,
        list(ids),
    )


async def insert_recorded(
    uow: UnitOfWork,
    visit_id: UUID,
    *,
    volunteer_id: UUID,
    elder_id: UUID,
    kind: str,
    started_at: datetime,
    ended_at: datetime,
    minutes: int,
    recorded_by: UUID,
    method: str,
    overlap: UUID | None,
) -> None:
    """Insert a done visit that is recorded afterwards."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.visits (community_id, id, volunteer_id, elder_id, kind, planned_start, planned_end,
                                 checked_in_at, checked_out_at, minutes, state, recorded_by, check_in_method,
                                 check_out_method, overlap_with, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7, $8, 'done', $9, $10, $10, $11, $12)
        """,
        uow.community_id,
        visit_id,
        volunteer_id,
        elder_id,
        kind,
        started_at,
        ended_at,
        minutes,
        recorded_by,
        method,
        overlap,
        uow.clock.now(),
    )


async def recorded_between(uow: UnitOfWork, volunteer_id: UUID, start: datetime, end: datetime) -> int:
    """Return how many visits of the volunteer were recorded afterwards in [start, end), cancelled ones
    too."""
    connection = await uow.connection()
    return int(
        await connection.fetchval(
            """
            SELECT count(*) FROM bank.visits
             WHERE community_id = $1 AND volunteer_id = $2 AND recorded_by IS NOT NULL
               AND created_at >= $3 AND created_at < $4
            """,
            uow.community_id,
            volunteer_id,
            start,
            end,
        )
    )


async def overdue(
    uow: UnitOfWork, state: VisitState, *, started_by: datetime | None, ended_by: datetime | None, limit: int
) -> list[UUID]:
    """Return visits in ``state`` whose agreed start or end lies at or before a moment, oldest first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id FROM bank.visits
         WHERE community_id = $1 AND state = $2 AND ($3::timestamptz IS NULL OR planned_start <= $3)
           AND ($4::timestamptz IS NULL OR greatest(planned_end, checked_in_at) <= $4)
         ORDER BY planned_start, id LIMIT $5
        """,
        uow.community_id,
        state.value,
        started_by,
        ended_by,
        limit,
    )
    return [row["id"] for row in rows]


async def planned_for_nothing(uow: UnitOfWork, limit: int) -> list[UUID]:
    """Return visits planned for a request that has expired or was cancelled."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT v.id FROM bank.visits v
          JOIN bank.help_requests r ON r.community_id = $1 AND r.id = v.help_request_id
         WHERE v.community_id = $1 AND v.state = 'planned' AND r.state IN ('expired', 'cancelled')
         ORDER BY v.id LIMIT $2
        """,
        uow.community_id,
        limit,
    )
    return [row["id"] for row in rows]
