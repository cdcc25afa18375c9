"""Where the rows of a file of service records wait to be judged: a temporary table of one connection.

The file is read once, whatever its order; the table gives its rows back by volunteer and time, a chunk at
a time, so that memory holds one chunk however long the file is.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

import asyncpg

from pointsbank.domain.refusal import Refusal
from pointsbank.platform.database import Database
from pointsbank.platform.sheets import RefusedRow

TABLE = "staged_service"
REFUSED_CHUNK = 1_000
STAGED_FIELDS = ("volunteer", "elder", "confirmer", "kind", "started", "ended", "key")


@dataclass(frozen=True, slots=True)
class StagedRecord:
    """A row whose cells were understood and whose people are known. number: of the row."""

    number: int
    volunteer: UUID
    elder: UUID
    confirmer: UUID
    kind: str
    started: datetime
    ended: datetime
    key: bytes


class Stage:
    """The staged rows. Records come back ordered by volunteer, start, end and content key."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def create(self) -> None:
        """Make the table, empty."""
        await self._connection.execute(
            f"""
            DROP TABLE IF EXISTS pg_temp.{TABLE};
            CREATE TEMPORARY TABLE {TABLE} (
                number integer PRIMARY KEY, raw text[] NOT NULL, volunteer uuid, elder uuid, confirmer uuid,
                kind text, started timestamptz, ended timestamptz, key bytea,
                field text, code text, facts text)
            """
        )

    async def drop(self) -> None:
        """Remove the table: the connection goes back to its pool."""
        await self._connection.execute(f"DROP TABLE IF EXISTS pg_temp.{TABLE}")

    async def add(self, rows: Sequence[tuple[tuple[str, ...], StagedRecord | RefusedRow]]) -> None:
        """Stage rows: each its cells, and its record or its refusal."""
        records = [
            (record.number, list(raw), *(getattr(record, name) for name in STAGED_FIELDS), None, None, None)
            if isinstance(record, StagedRecord)
            else (record.number, list(raw), *[None] * len(STAGED_FIELDS), *_words(record.refusal))
            for raw, record in rows
        ]
        await self._connection.copy_records_to_table(TABLE, records=records, schema_name="pg_temp")

    async def sort(self) -> int:
        """Make ready for :meth:`after`; return how many records are staged."""
        await self._connection.execute(
            f"CREATE INDEX ON pg_temp.{TABLE} (volunteer, started, ended, key, number)"
            " WHERE volunteer IS NOT NULL"
        )
        await self._connection.execute(f"ANALYZE pg_temp.{TABLE}")
        count = await self._connection.fetchval(
            f"SELECT count(*) FROM pg_temp.{TABLE} WHERE volunteer IS NOT NULL"  # noqa: S608 - a constant
        )
        return int(count)

    async def after(self, last: StagedRecord | None, limit: int) -> list[StagedRecord]:
        """Return the next records in order; ``last``: where the chunk before ended."""
        beyond = "" if last is None else "AND (volunteer, started, ended, key, number) > ($2, $3, $4, $5, $6)"
        place = [] if last is None else [last.volunteer, last.started, last.ended, last.key, last.number]
        rows = await self._connection.fetch(
            f"""
            SELECT number, volunteer, elder, confirmer, kind, started, ended, key FROM pg_temp.{TABLE}
             WHERE volunteer IS NOT NULL {beyond}
             ORDER BY volunteer, started, ended, key, number LIMIT $1
            """,  # noqa: S608 - constants
            limit,
            *place,
        )
        return [StagedRecord(**row) for row in rows]

    async def refuse(self, refusals: Sequence[tuple[int, Refusal | None]]) -> None:
        """Write down which staged records are refused and why (None: not, or no longer)."""
        words = [_words(refusal) if refusal is not None else (None, None, None) for _, refusal in refusals]
        await self._connection.execute(
            f"""
            UPDATE pg_temp.{TABLE} s SET field = r.field, code = r.code, facts = r.facts
              FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[])
                   AS r(number, field, code, facts)
             WHERE s.number = r.number AND s.code IS DISTINCT FROM r.code
               -- the row it overlapped in the dry run is a visit by now: the row says more
               AND (s.code, r.code) IS DISTINCT FROM ('overlaps_row', 'overlaps_visit')
            """,  # noqa: S608 - a constant
            [number for number, _ in refusals],
            [field for field, _, _ in words],
            [code for _, code, _ in words],
            [facts for _, _, facts in words],
        )

    async def refused(self) -> AsyncIterator[RefusedRow]:
        """Give the refused rows in the order of the file."""
        last = 0
        while True:
            rows = await self._connection.fetch(
                f"""
                SELECT number, raw, field, code, facts FROM pg_temp.{TABLE}
                 WHERE number > $1 AND code IS NOT NULL ORDER BY number LIMIT $2
                """,  # noqa: S608 - a constant
                last,
                REFUSED_CHUNK,
            )
            for row in rows:
                refusal = Refusal(row["field"], row["code"], json.loads(row["facts"]))
                yield RefusedRow(row["number"], tuple(row["raw"]), refusal)
            if len(rows) < REFUSED_CHUNK:
                return
            last = rows[-1]["number"]


def _words(refusal: Refusal) -> tuple[str, str, str]:
    return refusal.field, refusal.code, json.dumps(dict(refusal.facts), ensure_ascii=False)


@asynccontextmanager
async def stage(database: Database) -> AsyncIterator[Stage]:
    """Open a stage on a connection of its own; it is gone when the block ends."""
    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        staged = Stage(cast("asyncpg.Connection", raw.driver_connection))
        await staged.create()
        try:
            yield staged
        finally:
            await staged.drop()
