"""The community leads every key, so that the same schema distributes by it without change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

import asyncpg
import pytest

WITHOUT_COMMUNITY = {"communities", "alembic_version", "nonces"}
"""Tables that are no community's own: the list of communities, which migration has run, and the signatures a
partner has seen (they belong to the line between two machines, and are checked before the body is read)."""


CHECKED_BY_ITS_ONE_WRITER = {"journal_lines"}
"""Only ``bank.apply_entries`` writes it, under the community's head row: what a foreign key would look up for
each row, it looks up once a batch."""


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


async def tables(owner: asyncpg.Connection, schema: str) -> set[str]:
    rows = await owner.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')",
        schema,
    )
    return {row["relname"] for row in rows}


@pytest.mark.parametrize("schema", ["bank", "canteen", "station"])
async def test_every_table_of_a_communitys_rows_has_the_community(
    owner: asyncpg.Connection, schema: str
) -> None:
    rows = await owner.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE n.nspname = $1 AND c.relkind = 'r' AND a.attname = 'community_id' AND a.attnotnull",
        schema,
    )
    keyed = {row["relname"] for row in rows}
    assert keyed, "the schema is empty: nothing was checked"
    assert await tables(owner, schema) - keyed <= WITHOUT_COMMUNITY


@pytest.mark.parametrize("schema", ["bank", "canteen", "station"])
async def test_the_community_leads_every_primary_unique_and_exclusion_key(
    owner: asyncpg.Connection, schema: str
) -> None:
    rows = await owner.fetch(
        """
        SELECT c.relname AS table, i.relname AS index, a.attname AS leads, x.indisexclusion AS exclusion
          FROM pg_index x
          JOIN pg_class i ON i.oid = x.indexrelid
          JOIN pg_class c ON c.oid = x.indrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
         WHERE n.nspname = $1
        """,
        schema,
    )
    wrong = [
        (row["table"], row["index"])
        for row in rows
        if row["table"] not in WITHOUT_COMMUNITY and row["leads"] != "community_id"
    ]
    assert rows
    assert wrong == []


@pytest.mark.parametrize("schema", ["bank", "canteen", "station"])
async def test_every_foreign_key_stays_within_the_community(owner: asyncpg.Connection, schema: str) -> None:
    rows = await owner.fetch(
        """
        SELECT k.conname, c.relname AS table, t.relname AS target,
               (SELECT a.attname FROM pg_attribute a
                 WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1]) AS leads,
               (SELECT a.attname FROM pg_attribute a
                 WHERE a.attrelid = k.confrelid AND a.attnum = k.confkey[1]) AS leads_target
          FROM pg_constraint k
          JOIN pg_class c ON c.oid = k.conrelid
          JOIN pg_class t ON t.oid = k.confrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE k.contype = 'f' AND n.nspname = $1
        """,
        schema,
    )
    for row in rows:
        expected = {"id", "community_id"} if row["target"] == "communities" else {"community_id"}
        assert row["leads"] == "community_id", row["conname"]
        assert row["leads_target"] in expected, row["conname"]
    if schema == "bank":
        pointed = defaultdict(set)
        for row in rows:
            pointed[row["table"]].add(row["target"])
        unconnected = (
            await tables(owner, schema) - pointed.keys() - WITHOUT_COMMUNITY - CHECKED_BY_ITS_ONE_WRITER
        )
        assert unconnected == set(), "tables that no foreign key ties to their community"


async def test_row_level_security_is_on_for_every_table_of_the_bank(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'bank' AND c.relkind = 'r' AND NOT c.relrowsecurity"
    )
    assert {row["relname"] for row in rows} <= WITHOUT_COMMUNITY
