"""PostgreSQL and Valkey beneath the processes: ours, or those that the settings name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import click
import redis.asyncio
from pydantic import SecretStr
from redis.exceptions import RedisError

from api.cli.threads import end_task, in_thread
from pointsbank.platform import roles, servers
from pointsbank.platform.secrets import Secrets
from pointsbank.platform.settings import Settings

WATCH_SECONDS = 1.0
OUTSIDE_SECONDS_MAX = 10

Server = servers.EmbeddedPostgres | servers.EmbeddedValkey


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """The one database as each of its roles."""

    owner: str
    app: str
    canteen: str
    station: str


class Backing:
    """Starts the servers and keeps them.

    say: prints one line. warn: prints one line about a change of the machine itself, which root alone makes.
    changed: called when a server's process is another one than before.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._say = say
        self._warn = warn
        self._changed = changed
        self._servers: dict[str, Server] = {}

    def pids(self) -> dict[str, int]:
        """Return the numbers of our servers' processes, by name."""
        return {
            name: server.process.pid for name, server in self._servers.items() if server.process is not None
        }

    async def start_database(self, stack: contextlib.AsyncExitStack, secrets: Secrets) -> DatabaseUrls:
        """Return the addresses of a database with its roles made. Raises ServerFailed, DatabaseUnfit."""
        outside = _revealed(self._settings.database_url)
        if outside is None:
            log = self._settings.data / "logs" / "postgres.log"
            directory = self._settings.data / "postgres"
            postgres = servers.EmbeddedPostgres(
                directory, secrets.superuser_password, log=log, told=self._warn
            )
            await self._keep("PostgreSQL", postgres, stack)
            self._say(f"PostgreSQL: {servers.postgres_version()}, running")
            owner = await roles.ensure_database(postgres.url(), secrets.owner_password)
        else:
            await roles.ensure_outside_database(outside)
            self._say("PostgreSQL: the one in POINTSBANK_DATABASE_URL")
            owner = outside
        passwords = {
            roles.APP: secrets.app_password,
            roles.CANTEEN: secrets.canteen_password,
            roles.STATION: secrets.station_password,
        }
        await roles.ensure_roles(owner, passwords)
        app, canteen, station = (roles.role_url(owner, role, passwords[role]) for role in passwords)
        return DatabaseUrls(owner, app, canteen, station)

    async def start_queue(self, stack: contextlib.AsyncExitStack, secrets: Secrets) -> str:
        """Return the address of a Valkey that answers. Raises ServerFailed."""
        outside = _revealed(self._settings.redis_url)
        if outside is not None:
            await _check_answers(outside)
            self._say("Valkey: the one in POINTSBANK_REDIS_URL")
            return outside
        log = self._settings.data / "logs" / "valkey.log"
        valkey = servers.EmbeddedValkey(self._settings.data / "valkey", secrets.valkey_password, log=log)
        await self._keep("Valkey", valkey, stack)
        self._say(f"Valkey: {servers.valkey_version()}, running")
        return valkey.url

    async def _keep(self, name: str, server: Server, stack: contextlib.AsyncExitStack) -> None:
        """Start a server, start it again should it die, and stop it when the stack is left."""

        async def stop() -> None:
            await in_thread(server.stop)

        stack.push_async_callback(stop)
        await in_thread(server.start)
        self._servers[name] = server
        stack.push_async_callback(end_task, asyncio.create_task(self._watch(name, server)))

    async def _watch(self, name: str, server: Server) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if server.process is not None and server.process.poll() is None:
                continue
            self._say(f"{name}: has ended; starting it again")
            try:
                await in_thread(server.start)
            except (servers.ServerFailed, OSError) as error:
                self._say(f"{name}: {error}")
            else:
                self._changed()
                self._say(f"{name}: running again")


async def _check_answers(url: str) -> None:
    try:
        async with asyncio.timeout(OUTSIDE_SECONDS_MAX), redis.asyncio.Redis.from_url(url) as client:
            await client.ping()
    except TimeoutError:
        raise click.ClickException(
            f"the server in POINTSBANK_REDIS_URL has not answered within {OUTSIDE_SECONDS_MAX} s"
        ) from None
    except (RedisError, ValueError, OSError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise click.ClickException(f"the server in POINTSBANK_REDIS_URL cannot be used: {said}") from None


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
