"""Rows of family ties and of volunteers who are not sent to an elder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pointsbank.domain.preferences import ExclusionReason, Relation
from pointsbank.platform.database import UnitOfWork

TIE = """
SELECT t.elder_id, e.name AS elder_name, t.member_id, m.name AS member_name, t.relation, t.told_at,
       t.confirmed_by, t.confirmed_at
  FROM bank.family_ties t
  JOIN bank.people e ON e.community_id = $1 AND e.id = t.elder_id
  JOIN bank.people m ON m.community_id = $1 AND m.id = t.member_id
 WHERE t.community_id = $1
"""


async def tell_tie(
    uow: UnitOfWork, elder_id: UUID, member_id: UUID, relation: Relation, told_by: UUID
) -> None:
    """Insert a tie that is not confirmed; one that is known stays as it is."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.family_ties (community_id, elder_id, member_id, relation, told_by, told_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        elder_id,
        member_id,
        relation.value,
        told_by,
        uow.clock.now(),
    )


async def confirm_tie(uow: UnitOfWork, elder_id: UUID, member_id: UUID, confirmed_by: UUID) -> None:
    """Confirm a tie; who first confirmed it stays."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.family_ties SET confirmed_by = $4, confirmed_at = $5
         WHERE community_id = $1 AND elder_id = $2 AND member_id = $3 AND confirmed_at IS NULL
        """,
        uow.community_id,
        elder_id,
        member_id,
        confirmed_by,
        uow.clock.now(),
    )


async def delete_tie(uow: UnitOfWork, elder_id: UUID, member_id: UUID) -> None:
    """Delete a tie."""
    connection = await uow.connection()
    await connection.execute(
        "DELETE FROM bank.family_ties WHERE community_id = $1 AND elder_id = $2 AND member_id = $3",
        uow.community_id,
        elder_id,
        member_id,
    )


async def ties_of(uow: UnitOfWork, *, elder_id: UUID | None, member_id: UUID | None) -> list[dict[str, Any]]:
    """Return the ties of an elder, or of a member, or between the two."""
    connection = await uow.connection()
    rows = await connection.fetch(
        TIE
        + """
        AND ($2::uuid IS NULL OR t.elder_id = $2) AND ($3::uuid IS NULL OR t.member_id = $3)
        ORDER BY e.name, m.name, t.elder_id, t.member_id
        """,
        uow.community_id,
        elder_id,
        member_id,
    )
    return [dict(row) for row in rows]


async def unconfirmed_ties(uow: UnitOfWork, limit: int) -> list[dict[str, Any]]:
    """Return the ties that wait for a coordinator, the oldest first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        TIE + "AND t.confirmed_at IS NULL ORDER BY t.told_at, t.elder_id, t.member_id LIMIT $2",
        uow.community_id,
        limit,
    )
    return [dict(row) for row in rows]


async def insert_exclusion(
    uow: UnitOfWork,
    exclusion_id: UUID,
    elder_id: UUID,
    volunteer_id: UUID,
    reason: ExclusionReason,
    set_by: UUID,
) -> None:
    """Insert an exclusion; the one that stands stays as it is."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.exclusions (community_id, id, elder_id, volunteer_id, reason, set_by, set_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (community_id, elder_id, volunteer_id) WHERE lifted_at IS NULL DO NOTHING
        """,
        uow.community_id,
        exclusion_id,
        elder_id,
        volunteer_id,
        reason.value,
        set_by,
        uow.clock.now(),
    )


async def lift_exclusion(uow: UnitOfWork, elder_id: UUID, volunteer_id: UUID, lifted_by: UUID) -> bool:
    """Lift the exclusion that stands; tell whether there was one."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        UPDATE bank.exclusions SET lifted_by = $4, lifted_at = $5
         WHERE community_id = $1 AND elder_id = $2 AND volunteer_id = $3 AND lifted_at IS NULL RETURNING id
        """,
        uow.community_id,
        elder_id,
        volunteer_id,
        lifted_by,
        uow.clock.now(),
    )
    return row is not None


async def exclusions_of(uow: UnitOfWork, elder_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return the exclusions that stand for these elders."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT x.id, x.elder_id, x.volunteer_id, p.name AS volunteer_name, x.reason, x.set_by, x.set_at
          FROM bank.exclusions x
          JOIN bank.people p ON p.community_id = $1 AND p.id = x.volunteer_id
         WHERE x.community_id = $1 AND x.elder_id = ANY ($2::uuid[]) AND x.lifted_at IS NULL
         ORDER BY x.elder_id, x.set_at, x.id
        """,
        uow.community_id,
        list(elder_ids),
    )
    return [dict(row) for row in rows]
