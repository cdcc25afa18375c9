"""Rows of complaints. They are added; only how they were heard, decided and appealed is written later."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.platform.database import UnitOfWork

COMPLAINT = """
SELECT id, visit_id, volunteer_id, complained_by, ground, note, state, filed_at, heard_by, heard_at, answer,
       decided_by, decided_at, finding, reversal_id, appeal, appealed_by, appealed_at, appeal_note,
       appeal_decided_by, appeal_decided_at, appeal_finding, restoring_points_id, restoring_minutes_id
  FROM bank.complaints WHERE community_id = $1
"""


async def insert(
    uow: UnitOfWork,
    complaint_id: UUID,
    *,
    visit_id: UUID,
    volunteer_id: UUID,
    complained_by: UUID,
    ground: str,
    note: str | None,
) -> bool:
    """Insert a complaint. False: one about this visit stands already."""
    connection = await uow.connection()
    done = await connection.execute(
        """
        INSERT INTO bank.complaints (community_id, id, visit_id, volunteer_id, complained_by, ground, note,
        state,
                                     filed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'filed', $8)
        ON CONFLICT (community_id, visit_id) WHERE state <> 'dismissed' AND appeal IS DISTINCT FROM 'upheld'
        DO NOTHING
        """,
        uow.community_id,
        complaint_id,
        visit_id,
        volunteer_id,
        complained_by,
        ground,
        note,
        uow.clock.now(),
    )
    return bool(done.endswith(" 1"))


async def complaint(uow: UnitOfWork, complaint_id: UUID, *, lock: bool = False) -> dict[str, Any] | None:
    """Return a complaint, or None; with ``lock``, locked until the unit of work ends."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        COMPLAINT + "AND id = $2" + (" FOR NO KEY UPDATE" if lock else ""), uow.community_id, complaint_id
    )
    return dict(row) if row is not None else None


async def visit_of(uow: UnitOfWork, complaint_id: UUID) -> UUID | None:
    """Return the visit a complaint is about. It never changes."""
    connection = await uow.connection()
    found: UUID | None = await connection.fetchval(
        "SELECT visit_id FROM bank.complaints WHERE community_id = $1 AND id = $2",
        uow.community_id,
        complaint_id,
    )
    return found


async def upheld_between(
    uow: UnitOfWork, volunteer_id: UUID, elder_id: UUID, start: datetime, end: datetime
) -> bool:
    """Tell whether a complaint stands upheld about a visit of a pair whose real times reach into [start,
    end)."""
    connection = await uow.connection()
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM bank.complaints c
                  JOIN bank.visits v ON v.community_id = $1 AND v.id = c.visit_id
                 WHERE c.community_id = $1 AND c.state = 'upheld' AND c.appeal IS DISTINCT FROM 'upheld'
                   AND v.volunteer_id = $2 AND v.elder_id = $3
                   AND v.checked_in_at < $5 AND v.checked_out_at > $4)
            """,
            uow.community_id,
            volunteer_id,
            elder_id,
            start,
            end,
        )
    )


async def find(
    uow: UnitOfWork, *, concerning: UUID | None, visit_id: UUID | None, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Return complaints in order of filing, beyond ``after``. concerning: only a person's; visit_id: a
    visit's."""
    connection = await uow.connection()
    rows = await connection.fetch(
        COMPLAINT
        + """
        AND ($2::uuid IS NULL OR volunteer_id = $2 OR complained_by = $2)
        AND ($3::uuid IS NULL OR visit_id = $3) AND ($4::uuid IS NULL OR id > $4)
        ORDER BY id LIMIT $5
        """,
        uow.community_id,
        concerning,
        visit_id,
        after,
        limit,
    )
    return [dict(row) for row in rows]


async def set_heard(uow: UnitOfWork, complaint_id: UUID, *, by: UUID, answer: str) -> None:
    """Note what the volunteer answered."""
    await _update(
        uow,
        complaint_id,
        "state = 'heard', heard_by = $3, answer = $4, heard_at = $5",
        by,
        answer,
        uow.clock.now(),
    )


async def set_decided(
    uow: UnitOfWork, complaint_id: UUID, state: str, *, by: UUID, finding: str, reversal_id: UUID | None
) -> None:
    """Note how a complaint was decided."""
    await _update(
        uow,
        complaint_id,
        "state = $3, decided_by = $4, finding = $5, reversal_id = $6, decided_at = $7",
        state,
        by,
        finding,
        reversal_id,
        uow.clock.now(),
    )


async def set_appealed(uow: UnitOfWork, complaint_id: UUID, *, by: UUID, note: str) -> None:
    """Note an appeal."""
    await _update(
        uow,
        complaint_id,
        "appeal = 'open', appealed_by = $3, appeal_note = $4, appealed_at = $5",
        by,
        note,
        uow.clock.now(),
    )


async def set_appeal_decided(
    uow: UnitOfWork,
    complaint_id: UUID,
    appeal: str,
    *,
    by: UUID,
    finding: str,
    restoring_points_id: UUID | None,
    restoring_minutes_id: UUID | None,
) -> None:
    """Note how an appeal was decided."""
    await _update(
        uow,
        complaint_id,
        "appeal = $3, appeal_decided_by = $4, appeal_finding = $5, restoring_points_id = $6, "
        "restoring_minutes_id = $7, appeal_decided_at = $8",
        appeal,
        by,
        finding,
        restoring_points_id,
        restoring_minutes_id,
        uow.clock.now(),
    )


async def _update(uow: UnitOfWork, complaint_id: UUID, what: str, *arguments: Any) -> None:
    connection = await uow.connection()
    await connection.execute(
        f"UPDATE bank.complaints SET {what} WHERE community_id = $1 AND id = $2",  # noqa: S608 - fixed texts
        uow.community_id,
        complaint_id,
        *arguments,
    )
