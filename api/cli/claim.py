"""``pointsbank claim``: what governments owe for meals, printed or written as a table."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from api.cli.connection import app_database
from api.cli.output import STDOUT, output_file
from api.cli.policy import community_option, community_with
from api.cli.runtime import data_option, read_settings
from api.web.words import catalogues
from pointsbank.domain.errors import DomainError
from pointsbank.platform.database import Database
from pointsbank.platform.messages import DEFAULT_LOCALE, LOCALES
from pointsbank.platform.settings import Settings
from services.settlement.subsidies import claim_sheets, claims
from services.settlement.views import Claim

WRITERS = {"csv": claim_sheets.write_csv, "xlsx": claim_sheets.write_xlsx}


@click.command("claim")
@click.option(
    "--period", metavar="2026-11|2026-Q4", help="Which (default: the policy's, that today lies in)."
)
@click.option("--by-person", is_flag=True, help="A line for each member's pseudonym, not for groups only.")
@click.option("--format", "format_", type=click.Choice(list(WRITERS)), help="Write a table of this kind.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=STDOUT, help="File (default: -).")
@click.option("--language", type=click.Choice(LOCALES), default=DEFAULT_LOCALE, show_default=True)
@community_option
@data_option
def claim(
    period: str | None,
    by_person: bool,
    format_: str | None,
    output: Path,
    language: str,
    community: str | None,
    data: Path | None,
) -> None:
    """Tell what each payer owes for the meals of a month or quarter: frozen shares, less what went back."""
    if format_ == "xlsx" and output == STDOUT:
        raise click.UsageError("a workbook needs -o FILE")
    if format_ is None and output != STDOUT:
        raise click.UsageError("-o FILE needs --format")
    try:
        told = asyncio.run(_claim(read_settings(data=data), community, period, by_person=by_person))
    except DomainError as error:
        raise click.ClickException(catalogues.explain("en", error)) from None
    if format_ is not None:
        with output_file(output) as file:
            WRITERS[format_](told, lambda key: catalogues.translate(language, key), file, by_person=by_person)
        return
    for line in _lines(told):
        click.echo(line)


async def _claim(settings: Settings, community: str | None, period: str | None, *, by_person: bool) -> Claim:
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            community_id = await community_with(database, community)
            async with database.unit_of_work(community_id, snapshot=True) as uow:
                return await claims.claim(uow, period, by_person=by_person)
        finally:
            await database.close()


def _lines(told: Claim) -> list[str]:
    lines = [f"{told.period}: {told.first} to {told.last}{'' if told.ended else ', not over yet'}"]
    for line in told.lines:
        words = [line.payer.value, line.place or "-", line.kind.value, line.tier or "-", line.meal.value]
        words += [str(line.served_on)] if line.served_on else []
        words += [str(line.ledger_ref)] if line.ledger_ref else []
        lines.append(f"  {' '.join(words)}: {line.meals} meals, {line.fen} fen")
    lines += [f"{each.payer} {each.place or '-'} owes {each.fen} fen" for each in told.totals]
    return [*lines, f"all: {told.fen} fen"]
