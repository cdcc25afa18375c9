"""``pointsbank outbox``: what waits, and what to do about intents that failed too often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from sqlalchemy.exc import DBAPIError

from api.cli.connection import app_database
from api.cli.runtime import data_option, read_settings
from pointsbank.domain.errors import DomainError
from pointsbank.domain.roles import STAFF
from pointsbank.platform import dead_letters
from pointsbank.platform.database import Database, UnitOfWork
from services.people import service as people
from services.settlement.circuits import circuits

community_option = click.option("--community", metavar="CODE", help="Whose (default: the only community).")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
by_option = click.option(
    "--by", metavar="MEMBER-NUMBER", required=True, help="The coordinator who decides it."
)

Work = Callable[[UnitOfWork], Awaitable[dict[str, Any]]]


@click.group()
def outbox() -> None:
    """What the worker still has to do, and dead letters: what failed too often and waits for a person."""


@outbox.command("list")
@json_option
@community_option
@data_option
def list_letters(as_json: bool, community: str | None, data: Path | None) -> None:
    """Tell what waits, which partners are left alone, and the dead letters."""

    async def work(uow: UnitOfWork) -> dict[str, Any]:
        waits = await dead_letters.backlog(uow)
        return {
            "undone": waits.undone,
            "dead": waits.dead,
            "oldest": waits.oldest,
            "circuits": [
                {"partner": each.partner, "state": each.state, "last_error": each.last_error}
                for each in await circuits(uow)
            ],
            "letters": [
                {
                    "id": each.id,
                    "topic": each.topic,
                    "subject_id": each.subject_id,
                    "created_at": each.created_at,
                    "attempts": each.attempts,
                    "error": each.error,
                }
                for each in await dead_letters.letters(uow)
            ],
        }

    told = _run(data, community, work)
    if as_json:
        click.echo(json.dumps(told, default=str, indent=2))
        return
    click.echo(f"{told['undone']} undone, {told['dead']} given up")
    for each in told["circuits"]:
        click.echo(f"{each['partner']}: circuit {each['state'].replace('_', ' ')}")
    for each in told["letters"]:
        click.echo(f"{each['id']} {each['topic']} since {each['created_at']}: {each['error'] or 'no error'}")


@outbox.command("retry")
@click.argument("ids", type=click.UUID, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every dead letter.")
@json_option
@community_option
@data_option
def retry(
    ids: tuple[UUID, ...], every: bool, as_json: bool, community: str | None, data: Path | None
) -> None:
    """Give dead letters IDS (or --all) new tries."""
    if bool(ids) == every:
        raise click.UsageError("name the letters, or give --all")

    async def work(uow: UnitOfWork) -> dict[str, Any]:
        return {"retried": await dead_letters.retry(uow, None if every else list(ids))}

    told = _run(data, community, work)
    click.echo(json.dumps(told) if as_json else f"{told['retried']} letters will be tried again")


@outbox.command("close")
@click.argument("letter", type=click.UUID)
@click.option("--reason", required=True, help="Why it will not be carried out.")
@by_option
@json_option
@community_option
@data_option
def close(
    letter: UUID,
    reason: str,
    by: str,
    as_json: bool,
    community: str | None,
    data: Path | None,
) -> None:
    """Decide that dead LETTER will not be carried out."""

    async def work(uow: UnitOfWork) -> dict[str, Any]:
        found = await people.people_named(uow, member_numbers=[by])
        if len(found) != 1:
            raise click.ClickException(f"--by {by}: nobody has this member number")
        found[0].actor.require(*STAFF, action="close_dead_letter")
        await dead_letters.close(uow, letter, by=found[0].id, reason=reason)
        return {"closed": str(letter)}

    told = _run(data, community, work)
    click.echo(json.dumps(told) if as_json else f"{letter} is closed")


def _run(data: Path | None, community: str | None, work: Work) -> dict[str, Any]:
    settings = read_settings(data=data)

    async def run() -> dict[str, Any]:
        async with app_database(settings) as url:
            database = Database(url, pool_size=2)
            try:
                async with database.unit_of_work(await _community(database, community)) as uow:
                    return await work(uow)
            finally:
                await database.close()

    try:
        return asyncio.run(run())
    except DomainError as error:
        raise click.ClickException(str(error)) from None
    except DBAPIError as error:
        raise click.ClickException(f"the database refused ({type(error.orig).__name__})") from None


async def _community(database: Database, code: str | None) -> int:
    async with database.session() as session:
        communities = await people.communities(session)
    found = [each for each in communities if code in (None, each.code)]
    if len(found) != 1:
        codes = ", ".join(each.code for each in communities) or "none"
        raise click.ClickException(f"--community CODE: one of {codes}")
    return found[0].id
