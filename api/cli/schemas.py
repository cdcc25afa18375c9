"""The three schemas, the roles that own them, and ``pointsbank migrate``."""

from __future__ import annotations

from pathlib import Path

import click

from api.cli.runtime import Runtime, data_option, read_settings, require_running
from pointsbank.platform import migrations

SCRIPTS = {
    "bank": "services:migrations",
    "canteen": "services.canteen:migrations",
    "station": "services.station:migrations",
}


def schema_urls(runtime: Runtime) -> dict[str, str]:
    """Return for each schema the address of the role that migrates it."""
    return {"bank": runtime.owner_url, "canteen": runtime.canteen_url, "station": runtime.station_url}


def migrate_all(urls: dict[str, str]) -> dict[str, str]:
    """Bring every schema to its newest revision; return the revisions."""
    for schema, url in urls.items():
        migrations.upgrade(url, SCRIPTS[schema])
    return {schema: migrations.head(SCRIPTS[schema]) for schema in urls}


@click.group()
def migrate() -> None:
    """Move the schemas of a running pointsbank (for developers)."""


schema_option = click.option("--schema", type=click.Choice(list(SCRIPTS)), help="Only this one.")


def _chosen(data: Path | None, schema: str | None) -> dict[str, str]:
    urls = schema_urls(require_running(read_settings(data=data).data))
    return urls if schema is None else {schema: urls[schema]}


@migrate.command("up")
@data_option
@schema_option
def migrate_up(data: Path | None, schema: str | None) -> None:
    """Bring the schemas to their newest revision."""
    for name, revision in migrate_all(_chosen(data, schema)).items():
        click.echo(f"{name}: {revision}")


@migrate.command("down")
@data_option
@click.option("--schema", type=click.Choice(list(SCRIPTS)), required=True)
@click.option("--revision", required=True, help='Where to stop; "base" is before the first.')
@click.confirmation_option(prompt="Going down removes tables and what is in them. Go on?")
def migrate_down(data: Path | None, schema: str, revision: str) -> None:
    """Take one schema down to a revision. Rows are lost."""
    (url,) = _chosen(data, schema).values()
    migrations.downgrade(url, SCRIPTS[schema], revision)
    click.echo(f"{schema}: {migrations.current(url, SCRIPTS[schema]) or 'base'}")


@migrate.command("check")
@data_option
@schema_option
def migrate_check(data: Path | None, schema: str | None) -> None:
    """Compare the schemas with the tables in code; non-zero when they differ."""
    differ = False
    for name, url in _chosen(data, schema).items():
        differences = migrations.check(url, SCRIPTS[name])
        differ = differ or bool(differences)
        click.echo(f"{name}: {migrations.current(url, SCRIPTS[name])}, {len(differences)} differences")
        for difference in differences:
            click.echo(f"  {difference}")
    if differ:
        raise click.exceptions.Exit(1)
