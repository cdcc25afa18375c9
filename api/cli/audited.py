"""What the auditor's commands share: which community, which days."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import click

from api.cli.connection import app_database
from api.http.moments import require_day
from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.settings import Settings
from services.people import service as people
from services.people.views import CommunityInfo

DAYS_BEFORE = 30
DAY = click.DateTime(["%Y-%m-%d"])

Command = TypeVar("Command", bound=Callable[..., Any])


def period_options(command: Command) -> Command:
    """Add ``--from``, ``--to`` and ``--community`` to a command."""
    for option in (
        click.option("--community", "code", help="Code of the community (default: the only one)."),
        click.option("--to", "last", type=DAY, help="Last local day (default: today)."),
        click.option("--from", "first", type=DAY, help="First local day of recording (default: 30 days)."),
    ):
        command = option(command)
    return command


@asynccontextmanager
async def community_snapshot(
    settings: Settings, code: str | None
) -> AsyncIterator[tuple[UnitOfWork, CommunityInfo]]:
    """Open one consistent view of a community. Raises click.ClickException, one line."""
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            async with database.session() as session:
                community = _chosen(list(await people.communities(session)), code)
            async with database.unit_of_work(community.id, snapshot=True) as uow:
                yield uow, community
        except InvalidValue as error:
            raise click.ClickException(f"{error.field}: {error.rule.replace('_', ' ')}") from None
        finally:
            await database.close()


def _chosen(communities: list[CommunityInfo], code: str | None) -> CommunityInfo:
    known = ", ".join(each.code for each in communities) or "none"
    if code is None:
        if len(communities) != 1:
            raise click.ClickException(f"--community: name one of {known}")
        return communities[0]
    for community in communities:
        if community.code == code:
            return community
    raise click.ClickException(f"--community {code}: there is {known}")


def days(
    uow: UnitOfWork, community: CommunityInfo, first: datetime | None, last: datetime | None
) -> tuple[date, date]:
    """Return the first and last local day that a command asks for, both included. Raises InvalidValue."""
    for field, day in (("since", first), ("until", last)):
        if day is not None:
            require_day(field, day.date())
    end = last.date() if last is not None else local_date(uow.clock.now(), community.timezone)
    return first.date() if first is not None else end - timedelta(days=DAYS_BEFORE - 1), end
