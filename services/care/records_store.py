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


async def known_keys(uow: UnitOfWork, keys: Sequence[bytes]) -> dict[bytes, UUID]:
    """Return, for those content keys that were recorded before, the visit's id."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT content_key, id FROM bank.visits WHERE community_id = $1 AND content_key = ANY ($2::bytea[])",
        uow.community_id,
        keys,
    )
    return {row["content_key"]: row["id"] for row in rows}


async def overlapping(
    uow: UnitOfWork, periods: Sequence[tuple[UUID, datetime, datetime]]
) -> dict[int, tuple[datetime, datetime | None]]:
    """Return, by place in ``periods`` (volunteer, start, end), one visit of the bank that lies across it.

    A visit under way has no end yet.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT r.place, v.checked_in_at, v.checked_out_at
          FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[])
               WITH ORDINALITY AS r(volunteer_id, started_at, ended_at, place)
         CROSS JOIN LATERAL (
               SELECT c.checked_in_at, c.checked_out_at FROM bank.visits c
                WHERE c.community_id = $1 AND c.volunteer_id = r.volunteer_id AND c.state = 'confirmed'
                  AND tstzrange(c.checked_in_at, c.checked_out_at) && tstzrange(r.started_at, r.ended_at)
                LIMIT 1) v
         UNION ALL
        SELECT r.place, v.checked_in_at, v.checked_out_at
          FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[])
               WITH ORDINALITY AS r(volunteer_id, started_at, ended_at, place)
          JOIN bank.visits v ON v.community_id = $1 AND v.volunteer_id = r.volunteer_id
               AND v.state IN ('under_way', 'done')
               AND tstzrange(v.checked_in_at, v.checked_out_at) && tstzrange(r.started_at, r.ended_at)
        """,
        uow.community_id,
        [volunteer for volunteer, _, _ in periods],
        [start for _, start, _ in periods],
        [end for _, _, end in periods],
    )
    return {row["place"] - 1: (row["checked_in_at"], row["checked_out_at"]) for row in rows}


async def credited_minutes(uow: UnitOfWork, spans: Sequence[tuple[UUID, datetime, datetime]]) -> list[int]:
    """Return, for each (volunteer, from, to), the minutes credited for visits that ended in [from, to)."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT coalesce(v.minutes, 0) AS minutes
          FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[])
               WITH ORDINALITY AS r(volunteer_id, from_at, to_at, place)
          LEFT JOIN LATERAL (
               SELECT sum(c.credited_minutes)::integer AS minutes FROM bank.visits c
                WHERE c.community_id = $1 AND c.volunteer_id = r.volunteer_id AND c.state = 'confirmed'
                  -- half a second back: a visit that ends at midnight does not overlap the day it ends on
                  AND tstzrange(c.checked_in_at, c.checked_out_at)
                      && tstzrange(r.from_at - interval '0.5 second', r.to_at)
                  AND c.checked_out_at >= r.from_at AND c.checked_out_at < r.to_at) v ON true
         ORDER BY r.place
        """,
        uow.community_id,
        [volunteer for volunteer, _, _ in spans],
        [start for _, start, _ in spans],
        [end for _, _, end in spans],
    )
    return [row["minutes"] for row in rows]


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
