"""The journal in PostgreSQL. Entries go in through ``bank.apply_entries`` and no other way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.journal import JournalEntry
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7

ACCOUNT_NAMESPACE = UUID("6d1f8f0a-3f0e-5c52-9a53-6f7b1f3a9c11")

APPLY = """
SELECT o_place, o_verdict, o_number, o_account, o_available
  FROM bank.apply_entries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
 ORDER BY o_place
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """The database's verdict on one entry: ``posted``, ``already``, ``key_reused``, ``floor``, …"""

    verdict: str
    number: int | None
    account: UUID | None
    available: int | None


def account_id(community_id: int, code: AccountCode) -> UUID:
    """Return the id an account has: derived from its code, so that no look-up is needed."""
    return uuid5(ACCOUNT_NAMESPACE, f"{community_id}:{code}")


async def apply_entries(
    uow: UnitOfWork, entries: Sequence[JournalEntry], *, recorded_at: datetime
) -> list[Applied]:
    """Apply a batch in order and return a verdict for each entry. Keys must differ within the batch."""
    leg_entries: list[int] = []
    leg_accounts: list[UUID] = []
    leg_amounts: list[int] = []
    for place, entry in enumerate(entries, start=1):
        for posting in entry.postings:
            leg_entries.append(place)
            leg_accounts.append(account_id(uow.community_id, posting.account))
            leg_amounts.append(posting.amount)
    connection = await uow.connection()
    rows = await connection.fetch(
        APPLY,
        uow.community_id,
        recorded_at,
        [uuid7() for _ in entries],
        [entry.kind.value for entry in entries],
        [entry.origin.source_kind.value for entry in entries],
        [entry.origin.source_id for entry in entries],
        [entry.origin.actor for entry in entries],
        [entry.origin.subject for entry in entries],
        [entry.origin.policy_version for entry in entries],
        [entry.occurred_at for entry in entries],
        [entry.key for entry in entries],
        [entry.fingerprint for entry in entries],
        [entry.reverses for entry in entries],
        leg_entries,
        leg_accounts,
        leg_amounts,
    )
    return [Applied(row["o_verdict"], row["o_number"], row["o_account"], row["o_available"]) for row in rows]


async def open_accounts(uow: UnitOfWork, codes: Iterable[AccountCode]) -> None:
    """Open the accounts that are not open yet, with a balance of zero."""
    wanted = sorted(set(codes))
    ids = [account_id(uow.community_id, code) for code in wanted]
    columns = (
        ids,
        [code.kind.value for code in wanted],
        [code.owner for code in wanted],
        [code.commodity.value for code in wanted],
        [code.floor for code in wanted],
    )
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.accounts (community_id, id, kind, owner_ref, commodity, floor, opened_at)
        SELECT $1, u.id, u.kind, u.owner, u.commodity, u.floor, $7
          FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::bigint[])
               AS u(id, kind, owner, commodity, floor)
        ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        *columns,
        uow.clock.now(),
    )
    await connection.execute(
        """
        INSERT INTO bank.balances (community_id, account_id, commodity, floor)
        SELECT $1, u.id, u.commodity, u.floor
          FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS u(id, commodity, floor)
        ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        ids,
        columns[3],
        columns[4],
    )


async def open_ledger(uow: UnitOfWork, *, algorithm: str) -> None:
    """Write the head row of a community that has none: no entry, no block, the genesis hash."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.ledger_heads (community_id, hash, algorithm, recorded_at)
        VALUES ($1, sha256(convert_to('pointsbank:' || $1::integer, 'UTF8')), $2, $3)
        """,
        uow.community_id,
        algorithm,
        uow.clock.now(),
    )


async def balances(uow: UnitOfWork, codes: Sequence[AccountCode]) -> dict[AccountCode, int]:
    """Return the balance of each account; one that was never opened has 0."""
    by_id = {account_id(uow.community_id, code): code for code in codes}
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT account_id, balance FROM bank.balances
         WHERE community_id = $1 AND account_id = ANY ($2::uuid[])
        """,
        uow.community_id,
        list(by_id),
    )
    found = {by_id[row["account_id"]]: row["balance"] for row in rows}
    return {code: found.get(code, 0) for code in codes}


async def earned_between(
    uow: UnitOfWork, codes: Sequence[AccountCode], from_: datetime, to: datetime
) -> dict[AccountCode, int]:
    """Return what visits (reversals counted back) put on each account, ``occurred_at`` in [from_, to)."""
    by_id = {account_id(uow.community_id, code): code for code in codes}
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT p.account_id, sum(p.amount)::bigint AS earned
          FROM bank.postings p
          JOIN bank.journal_entries e ON e.community_id = p.community_id AND e.number = p.entry_number
         WHERE p.community_id = $1 AND p.account_id = ANY ($2::uuid[])
           AND e.community_id = $1 AND e.occurred_at >= $3 AND e.occurred_at < $4
           AND e.source_kind = 'visit' AND e.kind IN ('earning', 'reversal')
         GROUP BY p.account_id
        """,
        uow.community_id,
        list(by_id),
        from_,
        to,
    )
    found = {by_id[row["account_id"]]: row["earned"] for row in rows}
    return {code: found.get(code, 0) for code in codes}


async def last_entry_before(uow: UnitOfWork, at: datetime) -> int:
    """Return the number of the last entry recorded before ``at``; 0 when there is none."""
    connection = await uow.connection()
    number = await connection.fetchval(
        """
        SELECT last_entry FROM bank.blocks
         WHERE community_id = $1 AND recorded_at < $2 ORDER BY recorded_at DESC, number DESC LIMIT 1
        """,
        uow.community_id,
        at,
    )
    return int(number or 0)


async def balance_at_entry(uow: UnitOfWork, code: AccountCode, entry_number: int) -> int:
    """Return the account's balance once entry ``entry_number`` had been recorded."""
    connection = await uow.connection()
    balance = await connection.fetchval(
        """
        SELECT balance_after FROM bank.postings
         WHERE community_id = $1 AND account_id = $2 AND entry_number <= $3
         ORDER BY entry_number DESC, line DESC LIMIT 1
        """,
        uow.community_id,
        account_id(uow.community_id, code),
        entry_number,
    )
    return int(balance or 0)


async def lines(
    uow: UnitOfWork, code: AccountCode, *, after_entry: int, through_entry: int, limit: int
) -> list[dict[str, Any]]:
    """Return the account's postings with their entries, entry numbers in (after_entry, through_entry]."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT e.number, e.kind, e.source_kind, e.source_id, e.occurred_at, e.recorded_at, e.policy_version,
               p.amount, p.balance_after
          FROM bank.postings p
          JOIN bank.journal_entries e ON e.community_id = $1 AND e.number = p.entry_number
         WHERE p.community_id = $1 AND p.account_id = $2 AND p.entry_number > $3 AND p.entry_number <= $4
         ORDER BY p.entry_number, p.line LIMIT $5
        """,
        uow.community_id,
        account_id(uow.community_id, code),
        after_entry,
        through_entry,
        limit,
    )
    return [dict(row) for row in rows]


async def trial_balance(uow: UnitOfWork) -> list[tuple[AccountKind, Commodity, int, int]]:
    """Return (kind, commodity, number of accounts, sum of balances), a row for each kind and commodity."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT a.kind, a.commodity, count(*) AS accounts, sum(b.balance)::bigint AS balance
          FROM bank.accounts a
          JOIN bank.balances b ON b.community_id = a.community_id AND b.account_id = a.id
         WHERE a.community_id = $1 AND b.community_id = $1
         GROUP BY a.kind, a.commodity ORDER BY a.commodity, a.kind
        """,
        uow.community_id,
    )
    return [
        (AccountKind(row["kind"]), Commodity(row["commodity"]), row["accounts"], row["balance"])
        for row in rows
    ]


async def entries(
    uow: UnitOfWork, *, after: int, limit: int, kind: str | None = None, descending: bool = False
) -> list[dict[str, Any]]:
    """Return entries beyond number ``after`` in recorded order (or back from it), without postings."""
    connection = await uow.connection()
    comparison, order = ("<", "DESC") if descending else (">", "ASC")
    rows = await connection.fetch(
        f"""
        SELECT number, id, block_number, kind, source_kind, source_id, actor_ref, subject_ref, policy_version,
               occurred_at, recorded_at, key, fingerprint, reverses, leaf_hash
          FROM bank.journal_entries
         WHERE community_id = $1 AND number {comparison} $2 AND ($3::text IS NULL OR kind = $3)
         ORDER BY number {order} LIMIT $4
        """,  # noqa: S608 - two fixed words, no input
        uow.community_id,
        after,
        kind,
        limit,
    )
    return [dict(row) for row in rows]


async def postings_of(uow: UnitOfWork, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return the postings of the numbered entries with their accounts, in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT p.entry_number, p.line, p.account_id, p.commodity, p.amount, p.balance_after,
               a.kind, a.owner_ref
          FROM bank.postings p
          JOIN bank.accounts a ON a.community_id = $1 AND a.id = p.account_id
         WHERE p.community_id = $1 AND p.entry_number = ANY ($2::bigint[])
         ORDER BY p.entry_number, p.line
        """,
        uow.community_id,
        numbers,
    )
    return [dict(row) for row in rows]
