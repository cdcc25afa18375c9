"""Decisions and policy proposals in the database. Rows are added; only how they ended is written later."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from uuid import UUID

from pointsbank.domain.accounts import Commodity
from pointsbank.domain.decision import Decision, DecisionKind, DecisionReason, DecisionState
from pointsbank.platform.database import UnitOfWork
from services.ledger.views import DecisionInfo, PolicyProposal

DECISION = """
SELECT id, kind, reason, member_ref, commodity, amount, entry_number, state, proposed_by, proposed_at,
       decided_by, decided_at, posted_number
  FROM bank.decisions WHERE community_id = $1
"""
PROPOSAL = """
SELECT number, effective_from, body, state, proposed_by, proposed_at, decided_by, decided_at, version
  FROM bank.policy_proposals WHERE community_id = $1
"""


async def insert(uow: UnitOfWork, decision: Decision) -> bool:
    """Write a proposed decision. False: the entry it would reverse is under another decision already."""
    connection = await uow.connection()
    done = await connection.execute(
        """
        INSERT INTO bank.decisions (community_id, id, kind, reason, member_ref, commodity, amount,
                                    entry_number, state, proposed_by, proposed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'proposed', $9, $10)
        ON CONFLICT (community_id, entry_number) WHERE state <> 'refused' AND entry_number IS NOT NULL
        DO NOTHING
        """,
        uow.community_id,
        decision.id,
        decision.kind.value,
        decision.reason.value,
        decision.member,
        decision.commodity.value,
        decision.amount,
        decision.entry_number,
        decision.proposed_by,
        uow.clock.now(),
    )
    return bool(done.endswith(" 1"))


async def get(uow: UnitOfWork, decision_id: UUID, *, lock: bool = False) -> DecisionInfo | None:
    """Return a decision, or None; with ``lock``, locked until the unit of work ends."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        DECISION + "AND id = $2" + (" FOR NO KEY UPDATE" if lock else ""), uow.community_id, decision_id
    )
    return _decision(row) if row is not None else None


async def find(
    uow: UnitOfWork, state: DecisionState | None, *, after: UUID | None, limit: int
) -> list[DecisionInfo]:
    """Return decisions in order of proposal, beyond ``after``."""
    connection = await uow.connection()
    rows = await connection.fetch(
        f"""{DECISION}
        AND ($2::text IS NULL OR state = $2)
        AND ($3::uuid IS NULL OR (proposed_at, id) > (SELECT a.proposed_at, a.id FROM bank.decisions a
                                                       WHERE a.community_id = $1 AND a.id = $3))
        ORDER BY proposed_at, id LIMIT $4
        """,  # noqa: S608 - a fixed text, no input
        uow.community_id,
        state.value if state is not None else None,
        after,
        limit,
    )
    return [_decision(row) for row in rows]


async def save_decided(
    uow: UnitOfWork,
    decision_id: UUID,
    state: DecisionState,
    *,
    decided_by: UUID,
    posted_number: int | None,
) -> None:
    """Write how a locked decision ended."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.decisions SET state = $3, decided_by = $4, decided_at = $5, posted_number = $6
         WHERE community_id = $1 AND id = $2
        """,
        uow.community_id,
        decision_id,
        state.value,
        decided_by,
        uow.clock.now(),
        posted_number,
    )


async def insert_proposal(
    uow: UnitOfWork, *, effective_from: date, body: dict[str, Any], proposed_by: UUID
) -> int:
    """Write a proposed policy version and return its number; the caller has the policies' turn."""
    connection = await uow.connection()
    number = await connection.fetchval(
        """
        INSERT INTO bank.policy_proposals (community_id, number, effective_from, body, state, proposed_by,
                                           proposed_at)
        VALUES ($1, (SELECT coalesce(max(p.number), 0) + 1 FROM bank.policy_proposals p
                      WHERE p.community_id = $1), $2, $3::jsonb, 'proposed', $4, $5)
        RETURNING number
        """,
        uow.community_id,
        effective_from,
        json.dumps(body),
        proposed_by,
        uow.clock.now(),
    )
    return int(number)


async def proposal(uow: UnitOfWork, number: int, *, lock: bool = False) -> PolicyProposal | None:
    """Return a policy proposal, or None; with ``lock``, locked until the unit of work ends."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        PROPOSAL + "AND number = $2" + (" FOR NO KEY UPDATE" if lock else ""), uow.community_id, number
    )
    return _proposal(row) if row is not None else None


async def proposals(uow: UnitOfWork, state: DecisionState | None, *, limit: int) -> list[PolicyProposal]:
    """Return policy proposals, newest first."""
    connection = await uow.connection()
    rows = await connection.fetch(
        PROPOSAL + "AND ($2::text IS NULL OR state = $2) ORDER BY number DESC LIMIT $3",
        uow.community_id,
        state.value if state is not None else None,
        limit,
    )
    return [_proposal(row) for row in rows]


async def save_proposal_decided(
    uow: UnitOfWork, number: int, state: DecisionState, *, decided_by: UUID, version: int | None
) -> None:
    """Write how a locked policy proposal ended."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.policy_proposals SET state = $3, decided_by = $4, decided_at = $5, version = $6
         WHERE community_id = $1 AND number = $2
        """,
        uow.community_id,
        number,
        state.value,
        decided_by,
        uow.clock.now(),
        version,
    )


def _decision(row: Any) -> DecisionInfo:
    return DecisionInfo(
        **{
            **row,
            "kind": DecisionKind(row["kind"]),
            "reason": DecisionReason(row["reason"]),
            "commodity": Commodity(row["commodity"]),
            "state": DecisionState(row["state"]),
        }
    )


def _proposal(row: Any) -> PolicyProposal:
    body = row["body"]
    return PolicyProposal(
        **{
            **row,
            "body": json.loads(body) if isinstance(body, str | bytes) else body,
            "state": DecisionState(row["state"]),
        }
    )
