"""``pointsbank ledger recompute``: derive every earning again from its visit and the policy it cites."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.cli.connection import app_database
from api.cli.runtime import data_option, read_settings
from pointsbank.platform.database import Database
from pointsbank.platform.settings import Settings
from services.care.recompute import recompute_earnings
from services.ledger import service as ledger
from services.people import service as people
from services.people.views import CommunityInfo


@click.command("recompute")
@data_option
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="Only entries recorded from this local day on."
)
def recompute(data: Path | None, since: datetime | None) -> None:
    """Derive every earning again and list each that differs. Non-zero exit when one does."""
    settings = read_settings(data=data)
    differences = asyncio.run(_recompute_all(settings, since.date() if since else None))
    if differences:
        raise click.ClickException(f"{differences} differences: not everything recorded was earned")
    click.echo("every earning is what its visit and its policy give")


async def _recompute_all(settings: Settings, since: date | None) -> int:
    differences = 0
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            async with database.session() as session:
                communities = await people.communities(session)
            for community in communities:
                differences += await _recompute(database, community, since)
        finally:
            await database.close()
    return differences


async def _recompute(database: Database, community: CommunityInfo, since: date | None) -> int:
    differences = 0
    columns = (TextColumn(community.code), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as progress:
        async with database.unit_of_work(community.id, snapshot=True) as uow:
            task = progress.add_task("recompute", total=await ledger.last_number(uow))
            async for difference in recompute_earnings(
                uow, since=since, progress=lambda number: progress.update(task, completed=number)
            ):
                differences += 1
                click.echo(
                    f"{community.code} entry {difference.number}: {difference.fault}: "
                    f"recorded {difference.recorded}; derived {difference.derived}"
                )
    click.echo(f"{community.code}: {differences} differences")
    return differences
