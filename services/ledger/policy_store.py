"""Policy versions in the database."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlmodel import col, func, select

from pointsbank.platform.database import UnitOfWork
from services.ledger.tables import PolicyVersion


async def take_turn(uow: UnitOfWork) -> None:
    """Wait until no other unit of work is adding a version, and keep others waiting until this one ends."""
    connection = await uow.connection()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"policy:{uow.community_id}"
    )


async def last_version(uow: UnitOfWork) -> int:
    """Return the newest version's number; 0 when there is none."""
    query = select(func.max(PolicyVersion.version)).where(PolicyVersion.community_id == uow.community_id)
    return (await uow.session.exec(query)).one() or 0


async def insert(
    uow: UnitOfWork,
    version: int,
    effective_from: date,
    body: dict[str, Any],
    proposed_by: UUID,
    approved_by: UUID,
    *,
    created_at: datetime | None = None,
) -> None:
    """Write a version. created_at: now, unless it is brought in again."""
    uow.session.add(
        PolicyVersion(
            community_id=uow.community_id,
            version=version,
            effective_from=effective_from,
            body=body,
            proposed_by=proposed_by,
            approved_by=approved_by,
            created_at=created_at or uow.clock.now(),
        )
    )
    await uow.session.flush()


async def get(uow: UnitOfWork, version: int) -> PolicyVersion | None:
    """Return a version, or None."""
    query = select(PolicyVersion).where(
        PolicyVersion.community_id == uow.community_id, PolicyVersion.version == version
    )
    return (await uow.session.exec(query)).one_or_none()


async def effective_on(uow: UnitOfWork, day: date) -> PolicyVersion | None:
    """Return the latest version whose ``effective_from`` is not after ``day``."""
    query = (
        select(PolicyVersion)
        .where(PolicyVersion.community_id == uow.community_id, col(PolicyVersion.effective_from) <= day)
        .order_by(col(PolicyVersion.effective_from).desc(), col(PolicyVersion.version).desc())
        .limit(1)
    )
    return (await uow.session.exec(query)).one_or_none()


async def all_effective_on(uow: UnitOfWork, day: date) -> list[PolicyVersion]:
    """Return every version whose ``effective_from`` is not after ``day``, the one in force first."""
    query = (
        select(PolicyVersion)
        .where(PolicyVersion.community_id == uow.community_id, col(PolicyVersion.effective_from) <= day)
        .order_by(col(PolicyVersion.effective_from).desc(), col(PolicyVersion.version).desc())
    )
    return list((await uow.session.exec(query)).all())


async def all_documents(uow: UnitOfWork) -> list[tuple[int, date, str]]:
    """Return the number, first day and text of every version, newest first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT version, effective_from, body::text AS body FROM bank.policy_versions
         WHERE community_id = $1 ORDER BY version DESC
        """,
        uow.community_id,
    )
    return [(row["version"], row["effective_from"], row["body"]) for row in rows]


async def all_versions(uow: UnitOfWork) -> list[PolicyVersion]:
    """Return every version, newest first."""
    query = (
        select(PolicyVersion)
        .where(PolicyVersion.community_id == uow.community_id)
        .order_by(col(PolicyVersion.version).desc())
    )
    return list((await uow.session.exec(query)).all())
