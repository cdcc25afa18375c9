"""What volunteers have said of themselves and where they are expected, in one statement for many of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypedDict, cast
from uuid import UUID

from pointsbank.domain.availability import Limits, Skill
from pointsbank.domain.free_hours import ExceptionKind, FreeHour, HoursException
from pointsbank.platform.database import UnitOfWork

KINDS = {each.value: each for each in ExceptionKind}


@dataclass(frozen=True, slots=True)
class Said:
    """What volunteers have said, by volunteer; who has said nothing of something is left out there."""

    hours: Mapping[UUID, list[FreeHour]] = field(default_factory=lambda: defaultdict(list))
    exceptions: Mapping[UUID, list[HoursException]] = field(default_factory=lambda: defaultdict(list))
    skills: Mapping[UUID, list[Skill]] = field(default_factory=lambda: defaultdict(list))
    grids: Mapping[UUID, set[int]] = field(default_factory=lambda: defaultdict(set))
    limits: dict[UUID, Limits] = field(default_factory=dict)


async def said(uow: UnitOfWork, volunteer_ids: Sequence[UUID], first: date, last: date) -> Said:
    """Return what these volunteers have said: hours and exceptions in order.

    Exceptions are those on local days from ``first`` to ``last``, both included.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT 1 AS what, volunteer_id, weekday AS a, from_minute AS b, to_minute AS c,
               NULL::date AS day, NULL::text AS word, NULL::timestamptz AS at
          FROM bank.free_hours WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[])
        UNION ALL
        SELECT 2, volunteer_id, 0, from_minute, to_minute, day, kind, NULL
          FROM bank.hours_exceptions
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[]) AND day BETWEEN $3 AND $4
        UNION ALL
        SELECT 3, volunteer_id, NULL, NULL, NULL, valid_until, skill, verified_at
          FROM bank.volunteer_skills WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[])
        UNION ALL
        SELECT 4, volunteer_id, small_grid, NULL, NULL, NULL, NULL, NULL
          FROM bank.served_grids WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[])
        UNION ALL
        SELECT 5, volunteer_id, day_minutes, week_minutes, NULL, NULL, NULL, NULL
          FROM bank.volunteer_limits WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[])
         ORDER BY 1, 2, day, a, b, word
        """,
        uow.community_id,
        volunteer_ids,
        first,
        last,
    )
    found = Said()
    for what, volunteer, a, b, c, day, word, at in rows:
        if what == 1:
            found.hours[volunteer].append(FreeHour(a, b, c))
        elif what == 2:
            found.exceptions[volunteer].append(HoursException(day, b, c, KINDS[word]))
        elif what == 3:
            found.skills[volunteer].append(Skill(word, verified_at=at, valid_until=day))
        elif what == 4:
            found.grids[volunteer].add(a)
        else:
            found.limits[volunteer] = Limits(a, b)
    return found


class Expected(TypedDict):
    """An offer that waits for its answer, and where it would be; coordinates are known together or not."""

    help_request_id: UUID
    volunteer_id: UUID
    starts_at: datetime
    ends_at: datetime
    kind: str
    small_grid: int
    east_m: int | None
    north_m: int | None


async def expected(uow: UnitOfWork, volunteer_ids: Collection[UUID], now: datetime) -> list[Expected]:
    """Return the offers these volunteers can answer, but of requests that were called off or are over."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT o.help_request_id, o.volunteer_id, o.starts_at, o.ends_at, r.kind, r.small_grid, b.east_m,
               b.north_m
          FROM bank.offers o
          JOIN bank.help_requests r ON r.community_id = o.community_id AND r.id = o.help_request_id
          LEFT JOIN bank.buildings b ON b.community_id = r.community_id AND b.id = r.building_id
         WHERE o.community_id = $1 AND o.volunteer_id = ANY ($2::uuid[]) AND o.state = 'offered'
           AND o.expires_at > $3 AND r.state IN ('open', 'offered')
         ORDER BY o.id
        """,
        uow.community_id,
        list(volunteer_ids),
        now,
    )
    return [cast("Expected", dict(row)) for row in rows]
