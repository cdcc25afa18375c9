"""The journal in PostgreSQL. Lines go in through ``bank.apply_entries`` and no other way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pointsbank.domain.accounts import AccountCode, AccountKind, Commodity
from pointsbank.domain.journal import JournalEntry
from pointsbank.platform.database import UnitOfWork
from services.ledger.batch import Columns, account_id, pack

APPLY = """
SELECT o_first, o_verdicts, o_numbers, o_accounts, o_available
  FROM bank.apply_entries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""

OPEN = "SELECT bank.open_accounts($1, $2, $3, $4, $5, $6, $7)"


class Connected(Protocol):
    """What a statement is run on: a unit of work's connection, or a dedicated one."""

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """Return the first row."""
        ...


@dataclass(frozen=True, slots=True)
class Applied:
    """The database's verdict on one entry: ``posted``, ``already``, ``key_reused``, ``floor``, …"""

    verdict: str
    number: int | None
    account: UUID | None = None
    available: int | None = None


async def apply_entries(
    uow: UnitOfWork,
    entries: Sequence[JournalEntry],
    *,
    recorded_at: datetime,
    links: Sequence[int] | None = None,
    recorded: Sequence[datetime] | None = None,
) -> list[Applied]:
    """Apply a batch in order and return a verdict for each entry. Keys must differ within the batch."""
    columns = pack(uow.community_id, entries, links=links, recorded=recorded)
    connection = await uow.connection()
    return await apply_on(connection, uow.community_id, columns, len(entries), recorded_at=recorded_at)


async def apply_on(
    connection: Connected,
    community_id: int,
    columns: Columns,
    entries: int,
    *,
    recorded_at: datetime,
    tell: bool = False,
) -> list[Applied]:
    """Apply a packed batch of so many entries on a connection, in whatever transaction that is in.

    Outside any it is a transaction of its own, in one round trip. tell: have the database send a notice once
    it holds the community's head row.
    """
    answer = await connection.fetchrow(APPLY, community_id, recorded_at, *columns, tell)
    first, verdicts, numbers, accounts, available = answer
    if verdicts is None:
        return [Applied("posted", number) for number in range(first, first + entries)]
    nothing = [None] * entries
    return [
        Applied(*each)
        for each in zip(verdicts, numbers or nothing, accounts or nothing, available or nothing, strict=True)
    ]


async def open_accounts(uow: UnitOfWork, codes: Iterable[AccountCode]) -> None:
    """Open the accounts that are not open yet, with a balance of zero."""
    connection = await uow.connection()
    await open_accounts_on(connection, uow.community_id, codes, at=uow.clock.now())


async def open_accounts_on(
    connection: Connected, community_id: int, codes: Iterable[AccountCode], *, at: datetime
) -> None:
    """Open accounts on a connection, in whatever transaction that is in."""
    wanted = sorted(set(codes))
    await connection.fetchrow(
        OPEN,
        community_id,
        at,
        [account_id(community_id, code) for code in wanted],
        [code.kind.value for code in wanted],
        [code.owner for code in wanted],
        [code.commodity.value for code in wanted],
        [code.floor for code in wanted],
    )


async def open_ledger(uow: UnitOfWork, *, algorithm: str) -> None:
    """Write the head row of a community that has none: no entry, the genesis hash."""
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


async def account_numbers(uow: UnitOfWork, codes: Sequence[AccountCode]) -> dict[AccountCode, int]:
    """Return the number of each account that is open."""
    by_id = {account_id(uow.community_id, code): code for code in codes}
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT account_id, account_number FROM bank.balances
         WHERE community_id = $1 AND account_id = ANY ($2::uuid[])
        """,
        uow.community_id,
        list(by_id),
    )
    return {by_id[row["account_id"]]: row["account_number"] for row in rows}


@dataclass(frozen=True, slots=True)
class Earned:
    """Asks what an account had earned: by visits that ended in [from_, to), entries in (after, before)."""

    account: int
    after: int
    from_: datetime
    to: datetime
    before: int = 2**62


async def earned(uow: UnitOfWork, asked: Sequence[Earned]) -> list[int]:
    """Return what visits put on each account, what was taken back of it counted back, in order.

    Nothing is recorded before it happened: ``after`` may be the last entry recorded before ``from_``.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT coalesce(e.earned, 0) AS earned
          FROM unnest($2::integer[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::bigint[])
               WITH ORDINALITY AS u(account, after, starts, ends, before, place)
         CROSS JOIN LATERAL (
               SELECT sum(CASE WHEN l.debit = u.account AND l.kind = 'earning' AND l.source_kind = 'visit'
                                AND l.occurred_at >= u.starts AND l.occurred_at < u.ends THEN l.amount
                               WHEN l.credit = u.account AND l.kind = 'reversal' AND o.kind = 'earning'
                                AND o.occurred_at >= u.starts AND o.occurred_at < u.ends THEN -l.amount
                          END)::bigint AS earned
                 FROM bank.account_lines($1, u.account, u.before - 1, u.after) l
                 LEFT JOIN LATERAL (
                       SELECT x.kind, x.occurred_at FROM bank.journal_lines x
                        WHERE x.community_id = $1 AND x.number = l.reverses AND x.line = 1 OFFSET 0) o ON true
              ) e
         ORDER BY u.place
        """,
        uow.community_id,
        [each.account for each in asked],
        [each.after for each in asked],
        [each.from_ for each in asked],
        [each.to for each in asked],
        [each.before for each in asked],
    )
    return [row["earned"] for row in rows]


async def reversed_by(uow: UnitOfWork, number: int) -> int | None:
    """Return the number of the entry that took entry ``number`` back, or None."""
    connection = await uow.connection()
    found: int | None = await connection.fetchval(
        """
        SELECT number FROM bank.journal_lines
         WHERE community_id = $1 AND reverses = $2 AND reverses IS NOT NULL AND line = 1
        """,
        uow.community_id,
        number,
    )
    return found


async def minutes_taken_back(uow: UnitOfWork, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return, for those of the entries whose minutes were taken back, by which entry and how many."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT r.reverses, r.number, sum(l.amount)::bigint AS minutes
          FROM bank.journal_lines r
          JOIN bank.journal_lines l ON l.community_id = $1 AND l.number = r.number
          JOIN bank.accounts a ON a.community_id = $1 AND a.number = l.credit
         WHERE r.community_id = $1 AND r.reverses = ANY ($2::bigint[]) AND r.reverses IS NOT NULL
           AND r.line = 1 AND a.kind = $3 AND a.commodity = $4
         GROUP BY r.reverses, r.number
        """,
        uow.community_id,
        list(numbers),
        AccountKind.MEMBER_SERVICE,
        Commodity.MINUTE,
    )
    return {row["reverses"]: (row["number"], int(row["minutes"])) for row in rows}


async def last_entry_before(uow: UnitOfWork, at: datetime) -> int:
    """Return the number of the last entry recorded before ``at``; 0 when there is none."""
    connection = await uow.connection()
    return int(await connection.fetchval("SELECT bank.number_before($1, $2)", uow.community_id, at))


async def balance_at_entry(uow: UnitOfWork, account: int, entry_number: int) -> int:
    """Return the balance of the account of that number once entry ``entry_number`` had been recorded."""
    connection = await uow.connection()
    balance = await connection.fetchval(
        "SELECT bank.balance_at($1, $2, $3)", uow.community_id, account, entry_number
    )
    return int(balance or 0)


async def recorded_late(uow: UnitOfWork, account: int, at: datetime, *, after_entry: int, soon: int) -> int:
    """Return what happened to an account before ``at`` but was recorded after entry ``after_entry``.

    soon: the number of the last entry recorded within a day of ``at``. Up to there every line of the account
    is looked at; behind it only those that came more than a day late, which have an index of their own.
    """
    connection = await uow.connection()
    total = await connection.fetchval(
        """
        SELECT sum(s.amount)::bigint FROM (
            SELECT CASE WHEN l.debit = $2 THEN l.amount ELSE -l.amount END AS amount
              FROM bank.account_lines($1, $2, $5, $4) l
             WHERE l.occurred_at < $3
            UNION ALL
            SELECT l.amount FROM bank.journal_lines l
             WHERE l.community_id = $1 AND l.debit = $2 AND l.number > $5 AND l.occurred_at < $3
               AND l.recorded_at - l.occurred_at > interval '1 day'
            UNION ALL
            SELECT -l.amount FROM bank.journal_lines l
             WHERE l.community_id = $1 AND l.credit = $2 AND l.number > $5 AND l.occurred_at < $3
               AND l.recorded_at - l.occurred_at > interval '1 day') s
        """,
        uow.community_id,
        account,
        at,
        after_entry,
        soon,
    )
    return int(total or 0)


async def lines(
    uow: UnitOfWork, account: int, *, after_entry: int, through_entry: int, limit: int
) -> list[dict[str, Any]]:
    """Return an account's postings in order, entry numbers in (after_entry, through_entry]."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT l.number, l.kind::text AS kind, l.source_kind::text AS source_kind, l.source_id, l.occurred_at,
               l.recorded_at, l.policy_version,
               CASE WHEN l.debit = $2 THEN l.amount ELSE -l.amount END AS amount,
               CASE WHEN l.debit = $2 THEN l.debit_after ELSE l.credit_after END AS balance_after,
               CASE WHEN l.debit = $2 THEN l.expires_on END AS expires_on
          FROM bank.account_page($1, $2, $3, $4, $5) l
         ORDER BY l.number, l.line
        """,
        uow.community_id,
        account,
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
    """Return the first lines of entries beyond number ``after`` in recorded order (or back from it)."""
    connection = await uow.connection()
    comparison, order = ("<", "DESC") if descending else (">", "ASC")
    rows = await connection.fetch(
        f"""
        SELECT number, id, kind::text AS kind, source_kind::text AS source_kind, source_id, actor_ref,
               subject_ref, policy_version, occurred_at, recorded_at, reverses, hash
          FROM bank.journal_lines
         WHERE community_id = $1 AND number {comparison} $2 AND line = 1
           AND ($3::text IS NULL OR kind::text = $3)
         ORDER BY number {order} LIMIT $4
        """,  # noqa: S608 - two fixed words, no input
        uow.community_id,
        after,
        kind,
        limit,
    )
    return [dict(row) for row in rows]


async def lines_of(uow: UnitOfWork, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return the lines of the numbered entries with the accounts of both sides, in order."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT l.number, l.line, l.amount, l.debit_after, l.credit_after, l.expires_on,
               d.kind AS debit_kind, d.owner_ref AS debit_owner, c.kind AS credit_kind,
               c.owner_ref AS credit_owner, c.commodity
          FROM bank.journal_lines l
          JOIN bank.accounts d ON d.community_id = $1 AND d.number = l.debit
          JOIN bank.accounts c ON c.community_id = $1 AND c.number = l.credit
         WHERE l.community_id = $1 AND l.number = ANY ($2::bigint[])
         ORDER BY l.number, l.line
        """,
        uow.community_id,
        numbers,
    )
    return [dict(row) for row in rows]
