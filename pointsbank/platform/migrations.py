"""Migrations run by program: no alembic.ini, no working directory, safe to call from async code.

A ``script_location`` names a package and a folder in it, as ``"services.canteen:migrations"``. Every
function opens one connection to ``url`` (``postgresql://…``), and those that change the schema hold one
transaction and a lock, so that two processes starting together migrate once and a failure leaves nothing
half-done.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from pointsbank.platform.alembic_env import CONNECTION
from pointsbank.platform.database import sqlalchemy_url
from pointsbank.platform.roles import DatabaseUnfit

LOCK_KEY = 0x706F696E7473  # "points": one migration at a time in a database

Result = TypeVar("Result")

_environment = threading.Lock()  # alembic keeps the environment that runs in module globals


def upgrade(url: str, script_location: str, revision: str = "head") -> None:
    """Bring the schema up to ``revision``; at that revision already, do nothing.

    Raises DatabaseUnfit when the database stands at a revision that this version does not know.
    """
    script = ScriptDirectory.from_config(_config(script_location))
    if not script.get_heads():
        return

    def work(connection: Connection) -> None:
        at = _inspected(_config(script_location, connection), lambda context: context.get_current_revision())
        if at is not None and at not in {each.revision for each in script.walk_revisions()}:
            raise DatabaseUnfit(
                f"the schema of {script_location.partition(':')[0]} stands at revision {at}, which this "
                "version does not know: it was made by another one, and nothing was changed"
            )
        command.upgrade(_config(script_location, connection), revision)

    _connected(url, work, changes=True)


def downgrade(url: str, script_location: str, revision: str) -> None:
    """Take the schema down to ``revision`` (``"base"``: before the first)."""
    _connected(
        url,
        lambda connection: command.downgrade(_config(script_location, connection), revision),
        changes=True,
    )


def current(url: str, script_location: str) -> str | None:
    """Return the schema's revision, or None before the first."""
    return _connected(
        url,
        lambda connection: _inspected(
            _config(script_location, connection), lambda context: context.get_current_revision()
        ),
    )


def head(script_location: str) -> str:
    """Return the newest revision in ``script_location``. Raises LookupError when there is none."""
    newest = ScriptDirectory.from_config(_config(script_location)).get_current_head()
    if newest is None:
        raise LookupError(f"no revision in {script_location}")
    return newest


def check(url: str, script_location: str) -> list[str]:
    """Return how the database differs from the tables in code, a line each; empty: no difference."""

    def differences(context: MigrationContext) -> list[str]:
        metadata: Any = context.opts["target_metadata"]
        return [_told(difference) for difference in compare_metadata(context, metadata)]

    return _connected(url, lambda connection: _inspected(_config(script_location, connection), differences))


def revise(url: str, script_location: str, message: str, *, revision: str) -> Path:
    """Write the revision that takes the database at ``url`` (at head) to the tables in code.

    revision: the new id, such as ``"0002"``. Returns the written file.
    """

    def write(connection: Connection) -> Path:
        script = command.revision(
            _config(script_location, connection), message, autogenerate=True, rev_id=revision
        )
        if script is None or isinstance(script, list):
            raise RuntimeError("alembic wrote no single revision")
        return Path(script.path)

    return _connected(url, write)


def _config(script_location: str, connection: Connection | None = None) -> Config:
    package, separator, folder = script_location.partition(":")
    if not separator:
        raise ValueError("a script location is package:folder")
    config = Config()
    config.set_main_option("script_location", str(files(package) / folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes[CONNECTION] = connection
    return config


def _inspected(config: Config, look: Callable[[MigrationContext], Result]) -> Result:
    """Run the environment without migrating and return what ``look`` saw."""
    seen: list[Result] = []

    def see(_revision: Any, context: MigrationContext) -> list[Any]:
        seen.append(look(context))
        return []

    script = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, script, fn=see, dont_mutate=True):
        script.run_env()
    return seen[0]


def _connected(url: str, work: Callable[[Connection], Result], *, changes: bool = False) -> Result:
    async def run() -> Result:
        engine = create_async_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
        try:
            async with engine.begin() as connection:
                if changes:
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
                with _environment:
                    return await connection.run_sync(work)
        finally:
            await engine.dispose()

    # A thread of its own: the caller may stand inside a running event loop.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="migrations") as thread:
        return thread.submit(lambda: asyncio.run(run())).result()


def _told(difference: Any) -> str:
    if isinstance(difference, list):  # changes of one column come together
        return "; ".join(_told(each) for each in difference)
    return " ".join(str(part) for part in difference)
