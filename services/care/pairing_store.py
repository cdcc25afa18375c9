"""What pairing asks of visits and help requests, each in one query for all volunteers at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.platform.database import UnitOfWork


async def commitments(
    uow: UnitOfWork, volunteer_ids: Collection[UUID], start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """Return the visits, planned or made, that touch [start, end), in order, with where they are.

    Where: the building that was asked for, else the elder's own.
    stands: whether the volunteer still has to be there. minutes: as made, else as planned.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT v.volunteer_id, v.kind, v.planned_start AS start, v.planned_end AS "end",
               v.state IN ('planned', 'under_way') AS stands,
               coalesce(v.minutes, extract(epoch FROM v.planned_end - v.planned_start)::int / 60) AS minutes,
               b.small_grid, b.east_m, b.north_m
          FROM bank.visits v
          JOIN bank.people e ON e.community_id = v.community_id AND e.id = v.elder_id
          LEFT JOIN bank.help_requests r ON r.community_id = v.community_id AND r.id = v.help_request_id
          LEFT JOIN bank.buildings b ON b.community_id = v.community_id
                                    AND b.id = coalesce(r.building_id, e.building_id)
         WHERE v.community_id = $1 AND v.volunteer_id = ANY ($2::uuid[])
           AND v.state IN ('planned', 'under_way', 'done', 'confirmed')
           AND v.planned_start > $3::timestamptz - interval '1 day'
           AND v.planned_start < $4 AND v.planned_end > $3
         ORDER BY v.volunteer_id, v.planned_start, v.id
        """,
        uow.community_id,
        list(volunteer_ids),
        start,
        end,
    )
    return [dict(row) for row in rows]


async def service_so_far(
    uow: UnitOfWork, volunteer_ids: Collection[UUID], since: datetime, visits_max: int
) -> list[dict[str, Any]]:
    """Return, by volunteer, the minutes served since a moment and the visits ever made, up to a number.

    Counting stops at ``visits_max``, so that the oldest volunteers cost no more than the newest.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT u.id AS volunteer_id, coalesce(recent.minutes, 0)::int AS minutes, ever.visits::int AS visits
          FROM unnest($2::uuid[]) AS u(id)
         CROSS JOIN LATERAL (
               SELECT sum(v.minutes) AS minutes FROM bank.visits v
                WHERE v.community_id = $1 AND v.volunteer_id = u.id AND v.planned_start >= $3
                  AND v.state IN ('done', 'confirmed')) recent
         CROSS JOIN LATERAL (
               SELECT count(*) AS visits FROM (
                      SELECT FROM bank.visits v
                       WHERE v.community_id = $1 AND v.volunteer_id = u.id
                         AND v.state IN ('done', 'confirmed') LIMIT $4) made) ever
        """,
        uow.community_id,
        list(volunteer_ids),
        since,
        visits_max,
    )
    return [dict(row) for row in rows]


async def visits_between(
    uow: UnitOfWork, elder_ids: Collection[UUID], volunteer_ids: Collection[UUID] | None
) -> list[dict[str, Any]]:
    """Return how many confirmed visits each volunteer, or each of these, made to each of the elders."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT elder_id, volunteer_id, count(*)::int AS visits FROM bank.visits
         WHERE community_id = $1 AND elder_id = ANY ($2::uuid[]) AND state = 'confirmed'
           AND ($3::uuid[] IS NULL OR volunteer_id = ANY ($3))
         GROUP BY elder_id, volunteer_id
        """,
        uow.community_id,
        list(elder_ids),
        None if volunteer_ids is None else list(volunteer_ids),
    )
    return [dict(row) for row in rows]


async def open_ahead(uow: UnitOfWork, small_grids: Collection[int], now: datetime, limit: int) -> list[UUID]:
    """Return requests in these grids that may still begin after ``now``, most urgent, soonest first.

    Open ones, and those for two carers that are offered in part.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id FROM bank.help_requests
         WHERE community_id = $1 AND (state = 'open' OR state = 'offered' AND carers > 1)
           AND latest_start > $2 AND small_grid = ANY ($3::int[])
         ORDER BY urgency DESC, starts_at, id LIMIT $4
        """,
        uow.community_id,
        now,
        list(small_grids),
        limit,
    )
    return [row["id"] for row in rows]
