"""``pointsbank import``: rosters and past service from files, a dry run before anything is written."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy.exc import DBAPIError

from api.cli.connection import app_database
from api.cli.founding import ensure_founded
from api.cli.import_words import LANGUAGES, language_of_environment, reason
from api.cli.runtime import data_option, read_settings
from pointsbank.domain.errors import DomainError
from pointsbank.platform import sheets
from pointsbank.platform.database import Database
from pointsbank.platform.settings import Settings
from pointsbank.platform.sheets import Column, ImportCounts, RefusedFile, RefusedRow, Sheet, SheetUnreadable
from services.care.sheet_import import SERVICE_COLUMNS, service_import
from services.people import service as people
from services.people.roster import ROSTER_COLUMNS, roster_import
from services.people.views import CommunityInfo

POOL_CONNECTIONS = 3
BAR_STEPS = 1_000
STEPS_WIDTH = 9


class Import(Protocol):
    """What both imports can do."""

    async def judge(self, progress: sheets.Progress) -> ImportCounts: ...
    async def record(self, progress: sheets.Progress) -> ImportCounts: ...
    def refused(self) -> AsyncIterator[RefusedRow]: ...


Opener = Callable[[Database, int, Sheet], contextlib.AbstractAsyncContextManager[Import]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    file: Path
    community: str | None
    dry_run: bool
    yes: bool
    language: str


@click.group("import")
def importing() -> None:
    """Bring in rosters and past service from CSV or XLSX files."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.argument("file", type=click.Path(path_type=Path)),
            click.option(
                "--community", metavar="CODE", help="Whose file it is (default: the only community)."
            ),
            click.option("--dry-run", is_flag=True, help="Check everything, write nothing into the bank."),
            click.option("--yes", is_flag=True, help="Write after the dry run without asking."),
            data_option,
            click.option(
                "--language", type=click.Choice(LANGUAGES), help="Of the reasons (default: the terminal's)."
            ),
        ]
    ):
        command = option(command)
    return command


@importing.command("people")
@_options
def import_people(
    file: Path, community: str | None, dry_run: bool, yes: bool, data: Path | None, language: str | None
) -> None:
    """Register residents from a roster with buildings and grids.

    What is refused is written to FILE.refused.csv, which can be mended and imported as it is.
    """
    wish = Wish(file, community, dry_run, yes, language or language_of_environment())
    _run(wish, data, ROSTER_COLUMNS, _open_roster)


@importing.command("service")
@_options
def import_service(
    file: Path, community: str | None, dry_run: bool, yes: bool, data: Path | None, language: str | None
) -> None:
    """Record past service; minutes and points are posted to the volunteers.

    What is refused is written to FILE.refused.csv, which can be mended and imported as it is.
    """
    wish = Wish(file, community, dry_run, yes, language or language_of_environment())
    _run(wish, data, SERVICE_COLUMNS, service_import)


@contextlib.asynccontextmanager
async def _open_roster(database: Database, community_id: int, sheet: Sheet) -> AsyncIterator[Import]:
    with roster_import(database, community_id, sheet) as opened:
        yield opened


def _run(wish: Wish, data: Path | None, columns: Sequence[Column], opener: Opener) -> None:
    settings = read_settings(data=data)
    try:
        # Read before any server is started: most mistakes show in the header.
        sheet = Sheet(wish.file, columns)
        counts = asyncio.run(_import(settings, wish, sheet, opener))
    except (SheetUnreadable, DomainError) as error:
        raise click.ClickException(str(error)) from None
    except DBAPIError as error:
        said = type(error.orig).__name__
        raise click.ClickException(f"the database refused ({said}); run the import again to go on") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'the database'}: {error.strerror or error}") from None
    if counts.refused:
        sys.exit(1)


async def _import(settings: Settings, wish: Wish, sheet: Sheet, opener: Opener) -> ImportCounts:
    console = Console(highlight=False, soft_wrap=True)
    async with app_database(settings) as url:
        await ensure_founded(url)
        database = Database(url, pool_size=POOL_CONNECTIONS)
        try:
            community = await _community(database, wish.community)
            async with opener(database, community.id, sheet) as opened:
                with _progress(console) as progress:
                    counts = await opened.judge(progress)
                await _report(console, community, counts, opened, sheet, wish, written=False)
                if not _go_on(console, wish, counts):
                    return counts
                with _progress(console) as progress:
                    counts = await opened.record(progress)
                await _report(console, community, counts, opened, sheet, wish, written=True)
                return counts
        finally:
            await database.close()


async def _community(database: Database, code: str | None) -> CommunityInfo:
    """Return the community with that code, or the only one."""
    async with database.session() as session:
        known = await people.communities(session)
    fitting = [community for community in known if code is None or community.code == code]
    if len(fitting) == 1:
        return fitting[0]
    codes = ", ".join(community.code for community in known)
    if not fitting:
        raise click.ClickException(f"--community {code}: there is no such community (there is: {codes})")
    raise click.ClickException(f"--community CODE is needed, one of: {codes}")


def _go_on(console: Console, wish: Wish, counts: ImportCounts) -> bool:
    if wish.dry_run or not counts.imported:
        return False
    if wish.yes:
        return True
    if not sys.stdin.isatty():
        console.print("nothing was written: say --yes to import", markup=False)
        return False
    return click.confirm(f"Import {counts.imported:,} rows?", default=False)


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[sheets.Progress]:
    """A bar for each step, on the terminal only."""
    bars = Progress(
        TextColumn(f"{{task.description:<{STEPS_WIDTH}}}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    tasks = {}
    with bars:

        def tell(step: str, share: float) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=BAR_STEPS)
            bars.update(tasks[step], completed=int(share * BAR_STEPS))

        yield tell


async def _report(
    console: Console,
    community: CommunityInfo,
    counts: ImportCounts,
    opened: Import,
    sheet: Sheet,
    wish: Wish,
    *,
    written: bool,
) -> None:
    """Print the one report, and write the refused rows out."""
    title = f"{'imported' if written else 'dry run'}: {sheet.path.name}, {community.name}"
    path = sheet.path.with_name(sheet.path.name + ".refused.csv")
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("imported" if written else "to import", f"{counts.imported:,}")
    table.add_row("already there", f"{counts.already:,}")
    table.add_row("refused", f"{counts.refused:,}")
    console.print(table)
    if not counts.refused:
        return
    with RefusedFile(path, sheet, language=wish.language) as file:
        async for row in opened.refused():
            file.write(
                row.raw,
                number=row.number,
                column=sheet.header_of(row.refusal.field) if row.refusal.field else "",
                reason=reason(row.refusal, wish.language),
            )
    console.print(f"refused rows, each with its reason: {path}", markup=False)
