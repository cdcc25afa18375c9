"""Rows of free hours, skills, pairing runs and offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, cast
from uuid import UUID

from sqlmodel import col, select

from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.grid import GridDistance
from pointsbank.domain.offer import OfferState
from pointsbank.domain.pairing import Blocked
from pointsbank.platform.database import UnitOfWork
from services.matching.tables import PairingRun
from services.matching.views import PairingRunInfo

OFFER = """
SELECT id, help_request_id, volunteer_id, distance, state, offered_at, expires_at
  FROM bank.offers WHERE community_id = $1
"""


class OfferRow(TypedDict):
    """An offer as it is stored."""

    id: UUID
    help_request_id: UUID
    volunteer_id: UUID
    distance: int
    state: str
    offered_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewOffer:
    """An offer to insert."""

    id: UUID
    request_id: UUID
    volunteer_id: UUID
    distance: GridDistance
    expires_at: datetime


async def delete_free_hours(uow: UnitOfWork, volunteer_id: UUID) -> None:
    """Delete a volunteer's week."""
    connection = await uow.connection()
    await connection.execute(
        "DELETE FROM bank.free_hours WHERE community_id = $1 AND volunteer_id = $2",
        uow.community_id,
        volunteer_id,
    )


async def insert_free_hours(uow: UnitOfWork, weeks: Mapping[UUID, Sequence[FreeHour]]) -> None:
    """Insert weeks; a stretch that begins where one of the volunteer's begins is left out."""
    rows = [(volunteer_id, hour) for volunteer_id, hours in weeks.items() for hour in hours]
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.free_hours (community_id, volunteer_id, weekday, from_minute, to_minute)
        SELECT $1, u.* FROM unnest($2::uuid[], $3::int[], $4::int[], $5::int[]) AS u
        ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        [volunteer_id for volunteer_id, _ in rows],
        [hour.weekday for _, hour in rows],
        [hour.from_minute for _, hour in rows],
        [hour.to_minute for _, hour in rows],
    )


async def free_hours(uow: UnitOfWork, volunteer_ids: Sequence[UUID]) -> dict[UUID, list[FreeHour]]:
    """Return the weeks of those volunteers that have one, in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, weekday, from_minute, to_minute FROM bank.free_hours
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[])
         ORDER BY volunteer_id, weekday, from_minute
        """,
        uow.community_id,
        list(volunteer_ids),
    )
    weeks: dict[UUID, list[FreeHour]] = {}
    for row in rows:
        hour = FreeHour(row["weekday"], row["from_minute"], row["to_minute"])
        weeks.setdefault(row["volunteer_id"], []).append(hour)
    return weeks


async def delete_skills(uow: UnitOfWork, volunteer_id: UUID) -> None:
    """Delete what a volunteer can do."""
    connection = await uow.connection()
    await connection.execute(
        "DELETE FROM bank.volunteer_skills WHERE community_id = $1 AND volunteer_id = $2",
        uow.community_id,
        volunteer_id,
    )


async def insert_skills(uow: UnitOfWork, skills: Mapping[UUID, Sequence[str]]) -> None:
    """Insert what is not known yet."""
    rows = [(volunteer_id, skill) for volunteer_id, listed in skills.items() for skill in listed]
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.volunteer_skills (community_id, volunteer_id, skill)
        SELECT $1, u.* FROM unnest($2::uuid[], $3::text[]) AS u ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        [volunteer_id for volunteer_id, _ in rows],
        [skill for _, skill in rows],
    )


async def skills(uow: UnitOfWork, volunteer_ids: Sequence[UUID]) -> dict[UUID, frozenset[str]]:
    """Return what those volunteers can do who can do anything particular."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, array_agg(skill) AS skills FROM bank.volunteer_skills
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[]) GROUP BY volunteer_id
        """,
        uow.community_id,
        list(volunteer_ids),
    )
    return {row["volunteer_id"]: frozenset(row["skills"]) for row in rows}


async def take_turn(uow: UnitOfWork) -> None:
    """Wait until no other pairing run of the community is going on."""
    connection = await uow.connection()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtext('bank.pairing_runs'), $1)", uow.community_id
    )


async def insert_run(uow: UnitOfWork, run: PairingRunInfo) -> None:
    """Insert a pairing run."""
    uow.session.add(
        PairingRun(
            community_id=uow.community_id,
            id=run.id,
            engine=run.engine,
            ran_at=run.ran_at,
            paired=run.paired,
            unpaired=run.unpaired,
            blocked={str(request): dict(reasons) for request, reasons in run.blocked.items()},
        )
    )
    await uow.session.flush()


async def runs(uow: UnitOfWork, limit: int) -> list[PairingRunInfo]:
    """Return the latest runs, newest first."""
    rows = await uow.session.exec(
        select(PairingRun)
        .where(PairingRun.community_id == uow.community_id)
        .order_by(col(PairingRun.id).desc())
        .limit(limit)
    )
    return [
        PairingRunInfo(
            id=row.id,
            engine=row.engine,
            ran_at=row.ran_at,
            paired=row.paired,
            unpaired=row.unpaired,
            blocked={
                UUID(request): {Blocked(reason): count for reason, count in reasons.items()}
                for request, reasons in row.blocked.items()
            },
        )
        for row in rows
    ]


async def insert_offers(uow: UnitOfWork, run_id: UUID, offers: Sequence[NewOffer]) -> None:
    """Insert standing offers."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.offers (community_id, pairing_run_id, state, offered_at, id, help_request_id,
                                 volunteer_id, distance, expires_at)
        SELECT $1, $2, 'offered', $3, u.*
          FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::timestamptz[]) AS u
        """,
        uow.community_id,
        run_id,
        uow.clock.now(),
        [offer.id for offer in offers],
        [offer.request_id for offer in offers],
        [offer.volunteer_id for offer in offers],
        [int(offer.distance) for offer in offers],
        [offer.expires_at for offer in offers],
    )


async def asked_before(uow: UnitOfWork, request_ids: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return, by request, the volunteers it was offered to before."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT help_request_id, array_agg(volunteer_id) AS volunteers FROM bank.offers
         WHERE community_id = $1 AND help_request_id = ANY ($2::uuid[]) GROUP BY help_request_id
        """,
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


async def standing_of_all(uow: UnitOfWork, now: datetime) -> list[OfferRow]:
    """Return every offer that can be answered."""
    return await _offers(uow, OFFER + "AND state = 'offered' AND expires_at > $2 ORDER BY id", now)


async def standing_for(uow: UnitOfWork, request_ids: Sequence[UUID]) -> list[OfferRow]:
    """Return the offers of these requests that stand or were accepted."""
    return await _offers(
        uow,
        OFFER + "AND help_request_id = ANY ($2::uuid[]) AND state IN ('offered', 'accepted') ORDER BY id",
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


async def take_back(uow: UnitOfWork, request_id: UUID, now: datetime) -> None:
    """Turn the accepted offer of a request into a declined one."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.offers SET state = 'declined', answered_at = $3
         WHERE community_id = $1 AND help_request_id = $2 AND state = 'accepted'
        """,
        uow.community_id,
        request_id,
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
