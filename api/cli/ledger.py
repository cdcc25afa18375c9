"""``pointsbank ledger``: the whole journal out to files that others read, and back into an empty database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from sqlalchemy.exc import DBAPIError

from api.cli.connection import app_database
from api.cli.output import STDOUT, output_file
from api.cli.runtime import data_option, read_settings
from api.web.words import catalogues
from pointsbank.domain.errors import InvalidValue
from pointsbank.platform.database import Database
from pointsbank.platform.messages import DEFAULT_LOCALE, LOCALES
from pointsbank.platform.settings import Settings
from services.ledger.exchange.exports import Format, export
from services.ledger.exchange.journal_file import JournalFileDamaged, JournalFileFault
from services.ledger.exchange.journal_import import AnotherJournalThere, Imported, import_journal
from services.ledger.exchange.source import Books, Part
from services.ledger.proof import seals
from services.people import service as people
from services.people.views import CommunityInfo

FAULTS: dict[JournalFileFault, str] = {
    JournalFileFault.UNREADABLE: "this is no line of a journal",
    JournalFileFault.NOT_A_JOURNAL: "this is no journal exported as JSON Lines",
    JournalFileFault.NEWER_FORMAT: "written by a newer pointsbank; this one cannot read it",
    JournalFileFault.UNKNOWN_ALGORITHM: "chained by an algorithm that this pointsbank does not know",
    JournalFileFault.ACCOUNT: "an account is out of order, missing, or not what its id stands for",
    JournalFileFault.HOLD: "a hold does not fit the entries that opened or ended it",
    JournalFileFault.GAP: "entries or their lines do not follow one another",
    JournalFileFault.ALTERED: "the entry was altered: its columns do not give its hash",
    JournalFileFault.BALANCE: "a balance after the entry does not follow from the one before",
    JournalFileFault.POLICY: "the entry cites a version of the rules that the file does not hold",
    JournalFileFault.FLOOR: "the entry takes more from an account than it has",
    JournalFileFault.CUT_SHORT: "the file ends before the last entry it promises",
    JournalFileFault.HEAD: "the last hash is not the head that the file names",
    JournalFileFault.SEAL: (
        "a seal in its first line is not whole, not of this journal, or not by the key in the data directory"
    ),
    JournalFileFault.REFUSED: "the ledger would not record the entry",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked to be exported."""

    format: Format
    output: Path
    community: str | None
    part: Part
    language: str


def _number_or_day(value: str) -> int | date:
    """Return an entry's number, or a day given as 2026-03-01."""
    if value.isascii() and value.isdigit() and int(value) > 0:
        return int(value)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither an entry's number nor a day like 2026-03-01"
        ) from None


@click.command("export")
@click.option("--format", "format_", type=click.Choice([each.value for each in Format]), required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="File, or - (not for xlsx)."
)
@click.option("--community", metavar="CODE", help="Whose journal (default: the only community).")
@click.option(
    "--from",
    "from_",
    type=_number_or_day,
    metavar="N|DAY",
    help="First entry or day recorded (csv and xlsx).",
)
@click.option(
    "--to", type=_number_or_day, metavar="N|DAY", help="Last entry or day recorded, included (csv and xlsx)."
)
@click.option(
    "--language",
    type=click.Choice(LOCALES),
    default=DEFAULT_LOCALE,
    show_default=True,
    help="Of csv and xlsx.",
)
@data_option
def export_command(
    format_: str,
    output: Path,
    community: str | None,
    from_: int | date | None,
    to: int | date | None,
    language: str,
    data: Path | None,
) -> None:
    """Write the journal into a file, readable by its owner only; an interrupted one leaves nothing behind."""
    part = Part(
        first=from_ if isinstance(from_, int) else None,
        last=to if isinstance(to, int) else None,
        from_=from_ if isinstance(from_, date) else None,
        to=to if isinstance(to, date) else None,
    )
    wish = Wish(Format(format_), output, community, part, language)
    if wish.format is Format.XLSX and output == STDOUT:
        raise click.UsageError("xlsx cannot be written to standard output: name a file")
    settings = read_settings(data=data)
    with _told(output):
        books = asyncio.run(_export(settings, wish))
    lines = f"entries {books.first} to {books.last}" if not part.whole else f"{books.entries} entries"
    click.echo(f"{books.community.code}: {lines}, head {books.head.hex()}", err=True)


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def import_command(file: Path, data: Path | None) -> None:
    """Bring a journal exported as JSON Lines into an empty database; run it again if it was cut off."""
    settings = read_settings(data=data)
    with _told(file):
        done = asyncio.run(_import(settings, file))
    already = f" ({done.already} were there)" if done.already else ""
    click.echo(f"{done.header.community.code}: {done.entries} entries{already}, head {done.header.head}")


async def _export(settings: Settings, wish: Wish) -> Books:
    async with app_database(settings) as url:
        database = Database(url, pool_size=1)
        try:
            community = await _community(database, wish.community)
            path = seals.seals_file(settings.data, community.id)
            with _bar() as tell, output_file(wish.output) as file:
                async with database.unit_of_work(community.id, snapshot=True) as uow:
                    return await export(
                        uow,
                        wish.format,
                        file,
                        say=lambda key: catalogues.translate(wish.language, key),
                        part=wish.part,
                        seals=seals.kept_seals(path),
                        progress=lambda done, of: tell("export", done, of),
                    )
        finally:
            await database.close()


async def _import(settings: Settings, path: Path) -> Imported:
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            with _bar() as tell:
                key = seals.known_key(settings.data)
                done = await import_journal(database, path, progress=tell, public_key=key)
        finally:
            await database.close()
    # Outside the database, where seals belong.
    kept = seals.seals_file(settings.data, done.header.community_id)
    seals.keep_seals(kept, done.header.seals)
    return done


async def _community(database: Database, code: str | None) -> CommunityInfo:
    async with database.session() as session:
        known = await people.communities(session)
    fitting = [community for community in known if code is None or community.code == code]
    if len(fitting) == 1:
        return fitting[0]
    codes = ", ".join(community.code for community in known) or "none"
    if not fitting:
        raise click.ClickException(f"there is no such community (there is: {codes})")
    raise click.ClickException(f"--community CODE is needed, one of: {codes}")


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each step, on the terminal's standard error."""
    columns = (TextColumn("{task.description:<6}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of)
            bars.update(tasks[step], completed=done, total=of)

        yield tell


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what can go wrong into one line."""
    try:
        yield
    except JournalFileDamaged as error:
        where = f"{path}, line {error.file_line}" if error.file_line else str(path)
        entry = f" (entry {error.entry})" if error.entry else ""
        raise click.ClickException(f"{where}: {FAULTS[JournalFileFault(error.fault)]}{entry}") from None
    except AnotherJournalThere as error:
        raise click.ClickException(
            f"the database holds another journal of that community ({error.entries} entries): nothing was"
            " changed; a journal comes into an empty database only"
        ) from None
    except InvalidValue as error:
        raise click.ClickException(catalogues.explain("en", error)) from None
    except seals.SealUnreadable:
        raise click.ClickException("a line of the file of seals is no seal") from None
    except DBAPIError as error:
        raise click.ClickException(
            f"the database refused ({type(error.orig).__name__}); an import that is run again goes on"
        ) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or path}: {error.strerror or error}") from None
