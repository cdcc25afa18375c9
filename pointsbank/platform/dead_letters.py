"""Dead letters: intents that failed too often, put aside with their error until a person decides.

::

    due ──failed too often──► dead ──retry──► due again, with new tries
                               └────close──► closed, with who and why: it is never carried out

What belongs to a closed letter is not left hanging by it: a redemption's hold is given back when its time
has passed, and reconciliation names what the partner served all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog

from pointsbank.domain.errors import InvalidValue, NotFound, WrongState
from pointsbank.platform.database import UnitOfWork

log = structlog.get_logger(__name__)

REASON_LENGTH_MAX = 500
LETTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits. dead: closed ones are not among them. oldest: when the oldest undone was recorded."""

    undone: int
    dead: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An intent that was put aside. subject_id: what it is about, by its topic. error: of the last try."""

    id: UUID
    topic: str
    subject_id: UUID
    created_at: datetime
    dead_at: datetime
    attempts: int
    error: str | None


async def backlog(uow: UnitOfWork) -> Backlog:
    """Return what waits in the community's outbox."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE dead_at IS NULL) AS undone,
               count(*) FILTER (WHERE dead_at IS NOT NULL AND closed_at IS NULL) AS dead,
               min(created_at) FILTER (WHERE dead_at IS NULL) AS oldest
          FROM bank.outbox WHERE community_id = $1 AND done_at IS NULL
        """,
        uow.community_id,
    )
    return Backlog(**row)


async def letters(
    uow: UnitOfWork, *, after: UUID | None = None, limit: int = LETTERS_MAX
) -> list[DeadLetter]:
    """Return what was put aside and nobody has decided on, in order of when it was meant to happen.

    after: the last id of the page before.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id, topic, subject_id, created_at, dead_at, attempts, last_error AS error
          FROM bank.outbox
         WHERE community_id = $1 AND dead_at IS NOT NULL AND closed_at IS NULL
           AND ($2::uuid IS NULL OR id > $2)
         ORDER BY id LIMIT $3
        """,
        uow.community_id,
        after,
        max(1, min(limit, LETTERS_MAX)),
    )
    return [DeadLetter(**row) for row in rows]


async def retry(uow: UnitOfWork, ids: Sequence[UUID] | None = None) -> int:
    """Give dead intents new tries, all of them or those of ``ids``; return how many.

    Raises NotFound, WrongState (not dead, or closed) where one of ``ids`` cannot be tried again.
    """
    now = uow.clock.now()
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.outbox SET dead_at = NULL, attempts = 0, available_at = $2, revived_at = $2
         WHERE community_id = $1 AND dead_at IS NOT NULL AND closed_at IS NULL
           AND ($3::uuid[] IS NULL OR id = ANY($3))
        RETURNING id, topic
        """,
        uow.community_id,
        now,
        None if ids is None else list(ids),
    )
    if ids is not None and len(rows) != len(set(ids)):
        revived = {row["id"] for row in rows}
        await _refuse(uow, next(each for each in ids if each not in revived), "retry")
    if uow.wake is not None:
        wake, community_id = uow.wake, uow.community_id
        for topic in sorted({row["topic"] for row in rows}):
            uow.after_commit(partial(wake, community_id, topic))
    return len(rows)


async def close(uow: UnitOfWork, intent_id: UUID, *, by: UUID, reason: str) -> None:
    """Decide that a dead intent will not be carried out. by: the person who decides.

    Raises InvalidValue, NotFound, WrongState (not dead, or closed before).
    """
    reason = reason.strip()
    if not reason:
        raise InvalidValue(field="reason", rule="not_blank")
    if len(reason) > REASON_LENGTH_MAX:
        raise InvalidValue(field="reason", rule=f"at_most_{REASON_LENGTH_MAX}_characters")
    connection = await uow.connection()
    closed = await connection.fetchval(
        """
        UPDATE bank.outbox SET closed_at = $3, closed_by = $4, close_reason = $5
         WHERE community_id = $1 AND id = $2 AND dead_at IS NOT NULL AND closed_at IS NULL
        RETURNING id
        """,
        uow.community_id,
        intent_id,
        uow.clock.now(),
        by,
        reason,
    )
    if closed is None:
        await _refuse(uow, intent_id, "close")
    log.warning("intent_closed", intent=str(intent_id))


async def _refuse(uow: UnitOfWork, intent_id: UUID, action: str) -> None:
    connection = await uow.connection()
    row = await connection.fetchrow(
        "SELECT done_at, closed_at FROM bank.outbox WHERE community_id = $1 AND id = $2",
        uow.community_id,
        intent_id,
    )
    if row is None:
        raise NotFound(what="dead_letter")
    state = "done" if row["done_at"] else "closed" if row["closed_at"] else "due"
    raise WrongState(what="dead_letter", state=state, action=action)
