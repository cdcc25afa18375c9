"""Whole entries and the hashes around them, for statements that carry their proofs."""

from __future__ import annotations

from collections.abc import Sequence

from pointsbank.domain.chain import Line
from pointsbank.platform.database import UnitOfWork


async def numbers_of(
    uow: UnitOfWork, account: int, *, after: int, through: int, limit: int
) -> list[tuple[int, int]]:
    """Return (number, line) of an account's lines, entry numbers in (after, through], in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT number, line FROM bank.account_page($1, $2, $3, $4, $5) ORDER BY number, line
        """,
        uow.community_id,
        account,
        after,
        through,
        limit,
    )
    return [(row["number"], row["line"]) for row in rows]


async def last_line_of(uow: UnitOfWork, account: int, *, through: int) -> tuple[int, int] | None:
    """Return (number, line) of an account's last line up to entry ``through``, or None."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        SELECT number, line FROM bank.account_lines($1, $2, $3, 0, 1)
        """,
        uow.community_id,
        account,
        through,
    )
    return (row["number"], row["line"]) if row else None


async def whole_entries(uow: UnitOfWork, numbers: Sequence[int]) -> list[tuple[Line, bytes]]:
    """Return every line of the numbered entries with the chain's hash at it, in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT l.community_id, l.number, l.line, l.id, l.kind::text AS kind,
               l.source_kind::text AS source_kind, l.source_id, l.actor_ref, l.subject_ref,
               l.policy_version, l.occurred_at, l.recorded_at, l.reverses, d.id AS debit, c.id AS credit,
               l.amount, l.debit_after, l.credit_after, l.expires_on, l.hash
          FROM bank.journal_lines l
          JOIN bank.accounts d ON d.community_id = $1 AND d.number = l.debit
          JOIN bank.accounts c ON c.community_id = $1 AND c.number = l.credit
         WHERE l.community_id = $1 AND l.number = ANY ($2::bigint[])
         ORDER BY l.number, l.line
        """,
        uow.community_id,
        list(numbers),
    )
    return [(Line(*tuple(row)[:-1]), row["hash"]) for row in rows]


async def last_hashes(uow: UnitOfWork, numbers: Sequence[int]) -> dict[int, bytes]:
    """Return the chain's hash at the last line of each numbered entry."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT number, hash FROM bank.journal_lines
         WHERE community_id = $1 AND number = ANY ($2::bigint[]) ORDER BY number, line
        """,
        uow.community_id,
        list(numbers),
    )
    return {row["number"]: row["hash"] for row in rows}
