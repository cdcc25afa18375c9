"""Settlement batches in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.settlement import Line, Totals
from pointsbank.platform.database import UnitOfWork
from services.settlement.views import BatchInfo, BatchLine, PartnerInfo

FREEZE_LOCK = "settlement.freeze"

BATCH_COLUMNS = """b.id, p.code AS partner, b.business_date, b.sequence, b.frozen_at, b.lines,
       b.milli_points, b.fen, b.content_hash, b.entry_number"""


async def lock_freezing(uow: UnitOfWork) -> None:
    """Let one freezing of the community go at a time, until the unit of work ends."""
    connection = await uow.connection()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", FREEZE_LOCK, uow.community_id
    )


async def unsettled_days(uow: UnitOfWork, through: date) -> list[tuple[PartnerInfo, date]]:
    """Return partners and business days up to ``through`` with captures that are in no batch yet."""
    connection = await uow.connection()
    # Captures are counted against batches' lines: no history of lines is read, one index is.
    rows = await connection.fetch(
        """
        SELECT p.id, p.code, p.name, c.captured_on
          FROM (SELECT partner_id, captured_on, count(*) AS lines
                  FROM bank.redemptions
                 WHERE community_id = $1 AND captured_on <= $2
                 GROUP BY partner_id, captured_on) c
          JOIN bank.partners p ON p.community_id = $1 AND p.id = c.partner_id
          LEFT JOIN (SELECT partner_id, business_date, sum(lines) AS lines
                       FROM bank.settlement_batches WHERE community_id = $1
                      GROUP BY partner_id, business_date) b
                 ON b.partner_id = c.partner_id AND b.business_date = c.captured_on
         WHERE c.lines > coalesce(b.lines, 0)
         ORDER BY c.captured_on, p.code
        """,
        uow.community_id,
        through,
    )
    return [(PartnerInfo(row["id"], row["code"], row["name"]), row["captured_on"]) for row in rows]


async def unsettled_lines(
    uow: UnitOfWork,
    partner_id: UUID,
    day: date,
    *,
    among: Sequence[UUID] | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[Line]:
    """Return captures of a partner's day that are in no batch yet, in order of redemption.

    among: of these only, None for all. after: only later ones.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT r.id, r.milli_points, r.fen
          FROM bank.redemptions r
         WHERE r.community_id = $1 AND r.partner_id = $2 AND r.captured_on = $3 AND r.state = 'fulfilled'
           AND NOT EXISTS (SELECT FROM bank.settlement_lines l
                            WHERE l.community_id = $1 AND l.redemption_id = r.id)
           AND ($5::uuid[] IS NULL OR r.id = ANY ($5)) AND ($6::uuid IS NULL OR r.id > $6)
         ORDER BY r.id LIMIT $4
        """,
        uow.community_id,
        partner_id,
        day,
        limit,
        among,
        after,
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
