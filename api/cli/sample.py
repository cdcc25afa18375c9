"""``pointsbank audit sample``: draw earning entries by a seed and write the worksheet to fill in."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import click

from api.cli.audited import community_snapshot, days, period_options
from api.cli.runtime import data_option, read_settings
from api.web.words import Words
from api.web.worksheet import Worksheet, as_csv, as_xlsx
from pointsbank.domain.errors import NotAllowed
from pointsbank.domain.sampling import SAMPLE_MAX
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.messages import LOCALES
from pointsbank.platform.settings import Settings
from services.audit import service as auditing
from services.people import service as people
from services.people.views import PersonInfo

WRITERS = {".xlsx": as_xlsx, ".csv": as_csv}
AT_THE_MACHINE = "pointsbank audit sample"
OWNER_ONLY = 0o600


@click.command("sample")
@data_option
@period_options
@click.option(
    "--entries", help="A range of entries such as 17-230 in place of days, as a worksheet names it."
)
@click.option("--seed", required=True, help="Any words; the same words draw the same entries.")
@click.option("--size", type=click.IntRange(1, SAMPLE_MAX), default=30, show_default=True)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="FILE.xlsx or .csv"
)
@click.option("--by", "by", help="Member number of who draws: a coordinator or an auditor.")
@click.option("--with-names", is_flag=True, help="Put names and phones in; needs --by.")
@click.option("--language", type=click.Choice(LOCALES), default=LOCALES[0], show_default=True)
def sample_command(
    data: Path | None,
    code: str | None,
    first: datetime | None,
    last: datetime | None,
    entries: str | None,
    seed: str,
    size: int,
    output: Path,
    by: str | None,
    with_names: bool,
    language: str,
) -> None:
    """Draw a sample, weakly confirmed entries more often, and write its worksheet.

    The worksheet names the command that draws the same again, also when its period had not ended.
    Members go by number. Names and phones are written only for somebody who may see them (--by), into a file
    that only you can read.
    """
    if output.suffix not in WRITERS:
        raise click.ClickException(f"{output}: a worksheet is .xlsx or .csv")
    if with_names and by is None:
        raise click.ClickException("--with-names: say by --by whose right it is to see them")
    if entries is not None and (first is not None or last is not None):
        raise click.ClickException("--entries: a sample is drawn from entries or from days, not from both")
    settings = read_settings(data=data)
    content, told = asyncio.run(
        _drawn(
            settings,
            code,
            first,
            last,
            entries,
            seed,
            size,
            by,
            language,
            output.suffix,
            with_names=with_names,
        )
    )
    try:
        if with_names:
            output.touch(mode=OWNER_ONLY)
            output.chmod(OWNER_ONLY)
        output.write_bytes(content)
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None
    click.echo(f"{told}: {output}")


async def _drawn(
    settings: Settings,
    code: str | None,
    first: datetime | None,
    last: datetime | None,
    entries: str | None,
    seed: str,
    size: int,
    by: str | None,
    language: str,
    suffix: str,
    *,
    with_names: bool,
) -> tuple[bytes, str]:
    async with community_snapshot(settings, code) as (uow, community):
        if entries is not None:
            period = await auditing.period_of_entries(uow, *auditing.entry_range(entries))
        else:
            period = await auditing.period_of_days(uow, *days(uow, community, first, last))
        who = await _who(uow, by) if by is not None else None
        sample = await auditing.sample(uow, period, seed=seed, size=size)
        try:
            called = (
                await auditing.named(uow, sample, who.actor)
                if with_names and who is not None
                else await auditing.numbered(uow, sample)
            )
        except NotAllowed:
            raise click.ClickException(f"--by {by}: may not see names and phones") from None
        now = uow.clock.now()
        sheet = Worksheet(
            sample=sample,
            community=community.name,
            code=community.code,
            called=called,
            by=f"{who.name} {who.member_number}" if who is not None else AT_THE_MACHINE,
            at=now,
            with_names=with_names,
        )
        words = Words(language, timezone=community.timezone, today=local_date(now, community.timezone))
        told = f"{len(sample.drawn)} of {sample.population} earning entries drawn"
        if period.through > period.after:
            told += f" from entries {period.after + 1}-{period.through}"
        return WRITERS[suffix](sheet, words), told


async def _who(uow: UnitOfWork, member_number: str) -> PersonInfo:
    found = await people.people_named(uow, member_numbers=[member_number])
    if not found:
        raise click.ClickException(f"--by {member_number}: there is no such member")
    return found[0]
