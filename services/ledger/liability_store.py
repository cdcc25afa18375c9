"""What members still have, by how long ago they received it."""

from __future__ import annotations

from pointsbank.platform.database import UnitOfWork


async def outstanding_by_days(uow: UnitOfWork) -> list[tuple[int, int]]:
    """Return (days ago, milli-points) of all that members have, available and held.

    Of each member the newest receipts that make up what they have, counted back from the last. What comes
    back from a hold was not received then. Anything that no receipt explains counts as very old. One pass
    over what members received.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        WITH owned AS (
            SELECT a.owner_ref, sum(b.balance)::bigint AS balance
              FROM bank.accounts a
              JOIN bank.balances b ON b.community_id = $1 AND b.account_id = a.id
             WHERE a.community_id = $1 AND a.kind IN ('member_available', 'member_held')
             GROUP BY a.owner_ref HAVING sum(b.balance) > 0),
        received AS (
            SELECT a.owner_ref, l.occurred_at, l.amount,
                   sum(l.amount) OVER (PARTITION BY a.owner_ref ORDER BY l.number DESC, l.line DESC)
                       - l.amount AS newer
              FROM bank.accounts a
              JOIN bank.journal_lines l ON l.community_id = $1 AND l.debit = a.number
             WHERE a.community_id = $1 AND a.kind = 'member_available' AND l.kind NOT IN ('void', 'capture')),
        left_over AS (
            SELECT r.occurred_at, least(r.amount, o.balance - r.newer) AS amount
              FROM received r JOIN owned o USING (owner_ref)
             WHERE r.newer < o.balance),
        explained AS (
            SELECT greatest(0, floor(extract(epoch FROM $2 - occurred_at) / 86400))::integer AS days,
                   sum(amount)::bigint AS amount
              FROM left_over GROUP BY 1)
        SELECT days, amount FROM explained
         UNION ALL
        SELECT 100000, (SELECT coalesce(sum(balance), 0) FROM owned)::bigint
                       - (SELECT coalesce(sum(amount), 0) FROM explained)::bigint
         ORDER BY days
        """,
        uow.community_id,
        uow.clock.now(),
    )
    return [(row["days"], row["amount"]) for row in rows if row["amount"]]
