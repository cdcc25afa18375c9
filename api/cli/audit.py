"""``pointsbank audit``: recompute the journal, send signed heads of it elsewhere, hand out proofs."""

from __future__ import annotations

import asyncio
import os
from datetime import date
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.cli.connection import app_database
from api.cli.proving import prove, verify_file
from api.cli.runtime import data_option, read_settings
from pointsbank.domain.errors import DomainError
from pointsbank.platform.clock import local_day
from pointsbank.platform.database import Database
from pointsbank.platform.settings import Settings
from services.ledger import jobs
from services.ledger import service as ledger
from services.ledger.proof import last_verification, seals
from services.ledger.proof.verification import Processes, SealedHead, Verification, verify
from services.people import service as people
from services.people.views import CommunityInfo

SHOWN_FINDINGS_MAX = 20


class Since(click.ParamType[int | date]):
    """An entry's number, or a local day whose first entry is meant."""

    name = "number|date"

    def convert(
        self, value: int | str | date, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | date:
        """Return a number (1 or above) or a day."""
        if not isinstance(value, str):
            return value
        try:
            if value.isascii() and value.isdigit() and 0 < int(value[:19]) < 2**63:
                return int(value)
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value}: neither an entry's number nor a day such as 2026-03-01", param, ctx)


@click.group()
def audit() -> None:
    """Prove what the journal says."""


audit.add_command(prove)
audit.add_command(verify_file)


@audit.command("verify")
@data_option
@click.option(
    "--seals",
    "seals_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of seals kept elsewhere (default: the ones under the data directory).",
)
@click.option("--since", type=Since(), help="Begin with this entry, or the first of this local day.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=lambda: os.cpu_count() or 1,
    help="How many to check with (default: one a processor).",
)
def verify_command(
    data: Path | None, seals_path: Path | None, since: int | date | None, processes: int
) -> None:
    """Recompute every entry, balance and seal. Non-zero exit at the first thing that does not fit."""
    settings = read_settings(data=data)
    faults = asyncio.run(_verify_all(settings, seals_path, since or 1, processes))
    if faults:
        counted = "one fault" if faults == 1 else f"{faults} faults"
        raise click.ClickException(f"{counted}: the journal does not say what it said")
    click.echo("the journal is sound" if since is None else "the journal is sound from there on")


@audit.command("seal")
@data_option
@click.option("--print", "printed", is_flag=True, help="Write for paper: hex in groups of four.")
def seal_command(data: Path | None, printed: bool) -> None:
    """Sign the head of each journal and add it to the file of seals; keep a copy of it elsewhere."""
    settings = read_settings(data=data)
    for community, line in asyncio.run(_seal_all(settings)):
        click.echo(seals.printed(line, community.code) if printed else line)


async def _verify_all(settings: Settings, seals_path: Path | None, since: int | date, processes: int) -> int:
    console = Console(stderr=True)
    faults = 0
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            for community in await _communities(database):
                path = seals_path or seals.seals_file(settings.data, community.id)
                first = await _first_entry(database, community, since)
                verification = await _verify_one(
                    database, community, _read(path), first, Processes(url, processes), console
                )
                if verification.since == 1:
                    last_verification.remember(
                        settings.data, community.id, verification, database.clock.now()
                    )
                faults += len(verification.findings) + verification.omitted
                _tell(community, verification)
        finally:
            await database.close()
    return faults


def _tell(community: CommunityInfo, verification: Verification) -> None:
    done = verification.entries - verification.since + 1
    from_ = f" from entry {verification.since} on" if verification.since > 1 else ""
    click.echo(
        f"{community.code}: {done} entries{from_} in {verification.lines} lines, "
        f"{verification.accounts} accounts, {verification.seals} seals, "
        f"head {verification.head_hash.hex()[:16]}"
    )
    for finding in verification.findings[:SHOWN_FINDINGS_MAX]:
        click.echo(f"  {finding.where}: {finding.fault}")
    more = len(verification.findings[SHOWN_FINDINGS_MAX:]) + verification.omitted
    if more:
        click.echo(f"  and {more} more")


async def _first_entry(database: Database, community: CommunityInfo, since: int | date) -> int:
    if isinstance(since, int):
        return since
    async with database.unit_of_work(community.id) as uow:
        return await ledger.entries_before(uow, local_day(since, community.timezone)[0]) + 1


async def _verify_one(
    database: Database,
    community: CommunityInfo,
    sealed: list[SealedHead],
    since: int,
    processes: Processes,
    console: Console,
) -> Verification:
    columns = (TextColumn(community.code), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("verify", total=None)
        async with database.unit_of_work(community.id, snapshot=True) as uow:
            return await verify(
                uow,
                seals=sealed,
                since=since,
                processes=processes,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )


async def _seal_all(settings: Settings) -> list[tuple[CommunityInfo, str]]:
    lines = []
    webhook = settings.seal_webhook.get_secret_value() if settings.seal_webhook else None
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            key = seals.load_key(settings.data)
            for community in await _communities(database):
                try:
                    async with database.unit_of_work(community.id) as uow:
                        line = await seals.seal_head(uow, key)
                except DomainError as error:
                    raise click.ClickException(f"{community.code}: {error.code}") from None
                await jobs.publish(settings.data, community.id, [line], webhook)
                lines.append((community, line))
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
