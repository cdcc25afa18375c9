"""Rows of visits. The database refuses double booking; here that refusal gets its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from pointsbank.domain.visit import CancelledWhy, OverlappingVisit, VisitState
from pointsbank.platform.database import UnitOfWork

VISIT = """
SELECT id, help_request_id, volunteer_id, elder_id, kind, planned_start, planned_end, checked_in_at,
       checked_out_at, minutes, state, confirmed_by, confirmation_method, strength, confirmed_at,
       policy_version, credited_minutes, clipped_milli_points, entry_number, carer, late_minutes,
       check_in_method, check_out_method, overlap_with, nobody_home, recorded_by, also_confirmed_by,
       also_method, also_confirmed_at, tier, evidence, times_by, times_why, cancelled_by, cancelled_at,
       cancelled_why, cancelled_late
  FROM bank.visits WHERE community_id = $1
"""
LATEST_FIRST = """
AND ($3::uuid IS NULL OR (planned_start, id) < (SELECT a.planned_start, a.id FROM bank.visits a
                                                 WHERE a.community_id = $1 AND a.id = $3))
ORDER BY planned_start DESC, id DESC LIMIT $4
"""
TO_CONFIRM = """
AND state = 'done' AND volunteer_id <> $2
AND recorded_by IS DISTINCT FROM $2 AND also_confirmed_by IS DISTINCT FROM $2
AND (times_by IS DISTINCT FROM $2 OR elder_id = $2)
AND NOT EXISTS (SELECT FROM bank.visits o
                 WHERE o.community_id = $1 AND o.help_request_id = visits.help_request_id
                   AND o.volunteer_id = $2
                   AND o.state NOT IN ('cancelled', 'no_show_volunteer', 'no_show_elder'))
AND (elder_id = ANY ($6::uuid[]) OR $3::int[] IS NULL
     OR EXISTS (SELECT FROM bank.help_requests r WHERE r.community_id = $1 AND r.id = help_request_id
                   AND r.small_grid = ANY ($3)))
AND ($4::uuid IS NULL OR id > $4)
ORDER BY id LIMIT $5
"""


@contextmanager
def overlaps_named() -> Iterator[None]:
    """Turn a refusal by an exclusion constraint of visits into OverlappingVisit."""
    try:
        yield
    except asyncpg.ExclusionViolationError as error:
        raise OverlappingVisit from error


async def insert_planned(
    uow: UnitOfWork,
    visit_id: UUID,
    request: dict[str, Any],
    volunteer_id: UUID,
    *,
    starts_at: datetime,
    ends_at: datetime,
    carer: int,
) -> None:
    """Insert a planned visit for a request, in one of its places. Raises OverlappingVisit."""
    connection = await uow.connection()
    with overlaps_named():
        await connection.execute(
            """
            INSERT INTO bank.visits (community_id, id, help_request_id, volunteer_id, elder_id, kind,
                                     planned_start, planned_end, state, created_at, carer)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'planned', $9, $10)
            """,
            uow.community_id,
            visit_id,
            request["id"],
            volunteer_id,
            request["elder_id"],
            request["kind"],
            starts_at,
            ends_at,
            uow.clock.now(),
            carer,
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


async def cancel_planned(uow: UnitOfWork, request_id: UUID, *, by: UUID, notice: timedelta) -> None:
    """Call off for the elder whatever is planned for a request, locked before.

    notice: what begins sooner than so long from now is called off late.
    """
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET state = 'cancelled', cancelled_why = 'elder', cancelled_by = $3,
                               cancelled_at = $4::timestamptz,
                               cancelled_late = planned_start < $4::timestamptz + $5::interval
         WHERE community_id = $1 AND help_request_id = $2 AND state = 'planned'
        """,
        uow.community_id,
        request_id,
        by,
        uow.clock.now(),
        notice,
    )


async def call_off(
    uow: UnitOfWork, visit_id: UUID, *, why: CancelledWhy, by: UUID | None, late: bool = False
) -> None:
    """Call a planned visit off, locked before."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET state = 'cancelled', cancelled_why = $3, cancelled_by = $4, cancelled_at = $5,
                               cancelled_late = $6
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        visit_id,
        why.value,
        by,
        uow.clock.now(),
        late,
    )


async def excuse_late(uow: UnitOfWork, visit_id: UUID) -> None:
    """Note that a visit, locked before, was called off in good time after all."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.visits SET cancelled_late = false WHERE community_id = $1 AND id = $2",
        uow.community_id,
        visit_id,
    )


async def planned_between(uow: UnitOfWork, elder_id: UUID, volunteer_id: UUID) -> list[UUID]:
    """Return what a volunteer has agreed with an elder for later, in the order in which it is locked."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id FROM bank.visits
         WHERE community_id = $1 AND elder_id = $2 AND volunteer_id = $3 AND state = 'planned'
           AND planned_start > $4
         ORDER BY help_request_id, id
        """,
        uow.community_id,
        elder_id,
        volunteer_id,
        uow.clock.now(),
    )
    return [row["id"] for row in rows]


async def pairs_ahead(uow: UnitOfWork) -> list[tuple[UUID, UUID]]:
    """Return the elders and volunteers who have agreed something for later."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT DISTINCT elder_id, volunteer_id FROM bank.visits
         WHERE community_id = $1 AND state = 'planned' AND planned_start > $2
         ORDER BY elder_id, volunteer_id
        """,
        uow.community_id,
        uow.clock.now(),
    )
    return [(row["elder_id"], row["volunteer_id"]) for row in rows]


async def states_of_request(uow: UnitOfWork, request_id: UUID) -> tuple[list[str], int]:
    """Return the states of a request's visits, and how many places it has."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT state FROM bank.visits WHERE community_id = $1 AND help_request_id = $2",
        uow.community_id,
        request_id,
    )
    carers = await connection.fetchval(
        "SELECT carers FROM bank.help_requests WHERE community_id = $1 AND id = $2",
        uow.community_id,
        request_id,
    )
    return [row["state"] for row in rows], int(carers or 1)


async def places_taken(uow: UnitOfWork, request_id: UUID) -> list[tuple[int, UUID]]:
    """Return the places of a request that are taken, and by whom."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT carer, volunteer_id FROM bank.visits
         WHERE community_id = $1 AND help_request_id = $2
           AND state NOT IN ('cancelled', 'no_show_volunteer', 'no_show_elder')
        """,
        uow.community_id,
        request_id,
    )
    return [(row["carer"], row["volunteer_id"]) for row in rows]


async def count_asked(uow: UnitOfWork, request_id: UUID, now: datetime) -> int:
    """Return how many have been offered a place of a request and may still accept."""
    connection = await uow.connection()
    found: int = await connection.fetchval(
        """
        SELECT count(*) FROM bank.offers
         WHERE community_id = $1 AND help_request_id = $2 AND state = 'offered' AND expires_at > $3
        """,
        uow.community_id,
        request_id,
        now,
    )
    return found


async def set_state(uow: UnitOfWork, visit_id: UUID, state: VisitState) -> None:
    """Put a visit, locked before, into ``state``."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.visits SET state = $3, cancelled_why = NULL, cancelled_by = NULL, cancelled_at = NULL,
                               cancelled_late = false
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        visit_id,
        state.value,
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
    tier: int,
    evidence: int,
) -> None:
    """Note the confirmation and what it earned. Raises OverlappingVisit."""
    connection = await uow.connection()
    with overlaps_named():
        await connection.execute(
            """
            UPDATE bank.visits
               SET state = 'confirmed', confirmed_by = $3, confirmation_method = $4, strength = $5,
                   confirmed_at = $6, policy_version = $7, credited_minutes = $8, clipped_milli_points = $9,
                   entry_number = $10, tier = $11, evidence = $12, overlap_with = NULL
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
            tier,
            evidence,
        )


async def of_volunteer(
    uow: UnitOfWork, volunteer_id: UUID, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Return a volunteer's visits, latest planned first, beyond ``after``."""
    return await _fetch(uow, VISIT + "AND volunteer_id = $2" + LATEST_FIRST, volunteer_id, after, limit)


async def of_elder(uow: UnitOfWork, elder_id: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Return the visits to an elder, latest planned first, beyond ``after``."""
    return await _fetch(uow, VISIT + "AND elder_id = $2" + LATEST_FIRST, elder_id, after, limit)


async def to_confirm(
    uow: UnitOfWork,
    person_id: UUID,
    elders: Sequence[UUID],
    grids: Sequence[int] | None,
    after: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return done visits to one of ``elders`` or in ``grids`` (None: anywhere), in id order.

    Not those that ``person_id`` made, recorded, put right (but to themselves), or has confirmed already, nor
    of a request for which they are the other carer.
    """
    return await _fetch(
        uow,
        VISIT + TO_CONFIRM,
        person_id,
        grids,
        after,
        limit,
        list(elders),
    )


async def unsettled(uow: UnitOfWork, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Return visits that are missing, disputed, or done and overlap another, beyond ``after``, in id
    order."""
    return await _fetch(
        uow,
        VISIT
        + """
        AND (state IN ('missing', 'disputed') OR overlap_with IS NOT NULL)
        AND state IN ('missing', 'disputed', 'under_way', 'done') AND ($2::uuid IS NULL OR id > $2)
        ORDER BY id LIMIT $3
        """,
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
