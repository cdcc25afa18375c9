"""Stored nodes of the Merkle tree, and the chain's hashes at its leaves."""

from __future__ import annotations

from collections.abc import Sequence

from pointsbank.platform.database import UnitOfWork


async def entry_hashes(uow: UnitOfWork, first: int, last: int) -> list[bytes]:
    """Return the chain's hash at the last line of each entry first to last, in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT number, hash FROM bank.journal_lines
         WHERE community_id = $1 AND number BETWEEN $2 AND $3 ORDER BY number, line
        """,
        uow.community_id,
        first,
        last,
    )
    return list({row["number"]: row["hash"] for row in rows}.values())


async def nodes(uow: UnitOfWork, level: int, start: int, end: int) -> dict[int, bytes]:
    """Return the stored nodes of a level at places [start, end)."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT place, hash FROM bank.merkle_nodes
         WHERE community_id = $1 AND level = $2 AND place >= $3 AND place < $4
        """,
        uow.community_id,
        level,
        start,
        end,
    )
    return {row["place"]: row["hash"] for row in rows}


async def last_place(uow: UnitOfWork, level: int) -> int:
    """Return the last place of a level that is stored; -1 when none is."""
    connection = await uow.connection()
    place = await connection.fetchval(
        """
        SELECT place FROM bank.merkle_nodes
         WHERE community_id = $1 AND level = $2 ORDER BY place DESC LIMIT 1
        """,
        uow.community_id,
        level,
    )
    return -1 if place is None else int(place)


async def insert_nodes(uow: UnitOfWork, level: int, start: int, hashes: Sequence[bytes]) -> None:
    """Store nodes of a level from place ``start`` on; one that is there stays."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.merkle_nodes (community_id, level, place, hash)
        SELECT $1, $2, $3 + n.place - 1, n.hash
          FROM unnest($4::bytea[]) WITH ORDINALITY AS n (hash, place)
        ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        level,
        start,
        list(hashes),
    )
