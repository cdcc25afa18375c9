"""Rows of occurrences for which no request could be made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pointsbank.platform.database import UnitOfWork


async def note(
    uow: UnitOfWork, series_id: UUID, occurrences: Sequence[datetime], *, reason: str, detail: str | None
) -> None:
    """Note that occurrences could not be made, once more where that is known. What is settled stays so."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.unmade_occurrences AS u (community_id, series_id, occurrence, reason, detail, tries,
                                                  failed_at, tried_at)
        SELECT $1, $2, o.at, $4, $5, 1, $6, $6 FROM unnest($3::timestamp[]) AS o (at)
        ON CONFLICT (community_id, series_id, occurrence) DO UPDATE
           SET reason = excluded.reason, detail = excluded.detail, tries = u.tries + 1,
               tried_at = excluded.tried_at
         WHERE u.settled_at IS NULL
        """,
        uow.community_id,
        series_id,
        list(occurrences),
        reason,
        detail,
        uow.clock.now(),
    )


async def to_try(
    uow: UnitOfWork, *, after: datetime, every: timedelta, limit: int
) -> list[tuple[UUID, datetime]]:
    """Return what lies after a moment on the clock on the wall and was not tried for ``every``, by series."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT series_id, occurrence FROM bank.unmade_occurrences
         WHERE community_id = $1 AND settled_at IS NULL AND occurrence > $2 AND tried_at <= $3
         ORDER BY tried_at, series_id, occurrence LIMIT $4
        """,
        uow.community_id,
        after,
        uow.clock.now() - every,
        limit,
    )
    return [(row["series_id"], row["occurrence"]) for row in rows]


async def settle(
    uow: UnitOfWork, series_id: UUID, *, at: datetime | None = None, after: datetime | None = None
) -> None:
    """Note that an occurrence of a series, or all after a moment on the wall, are not to be tried again."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.unmade_occurrences SET settled_at = $5
         WHERE community_id = $1 AND series_id = $2 AND settled_at IS NULL
           AND ($3::timestamp IS NULL OR occurrence = $3) AND ($4::timestamp IS NULL OR occurrence > $4)
        """,
        uow.community_id,
        series_id,
        at,
        after,
        uow.clock.now(),
    )


async def unsettled(uow: UnitOfWork, since: datetime, limit: int) -> list[dict[str, Any]]:
    """Return what has no request, from a moment on the wall on, the next that is to come first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT u.series_id, s.elder_id, p.name AS elder_name, s.kind, u.occurrence, u.reason, u.detail,
               u.tries, u.failed_at, u.tried_at
          FROM bank.unmade_occurrences u
          JOIN bank.request_series s ON s.community_id = $1 AND s.id = u.series_id
          JOIN bank.people p ON p.community_id = $1 AND p.id = s.elder_id
         WHERE u.community_id = $1 AND u.settled_at IS NULL AND u.occurrence >= $2
         ORDER BY u.occurrence, u.series_id LIMIT $3
        """,
        uow.community_id,
        since,
        limit,
    )
    return [dict(row) for row in rows]
