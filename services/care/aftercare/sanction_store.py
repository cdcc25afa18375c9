"""Rows of sanctions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.platform.database import UnitOfWork

SANCTION = """
SELECT id, person_id, kind, from_at, until_at, why, complaint_id, decided_by, lifted_by, lifted_at
  FROM bank.sanctions WHERE community_id = $1
"""


async def insert(
    uow: UnitOfWork,
    sanction_id: UUID,
    *,
    person_id: UUID,
    kind: str,
    until_at: datetime,
    why: str,
    complaint_id: UUID,
    decided_by: UUID,
) -> None:
    """Insert a sanction from now on."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.sanctions (community_id, id, person_id, kind, from_at, until_at, why, complaint_id,
                                    decided_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        uow.community_id,
        sanction_id,
        person_id,
        kind,
        uow.clock.now(),
        until_at,
        why,
        complaint_id,
        decided_by,
    )


async def standing(
    uow: UnitOfWork, person_ids: Sequence[UUID], kind: str, now: datetime
) -> dict[UUID, datetime]:
    """Return, for those of the people who are barred now, until when."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT person_id, max(until_at) AS until_at FROM bank.sanctions
         WHERE community_id = $1 AND person_id = ANY ($2::uuid[]) AND kind = $3 AND until_at > $4
           AND lifted_at IS NULL
         GROUP BY person_id
        """,
        uow.community_id,
        list(person_ids),
        kind,
        now,
    )
    return {row["person_id"]: row["until_at"] for row in rows}


async def lift(uow: UnitOfWork, complaint_id: UUID, *, by: UUID) -> None:
    """Lift what a complaint brought."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.sanctions SET lifted_by = $3, lifted_at = $4
         WHERE community_id = $1 AND complaint_id = $2 AND lifted_at IS NULL
        """,
        uow.community_id,
        complaint_id,
        by,
        uow.clock.now(),
    )


async def of_person(uow: UnitOfWork, person_id: UUID, limit: int) -> list[dict[str, Any]]:
    """Return a person's sanctions, newest first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        SANCTION + "AND person_id = $2 ORDER BY from_at DESC, id LIMIT $3", uow.community_id, person_id, limit
    )
    return [dict(row) for row in rows]
