"""Reading the whole journal, for those who check it; and the seals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.chain import Line
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


async def read_journal(uow: UnitOfWork, lines_per_read: int) -> AsyncIterator[list[tuple[Line, bytes]]]:
    """Yield the journal in order, each line with the chain's hash stored beside it."""
    connection = await uow.connection()
    number, line = 0, 0
    while True:
        rows = await connection.fetch(
            """
            SELECT l.community_id, l.number, l.line, l.id, l.kind::text AS kind,
                   l.source_kind::text AS source_kind, l.source_id, l.actor_ref, l.subject_ref,
                   l.policy_version, l.occurred_at, l.recorded_at, l.reverses, d.id AS debit, c.id AS credit,
                   l.amount, l.debit_after, l.credit_after, l.expires_on, l.hash
              FROM (SELECT * FROM bank.journal_lines
                     WHERE community_id = $1 AND (number, line) > ($2, $3)
                     ORDER BY number, line LIMIT $4) l
              JOIN bank.accounts d ON d.community_id = $1 AND d.number = l.debit
              JOIN bank.accounts c ON c.community_id = $1 AND c.number = l.credit
             ORDER BY l.number, l.line
            """,
            uow.community_id,
            number,
            line,
            lines_per_read,
        )
        if not rows:
            return
        yield [(Line(*tuple(row)[:-1]), row["hash"]) for row in rows]
        number, line = rows[-1]["number"], rows[-1]["line"]


async def balances(uow: UnitOfWork) -> dict[UUID, int]:
    """Return every account's balance as stored."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT account_id, balance FROM bank.balances WHERE community_id = $1", uow.community_id
    )
    return {row["account_id"]: row["balance"] for row in rows}


async def accounts(uow: UnitOfWork) -> dict[UUID, AccountCode]:
    """Return what every account says it is for, whose and of what, by its id."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT id, kind, owner_ref, commodity FROM bank.accounts WHERE community_id = $1", uow.community_id
    )
    return {
        row["id"]: AccountCode(AccountKind(row["kind"]), row["owner_ref"], Commodity(row["commodity"]))
        for row in rows
    }


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
        INSERT INTO bank.seals (community_id, entry_number, hash, merkle_root, algorithm, public_key,
                                signature, sealed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        seal["entry_number"],
        seal["hash"],
        seal["merkle_root"],
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
        SELECT entry_number, hash, merkle_root, algorithm, public_key, signature, sealed_at
          FROM bank.seals WHERE community_id = $1 ORDER BY entry_number DESC LIMIT 1
        """,
        uow.community_id,
    )
    return dict(row) if row else None
