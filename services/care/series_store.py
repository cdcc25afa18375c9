"""Rows of series and of the occurrences that are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from pointsbank.domain.asked_time import Timing
from pointsbank.domain.help_request import AskedThrough
from pointsbank.domain.series import DuplicateSeries
from pointsbank.platform.database import UnitOfWork
from services.care.views import AskAgainAndAgain

SERIES = """
SELECT id, elder_id, asked_by, asked_through, kind, minutes, timing, slot, window_minutes, first_at, last_on,
       rule, holidays, urgency, note, building_id, gender_wanted, gender_hard, language_wanted, same_carer,
       similar_meant, asked_at, made_through, ended_at
  FROM bank.request_series WHERE community_id = $1
"""


@contextmanager
def _twice_named() -> Iterator[None]:
    """Turn the refusal of a series told in the same words as another into DuplicateSeries."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "uq_request_series_standing":
            raise
        raise DuplicateSeries(series=None, occurrence=None) from error


async def insert_series(
    uow: UnitOfWork,
    series_id: UUID,
    command: AskAgainAndAgain,
    *,
    asked_by: UUID,
    asked_through: AskedThrough,
    timing: Timing,
    last_on: date,
    note: str | None,
) -> None:
    """Insert a series. Raises DuplicateSeries (the unit of work can then only be given up)."""
    connection = await uow.connection()
    wanted = command.preferences
    with _twice_named():
        await connection.execute(
            """
            INSERT INTO bank.request_series (
                   community_id, id, elder_id, asked_by, asked_through, kind, minutes, timing, slot,
                   window_minutes, first_at, last_on, rule, holidays, urgency, note, building_id,
                   gender_wanted, gender_hard, language_wanted, same_carer, asked_at, similar_meant)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                    $21, $22, $23)
            """,
            uow.community_id,
            series_id,
            command.elder_id,
            asked_by,
            asked_through.value,
            command.kind,
            command.minutes,
            timing.value,
            command.slot,
            command.window_minutes,
            command.first_at,
            last_on,
            command.rule,
            command.holidays.value,
            command.urgency,
            note,
            command.building_id,
            wanted.gender_wanted,
            wanted.gender_hard,
            wanted.language_wanted,
            wanted.same_carer,
            uow.clock.now(),
            command.even_if_similar,
        )


async def standing_of_kind(uow: UnitOfWork, elder_id: UUID, kind: str, day: date) -> list[dict[str, Any]]:
    """Return an elder's series of a kind that stand and go on to ``day`` at least, the oldest first."""
    return await _fetch(
        uow,
        SERIES + "AND elder_id = $2 AND kind = $3 AND ended_at IS NULL AND last_on >= $4 ORDER BY id",
        elder_id,
        kind,
        day,
    )


async def lock_series(uow: UnitOfWork, series_id: UUID) -> dict[str, Any] | None:
    """Lock a series and return its row, or None."""
    found = await _fetch(uow, SERIES + "AND id = $2 FOR NO KEY UPDATE", series_id)
    return found[0] if found else None


async def lock_free(uow: UnitOfWork, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Lock and return those of the series that stand, but those being changed."""
    return await _fetch(
        uow,
        SERIES + "AND id = ANY ($2::uuid[]) AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
        list(ids),
    )


async def lock_unmade(uow: UnitOfWork, through: date, limit: int) -> list[dict[str, Any]]:
    """Lock and return series whose requests are not made through a day, but those being changed."""
    return await _fetch(
        uow,
        SERIES
        + """
        AND ended_at IS NULL AND (made_through IS NULL OR made_through < least(last_on, $2::date))
        ORDER BY made_through NULLS FIRST, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
        """,
        through,
        limit,
    )


async def series_of(uow: UnitOfWork, elder_id: UUID, limit: int) -> list[dict[str, Any]]:
    """Return an elder's series, those that stand first, then the newest."""
    return await _fetch(
        uow,
        SERIES + "AND elder_id = $2 ORDER BY ended_at IS NOT NULL, id DESC LIMIT $3",
        elder_id,
        limit,
    )


async def count_standing(uow: UnitOfWork, elder_id: UUID, today: date) -> int:
    """Return how many series of an elder have not ended."""
    connection = await uow.connection()
    count: int = await connection.fetchval(
        """
        SELECT count(*) FROM bank.request_series
         WHERE community_id = $1 AND elder_id = $2 AND ended_at IS NULL AND last_on >= $3
        """,
        uow.community_id,
        elder_id,
        today,
    )
    return count


async def exceptions(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, set[datetime]]:
    """Return the occurrences that are left out, by series; every one of ``ids`` is there."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT series_id, occurrence FROM bank.series_exceptions
         WHERE community_id = $1 AND series_id = ANY ($2::uuid[])
        """,
        uow.community_id,
        list(ids),
    )
    left_out: dict[UUID, set[datetime]] = {series_id: set() for series_id in ids}
    for row in rows:
        left_out[row["series_id"]].add(row["occurrence"])
    return left_out


async def insert_exception(uow: UnitOfWork, series_id: UUID, occurrence: datetime, set_by: UUID) -> None:
    """Leave an occurrence out; one that is left out already stays so."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.series_exceptions (community_id, series_id, occurrence, set_by, set_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        series_id,
        occurrence,
        set_by,
        uow.clock.now(),
    )


async def set_made(uow: UnitOfWork, series_id: UUID, through: date) -> None:
    """Note through which day the requests of a series, locked before, have been made."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.request_series SET made_through = $3 WHERE community_id = $1 AND id = $2",
        uow.community_id,
        series_id,
        through,
    )


async def set_ended(uow: UnitOfWork, series_id: UUID, ended_by: UUID) -> None:
    """End a series, locked before."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.request_series SET ended_by = $3, ended_at = $4
         WHERE community_id = $1 AND id = $2 AND ended_at IS NULL
        """,
        uow.community_id,
        series_id,
        ended_by,
        uow.clock.now(),
    )


async def made(uow: UnitOfWork, series_id: UUID, occurrence: datetime | None = None) -> list[UUID]:
    """Return the requests of a series (of one occurrence) that can be cancelled, in order of id."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id FROM bank.help_requests
         WHERE community_id = $1 AND series_id = $2 AND ($3::timestamp IS NULL OR occurrence = $3)
           AND state IN ('open', 'offered', 'accepted') ORDER BY id
        """,
        uow.community_id,
        series_id,
        occurrence,
    )
    return [row["id"] for row in rows]


async def _fetch(uow: UnitOfWork, query: str, *arguments: Any) -> list[dict[str, Any]]:
    connection = await uow.connection()
    return [dict(row) for row in await connection.fetch(query, uow.community_id, *arguments)]
