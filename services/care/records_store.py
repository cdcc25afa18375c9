"""Bulk reading and writing of visits. Every statement works on whole chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pointsbank.domain.visit import VisitState
from pointsbank.platform.database import UnitOfWork


@dataclass(frozen=True, slots=True)
class ConfirmedVisit:
    """A visit to store as confirmed; its entry is in the journal already."""

    id: UUID
    help_request_id: UUID | None
    volunteer_id: UUID
    elder_id: UUID
    kind: str
    started_at: datetime
    ended_at: datetime
    minutes: int
    confirmed_by: UUID
    confirmation_method: str
    strength: int
    confirmed_at: datetime
    policy_version: int
    credited_minutes: int
    clipped_milli_points: int
    entry_number: int | None
    content_key: bytes


@dataclass(frozen=True, slots=True)
class AttendedVisit:
    """When a volunteer was at a visit; no check-out yet: None. credited_minutes: 0 until confirmed.

    entry_number: of the entry that it earned, if any.
    """

    volunteer_id: UUID
    checked_in_at: datetime
    checked_out_at: datetime | None
    credited_minutes: int
    entry_number: int | None = None


async def known_keys(uow: UnitOfWork, keys: Sequence[bytes]) -> dict[bytes, UUID]:
    """Return, for those content keys that were recorded before, the visit's id."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT content_key, id FROM bank.visits WHERE community_id = $1 AND content_key = ANY ($2::bytea[])",
        uow.community_id,
        keys,
    )
    return {row["content_key"]: row["id"] for row in rows}


async def attended(
    uow: UnitOfWork, volunteers: Sequence[UUID], start: datetime, end: datetime
) -> list[AttendedVisit]:
    """Return the volunteers' visits that were checked into and reach into [start, end].

    One reading for a whole chunk: row-level security keeps a condition on ranges from the index, so asking
    record by record would read a volunteer's visits again for each of their records.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT volunteer_id, checked_in_at,
               CASE WHEN state = 'missing' THEN greatest(planned_end, checked_in_at) ELSE checked_out_at END
                   AS checked_out_at,
               coalesce(credited_minutes, 0) AS credited_minutes, entry_number
          FROM bank.visits
         WHERE community_id = $1 AND volunteer_id = ANY ($2::uuid[])
           AND state IN ('under_way', 'missing', 'done', 'disputed', 'confirmed') AND checked_in_at <= $4
           AND (checked_out_at IS NULL OR checked_out_at >= $3)
         ORDER BY volunteer_id, checked_in_at
        """,
        uow.community_id,
        volunteers,
        start,
        end,
    )
    return [AttendedVisit(**row) for row in rows]


async def insert_confirmed(uow: UnitOfWork, visits: Sequence[ConfirmedVisit]) -> None:
    """Store confirmed visits; planned and actual times are the same."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.visits (community_id, state, created_at, id, help_request_id, volunteer_id, elder_id,
               kind, planned_start, planned_end, checked_in_at, checked_out_at, minutes, confirmed_by,
               confirmation_method, strength, confirmed_at, policy_version, credited_minutes,
               clipped_milli_points, entry_number, content_key)
        SELECT $1, $2, $3, r.id, r.help_request_id, r.volunteer_id, r.elder_id,
               r.kind, r.started_at, r.ended_at, r.started_at, r.ended_at, r.minutes, r.confirmed_by,
               r.method, r.strength, r.confirmed_at, r.policy_version, r.credited_minutes,
               r.clipped, r.entry_number, r.content_key
          FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::timestamptz[],
                      $10::timestamptz[], $11::integer[], $12::uuid[], $13::text[], $14::integer[],
                      $15::timestamptz[], $16::integer[], $17::integer[], $18::bigint[], $19::bigint[],
                      $20::bytea[])
               AS r(id, help_request_id, volunteer_id, elder_id, kind, started_at, ended_at, minutes,
                    confirmed_by, method, strength, confirmed_at, policy_version, credited_minutes, clipped,
                    entry_number, content_key)
        """,
        uow.community_id,
        VisitState.CONFIRMED.value,
        uow.clock.now(),
        [visit.id for visit in visits],
        [visit.help_request_id for visit in visits],
        [visit.volunteer_id for visit in visits],
        [visit.elder_id for visit in visits],
        [visit.kind for visit in visits],
        [visit.started_at for visit in visits],
        [visit.ended_at for visit in visits],
        [visit.minutes for visit in visits],
        [visit.confirmed_by for visit in visits],
        [visit.confirmation_method for visit in visits],
        [visit.strength for visit in visits],
        [visit.confirmed_at for visit in visits],
        [visit.policy_version for visit in visits],
        [visit.credited_minutes for visit in visits],
        [visit.clipped_milli_points for visit in visits],
        [visit.entry_number for visit in visits],
        [visit.content_key for visit in visits],
    )
