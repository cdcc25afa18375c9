"""``pointsbank doctor``: is everything as it should be, and if not, what."""

from __future__ import annotations

import asyncio
import functools
import platform
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import click
import redis.asyncio
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text

import pointsbank
from api.cli.processes import WORKER, http_probe, worker_probe
from api.cli.runtime import Runtime, data_option, read_settings, require_running
from api.cli.schemas import SCRIPTS, schema_urls
from api.cli.threads import in_thread
from pointsbank.platform import migrations, roles
from pointsbank.platform.database import Database
from pointsbank.platform.dead_letters import backlog
from services.ledger import service as ledger
from services.ledger.proof.verification import Verification, verify
from services.people import service as people

OUTBOX_SECONDS_MAX = 300
CONNECT_SECONDS_MAX = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, in words."""

    what: str
    fine: bool
    said: str


@click.command()
@data_option
def doctor(data: Path | None) -> None:
    """Examine a running pointsbank: versions, servers, schemas, outbox, books. Non-zero if any is wrong."""
    settings = read_settings(data=data)
    runtime = require_running(settings.data)
    findings = asyncio.run(_examined(runtime))
    table = Table(box=None, pad_edge=False)
    for heading in ("", "looked at", "found"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        mark = Text("ok", "green") if finding.fine else Text("WRONG", "bold red")
        table.add_row(mark, Text(finding.what), Text(finding.said))
    Console(highlight=False).print(table)
    wrong = [finding.what for finding in findings if not finding.fine]
    if wrong:
        raise click.ClickException("wrong: " + ", ".join(wrong))
    click.echo("all is well")


async def _examined(runtime: Runtime) -> list[Finding]:
    findings = [
        Finding("pointsbank", True, f"{pointsbank.__version__} on Python {platform.python_version()}"),
        await _queue(runtime),
    ]
    findings += [finding async for finding in _processes(runtime)]
    database = await _database(runtime)
    findings.append(database)
    if database.fine:
        findings += [finding async for finding in _schemas(runtime)]
        # What the books say can only be asked of a schema that is the code's own.
        if all(finding.fine for finding in findings if finding.what.startswith("schema ")):
            findings += [finding async for finding in _books(runtime)]
    return findings


async def _queue(runtime: Runtime) -> Finding:
    try:
        async with redis.asyncio.Redis.from_url(
            runtime.redis_url, socket_connect_timeout=CONNECT_SECONDS_MAX, socket_timeout=CONNECT_SECONDS_MAX
        ) as client:
            told = await client.info("server")
    except (RedisError, OSError) as error:
        return Finding("Valkey", False, f"does not answer: {type(error).__name__}")
    version = told.get("valkey_version") or told.get("redis_version")
    return Finding("Valkey", True, f"{version}, answers")


async def _database(runtime: Runtime) -> Finding:
    try:
        connection = await roles.connect(runtime.app_url)
    except roles.DatabaseUnfit as error:
        return Finding("PostgreSQL", False, str(error))
    version = connection.get_settings().server_version
    await connection.close()
    return Finding("PostgreSQL", True, f"{version}, answers")


async def _processes(runtime: Runtime) -> AsyncIterator[Finding]:
    for name, address in runtime.addresses.items():
        healthy = await http_probe(f"{address}/readyz")()
        yield Finding(name, healthy, f"{address} {'is ready' if healthy else 'is not ready'}")
    healthy = await worker_probe(runtime.redis_url)()
    yield Finding(WORKER, healthy, "its heart beats" if healthy else "shows no sign of life")


async def _schemas(runtime: Runtime) -> AsyncIterator[Finding]:
    for schema, url in schema_urls(runtime).items():
        head = migrations.head(SCRIPTS[schema])
        current = await in_thread(functools.partial(migrations.current, url, SCRIPTS[schema]))
        said = f"at {current or 'nothing'}" + ("" if current == head else f", the newest is {head}")
        yield Finding(f"schema {schema}", current == head, said)


async def _books(runtime: Runtime) -> AsyncIterator[Finding]:
    database = Database(runtime.app_url, pool_size=1)
    try:
        async with database.session() as session:
            communities = await people.communities(session)
        for community in communities:
            async with database.unit_of_work(community.id, snapshot=True) as uow:
                behind = await backlog(uow)
                oldest = behind.oldest or uow.clock.now()
                age = max(0, int((uow.clock.now() - oldest).total_seconds()))
                totals = await ledger.trial_balance(uow)
                verified = await verify(uow)
            late = age > OUTBOX_SECONDS_MAX or behind.dead > 0
            yield Finding(
                f"outbox of {community.code}",
                not late,
                f"{behind.undone} undone, the oldest for {age} s; {behind.dead} given up",
            )
            said = ", ".join(f"{commodity} {total:+d}" for commodity, total in totals.differences.items())
            yield Finding(
                f"trial balance of {community.code}", totals.balanced, said or "every commodity sums to zero"
            )
            yield _journal(community.code, verified)
    finally:
        await database.close()


def _journal(code: str, verified: Verification) -> Finding:
    """Say whether every entry, block, balance and seal is what the journal's own rows give."""
    said = f"{verified.entries} entries and {verified.accounts} balances recomputed"
    if verified.findings:
        first = verified.findings[0]
        said += f"; {len(verified.findings)} faults, first {first.fault} at {first.where}"
    return Finding(f"journal of {code}", verified.sound, said)
