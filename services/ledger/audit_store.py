"""Reading the whole journal, block by block, for those who check it; and the seals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from pointsbank.domain.errors import NotFound
from pointsbank.platform.database import UnitOfWork

JournalChunk = tuple[list[dict[str, Any]], list[dict[str, Any]], dict[int, list[dict[str, Any]]]]


async def head(uow: UnitOfWork) -> dict[str, Any]:
    """Return the community's head row. Raises NotFound."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        SELECT entry_number, block_number, hash, algorithm, recorded_at
          FROM bank.ledger_heads WHERE community_id = $1
        """,
        uow.community_id,
    )
    if row is None:
        raise NotFound(what="ledger")
    return dict(row)


async def read_journal(uow: UnitOfWork, entries_per_read: int) -> AsyncIterator[JournalChunk]:
    """Yield whole blocks with their entries and postings, about ``entries_per_read`` entries at a time.

    Entries that no block claims come with the blocks around them, so that a check sees them too.
    """
    connection = await uow.connection()
    block, entry = 0, 0
    while True:
        blocks = await connection.fetch(
            """
            SELECT number, first_entry, last_entry, previous_hash, hash FROM bank.blocks
             WHERE community_id = $1 AND number > $2 AND first_entry <= $3::bigint + $4::bigint
             ORDER BY number LIMIT $4::bigint
            """,
            uow.community_id,
            block,
            entry,
            entries_per_read,
        )
        # The last read takes whatever entries are left, claimed by a block or not.
        last = blocks[-1]["last_entry"] if blocks else 2**62
        rows = await connection.fetch(
            """
            SELECT number, id, block_number, kind, source_kind, source_id, actor_ref, subject_ref,
                   policy_version, occurred_at, recorded_at, key, fingerprint, reverses, leaf_hash
              FROM bank.journal_entries
             WHERE community_id = $1 AND number > $2 AND number <= $3 ORDER BY number
            """,
            uow.community_id,
            entry,
            last,
        )
        postings = await connection.fetch(
            """
            SELECT entry_number, line, account_id, commodity, amount, balance_after FROM bank.postings
             WHERE community_id = $1 AND entry_number > $2 AND entry_number <= $3
             ORDER BY entry_number, line
            """,
            uow.community_id,
            entry,
            last,
        )
        by_entry: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for posting in postings:
            by_entry[posting["entry_number"]].append(dict(posting))
        if blocks or rows:
            yield [dict(each) for each in blocks], [dict(row) for row in rows], by_entry
        if not blocks:
            return
        block, entry = blocks[-1]["number"], last


async def balances(uow: UnitOfWork) -> dict[UUID, int]:
    """Return every account's balance as stored."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT account_id, balance FROM bank.balances WHERE community_id = $1", uow.community_id
    )
    return {row["account_id"]: row["balance"] for row in rows}


async def open_holds(uow: UnitOfWork) -> dict[UUID, int]:
    """Return the milli-points of each member's open holds, by the member's pseudonym."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT member_ref, sum(amount)::bigint AS amount FROM bank.holds
         WHERE community_id = $1 AND state = 'open' GROUP BY member_ref
        """,
        uow.community_id,
    )
    return {row["member_ref"]: row["amount"] for row in rows}


async def held_accounts(uow: UnitOfWork) -> dict[UUID, UUID]:
    """Return whose account each ``member_held`` account is."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT id, owner_ref FROM bank.accounts WHERE community_id = $1 AND kind = 'member_held'",
        uow.community_id,
    )
    return {row["id"]: row["owner_ref"] for row in rows}


async def insert_seal(uow: UnitOfWork, seal: dict[str, Any]) -> bool:
    """Keep a copy of a seal; return False if that head was sealed before."""
    connection = await uow.connection()
    status = await connection.execute(
        """
        INSERT INTO bank.seals (community_id, entry_number, block_number, hash, algorithm, public_key,
                                signature, sealed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        seal["entry_number"],
        seal["block_number"],
        seal["hash"],
        seal["algorithm"],
        seal["public_key"],
        seal["signature"],
        seal["sealed_at"],
    )
    return str(status).endswith(" 1")


async def last_seal(uow: UnitOfWork) -> dict[str, Any] | None:
    """Return the newest seal, or None."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        SELECT entry_number, block_number, hash, algorithm, public_key, signature, sealed_at
          FROM bank.seals WHERE community_id = $1 ORDER BY entry_number DESC LIMIT 1
        """,
        uow.community_id,
    )
    return dict(row) if row else None
