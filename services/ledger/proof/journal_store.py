"""The journal as a stream of bytes, for those who check it: COPY's binary rows, each as long as the next.

PostgreSQL hands out what it stores and computes nothing: leaves, chain, sums and roots are made from these
bytes elsewhere (:mod:`services.ledger.proof.ranges`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:  # a process that checks ranges starts without the rest of the platform
    from pointsbank.platform.database import UnitOfWork

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("number", "number", ">i8"),
    ("line", "line", ">i2"),
    ("id", "id", "V16"),
    ("kind", "hashenum(kind)", ">i4"),
    ("source_kind", "hashenum(source_kind)", ">i4"),
    ("source_id", "source_id", "V16"),
    ("actor_ref", "actor_ref", "V16"),
    ("subject_ref", "subject_ref", "V16"),
    ("policy_version", "policy_version", ">i4"),
    ("occurred_at", "occurred_at", ">i8"),
    ("recorded_at", "recorded_at", ">i8"),
    ("reverses", "coalesce(reverses, 0)", ">i8"),
    ("reverses_none", "reverses IS NULL", "u1"),
    ("debit", "debit", ">i4"),
    ("credit", "credit", ">i4"),
    ("amount", "amount", ">i8"),
    ("debit_after", "debit_after", ">i8"),
    ("credit_after", "credit_after", ">i8"),
    ("expires_on", "coalesce(expires_on, date '2000-01-01')", ">i4"),
    ("expires_none", "expires_on IS NULL", "u1"),
    ("hash", "hash", "V32"),
    ("debit_before", "debit_before", ">i8"),
    ("credit_before", "credit_before", ">i8"),
)
"""Name, expression and form of each column. A kind comes as the hash of its enumerated value (4 bytes)."""

LINES = f"""
SELECT {", ".join(expression for _, expression, _ in COLUMNS)}
  FROM bank.journal_lines
 WHERE community_id = $1 AND number BETWEEN $2 AND $3
 ORDER BY number, line
"""  # noqa: S608 - fixed words, no input

Take = Callable[[bytes], Awaitable[None]]


async def export_snapshot(uow: UnitOfWork) -> str:
    """Return the name under which other connections may read what this unit of work reads.

    It stays open, idle, as long as they read.
    """
    connection = await uow.connection()
    await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    return str(await connection.fetchval("SELECT pg_export_snapshot()"))


async def open_reader(url: str, community_id: int, snapshot: str) -> asyncpg.Connection:
    """Return a connection of its own that reads one community in an exported snapshot, and only reads."""
    connection = await asyncpg.connect(url)
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
    await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    await connection.execute("SELECT set_config('pointsbank.community_id', $1, true)", str(community_id))
    return connection


async def copy_lines(
    connection: asyncpg.Connection, community_id: int, first: int, last: int, take: Take
) -> None:
    """Hand the lines of entries first to last to ``take`` as they come, in COPY's binary form."""
    # In order of the key, which the primary key's index gives without a sort.
    await connection.execute("SET LOCAL enable_sort = off")
    await connection.copy_from_query(LINES, community_id, first, last, output=take, format="binary")


async def line_before(
    connection: asyncpg.Connection, community_id: int, number: int
) -> tuple[int, int, bytes] | None:
    """Return number, line and hash of the last line before entry ``number``, or None."""
    row = await connection.fetchrow(
        """
        SELECT number, line, hash FROM bank.journal_lines
         WHERE community_id = $1 AND number < $2 ORDER BY number DESC, line DESC LIMIT 1
        """,
        community_id,
        number,
    )
    return tuple(row) if row else None


async def kinds(connection: asyncpg.Connection) -> list[tuple[int, str]]:
    """Return every kind of entry and of source, by the hash that stands for it in a stream."""
    rows = await connection.fetch(
        """
        SELECT hashenum(k) AS hash, k::text AS word FROM unnest(enum_range(NULL::bank.entry_kind)) AS k
        UNION ALL
        SELECT hashenum(k), k::text FROM unnest(enum_range(NULL::bank.source_kind)) AS k
        """
    )
    return [(row["hash"], row["word"]) for row in rows]


async def accounts(connection: asyncpg.Connection, community_id: int) -> list[tuple[int, Any, str, str]]:
    """Return number, id, kind and commodity of every account, in order of number."""
    rows = await connection.fetch(
        """
        SELECT number, id, kind::text AS kind, commodity::text AS commodity
          FROM bank.accounts WHERE community_id = $1 ORDER BY number
        """,
        community_id,
    )
    return [tuple(row) for row in rows]


async def nodes(
    connection: asyncpg.Connection, community_id: int, level: int, start: int, end: int
) -> dict[int, bytes]:
    """Return the stored nodes of a level of the Merkle tree at places [start, end)."""
    rows = await connection.fetch(
        """
        SELECT place, hash FROM bank.merkle_nodes
         WHERE community_id = $1 AND level = $2 AND place >= $3 AND place < $4
        """,
        community_id,
        level,
        start,
        end,
    )
    return {row["place"]: row["hash"] for row in rows}
