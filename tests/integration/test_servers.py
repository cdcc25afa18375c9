"""The embedded servers and the roles on them, with real processes."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from api.cli.up import port_refusal
from pointsbank.platform.ports import free_port, listening_fault, port_is_free
from pointsbank.platform.secrets import SECRETS_FILE, SecretsUnreadable, load_secrets
from pointsbank.platform.servers import EmbeddedPostgres, EmbeddedValkey, ServerFailed
from pointsbank.platform.system_user import let_read
from tests.conftest import server_directory

PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedPostgres]:
    """A cluster of this module's own, which its tests stop, kill and start again."""
    with server_directory() as directory, EmbeddedPostgres(directory / "postgres", PASSWORD) as postgres:
        yield postgres


def started(postgres: EmbeddedPostgres) -> psutil.Process:
    assert postgres.process is not None
    return psutil.Process(postgres.process.pid)


async def test_postgres_refuses_a_wrong_password_on_its_socket(cluster: EmbeddedPostgres) -> None:
    wrong = cluster.url().replace(PASSWORD, "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_postgres_listens_on_no_network_port(cluster: EmbeddedPostgres) -> None:
    assert started(cluster).net_connections(kind="inet") == []


async def test_the_cluster_is_utf8_and_in_utc(cluster: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(cluster.url())
    row = await connection.fetchrow(
        "SELECT current_setting('server_encoding') AS encoding, current_setting('TimeZone') AS zone,"
        " datlocale FROM pg_database WHERE datname = 'postgres'"
    )
    await connection.close()
    assert (row["encoding"], row["zone"], row["datlocale"]) == ("UTF8", "UTC", "C.UTF-8")


async def test_postgres_finds_its_rows_after_it_was_killed(cluster: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(cluster.url())
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (7)")
    await connection.close()
    assert cluster.process is not None
    cluster.process.kill()
    cluster.process.wait()
    assert (cluster.directory / "postmaster.pid").exists()
    cluster.start()
    connection = await asyncpg.connect(cluster.url())
    assert await connection.fetchval("SELECT max(n) FROM kept") == 7
    await connection.close()


def test_a_stale_mark_that_names_a_living_stranger_does_not_hinder_a_start(cluster: EmbeddedPostgres) -> None:
    cluster.stop()
    # PostgreSQL believes such a mark when the stranger belongs to the user that it runs as itself.
    owner = cluster.directory.stat().st_uid
    stranger = subprocess.Popen(["sleep", "60"], user=None if owner == os.geteuid() else owner)
    try:
        mark = cluster.directory / "postmaster.pid"
        mark.write_text(f"{stranger.pid}\n{cluster.directory}\n0\n5432\n\n\n0 0\nready\n")
        cluster.start()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_left_over_on_the_directory_is_ended_first(cluster: EmbeddedPostgres) -> None:
    left_over = started(cluster)
    heir = EmbeddedPostgres(cluster.directory, PASSWORD, durable=False)
    heir.start()
    try:
        assert not left_over.is_running() or left_over.status() == psutil.STATUS_ZOMBIE
    finally:
        heir.stop()
        cluster.stop()
        cluster.start()


def test_a_long_or_chinese_path_gets_a_socket_elsewhere(data: Path) -> None:
    directory = data / "积分银行" / ("long-" * 20)
    directory.mkdir(parents=True)
    with EmbeddedPostgres(directory / "postgres", PASSWORD, durable=False) as postgres:
        assert str(directory) not in postgres.url()
        socket_directory = Path(postgres.url().rpartition("host=")[2])
        assert stat.S_IMODE(socket_directory.stat().st_mode) == 0o700
    assert not socket_directory.exists()


def test_a_cluster_of_another_version_is_refused_in_one_line(data: Path) -> None:
    directory = data / "postgres"
    directory.mkdir()
    (directory / "PG_VERSION").write_text("17\n")
    with pytest.raises(ServerFailed, match="was made by PostgreSQL 17; this is 18") as refused:
        EmbeddedPostgres(directory, PASSWORD).start()
    assert "\n" not in str(refused.value)


def test_a_folder_with_other_things_in_it_is_not_made_a_cluster(data: Path) -> None:
    directory = data / "postgres"
    directory.mkdir()
    (directory / "letter.txt").write_text("mine")
    with pytest.raises(ServerFailed, match="is not empty"):
        EmbeddedPostgres(directory, PASSWORD).start()
    assert [path.name for path in directory.iterdir()] == ["letter.txt"]


def test_valkey_finds_its_keys_after_a_stop_and_wants_its_password(data: Path) -> None:
    valkey = EmbeddedValkey(data / "valkey", PASSWORD)
    valkey.start()
    client = redis.Redis.from_url(valkey.url)
    client.set("kept", "7")
    client.close()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host="127.0.0.1", port=valkey.port).ping()
    valkey.stop()
    with valkey:
        client = redis.Redis.from_url(valkey.url)
        assert client.get("kept") == b"7"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.close()


def test_the_valkey_password_is_not_on_the_command_line(data: Path) -> None:
    with EmbeddedValkey(data / "valkey", PASSWORD, persistent=False) as valkey:
        assert valkey.process is not None
        assert PASSWORD not in " ".join(psutil.Process(valkey.process.pid).cmdline())


def test_a_terminals_interrupt_does_not_reach_the_servers(cluster: EmbeddedPostgres) -> None:
    assert os.getsid(started(cluster).pid) != os.getsid(0)


def test_a_valkey_left_over_on_the_directory_is_ended_first(data: Path) -> None:
    left_over, heir = (EmbeddedValkey(data / "valkey", PASSWORD) for _ in range(2))
    with left_over:
        assert left_over.process is not None
        client = redis.Redis.from_url(left_over.url)
        client.set("kept", "7")
        client.close()
        with heir:
            assert left_over.process.poll() is not None
            client = redis.Redis.from_url(heir.url)
            assert client.get("kept") == b"7"
            client.close()


def test_a_valkey_of_another_directory_is_left_alone(data: Path) -> None:
    with (
        EmbeddedValkey(data / "one", PASSWORD, persistent=False) as one,
        EmbeddedValkey(data / "two", PASSWORD, persistent=False),
    ):
        assert one.process is not None
        assert one.process.poll() is None


def test_each_thing_that_root_changes_on_the_machine_is_told(data: Path) -> None:
    closed = data / "closed"
    closed.mkdir(mode=0o700)
    told: list[str] = []
    with EmbeddedPostgres(closed / "postgres", PASSWORD, durable=False, told=told.append):
        opened = bool(closed.stat().st_mode & stat.S_IXOTH)
    about = [line for line in told if f" {closed} " in line]
    assert opened == (os.geteuid() == 0)
    assert len(about) == opened
    assert all(line.startswith("as root: ") for line in told)


def test_opening_a_package_to_others_is_told_once(data: Path) -> None:
    for name in ("one", "two"):
        (data / name).touch(mode=0o600)
    told: list[str] = []
    let_read(data, told.append)
    assert told == [f"as root: let other users read PostgreSQL's files in {data} (chmod o+rX)"]
    assert (data / "one").stat().st_mode & stat.S_IROTH
    let_read(data, told.append)
    assert len(told) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use_is_seen(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        fault = listening_fault(host, port)
        assert fault is not None
        assert fault.errno == errno.EADDRINUSE
    assert port_is_free(host, port)


@pytest.mark.parametrize("host", ["nowhere.invalid", "two..dots", "192.0.2.1", "[::1]"])
def test_a_host_that_is_no_address_of_this_machine_is_told_from_a_port_in_use(host: str) -> None:
    fault = listening_fault(host, free_port())
    assert isinstance(fault, socket.gaierror) or (fault is not None and fault.errno == errno.EADDRNOTAVAIL)
    assert port_refusal("api", host, 8000, fault).startswith(
        f"host (POINTSBANK_HOST): {host} is no address of this machine ("
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRINUSE, "port 80 (api) on 127.0.0.1 is in use: "),
        (errno.EACCES, "port 80 (api) on 127.0.0.1 is not open to this user: "),
        (errno.EPROTONOSUPPORT, "port 80 (api) on 127.0.0.1 cannot be listened on: Protocol not supported"),
    ],
)
def test_why_a_port_cannot_be_listened_on_is_said(number: int, said: str) -> None:
    fault = OSError(number, os.strerror(number))
    assert port_refusal("api", "127.0.0.1", 80, fault).startswith(said)


def test_secrets_are_made_once_and_only_their_owner_may_read_them(data: Path) -> None:
    first = load_secrets(data)
    assert load_secrets(data) == first
    assert stat.S_IMODE((data / SECRETS_FILE).stat().st_mode) == 0o600
    assert len({first.app_password, first.owner_password, first.canteen_secret}) == 3


def test_damaged_secrets_are_refused_and_left_as_they_are(data: Path) -> None:
    (data / SECRETS_FILE).write_text('{"app_password": ')
    with pytest.raises(SecretsUnreadable, match="put it back from a copy"):
        load_secrets(data)
    assert (data / SECRETS_FILE).read_text() == '{"app_password": '
