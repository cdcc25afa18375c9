"""``pointsbank audit``: recompute the journal, and send signed heads of it out of the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.cli.connection import app_database
from api.cli.runtime import data_option, read_settings
from pointsbank.platform.database import Database
from pointsbank.platform.settings import Settings
from services.ledger import seals
from services.ledger.verification import SealedHead, Verification, verify
from services.people import service as people
from services.people.views import CommunityInfo

SHOWN_FINDINGS_MAX = 20


@click.group()
def audit() -> None:
    """Prove what the journal says."""


@audit.command("verify")
@data_option
@click.option(
    "--seals",
    "seals_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of seals kept elsewhere (default: the ones under the data directory).",
)
def verify_command(data: Path | None, seals_path: Path | None) -> None:
    """Recompute every entry, balance and seal. Non-zero exit at the first thing that does not fit."""
    settings = read_settings(data=data)
    faults = asyncio.run(_verify_all(settings, seals_path))
    if faults:
        raise click.ClickException(f"{faults} faults: the journal does not say what it said")
    click.echo("the journal is sound")


@audit.command("seal")
@data_option
def seal_command(data: Path | None) -> None:
    """Sign the head of each journal and add it to the file of seals; keep a copy of it elsewhere."""
    settings = read_settings(data=data)
    for line in asyncio.run(_seal_all(settings)):
        click.echo(line)


async def _verify_all(settings: Settings, seals_path: Path | None) -> int:
    console = Console(stderr=True)
    faults = 0
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            for community in await _communities(database):
                path = seals_path or seals.seals_file(settings.data, community.id)
                verification = await _verify_one(database, community, _read(path), console)
                faults += len(verification.findings)
                click.echo(
                    f"{community.code}: {verification.entries} entries in {verification.lines} lines, "
                    f"{verification.accounts} accounts, head {verification.head_hash.hex()[:16]}"
                )
                for finding in verification.findings[:SHOWN_FINDINGS_MAX]:
                    click.echo(f"  {finding.where}: {finding.fault}")
        finally:
            await database.close()
    return faults


async def _verify_one(
    database: Database, community: CommunityInfo, sealed: list[SealedHead], console: Console
) -> Verification:
    columns = (TextColumn(community.code), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("verify", total=None)
        async with database.unit_of_work(community.id, snapshot=True) as uow:
            return await verify(
                uow,
                seals=sealed,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )


async def _seal_all(settings: Settings) -> list[str]:
    lines = []
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            key = seals.load_key(settings.data)
            for community in await _communities(database):
                async with database.unit_of_work(community.id) as uow:
                    line = await seals.seal_head(uow, key)
                seals.append_seal(seals.seals_file(settings.data, community.id), line)
                lines.append(line)
        finally:
            await database.close()
    return lines


async def _communities(database: Database) -> list[CommunityInfo]:
    async with database.session() as session:
        return list(await people.communities(session))


def _read(path: Path) -> list[SealedHead]:
    try:
        return seals.read_seals(path)
    except seals.SealUnreadable:
        raise click.ClickException(f"{path}: a line is no seal, or its signature does not hold") from None
