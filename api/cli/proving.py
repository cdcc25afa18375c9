"""``pointsbank audit prove`` and ``verify-file``: statements that prove themselves, and their checking."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click

from api.cli.connection import app_database
from api.cli.output import output_file
from api.cli.runtime import data_option, read_settings
from pointsbank.domain import accounts
from pointsbank.domain.errors import DomainError, NotFound
from pointsbank.platform.clock import local_day
from pointsbank.platform.database import Database
from pointsbank.platform.settings import Settings
from services.ledger import jobs
from services.ledger.proof import proofs, seals
from services.ledger.proof.file_check import FileReport
from services.ledger.proof.proof_check import check_file
from services.people import service as people
from services.people.views import CommunityInfo

SHOWN_FINDINGS_MAX = 20
KEY_BYTES = 32
NOT_CONTINUED = "the journal does not go on from the last seal kept: nothing was signed; run audit verify"
ACCOUNTS = {"points": accounts.available, "minutes": accounts.service}


@dataclass(frozen=True, slots=True)
class Wish:
    """Whose account is to be proven, over which local days, in which community (its code; the only one)."""

    community: str | None
    member: str
    of: str
    first: date
    last: date
    sealing: bool


def _day(_context: click.Context, _parameter: click.Parameter, value: Any) -> date | None:
    return None if value is None else value.date()


def public_key(_context: click.Context, _parameter: click.Parameter, value: str | None) -> bytes | None:
    """Return the bytes of a public key given in hex."""
    if value is None:
        return None
    try:
        key = bytes.fromhex(value)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise click.ClickException("--key: a public key is 64 hex digits")
    return key


day_type = click.DateTime(["%Y-%m-%d"])


@click.command("prove")
@data_option
@click.option("--community", help="The community's code, where there are several.")
@click.option("--member", required=True, help="The member's number, as on the card.")
@click.option("--from", "first", type=day_type, callback=_day, required=True, help="First local day.")
@click.option("--to", "last", type=day_type, callback=_day, required=True, help="Last local day.")
@click.option(
    "--of",
    type=click.Choice(sorted(ACCOUNTS)),
    default="points",
    help="points: a statement; minutes: a certificate of service.",
)
@click.option(
    "--seal/--no-seal", "sealing", default=True, help="Seal first what no seal covers yet (default: yes)."
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write."
)
def prove(
    data: Path | None,
    community: str | None,
    member: str,
    first: date,
    last: date,
    of: str,
    sealing: bool,
    output: Path,
) -> None:
    """Write a member's statement or certificate with everything that proves it."""
    settings = read_settings(data=data)
    wish = Wish(community, member, of, first, last, sealing)
    try:
        document = asyncio.run(_prove(settings, wish))
    except NotFound as error:
        raise click.ClickException(f"there is no such {error.what.replace('_', ' ')}") from None
    except seals.SealNotContinued:
        raise click.ClickException(NOT_CONTINUED) from None
    except DomainError as error:
        raise click.ClickException(f"cannot be proven: {error.code}") from None
    try:
        with output_file(output) as file:
            file.write(json.dumps(document, indent=1).encode() + b"\n")
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
    newer = len(document["unproven"]) + ("before_unproven" in document)
    unproven = f", {newer} newer than any seal" if newer else ""
    click.echo(f"{output}: {document['pointsbank']}, {len(document['lines'])} lines proven{unproven}")


@click.command("verify-file")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key",
    required=True,
    callback=public_key,
    help="The public key of the seals, 64 hex digits, known from elsewhere.",
)
@click.option(
    "--unsealed", is_flag=True, help="Accept what is newer than the last seal, which nothing proves."
)
def verify_file(file: Path, key: bytes, unsealed: bool) -> None:
    """Check an exported statement, certificate or whole journal offline, with the public key alone."""
    try:
        report = check_file(file, key, unsealed=unsealed)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None
    _tell(report)
    faults = len(report.findings) + report.omitted
    if faults:
        first = report.findings[0]
        counted = "one fault" if faults == 1 else f"{faults} faults, the first"
        raise click.ClickException(f"{counted} at {first.where}: {first.fault}")
    rest = report.entries - report.proven
    if not report.seals or (not report.proven and (rest or not report.sums)):
        click.echo("it is whole in itself, but no seal vouches for it")
    elif rest:
        click.echo(f"what the seal covers holds; no seal vouches for the other {rest} entries")
    else:
        click.echo("everything in it holds")


def _tell(report: FileReport) -> None:
    sums = "".join(f", {name} {value}" for name, value in report.sums)
    click.echo(
        f"{report.kind} of community {report.community_id}: {report.entries} entries, "
        f"{report.proven} covered by a seal"
        + (f" of {report.sealed_at:%Y-%m-%d %H:%M} UTC" if report.sealed_at else "")
        + sums
    )
    if report.holds:
        click.echo(f"  not under the chain, proven by nothing: {report.holds} holds")
    for finding in report.findings[:SHOWN_FINDINGS_MAX]:
        click.echo(f"  {finding.where}: {finding.fault}")


async def _prove(settings: Settings, wish: Wish) -> dict[str, Any]:
    webhook = settings.seal_webhook.get_secret_value() if settings.seal_webhook else None
    async with app_database(settings) as url:
        database = Database(url, pool_size=2)
        try:
            community = await _community(database, wish.community)
            if wish.sealing:
                line = None
                async with database.unit_of_work(community.id) as uow:
                    if await seals.is_due(uow):
                        last = seals.last_kept(seals.seals_file(settings.data, community.id), community.id)
                        line = await seals.seal_head(uow, seals.load_key(settings.data), last=last)
                if line is not None:
                    await jobs.publish(settings.data, community.id, [line], webhook)
            async with database.unit_of_work(community.id, snapshot=True) as uow:
                found = await people.people_named(uow, member_numbers=[wish.member])
                if not found:
                    raise NotFound(what="person")
                member = found[0]
                from_ = local_day(wish.first, community.timezone)[0]
                to = local_day(wish.last, community.timezone)[1]
                document = await proofs.statement(uow, ACCOUNTS[wish.of](member.ledger_ref), from_, to)
            return proofs.signed(document, seals.load_key(settings.data))
        finally:
            await database.close()


async def _community(database: Database, code: str | None) -> CommunityInfo:
    async with database.session() as session:
        found = [each for each in await people.communities(session) if code in (None, each.code)]
    if len(found) != 1:
        raise click.ClickException("--community: name one of the communities by its code")
    return found[0]
