"""The auditor's questions in SQL.

Each reads one contiguous range of entry numbers, by the keys that lead with (community_id, number), and what
those entries point to by look-ups: OFFSET 0 keeps each look-up apart, so that no statistics can turn it into
a scan of a table that grows.

What was taken back no longer counts, whenever that was: days, flows and confirmations are of what stands
today, and a reversal is told among the reversals. A row that is one entry stays and says what reversed it,
and so does a drawn one: the population of a sample must be the same tomorrow, and nobody may keep an entry
from being asked about by taking it back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.platform.database import UnitOfWork

POPULATION_PAGE = 5_000

MOVED = """
CROSS JOIN LATERAL (
    SELECT coalesce(sum(m.amount) FILTER (WHERE a.commodity = 'POINT'), 0)::bigint AS milli_points,
           coalesce(sum(m.amount) FILTER (WHERE a.commodity = 'MINUTE'), 0)::bigint AS minutes
      FROM bank.journal_lines m
     CROSS JOIN LATERAL (SELECT x.commodity FROM bank.accounts x
                          WHERE x.community_id = $1 AND x.number = m.debit OFFSET 0) a
     WHERE m.community_id = $1 AND m.number = l.number OFFSET 0) s
"""

REVERSED = """
LEFT JOIN LATERAL (SELECT y.number FROM bank.journal_lines y
                    WHERE y.community_id = $1 AND y.reverses = l.number AND y.line = 1 OFFSET 0) z ON true
"""

TAKEN_BACK = """
CROSS JOIN LATERAL (
    SELECT coalesce(sum(m.amount) FILTER (WHERE a.commodity = 'POINT'), 0)::bigint AS milli_points,
           coalesce(sum(m.amount) FILTER (WHERE a.commodity = 'MINUTE'), 0)::bigint AS minutes
      FROM bank.journal_lines y
     CROSS JOIN LATERAL (SELECT x.amount, x.debit FROM bank.journal_lines x
                          WHERE x.community_id = $1 AND x.number = y.number OFFSET 0) m
     CROSS JOIN LATERAL (SELECT x.commodity FROM bank.accounts x
                          WHERE x.community_id = $1 AND x.number = m.debit OFFSET 0) a
     WHERE y.community_id = $1 AND y.reverses = l.number AND y.line = 1 OFFSET 0) b
"""
"""What a reversal took back of an entry: all of it, or some of its points."""

STANDS = """NOT EXISTS (
    SELECT 1 FROM bank.journal_lines y
     WHERE y.community_id = $1 AND y.reverses = v.entry_number AND y.line = 1
       AND (SELECT sum(m.amount) FROM bank.journal_lines m
             WHERE m.community_id = $1 AND m.number = y.number)
           = (SELECT sum(o.amount) FROM bank.journal_lines o
               WHERE o.community_id = $1 AND o.number = y.reverses) OFFSET 0)
"""
"""Not everything that the visit earned was taken back. A reversal takes no more of any account than was
given, so that equal sums are equal parts."""

BRIEFS = f"""
SELECT l.number, l.kind::text AS kind, l.source_kind::text AS source_kind, l.source_id, l.actor_ref,
       l.subject_ref, l.occurred_at, l.recorded_at, s.milli_points, s.minutes, z.number AS reversed_by
  FROM bank.journal_lines l {MOVED} {REVERSED}
 WHERE l.community_id = $1 AND l.number = ANY ($2::bigint[]) AND l.line = 1
 ORDER BY l.number
"""  # noqa: S608 - put together from the fixed parts above

SELF_KINDS = """
SELECT l.kind::text AS kind, count(*) AS entries
  FROM bank.journal_lines l
 WHERE l.community_id = $1 AND l.number > $2 AND l.number <= $3 AND l.line = 1
   AND l.actor_ref = l.subject_ref
 GROUP BY l.kind
"""

SELF_NUMBERS = """
SELECT l.number
  FROM bank.journal_lines l
 WHERE l.community_id = $1 AND l.number > $2 AND l.number <= $3 AND l.line = 1
   AND l.actor_ref = l.subject_ref AND l.kind::text = ANY ($4::text[])
 ORDER BY l.number LIMIT $5
"""

REVERSALS = f"""
SELECT l.number, l.reverses, o.kind::text AS reversed_kind, l.source_kind::text AS source_kind, l.source_id,
       l.actor_ref, l.subject_ref, l.occurred_at, l.recorded_at, s.milli_points, s.minutes
  FROM bank.journal_lines l
 CROSS JOIN LATERAL (SELECT x.kind FROM bank.journal_lines x
                      WHERE x.community_id = $1 AND x.number = l.reverses AND x.line = 1 OFFSET 0) o
{MOVED}
 WHERE l.community_id = $1 AND l.number > $2 AND l.number <= $3 AND l.line = 1 AND l.kind = 'reversal'
 ORDER BY l.number LIMIT $4
"""  # noqa: S608 - put together from the fixed parts above

LONG_DAYS = f"""
SELECT p.ledger_ref AS volunteer_ref, t.day, t.visits, t.minutes, t.credited_minutes, t.last_entry
  FROM (SELECT DISTINCT v.volunteer_id, (v.checked_out_at AT TIME ZONE $4)::date AS day
          FROM bank.visits v
         WHERE v.community_id = $1 AND v.entry_number > $2 AND v.entry_number <= $3) k
 CROSS JOIN LATERAL (
        SELECT k.day, count(*) AS visits, sum(v.minutes)::bigint AS minutes,
               sum(v.credited_minutes)::bigint AS credited_minutes, max(v.entry_number) AS last_entry
          FROM bank.visits v
         WHERE v.community_id = $1 AND v.volunteer_id = k.volunteer_id AND v.state = 'confirmed'
           AND tstzrange(v.checked_in_at, v.checked_out_at)
               && tstzrange((k.day::timestamp AT TIME ZONE $4) - interval '1 microsecond',
                            (k.day + 1)::timestamp AT TIME ZONE $4)
           AND (v.checked_out_at AT TIME ZONE $4)::date = k.day AND {STANDS} OFFSET 0) t
 CROSS JOIN LATERAL (SELECT x.ledger_ref FROM bank.people x
                      WHERE x.community_id = $1 AND x.id = k.volunteer_id OFFSET 0) p
 WHERE t.minutes > $5
 ORDER BY t.minutes DESC, t.day, p.ledger_ref LIMIT $6 OFFSET $7
"""  # noqa: S608 - put together from the fixed parts above

FLOWS = f"""
SELECT g.giver, f.taker, count(*) AS entries, max(f.number) AS last_entry,
       sum(f.milli_points)::bigint AS milli_points, sum(f.minutes)::bigint AS minutes
  FROM (SELECT l.number, s.milli_points - b.milli_points AS milli_points, s.minutes - b.minutes AS minutes,
               d.owner_ref AS taker, CASE WHEN l.kind = 'gift' THEN ARRAY[c.owner_ref]
                                          ELSE ARRAY[l.actor_ref, e.elder_ref] END AS givers
          FROM bank.journal_lines l
         CROSS JOIN LATERAL (SELECT a.owner_ref FROM bank.accounts a
                              WHERE a.community_id = $1 AND a.number = l.debit OFFSET 0) d
         CROSS JOIN LATERAL (SELECT a.owner_ref FROM bank.accounts a
                              WHERE a.community_id = $1 AND a.number = l.credit OFFSET 0) c
          {MOVED} {TAKEN_BACK}
          LEFT JOIN LATERAL (SELECT p.ledger_ref AS elder_ref
                               FROM bank.visits v
                              CROSS JOIN LATERAL (SELECT x.ledger_ref FROM bank.people x
                                                   WHERE x.community_id = $1 AND x.id = v.elder_id OFFSET 0) p
                              WHERE v.community_id = $1 AND v.entry_number = l.number OFFSET 0) e ON true
         WHERE l.community_id = $1 AND l.number > $2 AND l.number <= $3 AND l.line = 1
           AND l.kind IN ('earning', 'gift')) f
 CROSS JOIN LATERAL (SELECT DISTINCT u.giver FROM unnest(f.givers) AS u(giver)
                      WHERE u.giver IS NOT NULL AND u.giver <> f.taker) g
 WHERE f.milli_points > 0 OR f.minutes > 0
 GROUP BY g.giver, f.taker
 ORDER BY milli_points DESC, minutes DESC, g.giver, f.taker LIMIT $4
"""  # noqa: S608 - put together from the fixed parts above

ROUND_AT_NIGHT = f"""
SELECT l.number
  FROM bank.journal_lines l {MOVED}
 WHERE l.community_id = $1 AND l.number > $2 AND l.number <= $3 AND l.line = 1
   AND l.kind::text = ANY ($4::text[])
   AND ((l.occurred_at AT TIME ZONE $6)::time >= $7 OR (l.occurred_at AT TIME ZONE $6)::time < $8
        OR (l.recorded_at AT TIME ZONE $6)::time >= $7 OR (l.recorded_at AT TIME ZONE $6)::time < $8)
   AND s.milli_points > 0 AND s.milli_points % $5 = 0
 ORDER BY l.number LIMIT $9
"""  # noqa: S608 - put together from the fixed parts above

CONFIRMATIONS = f"""
SELECT coalesce(r.small_grid, h.small_grid) AS small_grid, v.confirmation_method AS method, v.strength,
       count(*) AS visits, sum(v.minutes)::bigint AS minutes, max(v.entry_number) AS last_entry
  FROM bank.visits v
  LEFT JOIN LATERAL (SELECT q.small_grid FROM bank.help_requests q
                      WHERE q.community_id = $1 AND q.id = v.help_request_id OFFSET 0) r ON true
  LEFT JOIN LATERAL (SELECT b.small_grid FROM bank.people p
                      CROSS JOIN LATERAL (SELECT x.small_grid FROM bank.buildings x
                                           WHERE x.community_id = $1 AND x.id = p.building_id OFFSET 0) b
                      WHERE p.community_id = $1 AND p.id = v.elder_id OFFSET 0) h ON true
 WHERE v.community_id = $1 AND v.entry_number > $2 AND v.entry_number <= $3 AND {STANDS}
 GROUP BY 1, v.confirmation_method, v.strength
 ORDER BY 1 NULLS LAST, v.strength, v.confirmation_method LIMIT $4
"""  # noqa: S608 - put together from the fixed parts above

WEAK_CONFIRMERS = f"""
SELECT p.ledger_ref AS confirmer_ref, w.weak, w.visits, w.weak_minutes, w.last_entry
  FROM (SELECT v.confirmed_by, count(*) AS visits, count(*) FILTER (WHERE v.strength <= $4) AS weak,
               coalesce(sum(v.minutes) FILTER (WHERE v.strength <= $4), 0)::bigint AS weak_minutes,
               max(v.entry_number) FILTER (WHERE v.strength <= $4) AS last_entry
          FROM bank.visits v
         WHERE v.community_id = $1 AND v.entry_number > $2 AND v.entry_number <= $3 AND {STANDS}
         GROUP BY v.confirmed_by
        HAVING count(*) FILTER (WHERE v.strength <= $4) > 0
         ORDER BY weak DESC, weak_minutes DESC, v.confirmed_by LIMIT $5 OFFSET $6) w
 CROSS JOIN LATERAL (SELECT x.ledger_ref FROM bank.people x
                      WHERE x.community_id = $1 AND x.id = w.confirmed_by OFFSET 0) p
 ORDER BY w.weak DESC, w.weak_minutes DESC, w.confirmed_by
"""  # noqa: S608 - put together from the fixed parts above

POPULATION = """
SELECT l.number, coalesce(v.evidence, v.strength, 0) AS strength
  FROM bank.journal_lines l
  LEFT JOIN LATERAL (SELECT x.evidence, x.strength FROM bank.visits x
                      WHERE x.community_id = $1 AND x.entry_number = l.number OFFSET 0) v ON true
 WHERE l.community_id = $1 AND l.number > $2 AND l.number <= $3 AND l.line = 1 AND l.kind = 'earning'
 ORDER BY l.number LIMIT $4
"""

DRAWN = f"""
SELECT l.number, l.subject_ref AS volunteer_ref, l.occurred_at, s.milli_points, s.minutes,
       coalesce(v.evidence, v.strength, 0) AS strength, v.kind, v.checked_in_at, v.checked_out_at,
       v.confirmation_method AS method, v.elder_id, v.volunteer_id, v.confirmed_by AS confirmer_id,
       z.number AS reversed_by
  FROM bank.journal_lines l {MOVED} {REVERSED}
  LEFT JOIN LATERAL (SELECT x.* FROM bank.visits x
                      WHERE x.community_id = $1 AND x.entry_number = l.number OFFSET 0) v ON true
 WHERE l.community_id = $1 AND l.number = ANY ($2::bigint[]) AND l.line = 1
"""  # noqa: S608 - put together from the fixed parts above

Rows = list[dict[str, Any]]


async def recorded_at(uow: UnitOfWork, numbers: Sequence[int]) -> dict[int, datetime]:
    """Return when the numbered entries were recorded, those there are."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT l.number, l.recorded_at FROM bank.journal_lines l
         WHERE l.community_id = $1 AND l.number = ANY ($2::bigint[]) AND l.line = 1
        """,
        uow.community_id,
        list(numbers),
    )
    return {row["number"]: row["recorded_at"] for row in rows}


async def last_entry_before(uow: UnitOfWork, at: datetime) -> int:
    """Return the number of the last entry recorded before ``at``; 0 when there is none."""
    connection = await uow.connection()
    return int(await connection.fetchval("SELECT bank.number_before($1, $2)", uow.community_id, at))


async def briefs(uow: UnitOfWork, numbers: Sequence[int]) -> Rows:
    """Return the numbered entries in one line each, in order of number."""
    return await _fetch(uow, BRIEFS, list(numbers))


async def self_kinds(uow: UnitOfWork, after: int, through: int) -> dict[str, int]:
    """Return how many entries have an actor who is their subject too, by kind."""
    return {row["kind"]: row["entries"] for row in await _fetch(uow, SELF_KINDS, after, through)}


async def self_numbers(
    uow: UnitOfWork, after: int, through: int, *, kinds: Sequence[str], limit: int
) -> list[int]:
    """Return the numbers of such entries of these kinds, in order."""
    return [row["number"] for row in await _fetch(uow, SELF_NUMBERS, after, through, list(kinds), limit)]


async def reversals(uow: UnitOfWork, after: int, through: int, *, limit: int) -> Rows:
    """Return reversals with the kind of what they take back, in order of number."""
    return await _fetch(uow, REVERSALS, after, through, limit)


async def reasons(uow: UnitOfWork, decisions: Sequence[UUID]) -> dict[UUID, str]:
    """Return what each decision gives as its reason, for those reversals whose source is a decision."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT d.id, d.reason FROM bank.decisions d
         WHERE d.community_id = $1 AND d.id = ANY ($2::uuid[])
        """,
        uow.community_id,
        list(decisions),
    )
    return {row["id"]: row["reason"] for row in rows}


async def long_days(
    uow: UnitOfWork, after: int, through: int, *, timezone: str, over_minutes: int, limit: int, skip: int
) -> Rows:
    """Return days of volunteers with more minutes than ``over_minutes``, the longest first.

    The days are those of the visits whose entries are in the range; each is counted whole, whenever its
    other visits were recorded.
    """
    return await _fetch(uow, LONG_DAYS, after, through, timezone, over_minutes, limit, skip)


async def flows(uow: UnitOfWork, after: int, through: int, *, limit: int) -> Rows:
    """Return who gave how much to whom, the most first."""
    return await _fetch(uow, FLOWS, after, through, limit)


async def round_at_night(
    uow: UnitOfWork,
    after: int,
    through: int,
    *,
    kinds: Sequence[str],
    multiple: int,
    timezone: str,
    night: tuple[Any, Any],
    limit: int,
) -> list[int]:
    """Return the numbers of entries of these kinds that happened or were recorded at night.

    multiple: in milli-points; night: local times from and to, across midnight.
    """
    rows = await _fetch(uow, ROUND_AT_NIGHT, after, through, list(kinds), multiple, timezone, *night, limit)
    return [row["number"] for row in rows]


async def confirmations(uow: UnitOfWork, after: int, through: int, *, limit: int) -> Rows:
    """Return how visits were confirmed, by small grid, weakest first."""
    return await _fetch(uow, CONFIRMATIONS, after, through, limit)


async def weak_confirmers(
    uow: UnitOfWork, after: int, through: int, *, weak_max: int, limit: int, skip: int
) -> Rows:
    """Return who confirmed with a strength of at most ``weak_max``, the most often first."""
    return await _fetch(uow, WEAK_CONFIRMERS, after, through, weak_max, limit, skip)


async def population(uow: UnitOfWork, after: int, through: int) -> AsyncIterator[list[tuple[int, int]]]:
    """Yield the range's earning entries in order, page by page: (number, strength; 0 without a visit)."""
    while True:
        rows = await _fetch(uow, POPULATION, after, through, POPULATION_PAGE)
        if not rows:
            return
        yield [(row["number"], row["strength"]) for row in rows]
        after = rows[-1]["number"]


async def drawn(uow: UnitOfWork, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the numbered earning entries with the visits behind them, by number."""
    return {row["number"]: row for row in await _fetch(uow, DRAWN, list(numbers))}


async def _fetch(uow: UnitOfWork, query: str, *arguments: Any) -> Rows:
    connection = await uow.connection()
    # A plan made while a table was empty would scan it, and be kept when it has grown.
    await connection.execute("SET LOCAL enable_seqscan = off")
    return [dict(row) for row in await connection.fetch(query, uow.community_id, *arguments)]
