"""What an export reads: everything in order, a page at a time, all of one snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pointsbank.platform.database import UnitOfWork

ROWS_PER_READ = 2_000


IDLE_SECONDS_MAX = 600


async def take_time(uow: UnitOfWork) -> None:
    """Let the reader be slow: packing a workbook, or somebody who pages through standard output.

    A snapshot that only reads keeps nobody waiting, which is what the usual bound is for.
    """
    connection = await uow.connection()
    await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS_MAX}s'")


async def lines(uow: UnitOfWork, first: int, last: int) -> AsyncIterator[list[tuple[Any, ...]]]:
    """Yield the lines of entries ``first`` … ``last`` in order, accounts by number, the hash last."""
    connection = await uow.connection()
    number, line = first - 1, 2**15 - 1
    while True:
        rows = await connection.fetch(
            """
            SELECT community_id, number, line, id, kind::text, source_kind::text, source_id, actor_ref,
                   subject_ref, policy_version, occurred_at, recorded_at, reverses, debit, credit, amount,
                   debit_after, credit_after, expires_on, hash
              FROM bank.journal_lines
             WHERE community_id = $1 AND (number, line) > ($2, $3) AND number <= $4
             ORDER BY number, line LIMIT $5
            """,
            uow.community_id,
            number,
            line,
            last,
            ROWS_PER_READ,
        )
        if not rows:
            return
        yield [tuple(row) for row in rows]
        number, line = rows[-1]["number"], rows[-1]["line"]


async def accounts(uow: UnitOfWork) -> list[tuple[Any, ...]]:
    """Return (number, id, kind, owner, commodity, opened at, balance) of every account in order of number."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT a.number, a.id, a.kind, a.owner_ref, a.commodity, a.opened_at, b.balance
          FROM bank.accounts a
          JOIN bank.balances b ON b.community_id = a.community_id AND b.account_id = a.id
         WHERE a.community_id = $1 AND b.community_id = $1
         ORDER BY a.number
        """,
        uow.community_id,
    )
    return [tuple(row) for row in rows]


async def holds(uow: UnitOfWork) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield every hold in the order in which they were opened."""
    connection = await uow.connection()
    cursor = await connection.cursor(
        """
        SELECT id, member_ref, partner_ref, amount, captured, state, policy_version, source_id, opened_at,
               expires_at, ended_at, opened_by, ended_by
          FROM bank.holds WHERE community_id = $1 ORDER BY opened_by, id
        """,
        uow.community_id,
    )
    while rows := await cursor.fetch(ROWS_PER_READ):
        yield [dict(row) for row in rows]


async def policies(uow: UnitOfWork) -> list[dict[str, Any]]:
    """Return every policy version in order; the body as JSON text."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT version, effective_from, body::text AS body, proposed_by, approved_by, created_at
          FROM bank.policy_versions WHERE community_id = $1 ORDER BY version
        """,
        uow.community_id,
    )
    return [dict(row) for row in rows]


async def first_recorded_at(uow: UnitOfWork) -> Any:
    """Return when the first entry was recorded; None while there is none."""
    connection = await uow.connection()
    return await connection.fetchval(
        "SELECT recorded_at FROM bank.journal_lines WHERE community_id = $1 AND number = 1 AND line = 1",
        uow.community_id,
    )


async def hashes(uow: UnitOfWork, first: int, last: int) -> list[tuple[int, int, bytes]]:
    """Return (number, line, the chain's hash there) of the lines of entries ``first`` … ``last``."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT number, line, hash FROM bank.journal_lines
         WHERE community_id = $1 AND number BETWEEN $2 AND $3 ORDER BY number, line
        """,
        uow.community_id,
        first,
        last,
    )
    return [(row["number"], row["line"], row["hash"]) for row in rows]
