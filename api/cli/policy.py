"""``pointsbank policy``: show the rules in force, propose new ones, approve what somebody else proposed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import DBAPIError

from api.cli.connection import app_database
from api.cli.runtime import data_option, read_settings
from pointsbank.domain.decision import DecisionState
from pointsbank.domain.errors import DomainError
from pointsbank.domain.roles import Actor
from pointsbank.platform.database import Database, UnitOfWork
from services.ledger import policies
from services.people import service as people

FILE_BYTES_MAX = 1_000_000
DAY_FORMAT = click.DateTime(["%Y-%m-%d"])

community_option = click.option(
    "--community", metavar="CODE", help="Whose policy it is (default: the only community)."
)
by_option = click.option("--by", metavar="MEMBER-NUMBER", required=True, help="Who proposes or decides.")

Work = Callable[[UnitOfWork], Awaitable[list[str]]]


@click.group()
def policy() -> None:
    """The community's rules: dated versions, proposed by one person and approved by another."""


@policy.command("show")
@click.argument("version", type=click.IntRange(1), required=False)
@community_option
@data_option
def show(version: int | None, community: str | None, data: Path | None) -> None:
    """Print VERSION (default: the one in force) as JSON, then every version and what waits for approval."""

    async def work(uow: UnitOfWork) -> list[str]:
        found = await (policies.version(uow, version) if version else policies.in_force(uow))
        lines = [json.dumps(found.body, ensure_ascii=False, indent=2), ""]
        lines += [
            f"version {each.version}, in force from {each.effective_from}"
            for each in await policies.versions(uow)
        ]
        return lines + [
            f"proposal {each.number}, to be in force from {each.effective_from}: waits for a second person"
            for each in await policies.proposals(uow, state=DecisionState.PROPOSED)
        ]

    _run(data, community, work)


@policy.command("propose")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "from_", type=DAY_FORMAT, help="First day in force (default: tomorrow).")
@by_option
@community_option
@data_option
def propose(file: Path, from_: datetime | None, by: str, community: str | None, data: Path | None) -> None:
    """Propose the JSON document FILE as the next version."""
    body = _read(file)

    async def work(uow: UnitOfWork) -> list[str]:
        day: date = from_.date() if from_ else await people.local_today(uow) + timedelta(days=1)
        proposed = await policies.propose(uow, await _actor(uow, by), effective_from=day, body=body)
        return [f"proposal {proposed.number}, to be in force from {day}: somebody else may approve it"]

    _run(data, community, work)


@policy.command("approve")
@click.argument("number", type=click.IntRange(1))
@by_option
@community_option
@data_option
def approve(number: int, by: str, community: str | None, data: Path | None) -> None:
    """Approve proposal NUMBER, which somebody else made."""

    async def work(uow: UnitOfWork) -> list[str]:
        approved = await policies.approve(uow, await _actor(uow, by), number)
        return [f"version {approved.version} is in force from {approved.effective_from}"]

    _run(data, community, work)


def _read(file: Path) -> dict[str, Any]:
    if file.stat().st_size > FILE_BYTES_MAX:
        raise click.ClickException(f"{file}: larger than any policy")
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise click.ClickException(f"{file}: no JSON in UTF-8") from None
    if not isinstance(body, dict):
        raise click.ClickException(f"{file}: a policy is a JSON object")
    return body


async def _actor(uow: UnitOfWork, member_number: str) -> Actor:
    found = await people.people_named(uow, member_numbers=[member_number])
    if len(found) != 1:
        raise click.ClickException(f"--by {member_number}: nobody has this member number")
    return found[0].actor


def _run(data: Path | None, community: str | None, work: Work) -> None:
    settings = read_settings(data=data)

    async def run() -> list[str]:
        async with app_database(settings) as url:
            database = Database(url, pool_size=2)
            try:
                async with database.unit_of_work(await community_with(database, community)) as uow:
                    return await work(uow)
            finally:
                await database.close()

    try:
        for line in asyncio.run(run()):
            click.echo(line)
    except DomainError as error:
        raise click.ClickException(str(error)) from None
    except DBAPIError as error:
        raise click.ClickException(f"the database refused ({type(error.orig).__name__})") from None


async def community_with(database: Database, code: str | None) -> int:
    """Return the community that is meant: the one with ``code``, or the only one. Raises ClickException."""
    async with database.session() as session:
        communities = await people.communities(session)
    found = [each for each in communities if code in (None, each.code)]
    if len(found) != 1:
        codes = ", ".join(each.code for each in communities) or "none"
        raise click.ClickException(f"--community CODE: one of {codes}")
    return found[0].id
