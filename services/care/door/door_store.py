"""Rows of secrets, used codes and attempts. What they hold is never part of an error or a log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pointsbank.platform.database import UnitOfWork


async def secret_of(uow: UnitOfWork, elder_id: UUID) -> tuple[bytes, bytes | None] | None:
    """Return an elder's secret and the hash of their card, or None."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        "SELECT secret, card_hash FROM bank.door_secrets WHERE community_id = $1 AND elder_id = $2",
        uow.community_id,
        elder_id,
    )
    return (row["secret"], row["card_hash"]) if row is not None else None


async def add_secret(uow: UnitOfWork, elder_id: UUID, secret: bytes) -> None:
    """Give an elder a secret; one that is there stays."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.door_secrets (community_id, elder_id, secret, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (community_id, elder_id) DO NOTHING
        """,
        uow.community_id,
        elder_id,
        secret,
        uow.clock.now(),
    )


async def set_card(uow: UnitOfWork, elder_id: UUID, card_hash: bytes) -> None:
    """Give an elder a card; the one before is good no longer."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.door_secrets SET card_hash = $3, card_issued_at = $4
         WHERE community_id = $1 AND elder_id = $2
        """,
        uow.community_id,
        elder_id,
        card_hash,
        uow.clock.now(),
    )


async def use_code(uow: UnitOfWork, elder_id: UUID, step: int, visit_id: UUID) -> bool:
    """Note that the code of a time step is used; False: it was before.

    Two carers who come together use it once each: the second one's use is kept under the negative step.
    """
    connection = await uow.connection()
    await connection.execute(
        "SELECT FROM bank.door_secrets WHERE community_id = $1 AND elder_id = $2 FOR NO KEY UPDATE",
        uow.community_id,
        elder_id,
    )
    done = await connection.execute(
        """
        INSERT INTO bank.used_door_codes (community_id, elder_id, step, visit_id, used_at)
        SELECT $1, $2, CASE v.carer WHEN 1 THEN $3::bigint ELSE -$3::bigint END, v.id, $5
          FROM bank.visits v
         WHERE v.community_id = $1 AND v.id = $4
           AND NOT EXISTS (
               SELECT FROM bank.used_door_codes u
                 JOIN bank.visits o ON o.community_id = u.community_id AND o.id = u.visit_id
                WHERE u.community_id = $1 AND u.elder_id = $2 AND u.step IN ($3::bigint, -$3::bigint)
                  AND (o.id = v.id OR o.help_request_id IS DISTINCT FROM v.help_request_id
                       OR o.planned_start <> v.planned_start))
        ON CONFLICT (community_id, elder_id, step) DO NOTHING
        """,
        uow.community_id,
        elder_id,
        step,
        visit_id,
        uow.clock.now(),
    )
    return bool(done.endswith(" 1"))


async def attempts_since(uow: UnitOfWork, visit_id: UUID, since: datetime) -> int:
    """Return how many codes were tried for a visit after ``since``."""
    connection = await uow.connection()
    return int(
        await connection.fetchval(
            """
            SELECT count(*) FROM bank.door_code_attempts
             WHERE community_id = $1 AND visit_id = $2 AND tried_at > $3
            """,
            uow.community_id,
            visit_id,
            since,
        )
    )


async def add_attempt(uow: UnitOfWork, attempt_id: UUID, visit_id: UUID) -> None:
    """Note that a code is about to be tried."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.door_code_attempts (community_id, id, visit_id, tried_at) VALUES ($1, $2, $3, $4)
        """,
        uow.community_id,
        attempt_id,
        visit_id,
        uow.clock.now(),
    )


async def forget(uow: UnitOfWork, *, before: datetime) -> None:
    """Drop used codes and attempts from before a moment: those codes stand no longer."""
    connection = await uow.connection()
    await connection.execute(
        "DELETE FROM bank.used_door_codes WHERE community_id = $1 AND used_at < $2", uow.community_id, before
    )
    await connection.execute(
        "DELETE FROM bank.door_code_attempts WHERE community_id = $1 AND tried_at < $2",
        uow.community_id,
        before,
    )


async def is_coming(uow: UnitOfWork, volunteer_id: UUID, elder_id: UUID) -> bool:
    """Tell whether somebody has a visit to an elder that is not over."""
    connection = await uow.connection()
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (SELECT FROM bank.visits
                            WHERE community_id = $1 AND volunteer_id = $2 AND elder_id = $3
                              AND state IN ('planned', 'under_way', 'missing'))
            """,
            uow.community_id,
            volunteer_id,
            elder_id,
        )
    )
