"""Reading the whole journal, for those who check it; and the seals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.errors import NotFound
from pointsbank.platform.database import UnitOfWork


async def head(uow: UnitOfWork) -> dict[str, Any]:
    """Return the community's head row. Raises NotFound."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        SELECT entry_number, hash, algorithm, recorded_at
          FROM bank.ledger_heads WHERE community_id = $1
        """,
        uow.community_id,
    )
    if row is None:
        raise NotFound(what="ledger")
    return dict(row)


async def last_number(uow: UnitOfWork) -> int:
    """Return the number of the last entry that has a line; 0 when there is none."""
    connection = await uow.connection()
    number = await connection.fetchval(
        "SELECT number FROM bank.journal_lines WHERE community_id = $1 ORDER BY number DESC LIMIT 1",
        uow.community_id,
    )
    return int(number or 0)


async def account_rows(uow: UnitOfWork) -> list[dict[str, Any]]:
    """Return number, id, code, stored balance and last entry of every account; 0 for what has no balance."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT a.number, a.id, a.kind, a.owner_ref, a.commodity, coalesce(b.balance, 0) AS balance,
               coalesce(b.last_number, 0) AS last_number
          FROM bank.accounts a
          LEFT JOIN bank.balances b ON b.community_id = $1 AND b.account_id = a.id
         WHERE a.community_id = $1 ORDER BY a.number
        """,
        uow.community_id,
    )
    return [
        {
            "number": row["number"],
            "id": row["id"],
            "code": AccountCode(AccountKind(row["kind"]), row["owner_ref"], Commodity(row["commodity"])),
            "balance": row["balance"],
            "last_number": row["last_number"],
        }
        for row in rows
    ]


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


async def insert_seal(uow: UnitOfWork, seal: dict[str, Any]) -> bool:
    """Keep a copy of a seal; return False if that head was sealed before."""
    connection = await uow.connection()
    status = await connection.execute(
        """
        INSERT INTO bank.seals (community_id, entry_number, hash, merkle_root, algorithm, public_key,
                                signature, sealed_at, policies)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        seal["entry_number"],
        seal["hash"],
        seal["merkle_root"],
        seal["algorithm"],
        seal["public_key"],
        seal["signature"],
        seal["sealed_at"],
        seal["policies"],
    )
    return str(status).endswith(" 1")


async def policies(uow: UnitOfWork) -> list[dict[str, Any]]:
    """Return every policy version in order, as the digest under a seal takes it."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT version, effective_from, body::text AS body
          FROM bank.policy_versions WHERE community_id = $1 ORDER BY version
        """,
        uow.community_id,
    )
    return [
        {
            "version": row["version"],
            "effective_from": row["effective_from"].isoformat(),
            "body": json.loads(row["body"]),
        }
        for row in rows
    ]


async def last_seal(uow: UnitOfWork) -> dict[str, Any] | None:
    """Return the newest seal, or None."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        """
        SELECT entry_number, hash, merkle_root, algorithm, public_key, signature, sealed_at, policies
          FROM bank.seals WHERE community_id = $1 ORDER BY entry_number DESC LIMIT 1
        """,
        uow.community_id,
    )
    return dict(row) if row else None


async def all_seals(uow: UnitOfWork, *, after: int) -> AsyncIterator[dict[str, Any]]:
    """Yield the seals of heads behind entry ``after``, oldest first."""
    connection = await uow.connection()
    while True:
        rows = await connection.fetch(
            """
            SELECT entry_number, hash, merkle_root, algorithm, public_key, signature, sealed_at, policies
              FROM bank.seals WHERE community_id = $1 AND entry_number > $2 ORDER BY entry_number LIMIT 1000
            """,
            uow.community_id,
            after,
        )
        if not rows:
            return
        for row in rows:
            yield dict(row)
        after = rows[-1]["entry_number"]


async def newest_seals(uow: UnitOfWork, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return seals, newest first. before: an entry number, to go on from the last one given."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT entry_number, hash, merkle_root, algorithm, public_key, signature, sealed_at, policies
          FROM bank.seals
         WHERE community_id = $1 AND entry_number < coalesce($2::bigint, 9223372036854775807)
         ORDER BY entry_number DESC LIMIT $3
        """,
        uow.community_id,
        before,
        limit,
    )
    return [dict(row) for row in rows]


async def hash_at(uow: UnitOfWork, number: int) -> bytes:
    """Return the chain's hash once entry ``number`` had been recorded. Raises NotFound."""
    connection = await uow.connection()
    found = await connection.fetchval(
        """
        SELECT hash FROM bank.journal_lines
         WHERE community_id = $1 AND number = $2 ORDER BY line DESC LIMIT 1
        """,
        uow.community_id,
        number,
    )
    if found is None:
        raise NotFound(what="journal_entry")
    return bytes(found)


async def recorded_at(uow: UnitOfWork, number: int) -> datetime:
    """Return when entry ``number`` was recorded. Raises NotFound."""
    connection = await uow.connection()
    found = await connection.fetchval(
        "SELECT recorded_at FROM bank.journal_lines WHERE community_id = $1 AND number = $2 AND line = 1",
        uow.community_id,
        number,
    )
    if not isinstance(found, datetime):
        raise NotFound(what="journal_entry")
    return found
