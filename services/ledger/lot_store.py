"""The lines that lots are folded from, and which accounts have lots whose day has passed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from pointsbank.domain import accounts
from pointsbank.domain.journal import EntryKind
from pointsbank.domain.lots import PointLine, Side
from pointsbank.platform.database import UnitOfWork
from services.ledger.store import account_numbers
from services.ledger.tables import OLD_LOTS


async def lock_ledger(uow: UnitOfWork) -> int:
    """Take the community's one lock until the unit of work ends; return the last entry's number.

    What is read after it is still so when an entry is posted in the same unit of work.
    """
    connection = await uow.connection()
    return int(await connection.fetchval("SELECT bank.lock_ledger($1)", uow.community_id) or 0)


async def point_lines(uow: UnitOfWork, member: UUID) -> list[PointLine]:
    """Return every line of a member's available and held accounts, in recorded order.

    Reads that member's lines and no others, all of their history: a lot given back is as old as what took it.
    """
    numbers = await account_numbers(uow, [accounts.available(member), accounts.held(member)])
    sides = {
        numbers.get(accounts.available(member)): Side.AVAILABLE,
        numbers.get(accounts.held(member)): Side.HELD,
    }
    own = list(numbers.values())
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (l.number, l.line)  -- what moves between the two is in both histories
               l.number, l.line, l.kind::text AS kind, l.source_id, l.amount, l.credit, l.debit, l.expires_on,
               l.reverses
          FROM unnest($2::integer[]) AS u(account)
         CROSS JOIN LATERAL bank.account_lines($1, u.account, 9223372036854775807, 0) l
         ORDER BY l.number, l.line
        """,
        uow.community_id,
        own,
    )
    return [
        PointLine(
            number=row["number"],
            line=row["line"],
            kind=EntryKind(row["kind"]),
            source_id=row["source_id"],
            amount=row["amount"],
            source=sides.get(row["credit"], Side.ELSEWHERE),
            target=sides.get(row["debit"], Side.ELSEWHERE),
            expires_on=row["expires_on"],
            reverses=row["reverses"],
        )
        for row in rows
    ]


async def swept_through(uow: UnitOfWork) -> tuple[date, int]:
    """Return the last local day and the last entry that expiry has looked at; before the first, nothing."""
    connection = await uow.connection()
    row = await connection.fetchrow(
        "SELECT through_day, through_entry FROM bank.expiry_sweeps WHERE community_id = $1", uow.community_id
    )
    return (row["through_day"], row["through_entry"]) if row is not None else (date.min, 0)


async def save_swept(uow: UnitOfWork, through_day: date, through_entry: int) -> None:
    """Note how far expiry has run. It never goes back."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.expiry_sweeps AS s (community_id, through_day, through_entry, swept_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (community_id) DO UPDATE
           SET through_day = greatest(s.through_day, excluded.through_day),
               through_entry = greatest(s.through_entry, excluded.through_entry),
               swept_at = excluded.swept_at
        """,
        uow.community_id,
        through_day,
        through_entry,
        uow.clock.now(),
    )


async def members_with_old_lots(
    uow: UnitOfWork, through: date, *, after_day: date, after_entry: int, through_entry: int
) -> list[UUID]:
    """Return the pseudonyms of members who may have points of lots with a last day up to ``through``.

    Those whose day came after ``after_day``, by an index that only dated lines are in; and those who since
    entry ``after_entry`` were given points back or had points recorded late. Nothing else is looked at.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        f"""
        SELECT DISTINCT a.owner_ref
          FROM (SELECT l.debit FROM bank.journal_lines l
                 WHERE l.community_id = $1 AND l.expires_on > $3 AND l.expires_on <= $2
                   AND l.expires_on IS NOT NULL
                UNION
                SELECT l.debit FROM bank.journal_lines l
                 WHERE l.community_id = $1 AND l.number > $4 AND l.number <= $5 AND ({OLD_LOTS})) old
         CROSS JOIN LATERAL (SELECT x.owner_ref, x.kind FROM bank.accounts x
                              WHERE x.community_id = $1 AND x.number = old.debit LIMIT 1) a
         WHERE a.kind = 'member_available'
         ORDER BY a.owner_ref
        """,  # noqa: S608 - a fixed condition, no input
        uow.community_id,
        through,
        after_day,
        after_entry,
        through_entry,
    )
    return [row["owner_ref"] for row in rows]


async def points_moved(
    uow: UnitOfWork, account: int, kind: EntryKind, *, after_entry: int, incoming: bool
) -> int:
    """Return what entries of ``kind`` after entry ``after_entry`` moved to (or from) an account.

    What was taken back of them is counted back. Milli-points.
    """
    mine, back = ("debit", "credit") if incoming else ("credit", "debit")
    connection = await uow.connection()
    total = await connection.fetchval(
        f"""
        SELECT sum(CASE WHEN l.{mine} = $2 AND l.kind::text = $4 THEN l.amount
                        WHEN l.{back} = $2 AND l.kind = 'reversal' AND l.reverses > $3 AND o.kind::text = $4
                        THEN -l.amount END)::bigint
          FROM bank.account_lines($1, $2, 9223372036854775807, $3) l
          LEFT JOIN LATERAL (SELECT x.kind FROM bank.journal_lines x
                              WHERE x.community_id = $1 AND x.number = l.reverses AND x.line = 1 OFFSET 0) o
            ON true
        """,  # noqa: S608 - two fixed words, no input
        uow.community_id,
        account,
        after_entry,
        kind.value,
    )
    return int(total or 0)


async def balances_at(uow: UnitOfWork, wanted: Sequence[tuple[int, int]]) -> list[int]:
    """Return the balance of each (account number, entry number): once that entry had been recorded."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT coalesce(bank.balance_at($1, u.account, u.number), 0) AS balance
          FROM unnest($2::integer[], $3::bigint[]) WITH ORDINALITY AS u(account, number, place)
         ORDER BY u.place
        """,
        uow.community_id,
        [account for account, _ in wanted],
        [number for _, number in wanted],
    )
    return [row["balance"] for row in rows]
