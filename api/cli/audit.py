"""``pointsbank audit``: recompute the journal, send signed heads of it elsewhere, hand out proofs."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.cli.connection import app_database
from api.cli.proving import NOT_CONTINUED, public_key
from api.cli.runtime import data_option, read_settings
from pointsbank.domain.errors import DomainError
from pointsbank.platform.clock import local_day
from pointsbank.platform.database import Database
from pointsbank.platform.settings import Settings
from services.ledger import jobs
from services.ledger import service as ledger
from services.ledger.proof import last_verification, seals
from services.ledger.proof.verification import Fault, Processes, SealedHead, Verification, verify
from services.people import service as people
from services.people.views import CommunityInfo

log = structlog.get_logger(__name__)

SHOWN_FINDINGS_MAX = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be verified. seals: a file kept elsewhere; key: the public one that all seals must be by."""

    seals: Path | None
    key: bytes | None
    since: int | date
    processes: int


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


@click.command("verify")
@data_option
@click.option(
    "--seals",
    "seals_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of seals kept elsewhere (default: the ones under the data directory).",
)
@click.option(
    "--key",
    callback=public_key,
    help="The public key of the seals, 64 hex digits (default: that of seal.key in the data directory).",
)
@click.option("--since", type=Since(), help="Begin with this entry, or the first of this local day.")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=lambda: os.cpu_count() or 1,
    help="How many to check with (default: one a processor).",
)
def verify_command(
    data: Path | None,
    seals_path: Path | None,
    key: bytes | None,
    since: int | date | None,
    processes: int,
) -> None:
    """Recompute every entry, balance and seal. Non-zero exit when anything does not fit."""
    settings = read_settings(data=data)
    wish = Wish(seals_path, key or seals.known_key(settings.data), since or 1, processes)
    faults, met = asyncio.run(_verify_all(settings, wish))
    if faults:
        counted = "one fault" if faults == 1 else f"{faults} faults"
        raise click.ClickException(f"{counted}: the journal does not say what it said")
    from_ = "" if since is None else " from there on"
    click.echo(
        f"the journal is sound{from_}" if met else f"it is sound in itself{from_}, but no seal vouches for it"
    )


@click.command("seal")
@data_option
@click.option("--print", "printed", is_flag=True, help="Write for paper: hex in groups of four.")
def seal_command(data: Path | None, printed: bool) -> None:
    """Sign the head of each journal and add it to the file of seals; keep a copy of it elsewhere."""
    settings = read_settings(data=data)
    for community, line in asyncio.run(_seal_all(settings)):
        click.echo(seals.printed(line, community.code) if printed else line)


async def _verify_all(settings: Settings, wish: Wish) -> tuple[int, int]:
    """Verify every community; return how many faults there were and how many seals were met."""
    console = Console(stderr=True)
    faults = met = 0
    read: list[SealedHead] = []
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            communities = await _communities(database)
            if not communities:
                raise click.ClickException("there is no community: there was nothing to verify")
            for community in communities:
                path = wish.seals or seals.seals_file(settings.data, community.id)
                sealed = _read(path)
                read += sealed
                sent = 0 if wish.seals else seals.sent_count(path)
                first = await _first_entry(database, community, wish.since)
                verification = await _verify_one(
                    database, community, sealed, first, wish, sent, Processes(url, wish.processes), console
                )
                if verification.since == 1:
                    last_verification.remember(
                        settings.data, community.id, verification, database.clock.now()
                    )
                faults += len(verification.findings) + verification.omitted
                met += verification.seals
                _tell(community, verification)
        finally:
            await database.close()
    strange = {seal.community_id for seal in read} - {community.id for community in communities}
    for community_id in sorted(strange):
        click.echo(f"seals of community {community_id}: {Fault.SEAL_MISMATCH}, there is no such journal here")
    return faults + len(strange), met


def _tell(community: CommunityInfo, verification: Verification) -> None:
    done = verification.entries - verification.since + 1
    from_ = f" from entry {verification.since} on" if verification.since > 1 else ""
    click.echo(
        f"{community.code}: {done} entries{from_} in {verification.lines} lines, "
        f"{verification.accounts} accounts, {verification.seals} seals "
        f"({verification.seals_kept} kept outside, {verification.seals_stored} in the database), "
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
    wish: Wish,
    sent: int,
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
                sent=sent,
                public_key=wish.key,
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
                path = seals.seals_file(settings.data, community.id)
                try:
                    async with database.unit_of_work(community.id) as uow:
                        line = await seals.seal_head(uow, key, last=seals.last_kept(path, community.id))
                except seals.SealNotContinued:
                    log.error("seal_not_continued", community=community.id)
                    raise click.ClickException(f"{community.code}: {NOT_CONTINUED}") from None
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
