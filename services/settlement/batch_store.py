"""Settlement batches, reconciliations and differences in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.settlement import Difference, DifferenceKind, Line, Totals
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.settlement.views import BatchInfo, BatchLine, DifferenceInfo, ReconciliationInfo

FREEZE_LOCK = "settlement.freeze"

BATCH_COLUMNS = """b.id, p.code AS partner, b.business_date, b.sequence, b.frozen_at, b.lines,
       b.milli_points, b.fen, b.content_hash, b.entry_number"""


async def lock_freezing(uow: UnitOfWork) -> None:
    """Let one freezing of the community go at a time, until the unit of work ends."""
    connection = await uow.connection()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", FREEZE_LOCK, uow.community_id
    )


async def unsettled_days(uow: UnitOfWork, through: date) -> list[tuple[UUID, str, date]]:
    """Return (partner id, code, business day) up to ``through`` with captures that are in no batch yet."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT p.id, p.code, u.captured_on
          FROM (SELECT DISTINCT r.partner_id, r.captured_on
                  FROM bank.redemptions r
                 WHERE r.community_id = $1 AND r.state = 'fulfilled' AND r.captured_on <= $2
                   AND NOT EXISTS (SELECT FROM bank.settlement_lines l
                                    WHERE l.community_id = $1 AND l.redemption_id = r.id)) u
          JOIN bank.partners p ON p.community_id = $1 AND p.id = u.partner_id
         ORDER BY u.captured_on, p.code
        """,
        uow.community_id,
        through,
    )
    return [(row["id"], row["code"], row["captured_on"]) for row in rows]


async def unsettled_lines(uow: UnitOfWork, partner_id: UUID, day: date, *, limit: int) -> list[Line]:
    """Return captures of a partner's day that are in no batch yet, in order of redemption."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT r.id, r.milli_points, r.fen
          FROM bank.redemptions r
         WHERE r.community_id = $1 AND r.partner_id = $2 AND r.captured_on = $3 AND r.state = 'fulfilled'
           AND NOT EXISTS (SELECT FROM bank.settlement_lines l
                            WHERE l.community_id = $1 AND l.redemption_id = r.id)
         ORDER BY r.id LIMIT $4
        """,
        uow.community_id,
        partner_id,
        day,
        limit,
    )
    return [Line(row["id"], MilliPoints(row["milli_points"]), Fen(row["fen"])) for row in rows]


async def next_sequence(uow: UnitOfWork, partner_id: UUID, day: date) -> int:
    """Return the number the day's next batch has; call it under :func:`lock_freezing`."""
    connection = await uow.connection()
    number: int = await connection.fetchval(
        "SELECT coalesce(max(sequence), 0) + 1 FROM bank.settlement_batches"
        " WHERE community_id = $1 AND partner_id = $2 AND business_date = $3",
        uow.community_id,
        partner_id,
        day,
    )
    return number


async def insert_batch(
    uow: UnitOfWork,
    *,
    batch_id: UUID,
    partner_id: UUID,
    business_date: date,
    sequence: int,
    lines: Sequence[Line],
    sums: Totals,
    content_hash: bytes,
    entry_number: int,
) -> None:
    """Write a batch and its lines. Its entry must be posted."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.settlement_batches (community_id, id, partner_id, business_date, sequence, frozen_at,
                                             lines, milli_points, fen, content_hash, entry_number)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        uow.community_id,
        batch_id,
        partner_id,
        business_date,
        sequence,
        uow.clock.now(),
        sums.lines,
        sums.milli_points,
        sums.fen,
        content_hash,
        entry_number,
    )
    await connection.execute(
        """
        INSERT INTO bank.settlement_lines (community_id, redemption_id, batch_id, milli_points, fen)
        SELECT $1, u.redemption, $2, u.milli_points, u.fen
          FROM unnest($3::uuid[], $4::bigint[], $5::bigint[]) AS u(redemption, milli_points, fen)
        """,
        uow.community_id,
        batch_id,
        [line.redemption for line in lines],
        [line.milli_points for line in lines],
        [line.fen for line in lines],
    )


async def batches(
    uow: UnitOfWork, *, batch_id: UUID | None = None, before: UUID | None = None, limit: int
) -> list[BatchInfo]:
    """Return batches, the newest first. before: only those older than that one."""
    connection = await uow.connection()
    rows = await connection.fetch(
        f"""
        SELECT {BATCH_COLUMNS}
          FROM bank.settlement_batches b
          JOIN bank.partners p ON p.community_id = b.community_id AND p.id = b.partner_id
         WHERE b.community_id = $1 AND ($2::uuid IS NULL OR b.id = $2) AND ($3::uuid IS NULL OR b.id < $3)
         ORDER BY b.id DESC LIMIT $4
        """,  # noqa: S608 (the columns are this module's own)
        uow.community_id,
        batch_id,
        before,
        limit,
    )
    return [BatchInfo(**row) for row in rows]


async def batch_lines(uow: UnitOfWork, batch_id: UUID, *, after: UUID | None, limit: int) -> list[BatchLine]:
    """Return a batch's lines in order of redemption."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT redemption_id, milli_points, fen FROM bank.settlement_lines
         WHERE community_id = $1 AND batch_id = $2 AND ($3::uuid IS NULL OR redemption_id > $3)
         ORDER BY redemption_id LIMIT $4
        """,
        uow.community_id,
        batch_id,
        after,
        limit,
    )
    return [BatchLine(**row) for row in rows]


async def captured_lines(
    uow: UnitOfWork, partner_id: UUID, day: date, *, until: datetime, or_in: Sequence[UUID]
) -> list[Line]:
    """Return what was captured of a partner's day, in order of redemption.

    until: leave out what was captured after that moment, unless it is in ``or_in``.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id, milli_points, fen FROM bank.redemptions
         WHERE community_id = $1 AND partner_id = $2 AND captured_on = $3 AND state = 'fulfilled'
           AND (updated_at <= $4 OR id = ANY ($5::uuid[]))
         ORDER BY id
        """,
        uow.community_id,
        partner_id,
        day,
        until,
        or_in,
    )
    return [Line(row["id"], MilliPoints(row["milli_points"]), Fen(row["fen"])) for row in rows]


async def still_open(uow: UnitOfWork, partner_id: UUID, ids: Sequence[UUID]) -> list[UUID]:
    """Return those of ``ids`` whose redemption at the partner has not ended here."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id FROM bank.redemptions
         WHERE community_id = $1 AND partner_id = $2 AND id = ANY ($3::uuid[])
           AND state IN ('held', 'requested', 'accepted')
         ORDER BY id
        """,
        uow.community_id,
        partner_id,
        ids,
    )
    return [row["id"] for row in rows]


async def insert_reconciliation(
    uow: UnitOfWork,
    partner_id: UUID,
    business_date: date,
    *,
    lines_here: int,
    lines_there: int,
    differences: Mapping[tuple[UUID, DifferenceKind], Difference],
) -> UUID:
    """Write a comparison and its differences; one that was named before is seen again, not named twice."""
    reconciliation_id, now = uuid7(), uow.clock.now()
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.reconciliations (community_id, id, partner_id, business_date, compared_at,
                                          lines_here, lines_there, differences)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        uow.community_id,
        reconciliation_id,
        partner_id,
        business_date,
        now,
        lines_here,
        lines_there,
        len(differences),
    )
    found = list(differences.values())
    await connection.execute(
        """
        INSERT INTO bank.reconciliation_differences AS d
               (community_id, id, reconciliation_id, partner_id, business_date, redemption_id, kind,
                milli_points_here, milli_points_there, fen_here, fen_there, found_at)
        SELECT $1, u.id, $2, $3, $4, u.redemption, u.kind,
               u.points_here, u.points_there, u.fen_here, u.fen_there, $5
          FROM unnest($6::uuid[], $7::uuid[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
                      $12::bigint[])
               AS u(id, redemption, kind, points_here, points_there, fen_here, fen_there)
            ON CONFLICT (community_id, partner_id, business_date, redemption_id, kind) DO UPDATE
           SET reconciliation_id = excluded.reconciliation_id,
               milli_points_here = excluded.milli_points_here,
               milli_points_there = excluded.milli_points_there,
               fen_here = excluded.fen_here, fen_there = excluded.fen_there
        """,
        uow.community_id,
        reconciliation_id,
        partner_id,
        business_date,
        now,
        [uuid7() for _ in found],
        [each.redemption for each in found],
        [each.kind.value for each in found],
        [each.here.milli_points if each.here else None for each in found],
        [each.there.milli_points if each.there else None for each in found],
        [each.here.fen if each.here else None for each in found],
        [each.there.fen if each.there else None for each in found],
    )
    return reconciliation_id


async def reconciliations(
    uow: UnitOfWork,
    *,
    reconciliation_id: UUID | None = None,
    partner_id: UUID | None = None,
    day: date | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[ReconciliationInfo]:
    """Return comparisons, the newest first. before: only those older than that one."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT r.id, p.code AS partner, r.business_date, r.compared_at, r.lines_here, r.lines_there,
               r.differences
          FROM bank.reconciliations r
          JOIN bank.partners p ON p.community_id = r.community_id AND p.id = r.partner_id
         WHERE r.community_id = $1 AND ($2::uuid IS NULL OR r.id = $2)
           AND ($3::uuid IS NULL OR r.partner_id = $3)
           AND ($4::date IS NULL OR r.business_date = $4) AND ($5::uuid IS NULL OR r.id < $5)
         ORDER BY r.id DESC LIMIT $6
        """,
        uow.community_id,
        reconciliation_id,
        partner_id,
        day,
        before,
        limit,
    )
    return [ReconciliationInfo(**row) for row in rows]


async def differences(
    uow: UnitOfWork,
    *,
    difference_id: UUID | None = None,
    only_open: bool = False,
    before: UUID | None = None,
    limit: int,
) -> list[DifferenceInfo]:
    """Return differences, the newest first. before: only those older than that one."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT d.id, p.code AS partner, d.business_date, d.redemption_id, d.kind, d.milli_points_here,
               d.milli_points_there, d.fen_here, d.fen_there, d.found_at,
               d.resolved_at, d.resolved_by, d.resolution,
               d.reconciliation_id <> (SELECT r.id FROM bank.reconciliations r
                                        WHERE r.community_id = $1 AND r.partner_id = d.partner_id
                                          AND r.business_date = d.business_date
                                        ORDER BY r.id DESC LIMIT 1) AS vanished
          FROM bank.reconciliation_differences d
          JOIN bank.partners p ON p.community_id = d.community_id AND p.id = d.partner_id
         WHERE d.community_id = $1 AND ($2::uuid IS NULL OR d.id = $2) AND (NOT $3 OR d.resolved_at IS NULL)
           AND ($4::uuid IS NULL OR d.id < $4)
         ORDER BY d.id DESC LIMIT $5
        """,
        uow.community_id,
        difference_id,
        only_open,
        before,
        limit,
    )
    return [DifferenceInfo(**{**row, "kind": DifferenceKind(row["kind"])}) for row in rows]


async def resolve(uow: UnitOfWork, difference_id: UUID, *, resolved_by: UUID, resolution: str) -> bool:
    """Write who resolved an open difference and how; False when it is not open."""
    connection = await uow.connection()
    status: str = await connection.execute(
        """
        UPDATE bank.reconciliation_differences SET resolved_at = $3, resolved_by = $4, resolution = $5
         WHERE community_id = $1 AND id = $2 AND resolved_at IS NULL
        """,
        uow.community_id,
        difference_id,
        uow.clock.now(),
        resolved_by,
        resolution,
    )
    return status.endswith(" 1")
