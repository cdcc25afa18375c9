"""Refunds in the database."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import asyncpg

from pointsbank.domain.decision import DecisionState
from pointsbank.domain.refund import RefundReason
from pointsbank.platform.database import UnitOfWork
from services.settlement.views import RedemptionInfo, RefundInfo

STANDING = "uq_refunds_standing"


async def insert(
    uow: UnitOfWork,
    refund_id: UUID,
    redemption: RedemptionInfo,
    *,
    milli_points: int,
    fen: int,
    reason: RefundReason,
    proposed_by: UUID | None,
) -> UUID | None:
    """Write a proposed refund and return its id; None when one of the redemption stands already.

    proposed_by: None for the partner. What only the partner has proposed is taken up by a person's proposal.
    """
    connection = await uow.connection()
    added: UUID | None = await connection.fetchval(
        """
        INSERT INTO bank.refunds AS u (community_id, id, redemption_id, partner_id, milli_points, fen,
                                  service_date, reason, state, proposed_by, proposed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'proposed', $9, $10)
        ON CONFLICT (community_id, redemption_id) WHERE state <> 'refused' DO UPDATE
           SET proposed_by = excluded.proposed_by, proposed_at = excluded.proposed_at,
               milli_points = excluded.milli_points, fen = excluded.fen, reason = excluded.reason
         WHERE u.state = 'proposed' AND u.proposed_by IS NULL AND excluded.proposed_by IS NOT NULL
        RETURNING id
        """,
        uow.community_id,
        refund_id,
        redemption.id,
        redemption.partner_id,
        milli_points,
        fen,
        redemption.captured_on,
        reason.value,
        proposed_by,
        uow.clock.now(),
    )
    return added


async def decide(
    uow: UnitOfWork,
    refund_id: UUID,
    state: DecisionState,
    *,
    decided_by: UUID,
    booked_on: date | None = None,
    entry_number: int | None = None,
) -> None:
    """Write how a refund was decided. It must be locked, and proposed."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.refunds
           SET state = $3, decided_by = $4, decided_at = $5, booked_on = $6, entry_number = $7
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        refund_id,
        state.value,
        decided_by,
        uow.clock.now(),
        booked_on,
        entry_number,
    )


async def refund(uow: UnitOfWork, refund_id: UUID, *, lock: bool = False) -> RefundInfo | None:
    """Return a refund, locked until the unit of work ends when asked for, or None."""
    found = await _fetch(
        uow, "u.id = $2", refund_id, ending="FOR UPDATE OF u" if lock else "ORDER BY u.id LIMIT 1"
    )
    return found[0] if found else None


async def refunds(
    uow: UnitOfWork, *, state: DecisionState | None, after: UUID | None, limit: int
) -> list[RefundInfo]:
    """Return refunds in order of proposal. after: only later ones."""
    return await _fetch(
        uow,
        "($2::text IS NULL OR u.state = $2) AND ($3::uuid IS NULL OR u.id > $3)",
        state,
        after,
        ending=f"ORDER BY u.id LIMIT {int(limit)}",
    )


async def refunds_of(uow: UnitOfWork, redemption_id: UUID) -> list[RefundInfo]:
    """Return a redemption's refunds in order of proposal, the refused ones too."""
    return await _fetch(uow, "u.redemption_id = $2", redemption_id, ending="ORDER BY u.id")


async def _fetch(uow: UnitOfWork, condition: str, *values: object, ending: str) -> list[RefundInfo]:
    connection = await uow.connection()
    rows: list[asyncpg.Record] = await connection.fetch(
        f"""
        SELECT u.id, u.redemption_id, p.code AS partner, u.milli_points, u.fen, u.service_date, u.reason,
               u.state, u.proposed_by, u.proposed_at, u.decided_by, u.decided_at, u.booked_on, u.entry_number
          FROM bank.refunds u
          JOIN bank.partners p ON p.community_id = u.community_id AND p.id = u.partner_id
         WHERE u.community_id = $1 AND {condition} {ending}
        """,  # noqa: S608 - this module's own conditions
        uow.community_id,
        *values,
    )
    return [
        RefundInfo(**{**row, "reason": RefundReason(row["reason"]), "state": DecisionState(row["state"])})
        for row in rows
    ]
