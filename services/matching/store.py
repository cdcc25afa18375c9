"""Rows of pairing runs and offers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, cast
from uuid import UUID

import asyncpg
from sqlalchemy.orm import defer
from sqlmodel import col, select

from pointsbank.domain.errors import WrongState
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.offer import OfferState
from pointsbank.domain.pairing.rules import Blocked
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.dedicated import DedicatedConnection
from services.matching.tables import PairingRun
from services.matching.views import PairingRunInfo

OFFER = """
SELECT id, help_request_id, volunteer_id, carer, distance, starts_at, ends_at, state, offered_at, expires_at
  FROM bank.offers WHERE community_id = $1
"""

DEAD = """
state = 'accepted' AND NOT EXISTS (
  SELECT FROM bank.visits v
   WHERE v.community_id = offers.community_id AND v.help_request_id = offers.help_request_id
     AND v.volunteer_id = offers.volunteer_id
     AND v.state NOT IN ('cancelled', 'no_show_volunteer', 'no_show_elder'))
"""
"""An accepted offer whose visit was given up: it holds no place, and its volunteer is not asked again."""


@contextmanager
def _standing_named() -> Iterator[None]:
    """Turn the refusal of a second standing offer of one place into WrongState."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name not in {"uq_offers_standing", "uq_offers_standing_volunteer"}:
            raise
        raise WrongState(what="help_request", state="offered", action="offer") from error


class OfferRow(TypedDict):
    """An offer as it is stored."""

    id: UUID
    help_request_id: UUID
    volunteer_id: UUID
    carer: int
    distance: int
    starts_at: datetime
    ends_at: datetime
    state: str
    offered_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewOffer:
    """An offer to insert. starts_at, ends_at: the time that is offered."""

    id: UUID
    request_id: UUID
    volunteer_id: UUID
    distance: GridDistance
    starts_at: datetime
    ends_at: datetime
    expires_at: datetime
    carer: int = 1


async def take_turn(uow: UnitOfWork) -> None:
    """Wait until no other pairing run of the community is going on. Raises WrongState if that takes long."""
    connection = await uow.connection()
    try:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext('bank.pairing_runs'), $1)", uow.community_id
        )
    except asyncpg.LockNotAvailableError as error:
        raise WrongState(what="pairing_run", state="under_way", action="run") from error


async def claim_turn(session: DedicatedConnection, community_id: int, *, seconds: int) -> None:
    """Take the turn of :func:`take_turn` for as long as a session lives, without a transaction.

    seconds: what the session may live without a word before the server ends it. Raises WrongState.
    """
    await session.fetchrow("SELECT set_config('idle_session_timeout', $1, false)", f"{seconds}s")
    try:
        await session.fetchrow("SELECT pg_advisory_lock(hashtext('bank.pairing_runs'), $1)", community_id)
    except asyncpg.LockNotAvailableError as error:
        raise WrongState(what="pairing_run", state="under_way", action="run") from error


async def take_turn_at_promising(uow: UnitOfWork) -> None:
    """Wait until nobody else of the community promises many volunteers at once.

    Taken before any offer, request or person is locked: who locks several people one after another would else
    meet another who does in another order.
    """
    connection = await uow.connection()
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('bank.promising'), $1)", uow.community_id)


async def insert_run(uow: UnitOfWork, run: PairingRunInfo, *, given: bytes, decided: bytes) -> None:
    """Insert a pairing run. given, decided: its documents, compressed."""
    uow.session.add(
        PairingRun(
            community_id=uow.community_id,
            id=run.id,
            engine=run.engine,
            ran_at=run.ran_at,
            paired=run.paired,
            unpaired=run.unpaired,
            blocked={str(request): dict(reasons) for request, reasons in run.blocked.items()},
            worth=run.worth,
            bound=run.bound,
            kept=run.kept,
            moved=run.moved,
            left_out=run.left_out,
            given=given,
            decided=decided,
        )
    )
    await uow.session.flush()


async def run_documents(uow: UnitOfWork, run_id: UUID) -> tuple[PairingRunInfo, bytes | None, bytes] | None:
    """Return a run with what it was given (None: no longer kept) and what it decided, compressed.

    None for one of before these were stored.
    """
    rows = await uow.session.exec(
        select(PairingRun).where(PairingRun.community_id == uow.community_id, PairingRun.id == run_id)
    )
    row = rows.one_or_none()
    if row is None or row.decided is None:
        return None
    return _run(row), row.given, row.decided


async def forget_inputs(uow: UnitOfWork, before: datetime) -> int:
    """Drop what the runs before a moment were given, and return of how many."""
    connection = await uow.connection()
    done = await connection.execute(
        """
        UPDATE bank.pairing_runs SET given = NULL
         WHERE community_id = $1 AND ran_at < $2 AND given IS NOT NULL
        """,
        uow.community_id,
        before,
    )
    return int(done.split()[-1])


async def runs(uow: UnitOfWork, limit: int) -> list[PairingRunInfo]:
    """Return the latest runs, newest first."""
    rows = await uow.session.exec(
        select(PairingRun)
        .options(defer(col(PairingRun.given)), defer(col(PairingRun.decided)))  # type: ignore[arg-type]
        .where(PairingRun.community_id == uow.community_id)
        .order_by(col(PairingRun.id).desc())
        .limit(limit)
    )
    return [_run(row) for row in rows]


def _run(row: PairingRun) -> PairingRunInfo:
    return PairingRunInfo(
        id=row.id,
        engine=row.engine,
        ran_at=row.ran_at,
        paired=row.paired,
        unpaired=row.unpaired,
        blocked={
            UUID(request): {Blocked(reason): count for reason, count in reasons.items()}
            for request, reasons in row.blocked.items()
        },
        worth=row.worth,
        bound=row.bound,
        kept=row.kept,
        moved=row.moved,
        left_out=row.left_out,
    )


async def insert_offers(uow: UnitOfWork, run_id: UUID | None, offers: Sequence[NewOffer]) -> None:
    """Insert standing offers. run_id: of the run that made them, if one did.

    Dead ones make room. Raises WrongState for a request that has an offer standing or accepted.
    """
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.offers SET state = 'declined', answered_at = $3
         WHERE community_id = $1 AND help_request_id = ANY ($2::uuid[]) AND
        """  # noqa: S608 - put together from fixed parts
        + DEAD,
        uow.community_id,
        [offer.request_id for offer in offers],
        uow.clock.now(),
    )
    with _standing_named():
        await connection.execute(
            """
            INSERT INTO bank.offers (community_id, pairing_run_id, state, offered_at, id, help_request_id,
                                     volunteer_id, distance, starts_at, ends_at, expires_at, carer)
            SELECT $1, $2, 'offered', $3, u.*
              FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::timestamptz[], $9::timestamptz[],
                          $10::timestamptz[], $11::smallint[]) AS u
            """,
            uow.community_id,
            run_id,
            uow.clock.now(),
            [offer.id for offer in offers],
            [offer.request_id for offer in offers],
            [offer.volunteer_id for offer in offers],
            [int(offer.distance) for offer in offers],
            [offer.starts_at for offer in offers],
            [offer.ends_at for offer in offers],
            [offer.expires_at for offer in offers],
            [offer.carer for offer in offers],
        )


async def asked_before(uow: UnitOfWork, request_ids: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return, by request, the volunteers who declined it, let an offer of it lapse or gave up its visit."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT help_request_id, array_agg(volunteer_id) AS volunteers FROM bank.offers
         WHERE community_id = $1 AND help_request_id = ANY ($2::uuid[])
           AND (state IN ('declined', 'lapsed') OR
        """  # noqa: S608 - put together from fixed parts
        + DEAD
        + ") GROUP BY help_request_id",
        uow.community_id,
        list(request_ids),
    )
    return {row["help_request_id"]: frozenset(row["volunteers"]) for row in rows}


async def offer(uow: UnitOfWork, offer_id: UUID) -> OfferRow | None:
    """Return an offer, or None."""
    found = await _offers(uow, OFFER + "AND id = $2", offer_id)
    return found[0] if found else None


async def standing_of(uow: UnitOfWork, volunteer_id: UUID, now: datetime) -> list[OfferRow]:
    """Return the offers a volunteer can answer."""
    return await _offers(
        uow,
        OFFER + "AND volunteer_id = $2 AND state = 'offered' AND expires_at > $3 ORDER BY id",
        volunteer_id,
        now,
    )


async def standing_for(uow: UnitOfWork, request_ids: Sequence[UUID]) -> list[OfferRow]:
    """Return the offers of these requests that stand, or were accepted and hold their place."""
    return await _offers(
        uow,
        OFFER
        + f"""
        AND help_request_id = ANY ($2::uuid[]) AND state IN ('offered', 'accepted') AND NOT ({DEAD})
        ORDER BY id
        """,
        list(request_ids),
    )


async def answer(uow: UnitOfWork, offer_id: UUID, state: OfferState, now: datetime) -> bool:
    """Put a standing offer into ``state``; tell whether it stood."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        UPDATE bank.offers SET state = $3, answered_at = $4
         WHERE community_id = $1 AND id = $2 AND state = 'offered' AND expires_at > $4 RETURNING id
        """,
        uow.community_id,
        offer_id,
        state.value,
        now,
    )
    return row is not None


async def standing_all(uow: UnitOfWork, elder_ids: Collection[UUID] | None) -> list[tuple[UUID, UUID, UUID]]:
    """Return offers that nobody has answered, with their elder and volunteer. elder_ids: None: of all."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT o.id, r.elder_id, o.volunteer_id FROM bank.offers o
          JOIN bank.help_requests r ON r.community_id = $1 AND r.id = o.help_request_id
         WHERE o.community_id = $1 AND o.state = 'offered' AND ($2::uuid[] IS NULL OR r.elder_id = ANY ($2))
         ORDER BY o.id
        """,
        uow.community_id,
        None if elder_ids is None else list(elder_ids),
    )
    return [(row["id"], row["elder_id"], row["volunteer_id"]) for row in rows]


async def requests_of(uow: UnitOfWork, offer_ids: Collection[UUID]) -> list[UUID]:
    """Return the requests of offers, each once, in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT DISTINCT help_request_id FROM bank.offers
         WHERE community_id = $1 AND id = ANY ($2::uuid[]) ORDER BY help_request_id
        """,
        uow.community_id,
        list(offer_ids),
    )
    return [row["help_request_id"] for row in rows]


async def still_offered(uow: UnitOfWork, offer_ids: Sequence[UUID]) -> set[UUID]:
    """Lock offers, in order, and return those that nobody has answered."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id, state FROM bank.offers WHERE community_id = $1 AND id = ANY ($2::uuid[])
         ORDER BY id FOR NO KEY UPDATE
        """,
        uow.community_id,
        list(offer_ids),
    )
    return {row["id"] for row in rows if row["state"] == OfferState.OFFERED}


async def replace(uow: UnitOfWork, offer_ids: Sequence[UUID], now: datetime) -> None:
    """Put offers, locked before, aside for others."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.offers SET state = 'replaced', answered_at = $3
         WHERE community_id = $1 AND state = 'offered' AND id = ANY ($2::uuid[])
        """,
        uow.community_id,
        list(offer_ids),
        now,
    )


async def take_back(uow: UnitOfWork, request_id: UUID, volunteer_id: UUID, now: datetime) -> None:
    """Turn the offer of a request that a volunteer accepted into a declined one."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.offers SET state = 'declined', answered_at = $4
         WHERE community_id = $1 AND help_request_id = $2 AND volunteer_id = $3 AND state = 'accepted'
        """,
        uow.community_id,
        request_id,
        volunteer_id,
        now,
    )


async def lapse(uow: UnitOfWork, now: datetime, limit: int) -> list[UUID]:
    """Let offers lapse whose time is over, and return their requests."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        UPDATE bank.offers SET state = 'lapsed', answered_at = $2
         WHERE community_id = $1 AND id IN (
               SELECT id FROM bank.offers
                WHERE community_id = $1 AND state = 'offered' AND expires_at <= $2
                ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING help_request_id
        """,
        uow.community_id,
        now,
        limit,
    )
    return [row["help_request_id"] for row in rows]


async def _offers(uow: UnitOfWork, query: str, *arguments: Any) -> list[OfferRow]:
    connection = await uow.connection()
    rows = await connection.fetch(query, uow.community_id, *arguments)
    return [cast("OfferRow", dict(row)) for row in rows]
