"""A way in for each role and for the counters' staff, as `up` prints it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import click

from api.cli.founding import COMMUNITY_ID
from api.cli.processes import API, CANTEEN, STATION
from api.cli.runtime import Runtime, data_option, read_settings, require_running
from pointsbank.platform.database import Database
from pointsbank.platform.secrets import Secrets, SecretsUnreadable, load_secrets
from services.people import tokens
from services.people.naming import AMBIGUOUS, Mention, PersonFinder


def ways_in(secrets: Secrets, links: dict[str, str]) -> list[str]:
    """Return the lines that tell the counters' PINs and the sign-in addresses."""
    pins = {CANTEEN: secrets.canteen_pin, STATION: secrets.station_pin}
    return [f"{name:<8} counter PIN {pin}" for name, pin in pins.items()] + [
        f"sign in as {role}: {link}" for role, link in links.items()
    ]


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
@data_option
@click.option("--member", help="One person: a member number, a name and phone, or a name that is unique.")
def links(data: Path | None, member: str | None) -> None:
    """Print the counters' PINs and a new sign-in link for each role, or a link for one person."""
    settings = read_settings(data=data)
    runtime = require_running(settings.data)
    if member is not None:
        click.echo(asyncio.run(sign_in_link(runtime, member)))
        return
    found = asyncio.run(sign_in_links(runtime))
    try:
        secrets = load_secrets(settings.data)
    except SecretsUnreadable as error:
        raise click.ClickException(str(error)) from None
    for line in ways_in(secrets, found):
        click.echo(line)
    if not found:
        raise click.ClickException("nobody is registered yet: `pointsbank import people FILE` first")
