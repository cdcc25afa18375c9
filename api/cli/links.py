"""A way in for each role, as `up` prints it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import click

from api.cli.founding import COMMUNITY_ID
from api.cli.processes import API
from api.cli.runtime import Runtime, read_settings, require_running
from pointsbank.platform.database import Database
from services.people import tokens
from services.people.naming import AMBIGUOUS, Mention, PersonFinder


async def sign_in_links(runtime: Runtime) -> dict[str, str]:
    """Return one new sign-in address for each role that somebody holds; empty on an empty database."""
    database = Database(runtime.app_url, pool_size=1)
    try:
        async with database.unit_of_work(COMMUNITY_ID) as uow:
            found = await tokens.sign_in_tokens(uow)
    finally:
        await database.close()
    return {role.value: f"{runtime.addresses[API]}/sign-in/{token}" for role, token in found.items()}


async def sign_in_link(runtime: Runtime, member: str) -> str:
    """Return a new sign-in address for one person: by member number, name and phone, or a unique name."""
    database = Database(runtime.app_url, pool_size=1)
    try:
        async with database.unit_of_work(COMMUNITY_ID) as uow:
            mention = Mention(member.strip())
            found = (await PersonFinder().find(uow, [mention]))[mention]
            if not isinstance(found, UUID):
                rule = "several people are meant" if found == AMBIGUOUS else "nobody is registered so"
                raise click.ClickException(f"--member: {rule}")
            token = await tokens.issue_sign_in_token(uow, found)
    finally:
        await database.close()
    return f"{runtime.addresses[API]}/sign-in/{token}"


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: your data folder).")
@click.option("--member", help="One person: a member number, a name and phone, or a name that is unique.")
def links(data: Path | None, member: str | None) -> None:
    """Print a new sign-in link for each role that somebody holds, or for one person."""
    runtime = require_running(read_settings(data=data).data)
    if member is not None:
        click.echo(asyncio.run(sign_in_link(runtime, member)))
        return
    found = asyncio.run(sign_in_links(runtime))
    if not found:
        raise click.ClickException("nobody is registered yet: `pointsbank import people FILE` first")
    for role, link in found.items():
        click.echo(f"sign in as {role}: {link}")
