"""What every alembic environment does: one schema, compared and versioned alone.

Each ``env.py`` is two lines: import the tables' metadata, call :func:`run`. The connection comes from
:mod:`pointsbank.platform.migrations`, which also holds the transaction, so an upgrade over several
revisions happens whole or not at all.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, MetaData
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

CONNECTION = "connection"
"""Name under which :mod:`pointsbank.platform.migrations` hands its connection to an environment."""


def _render_item(kind: str, item: Any, _autogen: AutogenContext) -> str | Literal[False]:
    # A revision must not depend on sqlmodel's own types: it is a fixed record of what the schema was.
    if kind == "type" and isinstance(item, AutoString):
        length = getattr(item.impl, "length", None)
        return f"sa.String(length={length})" if length else "sa.String()"
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run(metadata: MetaData, schema: str) -> None:
    """Run the current alembic command over ``schema``.

    metadata: the tables of that schema. The version table stands in the same schema, and tables of other
    schemas are neither compared nor touched.
    """
    connection = context.config.attributes.get(CONNECTION)
    if not isinstance(connection, Connection):
        raise RuntimeError("migrations are run through pointsbank.platform.migrations")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table="alembic_version",
        version_table_schema=schema,
        include_schemas=True,
        include_name=lambda name, kind, _parents: kind != "schema" or name == schema,
        render_item=_render_item,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
