"""What the fairness report reads of requests and visits: figures only, nobody's name or id."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from pointsbank.domain.help_request import RequestState
from pointsbank.platform.database import UnitOfWork

COUNTED = tuple(state.value for state in RequestState if state is not RequestState.CANCELLED)
"""An elder who calls off is neither served nor left waiting."""

ASKINGS = """
SELECT r.small_grid, r.kind, r.asked_at, r.starts_at, r.state, v.came_at,
       extract(year FROM age((r.starts_at AT TIME ZONE $5)::date, p.born_on))::int AS age
  FROM bank.help_requests r
  JOIN bank.people p ON p.community_id = r.community_id AND p.id = r.elder_id
  LEFT JOIN LATERAL (
       SELECT min(a.checked_in_at) AS came_at FROM bank.visits a
        WHERE a.community_id = r.community_id AND a.help_request_id = r.id
          AND a.state NOT IN ('cancelled', 'no_show_volunteer', 'no_show_elder')) v ON TRUE
 WHERE r.community_id = $1 AND r.state = ANY ($2::text[]) AND r.starts_at >= $3
 ORDER BY r.starts_at DESC, r.id LIMIT $4
"""
WORK = """
WITH made AS (
     SELECT volunteer_id, count(*) AS visits, coalesce(sum(minutes), 0) AS minutes FROM bank.visits
      WHERE community_id = $1 AND planned_start >= $2 AND planned_start <= $3 AND checked_in_at IS NOT NULL
        AND state = ANY ($4::text[])
      GROUP BY volunteer_id),
     active AS (
     SELECT DISTINCT f.volunteer_id FROM bank.free_hours f
       JOIN bank.person_roles r ON r.community_id = f.community_id AND r.person_id = f.volunteer_id
        AND r.role = 'volunteer'
      WHERE f.community_id = $1)
SELECT coalesce(made.visits, 0)::int AS visits, coalesce(made.minutes, 0)::int AS minutes
  FROM active FULL JOIN made USING (volunteer_id) ORDER BY minutes, visits
"""
MADE = ("under_way", "missing", "done", "disputed", "confirmed")
"""States of visits to which somebody came."""


class AskingRow(TypedDict):
    """A request as the report needs it. came_at: when the first who came began; age: on the day asked for."""

    small_grid: int
    kind: str
    asked_at: datetime
    starts_at: datetime
    state: str
    came_at: datetime | None
    age: int | None


async def askings(uow: UnitOfWork, since: datetime, limit: int, timezone: str) -> list[AskingRow]:
    """Return requests for a time from ``since`` on that were not called off, the latest first."""
    connection = await uow.connection()
    rows = await connection.fetch(ASKINGS, uow.community_id, list(COUNTED), since, limit, timezone)
    return [
        AskingRow(
            small_grid=row["small_grid"],
            kind=row["kind"],
            asked_at=row["asked_at"],
            starts_at=row["starts_at"],
            state=row["state"],
            came_at=row["came_at"],
            age=row["age"],
        )
        for row in rows
    ]


async def work(uow: UnitOfWork, since: datetime, until: datetime) -> list[tuple[int, int]]:
    """Return visits and minutes of each active volunteer, the least first.

    Active is who has said when they are free, or made a visit for a time in [since, until].
    """
    connection = await uow.connection()
    rows = await connection.fetch(WORK, uow.community_id, since, until, list(MADE))
    return [(row["visits"], row["minutes"]) for row in rows]
