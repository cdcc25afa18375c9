"""Answers already given, kept under (community, actor, key) in the transaction that decided them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlmodel import select

from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.tables import IdempotentRequest

ANSWERS_KEPT = timedelta(hours=48)
"""How long an answer is kept for a retry. Answers may hold names, so they are not kept longer; that a key was
used, and for what, is kept for ever, so that no retry, however late, is carried out twice."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """The first answer to a request. fingerprint: SHA-256 of what was asked. body: None once forgotten."""

    fingerprint: bytes
    status: int
    body: dict[str, Any] | None


async def try_lock(uow: UnitOfWork, actor_id: UUID, key: str) -> bool:
    """Take (actor, key) for this transaction; False when another transaction has it now."""
    connection = await uow.connection()
    name = f"idempotency:{uow.community_id}:{actor_id}:{key}"
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", name))


async def given_answer(uow: UnitOfWork, actor_id: UUID, key: str) -> GivenAnswer | None:
    """Return what was answered to (actor, key), or None."""
    row = (
        await uow.session.exec(
            select(IdempotentRequest).where(
                IdempotentRequest.community_id == uow.community_id,
                IdempotentRequest.actor_id == actor_id,
                IdempotentRequest.key == key,
            )
        )
    ).one_or_none()
    return None if row is None else GivenAnswer(row.fingerprint, row.status_code, row.answer)


async def keep_answer(uow: UnitOfWork, actor_id: UUID, key: str, answer: GivenAnswer) -> bool:
    """Store the first answer; False when one is stored already (the primary key is the judge)."""
    connection = await uow.connection()
    kept = await connection.fetchval(
        """
        INSERT INTO bank.idempotent_requests
               (community_id, actor_id, key, fingerprint, status_code, answer, created_at)
        VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        uow.community_id,
        actor_id,
        key,
        answer.fingerprint,
        answer.status,
        msgspec.json.encode(answer.body).decode(),
        uow.clock.now(),
    )
    return kept is not None


async def forget(uow: UnitOfWork) -> int:
    """Drop the bodies of answers older than ``ANSWERS_KEPT``; return how many."""
    connection = await uow.connection()
    status: str = await connection.execute(
        """
        UPDATE bank.idempotent_requests SET answer = NULL
         WHERE community_id = $1 AND created_at < $2 AND answer IS NOT NULL
        """,
        uow.community_id,
        uow.clock.now() - ANSWERS_KEPT,
    )
    return int(status.rpartition(" ")[2])
