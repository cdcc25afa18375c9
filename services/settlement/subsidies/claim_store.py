"""Sums of frozen shares over a claim's days. Grouped by the database: no claim reads its meals one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pointsbank.domain.subsidy.payers import Meal, Payer
from pointsbank.platform.database import UnitOfWork
from services.settlement.views import ClaimKind, ClaimLine

SERVED = """
SELECT {person} AS ledger_ref, s.payer, s.place, m.tier, m.meal, NULL::date AS served_on,
       count(*)::bigint AS meals, sum(s.fen)::bigint AS fen
  FROM bank.redemptions r
  JOIN bank.meals m ON m.community_id = r.community_id AND m.redemption_id = r.id
  JOIN bank.meal_shares s ON s.community_id = m.community_id AND s.redemption_id = m.redemption_id
  JOIN bank.people p ON p.community_id = r.community_id AND p.id = r.member_id
 WHERE r.community_id = $1 AND r.state = 'fulfilled' AND r.captured_on BETWEEN $2 AND $3
   AND s.payer = ANY ($4::text[])
   AND r.partner_id IN (SELECT id FROM bank.partners WHERE community_id = $1)
 GROUP BY 1, 2, 3, 4, 5, 6
"""
BACK = """
SELECT {person} AS ledger_ref, b.payer, s.place, m.tier, m.meal, r.captured_on AS served_on,
       -count(*) FILTER (WHERE b.left_fen = 0)::bigint AS meals, -sum(b.fen)::bigint AS fen
  FROM bank.meal_refunds b
  JOIN bank.redemptions r ON r.community_id = b.community_id AND r.id = b.redemption_id
  JOIN bank.meals m ON m.community_id = b.community_id AND m.redemption_id = b.redemption_id
  JOIN bank.meal_shares s ON s.community_id = b.community_id AND s.redemption_id = b.redemption_id
                         AND s.payer = b.payer
  JOIN bank.people p ON p.community_id = r.community_id AND p.id = r.member_id
 WHERE b.community_id = $1 AND b.recorded_on BETWEEN $2 AND $3 AND b.payer = ANY ($4::text[])
 GROUP BY 1, 2, 3, 4, 5, 6
"""
PERSON, NOBODY = "p.ledger_ref", "NULL::uuid"


async def lines(
    uow: UnitOfWork, first: date, last: date, payers: Sequence[Payer], *, by_person: bool
) -> list[ClaimLine]:
    """Return what was served over [first, last] and what went back over it, unordered."""
    connection = await uow.connection()
    found: list[ClaimLine] = []
    for kind, query in ((ClaimKind.SERVED, SERVED), (ClaimKind.BACK, BACK)):
        rows = await connection.fetch(
            query.format(person=PERSON if by_person else NOBODY),
            uow.community_id,
            first,
            last,
            [payer.value for payer in payers],
        )
        found += [
            ClaimLine(
                kind=kind,
                payer=Payer(row["payer"]),
                place=row["place"],
                tier=row["tier"],
                meal=Meal(row["meal"]),
                served_on=row["served_on"],
                ledger_ref=row["ledger_ref"],
                meals=row["meals"],
                fen=row["fen"],
            )
            for row in rows
        ]
    return found
