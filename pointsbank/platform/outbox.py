"""The outbox: intents recorded in the transaction that decided them, then carried out at least once.

::

    add (in the business transaction) ──► wake (arq, may be lost) ─┐
                                     └──► sweep (always finds it) ─┴─► claim ─► handler ─► done
                                                                                   └─► again later, or dead

A claim is a lease: it puts ``available_at`` ahead, so that an intent whose worker died comes back by
itself. A handler does its effect and :func:`done` in one transaction, and may run twice; one that takes
longer than ``HANDLER_SECONDS_MAX`` is cut off before its lease ends. An outside party that cannot be
reached (:class:`TryLater`) is asked again for ever; anything else that fails ``TRIES_MAX`` times in a row is
put aside as dead, to be looked at and revived. A worker that is told to stop gives back what it had begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from pointsbank.domain.errors import DomainError
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.ids import uuid7

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=20)
"""How long a dead worker's intent waits."""
HANDLER_SECONDS_MAX = 17.0
"""How long one intent may take to be carried out; what is left of the lease is for noting how it went."""
GIVE_BACK_SECONDS_MAX = 1.0
GIVEN_BACK_WAIT = timedelta(seconds=1)
DONE_KEPT = timedelta(days=30)
"""How long a done intent is kept for those who ask what happened."""
TRIES_MAX = 12
WAIT_SECONDS_MAX = 300.0
OUTSIDE_WAIT_SECONDS_MAX = 30.0
PARALLEL_INTENTS = 8
SWEEP_INTENTS_MAX = 2_000
SWEEP_SECONDS_MAX = 20.0
"""After this long a sweep claims no more, so that the next community has its turn."""
ERROR_LENGTH_MAX = 200

_jitter = random.SystemRandom()


class TryLater(Exception):
    """The outside world is not ready; the message is short and names no person."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A claimed outbox row. attempts: this one included. leased_until: tells this claim from a later one."""

    community_id: int
    id: UUID
    topic: str
    subject_id: UUID
    attempts: int
    created_at: datetime
    leased_until: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits. oldest: when the oldest undone intent was recorded."""

    undone: int
    dead: int
    oldest: datetime | None


Handler = Callable[[Intent], Awaitable[None]]
"""Carries out one intent and marks it done in the transaction of its effect; may be called twice."""

COLUMNS = "community_id, id, topic, subject_id, attempts, created_at"


@dataclass(frozen=True, slots=True)
class Topics:
    """Which intents a sweep is for: those of ``named``, or with ``others`` all but those."""

    named: frozenset[str] = frozenset()
    others: bool = False


EVERY_TOPIC = Topics(others=True)


async def add(uow: UnitOfWork, topic: str, subject_id: UUID, *, available_at: datetime | None = None) -> UUID:
    """Record an intent in the caller's transaction and wake a worker after its commit; return its id.

    available_at: not before then; None: at once.
    """
    intent_id, now = uuid7(), uow.clock.now()
    connection = await uow.connection()
    await connection.execute(
        "INSERT INTO bank.outbox (community_id, id, topic, subject_id, created_at, available_at, attempts)"
        " VALUES ($1, $2, $3, $4, $5, $6, 0)",
        uow.community_id,
        intent_id,
        topic,
        subject_id,
        now,
        available_at or now,
    )
    wake = uow.wake
    if wake is not None and (available_at is None or available_at <= now):
        community_id = uow.community_id
        uow.after_commit(lambda: wake(community_id, intent_id))
    return intent_id


async def claim(
    uow: UnitOfWork, *, intent_id: UUID | None = None, limit: int = 1, topics: Topics = EVERY_TOPIC
) -> list[Intent]:
    """Take due intents for ``LEASE``, the longest due first; another claimer's are passed over.

    intent_id: only this one, if it is still due.
    """
    now = uow.clock.now()
    connection = await uow.connection()
    rows = await connection.fetch(
        f"""
        WITH due AS MATERIALIZED (  -- a plan that ran it once for each row would claim beyond the limit
            SELECT id FROM bank.outbox
             WHERE community_id = $1 AND done_at IS NULL AND dead_at IS NULL AND available_at <= $2
               AND attempts < $4 AND ($5::uuid IS NULL OR id = $5)
               AND (topic = ANY($7::text[])) <> $8::boolean
             ORDER BY available_at LIMIT $6 FOR UPDATE SKIP LOCKED)
        UPDATE bank.outbox o SET attempts = attempts + 1, available_at = $3
          FROM due WHERE o.community_id = $1 AND o.id = due.id
        RETURNING {", ".join(f"o.{name}" for name in COLUMNS.split(", "))}, o.available_at AS leased_until
        """,  # noqa: S608 (the columns are this module's own)
        uow.community_id,
        now,
        now + LEASE,
        TRIES_MAX,
        intent_id,
        limit,
        sorted(topics.named),
        topics.others,
    )
    return sorted((Intent(**row) for row in rows), key=lambda intent: intent.id)


async def done(uow: UnitOfWork, intent: Intent) -> None:
    """Mark an intent carried out, in the transaction of its effect."""
    connection = await uow.connection()
    await connection.execute(
        "UPDATE bank.outbox SET done_at = $3, last_error = NULL"
        " WHERE community_id = $1 AND id = $2 AND done_at IS NULL AND dead_at IS NULL",
        uow.community_id,
        intent.id,
        uow.clock.now(),
    )


async def failed(uow: UnitOfWork, intent: Intent, error: BaseException) -> None:
    """Put an intent off, or aside as dead after ``TRIES_MAX`` tries. Another's later claim is left alone.

    That the outside world was away (:class:`TryLater`) shows that all is well here: the count begins anew.
    """
    now = uow.clock.now()
    outside = isinstance(error, TryLater)
    dead = not outside and intent.attempts >= TRIES_MAX
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.outbox
           SET last_error = $4, available_at = $5, dead_at = $6, attempts = $7
         WHERE community_id = $1 AND id = $2 AND available_at = $3 AND done_at IS NULL AND dead_at IS NULL
        """,
        uow.community_id,
        intent.id,
        intent.leased_until,
        describe(error),
        now + wait(intent, now, outside=outside),
        now if dead else None,
        0 if outside else intent.attempts,
    )
    write = log.error if dead else log.info
    write(
        "intent_dead" if dead else "intent_put_off",
        topic=intent.topic,
        intent=str(intent.id),
        attempts=intent.attempts,
        error=describe(error),
    )


async def give_back(uow: UnitOfWork, intent: Intent) -> None:
    """Undo a claim that was cut off from here: it is no try. Another's later claim is left alone."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.outbox SET attempts = $4, available_at = $5
         WHERE community_id = $1 AND id = $2 AND available_at = $3 AND done_at IS NULL AND dead_at IS NULL
        """,
        uow.community_id,
        intent.id,
        intent.leased_until,
        intent.attempts - 1,
        uow.clock.now() + GIVEN_BACK_WAIT,
    )


def wait(intent: Intent, now: datetime, *, outside: bool) -> timedelta:
    """Return how long to leave a failed intent: growing, bounded, spread by half each way.

    For the outside world it grows with the intent's age, for faults here with the number of tries.
    """
    if outside:
        age = (now - intent.created_at).total_seconds()
        seconds = min(OUTSIDE_WAIT_SECONDS_MAX, max(1.0, age / 2))
    else:
        seconds = min(WAIT_SECONDS_MAX, 2.0 ** min(intent.attempts - 1, 16))
    return timedelta(seconds=seconds * _jitter.uniform(0.5, 1.5))


def describe(error: BaseException) -> str:
    """Return what may be kept of an error: its kind, and its code or a message known to be harmless."""
    said = error.code if isinstance(error, DomainError) else str(error) if isinstance(error, TryLater) else ""
    return ": ".join(part for part in (type(error).__name__, said) if part)[:ERROR_LENGTH_MAX]


async def bury(uow: UnitOfWork) -> int:
    """Put aside as dead what was claimed ``TRIES_MAX`` times and never came to an end; return how many.

    That is an intent whose handler takes its worker down with it.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.outbox SET dead_at = $2, last_error = coalesce(last_error, 'worker lost')
         WHERE community_id = $1 AND done_at IS NULL AND dead_at IS NULL AND available_at <= $2
           AND attempts >= $3
        RETURNING id
        """,
        uow.community_id,
        uow.clock.now(),
        TRIES_MAX,
    )
    return len(rows)


async def revive(uow: UnitOfWork) -> int:
    """Give every dead intent of the community new tries; return how many."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.outbox SET dead_at = NULL, attempts = 0, available_at = $2
         WHERE community_id = $1 AND dead_at IS NOT NULL
        RETURNING id
        """,
        uow.community_id,
        uow.clock.now(),
    )
    return len(rows)


async def forget(uow: UnitOfWork) -> int:
    """Drop intents that were done longer than ``DONE_KEPT`` ago; return how many."""
    connection = await uow.connection()
    status: str = await connection.execute(
        "DELETE FROM bank.outbox WHERE community_id = $1 AND done_at < $2",
        uow.community_id,
        uow.clock.now() - DONE_KEPT,
    )
    return int(status.rpartition(" ")[2])


async def backlog(uow: UnitOfWork) -> Backlog:
    """Return what waits in the community's outbox."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE dead_at IS NULL) AS undone,
               count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead,
               min(created_at) FILTER (WHERE dead_at IS NULL) AS oldest
          FROM bank.outbox WHERE community_id = $1 AND done_at IS NULL
        """,
        uow.community_id,
    )
    return Backlog(**row)


async def work_off(
    database: Database,
    community_id: int,
    handlers: Mapping[str, Handler],
    *,
    intent_id: UUID | None = None,
    topics: Topics = EVERY_TOPIC,
) -> int:
    """Claim and carry out due intents, ``PARALLEL_INTENTS`` at a time, until none is due; return how many.

    intent_id: only this one. At most ``SWEEP_INTENTS_MAX`` in one call, none begun after
    ``SWEEP_SECONDS_MAX``.
    """
    worked, until = 0, time.monotonic() + SWEEP_SECONDS_MAX
    while worked < SWEEP_INTENTS_MAX and time.monotonic() < until:
        async with database.unit_of_work(community_id) as uow:
            intents = await claim(uow, intent_id=intent_id, limit=PARALLEL_INTENTS, topics=topics)
        if not intents:
            break
        # With exceptions returned, a cancelled gather waits until every intent has been given back.
        ends = await asyncio.gather(
            *(_carry_out(database, intent, handlers) for intent in intents), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, Exception):
                raise end
        worked += len(intents)
    if intent_id is None:
        async with database.unit_of_work(community_id) as uow:
            if buried := await bury(uow):
                log.error("intents_buried", count=buried)
    return worked


async def _carry_out(database: Database, intent: Intent, handlers: Mapping[str, Handler]) -> None:
    try:
        async with asyncio.timeout(HANDLER_SECONDS_MAX):
            await handlers[intent.topic](intent)
    except asyncio.CancelledError:
        # Told to stop: the end must not be kept waiting, and the lease brings the intent back in any case.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GIVE_BACK_SECONDS_MAX):
                async with database.unit_of_work(intent.community_id) as uow:
                    await give_back(uow, intent)
        raise
    except Exception as error:
        async with database.unit_of_work(intent.community_id) as uow:
            await failed(uow, intent, error)
