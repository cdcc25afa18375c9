"""The database for a command that works beside ``up``, or without it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import click

from api.cli.runtime import end_left_over, make_data_directory, only_one_up, running
from pointsbank.platform.settings import Settings


@contextlib.asynccontextmanager
async def app_database(settings: Settings) -> AsyncIterator[str]:
    """Give the address of the database as the application's role, with its schemas at head.

    In this order: POINTSBANK_APP_DATABASE_URL; the database of the ``up`` that runs on the data directory;
    the data directory's own database, started for the length of the block (``up`` is refused meanwhile).
    Raises click.ClickException, one line, when there is none to be had.
    """
    if settings.app_database_url is not None:
        yield settings.app_database_url.get_secret_value()
        return
    runtime = running(settings.data)
    if runtime is not None:
        yield runtime.app_url
        return
    async with _own_database(settings) as url:
        yield url


@contextlib.asynccontextmanager
async def _own_database(settings: Settings) -> AsyncIterator[str]:
    """Start the data directory's own database for the length of the block."""
    # What starts servers and moves schemas takes a second to import, which most commands need not wait for.
    from api.cli.backing import Backing
    from api.cli.failure import failure_line
    from api.cli.schemas import migrate_all
    from api.cli.threads import in_thread
    from pointsbank.platform.roles import DatabaseUnfit
    from pointsbank.platform.secrets import SecretsUnreadable, load_secrets
    from pointsbank.platform.servers import ServerFailed

    make_data_directory(settings.data)
    with only_one_up(settings.data):
        async with contextlib.AsyncExitStack() as stack:
            try:
                await in_thread(lambda: end_left_over(settings.data))
                backing = Backing(settings, say=_silent, warn=_warn, changed=_nothing)
                urls = await backing.start_database(stack, load_secrets(settings.data))
                schemas = {"bank": urls.owner, "canteen": urls.canteen, "station": urls.station}
                await in_thread(lambda: migrate_all(schemas))
            except (ServerFailed, DatabaseUnfit, SecretsUnreadable) as error:
                raise click.ClickException(str(error)) from None
            except OSError as error:
                raise click.ClickException(failure_line(settings.data, error)) from None
            yield urls.app


def _silent(_line: str) -> None:
    """The command has its own output."""


def _warn(line: str) -> None:
    click.echo(line, err=True)


def _nothing() -> None:
    """No list of processes is kept: they end with the block."""
