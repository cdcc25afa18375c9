"""Reconciliations and differences in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.settlement import Difference, DifferenceKind, Line
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.settlement.views import DifferenceInfo, ReconciliationInfo


@dataclass(frozen=True, slots=True)
class KnownDifference:
    """A difference that was named before. reconciliation_id: the comparison that saw it last while open.

    answered: somebody resolved it while it stood there to be seen, so that it need not be named again.
    """

    difference: Difference
    reconciliation_id: UUID
    open: bool
    answered: bool


async def captured_lines(
    uow: UnitOfWork, partner_id: UUID, day: date, *, until: datetime, or_in: Sequence[UUID]
) -> list[Line]:
    """Return what was captured of a partner's day, in order of redemption.

    until: leave out what was captured after that moment, unless it is in ``or_in``.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT r.id, h.captured AS milli_points, r.fen * r.served / r.quantity AS fen
          FROM bank.redemptions r
          JOIN bank.holds h ON h.community_id = r.community_id AND h.id = r.id
         WHERE r.community_id = $1 AND r.partner_id = $2 AND r.captured_on = $3 AND r.state = 'fulfilled'
           AND (r.updated_at <= $4 OR r.id = ANY ($5::uuid[]))
         ORDER BY r.id
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


async def known_differences(uow: UnitOfWork, partner_id: UUID, day: date) -> list[KnownDifference]:
    """Return every difference that was ever named about a partner's day, open and resolved."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT d.redemption_id, d.kind, d.milli_points_here, d.milli_points_there, d.fen_here, d.fen_there,
               d.reconciliation_id, d.resolved_at IS NULL AS open,
               d.resolved_at IS NOT NULL AND NOT EXISTS (
                   SELECT FROM bank.reconciliations r
                    WHERE r.community_id = $1 AND r.partner_id = $2 AND r.business_date = $3
                      AND r.id > d.reconciliation_id AND r.compared_at <= d.resolved_at) AS answered
          FROM bank.reconciliation_differences d
         WHERE d.community_id = $1 AND d.partner_id = $2 AND d.business_date = $3
        """,
        uow.community_id,
        partner_id,
        day,
    )
    return [
        KnownDifference(
            Difference(
                DifferenceKind(row["kind"]),
                row["redemption_id"],
                _line(row["redemption_id"], row["milli_points_here"], row["fen_here"]),
                _line(row["redemption_id"], row["milli_points_there"], row["fen_there"]),
            ),
            row["reconciliation_id"],
            row["open"],
            row["answered"],
        )
        for row in rows
    ]


def _line(redemption: UUID, milli_points: int | None, fen: int | None) -> Line | None:
    if milli_points is None or fen is None:
        return None
    return Line(redemption, MilliPoints(milli_points), Fen(fen))


async def compared_days(uow: UnitOfWork, from_: date, to: date) -> dict[tuple[UUID, date], datetime]:
    """Return when days in [from_, to] were last compared, by (partner, day)."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT partner_id, business_date, max(compared_at) AS compared_at FROM bank.reconciliations
         WHERE community_id = $1 AND business_date BETWEEN $2 AND $3
         GROUP BY partner_id, business_date
        """,
        uow.community_id,
        from_,
        to,
    )
    return {(row["partner_id"], row["business_date"]): row["compared_at"] for row in rows}


async def differing_days(uow: UnitOfWork, from_: date, to: date) -> set[tuple[UUID, date]]:
    """Return (partner, day) in [from_, to] with differences that nobody has resolved."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT DISTINCT partner_id, business_date FROM bank.reconciliation_differences
         WHERE community_id = $1 AND business_date BETWEEN $2 AND $3 AND resolved_at IS NULL
        """,
        uow.community_id,
        from_,
        to,
    )
    return {(row["partner_id"], row["business_date"]) for row in rows}


async def insert_reconciliation(
    uow: UnitOfWork,
    partner_id: UUID,
    business_date: date,
    *,
    compared_at: datetime,
    lines_here: int,
    lines_there: int,
    differences: Sequence[Difference],
) -> UUID:
    """Write a comparison and its differences, one of a kind for a redemption; return its id.

    One that is open already is seen again, not named twice; one that was resolved stays as it is.
    """
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
        compared_at,
        lines_here,
        lines_there,
        len(differences),
    )
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
            ON CONFLICT (community_id, partner_id, business_date, redemption_id, kind)
                  WHERE resolved_at IS NULL DO UPDATE
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
        [uuid7() for _ in differences],
        [each.redemption for each in differences],
        [each.kind.value for each in differences],
        [each.here.milli_points if each.here else None for each in differences],
        [each.there.milli_points if each.there else None for each in differences],
        [each.here.fen if each.here else None for each in differences],
        [each.there.fen if each.there else None for each in differences],
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
               d.resolved_at IS NULL AND d.reconciliation_id <> (
                   SELECT r.id FROM bank.reconciliations r
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
