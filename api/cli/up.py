"""``pointsbank up``: everything from one command, in order, and down again in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import traceback
from pathlib import Path

import click
from rich.console import Console

import pointsbank
from api.cli import demo, processes
from api.cli.backing import Backing
from api.cli.links import sign_in_links
from api.cli.runtime import (
    ProcessMark,
    Runtime,
    end_left_over,
    forget_runtime,
    make_data_directory,
    only_one_up,
    read_settings,
)
from api.cli.schemas import migrate_all, schema_urls
from api.cli.supervisor import ChildFailed, State, Supervisor
from api.cli.threads import in_thread
from pointsbank.platform import servers
from pointsbank.platform.roles import DatabaseUnfit
from pointsbank.platform.secrets import Secrets, SecretsUnreadable, load_secrets
from pointsbank.platform.settings import Settings

READY = "ready"


@click.command()
@click.option("--demo", "wants_demo", is_flag=True, help="Build the demo world on an empty database.")
@click.option("--small", is_flag=True, help="The demo world with 500 people instead of 20,000.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory (default: your data folder).")
@click.option("--port", type=int, help="Where the api listens; canteen +1, station +2 (default: 8000).")
def up(wants_demo: bool, small: bool, data: Path | None, port: int | None) -> None:
    """Start everything: PostgreSQL, Valkey, api, worker, canteen, station. Ctrl-C stops it in order."""
    settings = read_settings(data=data, port=port)
    make_data_directory(settings.data)
    with only_one_up(settings.data):
        try:
            asyncio.run(_Up(settings, demo.Wish(demo=wants_demo or small, small=small)).run())
        except (servers.ServerFailed, DatabaseUnfit, SecretsUnreadable, ChildFailed) as error:
            raise click.ClickException(str(error)) from None
        except click.ClickException:
            raise
        except Exception as error:
            log = settings.data / "logs" / "up.log"
            with log.open("a", encoding="utf-8") as file:
                traceback.print_exc(file=file)
            raise click.ClickException(
                f"this should not happen: {type(error).__name__} (see {log})"
            ) from None


class _Up:
    def __init__(self, settings: Settings, wish: demo.Wish) -> None:
        self.settings = settings
        self.console = Console(highlight=False, soft_wrap=True)
        self.wish = wish
        self.backing = Backing(settings, say=self.say, changed=self.write_down)
        self.supervisor: Supervisor | None = None
        self.runtime: Runtime | None = None

    def say(self, line: str) -> None:
        """Print one line; nothing in it is markup."""
        self.console.print(line, markup=False)

    async def run(self) -> None:
        """Bring everything up, stay until told to stop, take everything down."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with contextlib.AsyncExitStack() as stack:
            life = asyncio.create_task(self._live(stack))
            stopper = asyncio.create_task(stop.wait())
            await asyncio.wait([life, stopper], return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                self.say("stopping")
            stopper.cancel()
            life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await life
        if stop.is_set():
            self.say("stopped")

    async def _live(self, stack: contextlib.AsyncExitStack) -> None:
        data = self.settings.data
        for name in await in_thread(lambda: end_left_over(data)):
            self.say(f"{name}: left over from a run that was killed; ended")
        self._check_ports()
        secrets = load_secrets(data)
        self.say(f"pointsbank {pointsbank.__version__}, data in {data}")
        # The stack is left in the reverse of this order: children, Valkey, PostgreSQL, the written record.
        stack.callback(forget_runtime, data)
        self.runtime = runtime = await self._start_servers(stack, secrets)
        revisions = await in_thread(lambda: migrate_all(schema_urls(runtime)))
        self.say("schemas: " + ", ".join(f"{schema} {revision}" for schema, revision in revisions.items()))
        children = processes.services(self.settings, secrets, runtime)
        self.supervisor = Supervisor(children, self._told, self.write_down)
        stack.push_async_callback(self.supervisor.stop, processes.STOP_ORDER)
        await self.supervisor.start()
        await demo.offer(runtime, self.settings, secrets, self.console, self.wish)
        await self._welcome(runtime, secrets)
        await asyncio.Event().wait()

    def _check_ports(self) -> None:
        for name, offset in processes.PORT_OFFSETS.items():
            port = self.settings.port + offset
            if not servers.port_is_free(self.settings.host, port):
                raise click.ClickException(
                    f"port {port} ({name}) on {self.settings.host} is in use: "
                    "end what uses it, or choose other ports with --port"
                )

    async def _start_servers(self, stack: contextlib.AsyncExitStack, secrets: Secrets) -> Runtime:
        """Start the servers that the settings do not name, and say where everything answers."""
        urls = await self.backing.start_database(stack, secrets)
        redis_url = await self.backing.start_queue(stack, secrets)
        mark = ProcessMark.of("up", os.getpid())
        assert mark is not None, "this process lives"
        return Runtime(
            up=mark,
            addresses=processes.addresses(self.settings),
            owner_url=urls.owner,
            app_url=urls.app,
            canteen_url=urls.canteen,
            station_url=urls.station,
            redis_url=redis_url,
        )

    async def _welcome(self, runtime: Runtime, secrets: Secrets) -> None:
        """Print where to go and how to come in; last the line that says so."""
        for name, address in runtime.addresses.items():
            self.say(f"{name:<8} {address}")
        for name, pin in ((processes.CANTEEN, secrets.canteen_pin), (processes.STATION, secrets.station_pin)):
            self.say(f"{name:<8} counter PIN {pin}")
        for role, link in (await sign_in_links(runtime)).items():
            self.say(f"sign in as {role}: {link}")
        self.say(READY)

    def _told(self, name: str, state: State, detail: str) -> None:
        self.say(f"{name}: {state}{f' ({detail})' if detail else ''}")

    def write_down(self) -> None:
        """Keep the list of our processes on disk, for `doctor` and for the next `up` after a kill."""
        if self.runtime is None:
            return
        pids = (self.supervisor.pids() if self.supervisor is not None else {}) | self.backing.pids()
        marks = [ProcessMark.of(name, pid) for name, pid in pids.items()]
        self.runtime.processes = [mark for mark in marks if mark is not None]
        self.runtime.save(self.settings.data)
