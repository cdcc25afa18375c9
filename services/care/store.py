"""Rows of help requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.domain.help_request import RequestState
from pointsbank.platform.database import UnitOfWork

REQUEST = """
SELECT id, number, elder_id, small_grid, asked_by, kind, starts_at, ends_at, urgency, note, state, asked_at
  FROM bank.help_requests WHERE community_id = $1
"""
COUNTED = ("open", "offered", "accepted", "under_way", "to_confirm", "late")


async def insert_request(
    uow: UnitOfWork,
    *,
    request_id: UUID,
    elder_id: UUID,
    asked_by: UUID,
    kind: str,
    small_grid: int,
    starts_at: datetime,
    ends_at: datetime,
    urgency: int,
    note: str | None,
    asked_at: datetime,
) -> None:
    """Insert an open request under the community's next number.

    Askers take turns at the number for the rest of their transactions, so that none is skipped or doubled.
    """
    connection = await uow.connection()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtext('bank.help_requests.number'), $1)", uow.community_id
    )
    await connection.execute(
        """
        INSERT INTO bank.help_requests (community_id, id, number, elder_id, asked_by, kind, small_grid,
                                        starts_at, ends_at, urgency, note, state, asked_at)
        SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10, 'open', $11
          FROM bank.help_requests WHERE community_id = $1
        """,
        uow.community_id,
        request_id,
        elder_id,
        asked_by,
        kind,
        small_grid,
        starts_at,
        ends_at,
        urgency,
        note,
        asked_at,
    )


async def requests(uow: UnitOfWork, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return those of ``ids`` that exist, in order of number."""
    return await _fetch(uow, REQUEST + "AND id = ANY ($2::uuid[]) ORDER BY number", list(ids))


async def lock_requests(uow: UnitOfWork, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Lock those of ``ids`` that exist, in id order, and return them."""
    return await _fetch(
        uow, REQUEST + "AND id = ANY ($2::uuid[]) ORDER BY id FOR NO KEY UPDATE", sorted(set(ids))
    )


async def lock_open(uow: UnitOfWork, now: datetime, limit: int) -> list[dict[str, Any]]:
    """Lock and return open requests that start after ``now``, most urgent and soonest first."""
    return await _fetch(
        uow,
        REQUEST
        + """
        AND state = 'open' AND starts_at > $2
        ORDER BY urgency DESC, starts_at, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
        """,
        now,
        limit,
    )


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


async def expire(uow: UnitOfWork, states: Sequence[RequestState], now: datetime) -> int:
    """Expire requests in ``states`` whose start is not after ``now``, but those being changed; count them."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.help_requests SET state = 'expired'
         WHERE community_id = $1 AND id IN (
               SELECT id FROM bank.help_requests
                WHERE community_id = $1 AND state = ANY ($2::text[]) AND starts_at <= $3
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
                                   OR state = 'accepted' AND starts_at < $2) AS late
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
