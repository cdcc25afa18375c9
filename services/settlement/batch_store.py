"""Settlement batches in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.settlement import LineKind, SettledLine, Totals
from pointsbank.platform.database import UnitOfWork
from services.settlement.views import BatchInfo, BatchLine, PartnerInfo, Payment, Signature

FREEZE_LOCK = "settlement.freeze"
SIGN_LOCK = "settlement.sign"

BATCH_COLUMNS = """b.id, p.code AS partner, b.business_date, b.sequence, b.frozen_at, b.lines,
       b.milli_points, b.fen, b.subsidy_fen, b.cash_fen, b.content_hash, b.entry_number"""


async def lock_freezing(uow: UnitOfWork) -> None:
    """Let one freezing of the community go at a time, until the unit of work ends."""
    connection = await uow.connection()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", FREEZE_LOCK, uow.community_id
    )


async def unsettled_days(uow: UnitOfWork, through: date) -> list[tuple[PartnerInfo, date]]:
    """Return partners and business days up to ``through`` with captures or refunds in no batch yet."""
    connection = await uow.connection()
    # What is due is counted against batches' lines: no history of lines is read, indexes are.
    rows = await connection.fetch(
        """
        SELECT p.id, p.code, p.name, c.day
          FROM (SELECT partner_id, day, count(*) AS lines
                  FROM (SELECT partner_id, captured_on AS day FROM bank.redemptions
                         WHERE community_id = $1 AND captured_on <= $2
                        UNION ALL
                        SELECT partner_id, booked_on FROM bank.refunds
                         WHERE community_id = $1 AND booked_on <= $2) due
                 GROUP BY partner_id, day) c
          JOIN bank.partners p ON p.community_id = $1 AND p.id = c.partner_id
          LEFT JOIN (SELECT partner_id, business_date, sum(lines) AS lines
                       FROM bank.settlement_batches WHERE community_id = $1
                      GROUP BY partner_id, business_date) b
                 ON b.partner_id = c.partner_id AND b.business_date = c.day
         WHERE c.lines > coalesce(b.lines, 0)
         ORDER BY c.day, p.code
        """,
        uow.community_id,
        through,
    )
    return [(PartnerInfo(row["id"], row["code"], row["name"]), row["day"]) for row in rows]


async def unsettled_lines(
    uow: UnitOfWork,
    partner_id: UUID,
    day: date,
    *,
    among: Sequence[UUID] | None = None,
    after: tuple[UUID, LineKind] | None = None,
    limit: int,
) -> list[SettledLine]:
    """Return a partner's captures of a day and the refunds booked on it that are in no batch yet, by place.

    among: of captures these only, None for all. after: only later ones.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT d.redemption_id, d.kind, d.service_date, d.milli_points, d.fen, m.subsidy_fen, m.cash_fen
          FROM (SELECT r.id AS redemption_id, r.id AS back_id, 'capture' AS kind,
                       r.captured_on AS service_date,
                       h.captured AS milli_points, r.fen * r.served / r.quantity AS fen
                  FROM bank.redemptions r
                  JOIN bank.holds h ON h.community_id = r.community_id AND h.id = r.id
                 WHERE r.community_id = $1 AND r.partner_id = $2 AND r.captured_on = $3
                   AND r.state = 'fulfilled' AND ($5::uuid[] IS NULL OR r.id = ANY ($5))
                UNION ALL
                SELECT u.redemption_id, u.id, 'correction', u.service_date, -u.milli_points, -u.fen
                  FROM bank.refunds u
                 WHERE u.community_id = $1 AND u.partner_id = $2 AND u.booked_on = $3
                   AND u.state = 'approved') d
         CROSS JOIN LATERAL bank.settled_parts($1, d.redemption_id, d.kind, d.back_id) m
         WHERE NOT EXISTS (SELECT FROM bank.settlement_lines l
                            WHERE l.community_id = $1 AND l.redemption_id = d.redemption_id
                              AND l.kind = d.kind)
           AND ($6::uuid IS NULL OR (d.redemption_id, d.kind) > ($6, $7::text))
         ORDER BY d.redemption_id, d.kind LIMIT $4
        """,
        uow.community_id,
        partner_id,
        day,
        limit,
        among,
        None if after is None else after[0],
        None if after is None else after[1].value,
    )
    return [
        SettledLine(
            row["redemption_id"],
            LineKind(row["kind"]),
            row["service_date"],
            MilliPoints(row["milli_points"]),
            Fen(row["fen"]),
            Fen(row["subsidy_fen"]),
            Fen(row["cash_fen"]),
        )
        for row in rows
    ]


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
    lines: Sequence[SettledLine],
    sums: Totals,
    content_hash: bytes,
    entry_number: int | None,
) -> None:
    """Write a batch and its lines. Its entry must be posted; None where they come to nothing."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.settlement_batches (community_id, id, partner_id, business_date, sequence, frozen_at,
                                             lines, milli_points, fen, subsidy_fen, cash_fen, content_hash,
                                             entry_number)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
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
        sums.subsidy_fen,
        sums.cash_fen,
        content_hash,
        entry_number,
    )
    await connection.execute(
        """
        INSERT INTO bank.settlement_lines (community_id, redemption_id, kind, batch_id, service_date,
                                           milli_points, fen, subsidy_fen, cash_fen)
        SELECT $1, u.redemption, u.kind, $2, u.service_date, u.milli_points, u.fen, u.subsidy, u.cash
          FROM unnest($3::uuid[], $4::text[], $5::date[], $6::bigint[], $7::bigint[], $8::bigint[],
                      $9::bigint[])
               AS u(redemption, kind, service_date, milli_points, fen, subsidy, cash)
        """,
        uow.community_id,
        batch_id,
        [line.redemption for line in lines],
        [line.kind.value for line in lines],
        [line.service_date for line in lines],
        [line.milli_points for line in lines],
        [line.fen for line in lines],
        [line.subsidy_fen for line in lines],
        [line.cash_fen for line in lines],
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
    """Return a batch's lines by place, of ``limit`` redemptions at most."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT l.redemption_id, l.kind, l.service_date, l.milli_points, l.fen, l.subsidy_fen, l.cash_fen
          FROM (SELECT DISTINCT redemption_id FROM bank.settlement_lines
                 WHERE community_id = $1 AND batch_id = $2 AND ($3::uuid IS NULL OR redemption_id > $3)
                 ORDER BY redemption_id LIMIT $4) page
          JOIN bank.settlement_lines l ON l.community_id = $1 AND l.batch_id = $2
                                      AND l.redemption_id = page.redemption_id
         ORDER BY l.redemption_id, l.kind
        """,
        uow.community_id,
        batch_id,
        after,
        limit,
    )
    return [BatchLine(**{**row, "kind": LineKind(row["kind"])}) for row in rows]


async def signatures(uow: UnitOfWork, batch_ids: Sequence[UUID]) -> list[Signature]:
    """Return the signatures under batches, in order of batch and time."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT batch_id, signed_by, signed_at FROM bank.settlement_signatures
         WHERE community_id = $1 AND batch_id = ANY ($2::uuid[]) ORDER BY batch_id, signed_at, signed_by
        """,
        uow.community_id,
        batch_ids,
    )
    return [Signature(**row) for row in rows]


async def insert_signature(uow: UnitOfWork, batch_id: UUID, signed_by: UUID) -> None:
    """Write a signature under a batch."""
    connection = await uow.connection()
    await connection.execute(
        "INSERT INTO bank.settlement_signatures (community_id, batch_id, signed_by, signed_at)"
        " VALUES ($1, $2, $3, $4)",
        uow.community_id,
        batch_id,
        signed_by,
        uow.clock.now(),
    )


async def payments(uow: UnitOfWork, batch_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """Return how batches were paid, by batch."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT batch_id, reference, paid_on, noted_by, noted_at FROM bank.settlement_payments
         WHERE community_id = $1 AND batch_id = ANY ($2::uuid[])
        """,
        uow.community_id,
        batch_ids,
    )
    return {row["batch_id"]: Payment(**row) for row in rows}


async def insert_payment(
    uow: UnitOfWork, batch_id: UUID, *, reference: str, paid_on: date, noted_by: UUID
) -> None:
    """Write that a batch was paid."""
    connection = await uow.connection()
    await connection.execute(
        "INSERT INTO bank.settlement_payments"
        " (community_id, batch_id, reference, paid_on, noted_by, noted_at) VALUES ($1, $2, $3, $4, $5, $6)",
        uow.community_id,
        batch_id,
        reference,
        paid_on,
        noted_by,
        uow.clock.now(),
    )


async def lock_batch(uow: UnitOfWork, batch_id: UUID) -> None:
    """Let one signing or paying of a batch go at a time, until the unit of work ends."""
    connection = await uow.connection()
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", f"{SIGN_LOCK}:{batch_id}", uow.community_id
    )
