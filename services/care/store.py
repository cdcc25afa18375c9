"""Rows of help requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pointsbank.domain.asked_time import AskedTime
from pointsbank.domain.help_request import AskedThrough, RequestState
from pointsbank.domain.preferences import Preferences
from pointsbank.domain.waiting import Escalation, WaitingRules
from pointsbank.platform.database import UnitOfWork

REQUEST = """
SELECT id, number, elder_id, small_grid, building_id, asked_by, asked_through, kind, carers, timing, slot,
       earliest_start, latest_start, starts_at, ends_at, urgency, note, gender_wanted, gender_hard,
       language_wanted, same_carer, state, asked_at, escalation, series_id
  FROM bank.help_requests WHERE community_id = $1
"""
COUNTED = ("open", "offered", "accepted", "under_way", "to_confirm", "late", "escalated")


async def take_turn(uow: UnitOfWork) -> None:
    """Wait until nobody else asks: askers take turns for the rest of their transactions.

    So no number is skipped or doubled, and of two who ask for the same the later sees the earlier.
    """
    connection = await uow.connection()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtext('bank.help_requests.number'), $1)", uow.community_id
    )


async def number_of_similar(
    uow: UnitOfWork,
    elder_id: UUID,
    kind: str,
    earliest_start: datetime,
    latest_end: datetime,
    *,
    beside: UUID | None = None,
) -> int | None:
    """Return the first request of this kind that stands and could share a moment with the time, or None.

    beside: a series whose own requests do not count.
    """
    connection = await uow.connection()
    number: int | None = await connection.fetchval(
        """
        SELECT min(number) FROM bank.help_requests
         WHERE community_id = $1 AND elder_id = $2 AND kind = $3
           AND state IN ('open', 'offered', 'accepted') AND earliest_start < $5 AND latest_end > $4
           AND ($6::uuid IS NULL OR series_id IS DISTINCT FROM $6)
        """,
        uow.community_id,
        elder_id,
        kind,
        earliest_start,
        latest_end,
        beside,
    )
    return number


async def insert_request(
    uow: UnitOfWork,
    request_id: UUID,
    *,
    elder_id: UUID,
    asked_by: UUID,
    asked_through: AskedThrough,
    kind: str,
    carers: int,
    small_grid: int,
    building_id: UUID,
    time: AskedTime,
    urgency: int,
    note: str | None,
    wanted: Preferences,
    similar_meant: bool,
    asked_at: datetime,
    series: tuple[UUID, datetime] | None = None,
) -> bool:
    """Insert an open request under the community's next number, in the turn that :func:`take_turn` gave.

    series: the series and its occurrence; one that has its request already gets no second (False).
    """
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        INSERT INTO bank.help_requests (
               community_id, id, number, elder_id, asked_by, asked_through, kind, carers, small_grid,
               building_id, timing, slot, earliest_start, latest_start, latest_end, starts_at, ends_at,
               urgency, note, gender_wanted, gender_hard, language_wanted, same_carer, similar_meant, state,
               asked_at, escalation, series_id, occurrence)
        SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6, $7, $8, $9,
               $10, $11, $12, $13, $14, $12, $15, $16, $17, $18, $19, $20, $21, $22, 'open', $23, 0, $24, $25
          FROM bank.help_requests WHERE community_id = $1
        ON CONFLICT (community_id, series_id, occurrence) DO NOTHING RETURNING id
        """,
        uow.community_id,
        request_id,
        elder_id,
        asked_by,
        asked_through.value,
        kind,
        carers,
        small_grid,
        building_id,
        time.timing.value,
        time.slot,
        time.earliest_start,
        time.latest_start,
        time.latest_end,
        time.earliest_start + timedelta(minutes=time.minutes),
        urgency,
        note,
        wanted.gender_wanted,
        wanted.gender_hard,
        wanted.language_wanted,
        wanted.same_carer,
        similar_meant,
        asked_at,
        *(series or (None, None)),
    )
    return row is not None


async def requests(uow: UnitOfWork, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return those of ``ids`` that exist, in order of number."""
    return await _fetch(uow, REQUEST + "AND id = ANY ($2::uuid[]) ORDER BY number", list(ids))


async def lock_requests(uow: UnitOfWork, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Lock those of ``ids`` that exist, in id order, and return them."""
    return await _fetch(
        uow, REQUEST + "AND id = ANY ($2::uuid[]) ORDER BY id FOR NO KEY UPDATE", sorted(set(ids))
    )


WAITS = """
 WHERE community_id = $1 AND latest_start > $2
   AND (state = 'open' OR state = 'offered' AND (carers > 1 OR $3))
"""
TO_PAIR = (
    REQUEST  # noqa: S608 - put together from fixed parts
    + """
AND id IN (
    SELECT w.id FROM (
           SELECT id, row_number() OVER (ORDER BY urgency DESC, starts_at, id) AS by_urgency,
                  row_number() OVER (ORDER BY asked_at, id) AS by_waiting
             FROM bank.help_requests
"""
    + WAITS
    + """
           ) w
     ORDER BY least(w.by_urgency, w.by_waiting), w.by_urgency LIMIT $4)
ORDER BY urgency DESC, starts_at, id
"""
)


async def to_pair(uow: UnitOfWork, now: datetime, limit: int, *, offered: bool) -> list[dict[str, Any]]:
    """Return requests that may still begin after ``now`` and are open, or offered and not all promised.

    Of more than ``limit``, half of those returned are the most urgent and soonest, and half those that were
    asked first: neither kind is left out for the other's sake.
    """
    return await _fetch(uow, TO_PAIR, now, offered, limit)


async def count_to_pair(uow: UnitOfWork, now: datetime, *, offered: bool) -> int:
    """Return how many requests :func:`to_pair` would return without a limit."""
    connection = await uow.connection()
    found: int = await connection.fetchval(
        "SELECT count(*) FROM bank.help_requests" + WAITS,  # noqa: S608 - put together from fixed parts
        uow.community_id,
        now,
        offered,
    )
    return found


async def requests_of_elder(
    uow: UnitOfWork, elder_id: UUID, after: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return an elder's requests, newest first, beyond number ``after``."""
    return await _fetch(
        uow,
        REQUEST + "AND elder_id = $2 AND ($3::bigint IS NULL OR number < $3) ORDER BY number DESC LIMIT $4",
        elder_id,
        after,
        limit,
    )


async def requests_in(
    uow: UnitOfWork, states: Sequence[RequestState], small_grid: int | None, after: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return requests in ``states`` beyond number ``after``, in order of number."""
    return await _fetch(
        uow,
        REQUEST
        + """
        AND state = ANY ($2::text[]) AND ($3::int IS NULL OR small_grid = $3)
        AND ($4::bigint IS NULL OR number > $4) ORDER BY number LIMIT $5
        """,
        [state.value for state in states],
        small_grid,
        after,
        limit,
    )


async def set_state(uow: UnitOfWork, ids: Sequence[UUID], state: RequestState) -> None:
    """Put requests, locked before, into ``state``."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.help_requests SET state = $3 WHERE community_id = $1 AND id = ANY ($2::uuid[])",
        uow.community_id,
        list(ids),
        state.value,
    )


async def set_starts(uow: UnitOfWork, starts: Mapping[UUID, datetime]) -> int:
    """Put the wanted time of requests, locked before, where it is agreed; return how many could be."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.help_requests r
           SET starts_at = u.starts_at, ends_at = u.starts_at + (r.ends_at - r.starts_at)
          FROM unnest($2::uuid[], $3::timestamptz[]) AS u (id, starts_at)
         WHERE r.community_id = $1 AND r.id = u.id AND u.starts_at BETWEEN r.earliest_start AND r.latest_start
        RETURNING r.id
        """,
        uow.community_id,
        list(starts),
        list(starts.values()),
    )
    return len(rows)


async def overdue(uow: UnitOfWork, rules: WaitingRules, now: datetime, limit: int) -> list[dict[str, Any]]:
    """Return requests that nobody has taken and of which the next one should know by ``now``."""
    return await _fetch(
        uow,
        REQUEST
        + """
        AND state IN ('open', 'offered') AND escalation < 2
        AND $2 - greatest(asked_at, earliest_start - make_interval(mins => $3)) >=
            make_interval(mins => (CASE escalation WHEN 0 THEN $4::int[] ELSE $5::int[] END)[urgency + 1])
        ORDER BY asked_at, id LIMIT $6
        """,
        now,
        rules.ahead_minutes,
        list(rules.grid_leader_minutes),
        list(rules.coordinator_minutes),
        limit,
    )


async def escalate(
    uow: UnitOfWork, rises: Sequence[tuple[UUID, Escalation, Escalation]], now: datetime
) -> int:
    """Raise requests from one level to another, those that are still at the first; return how many."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.help_requests r SET escalation = u.risen, escalated_at = $5
          FROM unnest($2::uuid[], $3::int[], $4::int[]) AS u (id, before, risen)
         WHERE r.community_id = $1 AND r.id = u.id AND r.escalation = u.before
           AND r.state IN ('open', 'offered')
        RETURNING r.id
        """,
        uow.community_id,
        [request_id for request_id, _, _ in rises],
        [int(before) for _, before, _ in rises],
        [int(risen) for _, _, risen in rises],
        now,
    )
    return len(rows)


async def escalated(uow: UnitOfWork, grids: Sequence[int] | None, limit: int) -> list[dict[str, Any]]:
    """Return requests that wait too long, the highest level and the oldest first. grids: None: all."""
    return await _fetch(
        uow,
        REQUEST
        + """
        AND state IN ('open', 'offered') AND escalation > 0 AND ($2::int[] IS NULL OR small_grid = ANY ($2))
        ORDER BY escalation DESC, asked_at, id LIMIT $3
        """,
        grids,
        limit,
    )


async def expire(uow: UnitOfWork, states: Sequence[RequestState], now: datetime) -> int:
    """Expire requests in ``states`` that cannot begin after ``now``, and count them.

    Not those being changed, nor those of which somebody has agreed to take a place.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.help_requests SET state = 'expired'
         WHERE community_id = $1 AND id IN (
               SELECT id FROM bank.help_requests r
                WHERE community_id = $1 AND state = ANY ($2::text[]) AND latest_start <= $3
                  AND NOT EXISTS (SELECT FROM bank.visits v
                                   WHERE v.community_id = $1 AND v.help_request_id = r.id
                                     AND v.state = 'planned')
                ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING id
        """,
        uow.community_id,
        [state.value for state in states],
        now,
    )
    return len(rows)


async def count_by_grid(
    uow: UnitOfWork, now: datetime, *, late_before: datetime
) -> dict[int, dict[str, int]]:
    """Return, for each small grid with requests that have not ended, the counts named in ``COUNTED``."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT small_grid,
               count(*) FILTER (WHERE state = 'open') AS open,
               count(*) FILTER (WHERE state = 'offered') AS offered,
               count(*) FILTER (WHERE state = 'accepted') AS accepted,
               count(*) FILTER (WHERE state = 'under_way') AS under_way,
               count(*) FILTER (WHERE state = 'done') AS to_confirm,
               count(*) FILTER (WHERE state IN ('open', 'offered') AND starts_at < $3
                                   OR state = 'accepted' AND starts_at < $2) AS late,
               count(*) FILTER (WHERE state IN ('open', 'offered') AND escalation > 0) AS escalated
          FROM bank.help_requests
         WHERE community_id = $1 AND state IN ('open', 'offered', 'accepted', 'under_way', 'done')
         GROUP BY small_grid
        """,
        uow.community_id,
        now,
        late_before,
    )
    return {row["small_grid"]: {name: row[name] for name in COUNTED} for row in rows}


async def _fetch(uow: UnitOfWork, query: str, *arguments: Any) -> list[dict[str, Any]]:
    connection = await uow.connection()
    return [dict(row) for row in await connection.fetch(query, uow.community_id, *arguments)]
