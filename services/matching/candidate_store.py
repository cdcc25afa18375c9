"""Who may be able to take one request: one query that leaves out most who cannot, by index.

It reads what other rooms keep, because it is asked while somebody waits: what it finds is judged again by
the domain's rules, from what those rooms' services say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from pointsbank.platform.database import UnitOfWork


@dataclass(frozen=True, slots=True)
class LocalWindow:
    """Where a request's starts lie on one local day: minutes from midnight, both included."""

    day: date
    first_minute: int
    last_minute: int


async def possible_volunteers(
    uow: UnitOfWork,
    request_id: UUID,
    *,
    small_grid: int,
    near_grids: Collection[int],
    windows: Sequence[LocalWindow],
    earliest_start: datetime,
    latest_start: datetime,
    minutes: int,
    skill: str | None,
    proven: bool,
) -> list[UUID]:
    """Return volunteers who serve the grid, are free at a start, can do it, and are not busy at every start.

    near_grids: the grids in which who has named none serves this one. proven: the skill counts only once
    verified. Those whom the request was offered to before are left out.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        WITH w AS MATERIALIZED (
               SELECT u.day, extract(isodow FROM u.day)::int - 1 AS weekday, u.first_minute, u.last_minute
                 FROM unnest($5::date[], $6::int[], $7::int[]) AS u(day, first_minute, last_minute)),
             near AS MATERIALIZED (
               SELECT p.id FROM bank.buildings b
                 JOIN bank.people p ON p.community_id = b.community_id AND p.building_id = b.id
                 JOIN bank.person_roles r ON r.community_id = p.community_id AND r.person_id = p.id
                                         AND r.role = 'volunteer'
                WHERE b.community_id = $1 AND b.small_grid = ANY ($4::int[])
                  AND NOT EXISTS (SELECT FROM bank.served_grids g
                                   WHERE g.community_id = $1 AND g.volunteer_id = p.id)
               UNION ALL
               SELECT g.volunteer_id FROM bank.served_grids g
                 JOIN bank.person_roles r ON r.community_id = g.community_id AND r.person_id = g.volunteer_id
                                         AND r.role = 'volunteer'
                WHERE g.community_id = $1 AND g.small_grid = $3),
             able AS MATERIALIZED (
               SELECT n.id FROM near n
                WHERE $11::text IS NULL
                   OR EXISTS (SELECT FROM bank.volunteer_skills s
                               WHERE s.community_id = $1 AND s.volunteer_id = n.id AND s.skill = $11
                                 AND (s.verified_at IS NOT NULL OR NOT $12)
                                 AND (s.valid_until IS NULL OR s.valid_until >= ($5::date[])[1])))
        SELECT a.id FROM able a
         WHERE (EXISTS (SELECT FROM w JOIN bank.free_hours f
                            ON f.community_id = $1 AND f.volunteer_id = a.id AND f.weekday = w.weekday
                           AND f.from_minute <= w.last_minute AND f.to_minute > w.first_minute)
                OR EXISTS (SELECT FROM w JOIN bank.hours_exceptions x
                              ON x.community_id = $1 AND x.volunteer_id = a.id AND x.kind = 'free'
                             AND x.day BETWEEN w.day - 1 AND w.day))
           AND NOT EXISTS (SELECT FROM bank.visits v
                            WHERE v.community_id = $1 AND v.volunteer_id = a.id
                              AND v.state IN ('planned', 'under_way')
                              AND v.planned_start BETWEEN $8::timestamptz - interval '1 day' AND $8 + $10
                              AND v.planned_start < $8 + $10 AND v.planned_end > $9)
           AND NOT EXISTS (SELECT FROM bank.offers o
                            WHERE o.community_id = $1 AND o.volunteer_id = a.id AND o.help_request_id = $2
                              AND o.state <> 'replaced')
        """,
        uow.community_id,
        request_id,
        small_grid,
        list(near_grids),
        [window.day for window in windows],
        [window.first_minute for window in windows],
        [window.last_minute for window in windows],
        earliest_start,
        latest_start,
        timedelta(minutes=minutes),
        skill,
        proven,
    )
    return [row["id"] for row in rows]
