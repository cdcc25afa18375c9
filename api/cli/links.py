"""A way in for each role, as `up` prints it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from api.cli.founding import COMMUNITY_ID
from api.cli.processes import API
from api.cli.runtime import Runtime, read_settings, require_running
from pointsbank.platform.database import Database
from services.people import tokens


async def sign_in_links(runtime: Runtime) -> dict[str, str]:
    """Return one new sign-in address for each role that somebody holds; empty on an empty database."""
    database = Database(runtime.app_url, pool_size=1)
    try:
        async with database.unit_of_work(COMMUNITY_ID) as uow:
            found = await tokens.sign_in_tokens(uow)
    finally:
        await database.close()
    return {role.value: f"{runtime.addresses[API]}/sign-in/{token}" for role, token in found.items()}


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: your data folder).")
def links(data: Path | None) -> None:
    """Print a new sign-in link for each role that somebody holds."""
    found = asyncio.run(sign_in_links(require_running(read_settings(data=data).data)))
    if not found:
        raise click.ClickException("nobody is registered yet: `pointsbank import people FILE` first")
    for role, link in found.items():
        click.echo(f"sign in as {role}: {link}")
