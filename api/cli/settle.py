"""``pointsbank settle``: compare a day with the partners' statements and freeze what was captured."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path

import click
from pydantic import SecretStr

from api.cli.processes import CANTEEN, STATION
from api.cli.runtime import Runtime, data_option, read_settings, require_running
from pointsbank.domain.points import format_points
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database
from pointsbank.platform.secrets import load_secrets
from pointsbank.platform.settings import Settings
from services.people import service as people
from services.settlement.client import open_partners
from services.settlement.settling import settle_day
from services.settlement.views import SettledDay


@click.command()
@data_option
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The local day to settle (default: today).")
def settle(data: Path | None, day: datetime | None) -> None:
    """Settle a day now. The worker settles ended days by itself; this is for a day's end by hand."""
    settings = read_settings(data=data)
    runtime = require_running(settings.data)
    differences = asyncio.run(_settle(settings, runtime, day.date() if day else None))
    if differences:
        raise click.ClickException(f"{differences} differences or partners out of reach: see the books")


async def _settle(settings: Settings, runtime: Runtime, day: date | None) -> int:
    """Settle in every community and return how many differences and silent partners there were."""
    database = Database(runtime.app_url, pool_size=2)
    wrong = 0
    try:
        async with database.session() as session:
            communities = await people.communities(session)
        async with open_partners(_reaching(settings, runtime)) as partners:
            for community in communities:
                today = local_date(datetime.now(UTC), community.timezone)
                if day is not None and day > today:
                    raise click.ClickException(f"--day {day}: not in the future")
                settled = await settle_day(database, partners, community.id, day or today)
                wrong += _tell(community.code, settled)
    finally:
        await database.close()
    return wrong


def _reaching(settings: Settings, runtime: Runtime) -> Settings:
    """Return the settings with where the partners of the running ``up`` answer, and the secrets."""
    secrets = load_secrets(settings.data)
    return settings.model_copy(
        update={
            "canteen_url": runtime.addresses[CANTEEN],
            "station_url": runtime.addresses[STATION],
            "canteen_secret": SecretStr(secrets.canteen_secret),
            "station_secret": SecretStr(secrets.station_secret),
        }
    )


def _tell(community: str, settled: SettledDay) -> int:
    for compared in settled.reconciliations:
        click.echo(
            f"{community} {compared.partner} {compared.business_date}: {compared.lines_here} lines here, "
            f"{compared.lines_there} there, {compared.differences} differences"
        )
    for batch in settled.batches:
        click.echo(
            f"{community} {batch.partner} {batch.business_date} batch {batch.sequence}: {batch.lines} lines, "
            f"{format_points(batch.milli_points)} points, {batch.due_fen} fen due"
        )
    for partner in settled.unreachable:
        click.echo(f"{community} {partner}: its statement could not be had")
    return sum(compared.differences for compared in settled.reconciliations) + len(settled.unreachable)
