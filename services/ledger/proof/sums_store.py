"""What the public proof sums, and the proofs that were published."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlmodel import col, select

from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind
from pointsbank.domain.public_proof import SOURCES
from pointsbank.platform.database import UnitOfWork
from services.ledger.tables import PublicProof


async def issued(uow: UnitOfWork) -> list[tuple[EntryKind, Commodity, int]]:
    """Return what lines of each kind of entry took from the sources, net, a row for each commodity.

    Reads every line that touches a source: the whole journal once, of a million lines in a second or so.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT coalesce(o.kind, l.kind)::text AS kind, s.commodity,
               sum(CASE WHEN l.credit = s.number THEN l.amount ELSE -l.amount END)::bigint AS amount
          FROM bank.accounts s
          JOIN bank.journal_lines l ON l.community_id = $1 AND s.number IN (l.credit, l.debit)
          LEFT JOIN bank.journal_lines o ON o.community_id = $1 AND l.kind = 'reversal'
                AND o.number = l.reverses AND o.line = 1
         WHERE s.community_id = $1 AND s.kind = ANY($2::text[])
         GROUP BY 1, 2
        """,
        uow.community_id,
        sorted(SOURCES),
    )
    return [(EntryKind(row["kind"]), Commodity(row["commodity"]), row["amount"]) for row in rows]


async def insert(uow: UnitOfWork, proof: dict[str, Any]) -> None:
    """Keep a day's proof."""
    uow.session.add(PublicProof(community_id=uow.community_id, **proof))
    await uow.session.flush()


async def proofs(uow: UnitOfWork, *, before: date | None = None, limit: int) -> list[dict[str, Any]]:
    """Return published proofs, newest first. before: a day to go on from."""
    query = (
        select(PublicProof)
        .where(PublicProof.community_id == uow.community_id)
        .order_by(col(PublicProof.day).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(PublicProof.day < before)
    return [row.model_dump(exclude={"community_id"}) for row in (await uow.session.exec(query)).all()]
