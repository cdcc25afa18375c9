"""Whether a process can serve: its database answers and its schema is at the newest migration."""

from __future__ import annotations

from sqlalchemy import text

from pointsbank.platform.database import Database
from pointsbank.platform.tables import SCHEMA


async def schema_revision(database: Database) -> str | None:
    """Return the revision of schema ``bank``; None before the first. Raises what the driver raises."""
    async with database.session() as session:
        connection = await session.connection()
        found = (await connection.execute(text(f"SELECT version_num FROM {SCHEMA}.alembic_version"))).scalar()  # noqa: S608
    return None if found is None else str(found)
