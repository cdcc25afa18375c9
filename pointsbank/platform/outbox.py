"""The outbox: intents recorded in the transaction that decided them, then carried out at least once.

::

    add (in the business transaction) ──► wake (arq, may be lost) ─┐
                                     └──► sweep (always finds it) ─┴─► claim ─► handler ─► done
                                                                                   └─► again later, or dead

A claim is a lease: it puts ``available_at`` ahead, so that an intent whose worker died comes back by
itself. A handler does its effect and :func:`done` in one transaction, and may run twice: the effect has a
unique key, and the second transaction that brings it is rolled back whole. One that takes longer than
``HANDLER_SECONDS_MAX`` is cut off before its lease ends. What fails ``TRIES_MAX`` times in a row is put aside
as dead, and so is what an outside party (:class:`TryLater`) could not be asked for ``OUTSIDE_AGE_MAX``; see
:mod:`pointsbank.platform.dead_letters`. A worker that is told to stop gives back what it had begun.

The waits between tries stand in the rows, not in a loop of stamina's: a try may come minutes after the one
before, by another worker, and must outlive both. stamina is for the second try at once, within one call
(:mod:`services.settlement.client`).
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
OUTSIDE_AGE_MAX = timedelta(days=7)
"""How long an outside party is asked for one intent: a hold has long ended by then."""
WAIT_SECONDS_MAX = 300.0
OUTSIDE_WAIT_SECONDS_MAX = 30.0
PARALLEL_INTENTS = 8
SWEEP_INTENTS_MAX = 2_000
SWEEP_SECONDS_MAX = 20.0
"""After this long a sweep claims no more, so that the next community has its turn."""
ERROR_LENGTH_MAX = 200

_jitter = random.SystemRandom()


class TryLater(Exception):
    """The outside world is not ready; the message is short and names no person.

    not_before: when it is worth asking again, if that is known.
    """

    not_before: datetime | None = None


class AlreadyDone(Exception):
    """Another has carried the intent out, or put it aside: this transaction's effect must not be."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A claimed outbox row. attempts: this one included. since: when it was recorded, or given new tries.

    leased_until: tells this claim from a later one.
    """

    community_id: int
    id: UUID
    topic: str
    subject_id: UUID
    attempts: int
    since: datetime
    leased_until: datetime

    @property
    def effect_key(self) -> str:
        """What no second effect may be recorded under."""
        return f"{self.topic}:{self.id}"


Handler = Callable[[Intent], Awaitable[None]]
"""Carries out one intent and marks it done in the transaction of its effect; may be called twice."""

COLUMNS = (
    "o.community_id, o.id, o.topic, o.subject_id, o.attempts, coalesce(o.revived_at, o.created_at) AS since"
)


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
        uow.after_commit(lambda: wake(community_id, topic))
    return intent_id


async def claim(uow: UnitOfWork, *, limit: int = 1, topics: Topics = EVERY_TOPIC) -> list[Intent]:
    """Take due intents for ``LEASE``, the longest due first; another claimer's are passed over."""
    now = uow.clock.now()
    connection = await uow.connection()
    rows = await connection.fetch(
        f"""
        WITH due AS MATERIALIZED (  -- a plan that ran it once for each row would claim beyond the limit
            SELECT id FROM bank.outbox
             WHERE community_id = $1 AND done_at IS NULL AND dead_at IS NULL AND available_at <= $2
               AND attempts < $4 AND (topic = ANY($6::text[])) <> $7::boolean
             ORDER BY available_at LIMIT $5 FOR UPDATE SKIP LOCKED)
        UPDATE bank.outbox o SET attempts = attempts + 1, available_at = $3
          FROM due WHERE o.community_id = $1 AND o.id = due.id
        RETURNING {COLUMNS}, o.available_at AS leased_until
        """,  # noqa: S608 (the columns are this module's own)
        uow.community_id,
        now,
        now + LEASE,
        TRIES_MAX,
        limit,
        sorted(topics.named),
        topics.others,
    )
    return sorted((Intent(**row) for row in rows), key=lambda intent: intent.id)


async def done(uow: UnitOfWork, *intents: Intent) -> None:
    """Mark intents carried out, in the transaction of their effects.

    Raises AlreadyDone, and the transaction must not be committed: another worker's has done it, or the intent
    was put aside meanwhile. Two at once wait for each other at the row, and the effect's key is unique.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        WITH ended AS (
            UPDATE bank.outbox o SET done_at = $4, last_error = NULL
              FROM (SELECT id FROM bank.outbox WHERE community_id = $1 AND id = ANY($2::uuid[])
                     ORDER BY id FOR UPDATE) found
             WHERE o.community_id = $1 AND o.id = found.id AND o.done_at IS NULL AND o.dead_at IS NULL
            RETURNING o.id)
        INSERT INTO bank.outbox_effects (community_id, effect_key, intent_id, effected_at)
        SELECT $1, u.key, u.id, $4 FROM unnest($2::uuid[], $3::text[]) AS u(id, key) JOIN ended USING (id)
        ON CONFLICT DO NOTHING
        RETURNING intent_id
        """,
        uow.community_id,
        [intent.id for intent in intents],
        [intent.effect_key for intent in intents],
        uow.clock.now(),
    )
    if len(rows) != len(intents):
        raise AlreadyDone


async def failed(uow: UnitOfWork, intent: Intent, error: BaseException) -> None:
    """Put an intent off, or aside as dead after ``TRIES_MAX`` tries. Another's later claim is left alone.

    That the outside world was away (:class:`TryLater`) shows that all is well here: the count begins anew,
    and what ends is its patience of ``OUTSIDE_AGE_MAX``.
    """
    now = uow.clock.now()
    outside = isinstance(error, TryLater)
    dead = now - intent.since >= OUTSIDE_AGE_MAX if outside else intent.attempts >= TRIES_MAX
    again = now + wait(intent, now, outside=outside)
    if isinstance(error, TryLater) and error.not_before is not None:
        again = error.not_before + timedelta(seconds=_jitter.uniform(0, 1))
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
        again,
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
        age = (now - intent.since).total_seconds()
        seconds = min(OUTSIDE_WAIT_SECONDS_MAX, max(1.0, age / 2))
    else:
        seconds = min(WAIT_SECONDS_MAX, 2.0 ** min(intent.attempts - 1, 16))
    return timedelta(seconds=seconds * _jitter.uniform(0.5, 1.5))


def describe(error: BaseException) -> str:
    """Return what may be kept of an error: its kind, and its code or a message known to be harmless."""
    said = error.code if isinstance(error, DomainError) else str(error) if isinstance(error, TryLater) else ""
    return ": ".join(part for part in (type(error).__name__, said) if part)[:ERROR_LENGTH_MAX]


async def bury(database: Database, community_id: int) -> int:
    """Put aside as dead what was claimed ``TRIES_MAX`` times and never came to an end; return how many.

    That is an intent whose handler takes its worker down with it.
    """
    async with database.unit_of_work(community_id) as uow:
        connection = await uow.connection()
        rows = await connection.fetch(
            """
            UPDATE bank.outbox SET dead_at = $2, last_error = coalesce(last_error, 'worker lost')
             WHERE community_id = $1 AND done_at IS NULL AND dead_at IS NULL AND available_at <= $2
               AND attempts >= $3
            RETURNING id
            """,
            community_id,
            uow.clock.now(),
            TRIES_MAX,
        )
    if rows:
        log.error("intents_buried", count=len(rows))
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


async def work_off(
    database: Database,
    community_id: int,
    handlers: Mapping[str, Handler],
    *,
    topics: Topics = EVERY_TOPIC,
) -> int:
    """Claim and carry out due intents, ``PARALLEL_INTENTS`` at a time, until none is due; return how many.

    At most ``SWEEP_INTENTS_MAX`` in one call, none begun after ``SWEEP_SECONDS_MAX``.
    """
    worked, until = 0, time.monotonic() + SWEEP_SECONDS_MAX
    while worked < SWEEP_INTENTS_MAX and time.monotonic() < until:
        async with database.unit_of_work(community_id) as uow:
            intents = await claim(uow, limit=PARALLEL_INTENTS, topics=topics)
        if not intents:
            break
        # With exceptions returned, a cancelled gather waits until every intent has been given back.
        ends = await asyncio.gather(
            *(carry_out(database, intent, handlers) for intent in intents), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, Exception):
                raise end
        worked += len(intents)
    await bury(database, community_id)
    return worked


async def carry_out(database: Database, intent: Intent, handlers: Mapping[str, Handler]) -> None:
    """Carry out a claimed intent; what goes wrong is noted on it, and a cut off one is given back."""
    try:
        async with asyncio.timeout(HANDLER_SECONDS_MAX):
            await handlers[intent.topic](intent)
    except AlreadyDone:
        log.info("intent_already_done", topic=intent.topic, intent=str(intent.id))
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
