"""``pointsbank up``: everything from one command, in order, and down again in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from pathlib import Path

import click
from rich.console import Console

import pointsbank
from api.cli import demo, processes
from api.cli.backing import Backing
from api.cli.failure import failure_line
from api.cli.links import sign_in_links, ways_in
from api.cli.runtime import (
    ProcessMark,
    Runtime,
    data_option,
    end_left_over,
    forget_runtime,
    make_data_directory,
    only_one_up,
    read_settings,
)
from api.cli.schemas import migrate_all, schema_urls
from api.cli.supervisor import ChildFailed, State, Supervisor
from api.cli.threads import end_task, in_thread
from pointsbank.platform.ports import listening_fault
from pointsbank.platform.roles import DatabaseUnfit
from pointsbank.platform.secrets import Secrets, SecretsUnreadable, load_secrets
from pointsbank.platform.servers import ServerFailed
from pointsbank.platform.settings import Settings

READY = "ready"


@click.command()
@click.option("--demo", "wants_demo", is_flag=True, help="Build the demo world on an empty database.")
@click.option("--small", is_flag=True, help="The demo world with 500 people instead of 20,000.")
@data_option
@click.option("--port", type=int, help="Where the api listens; canteen +1, station +2 (default: 8000).")
def up(wants_demo: bool, small: bool, data: Path | None, port: int | None) -> None:
    """Start everything: PostgreSQL, Valkey, api, worker, canteen, station. Ctrl-C stops it in order."""
    settings = read_settings(data=data, port=port)
    make_data_directory(settings.data)
    with only_one_up(settings.data):
        try:
            asyncio.run(_Up(settings, demo.Wish(demo=wants_demo or small, small=small)).run())
        except (ServerFailed, DatabaseUnfit, SecretsUnreadable, ChildFailed) as error:
            raise click.ClickException(str(error)) from None
        except click.ClickException:
            raise
        except Exception as error:
            raise click.ClickException(failure_line(settings.data, error)) from None


def port_refusal(name: str, host: str, port: int, fault: OSError) -> str:
    """Return one line that says why process ``name`` cannot listen on ``host``:``port``, and what to do."""
    if isinstance(fault, socket.gaierror) or fault.errno == errno.EADDRNOTAVAIL:
        return f"host (POINTSBANK_HOST): {host} is no address of this machine ({fault.strerror})"
    where = f"port {port} ({name}) on {host}"
    if fault.errno == errno.EADDRINUSE:
        return f"{where} is in use: end what uses it, or choose other ports with --port"
    if fault.errno in (errno.EACCES, errno.EPERM):
        return f"{where} is not open to this user: choose ports from 1024 upwards with --port"
    return f"{where} cannot be listened on: {fault.strerror}"


class _Up:
    def __init__(self, settings: Settings, wish: demo.Wish) -> None:
        self.settings = settings
        self.console = Console(highlight=False, soft_wrap=True)
        self.wish = wish
        self.backing = Backing(settings, say=self.say, warn=self.say, changed=self.write_down)
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
            await end_task(life)
        if stop.is_set():
            self.say("stopped")

    async def _live(self, stack: contextlib.AsyncExitStack) -> None:
        data = self.settings.data
        for name in await in_thread(lambda: end_left_over(data)):
            self.say(f"{name}: left over from a run that was killed; ended")
        demo.refuse_half_built(data)
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
            fault = listening_fault(self.settings.host, port)
            if fault is not None:
                raise click.ClickException(port_refusal(name, self.settings.host, port, fault))

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
        """Print where to go and how to come in; last the line that says so.

        Where real people are served, what is printed may stand in a service manager's log for as long as
        the links are good: there they are printed on a terminal only.
        """
        for name, address in runtime.addresses.items():
            self.say(f"{name:<8} {address}")
        if sys.stdout.isatty() or self.wish.demo or demo.is_demo(self.settings.data):
            for line in ways_in(secrets, await sign_in_links(runtime)):
                self.say(line)
        else:
            self.say("`pointsbank links` prints the counters' PINs and a way in for each role")
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
        try:
            self.runtime.save(self.settings.data)
        except OSError as error:  # a full disk must not end the watch over a child
            self.say(f"what runs cannot be written down: {error.strerror}")
