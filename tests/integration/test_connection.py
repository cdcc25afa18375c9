"""The database that a command gets when nothing runs yet."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from time import monotonic

import asyncpg
import click
import psutil
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from api.cli import COMMANDS, main
from api.cli.backing import Backing
from api.cli.connection import app_database
from api.cli.failure import failure_line
from api.cli.processes import addresses, forget_worker_health, worker_probe
from api.cli.runtime import make_data_directory, only_one_up, read_settings
from pointsbank.platform.roles import APP
from pointsbank.platform.secrets import Secrets
from pointsbank.platform.servers import EmbeddedValkey
from pointsbank.platform.settings import PartnerSettings, Settings, default_data_directory


@contextmanager
def without_roots_rights() -> Iterator[None]:
    """Be somebody who may not write what is the starter's alone."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_command_without_up_gets_a_migrated_database_and_it_is_stopped_after(data: Path) -> None:
    async with app_database(read_settings(data=data)) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT current_user::text") == APP
        assert await connection.fetchval("SELECT to_regclass('bank.journal_lines') IS NOT NULL")
        await connection.close()
        with (
            pytest.raises(click.ClickException, match=r"\(process \d+\) is running on"),
            only_one_up(data),
        ):
            pass
        server = psutil.Process(int((data / "postgres" / "postmaster.pid").read_text().split()[0]))
    assert not server.is_running()


async def test_a_command_is_given_the_database_that_the_settings_name(
    data: Path, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSBANK_APP_DATABASE_URL", app_url)
    async with app_database(read_settings(data=data)) as url:
        assert url == app_url
    assert not (data / "postgres").exists()


def test_a_setting_out_of_range_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSBANK_SWEEP_SECONDS", "0")
    with pytest.raises(
        click.ClickException, match=r"^sweep_seconds \(POINTSBANK_SWEEP_SECONDS\): "
    ) as refused:
        read_settings()
    assert "\n" not in str(refused.value)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "DATABASE_URL", "REDIS_URL", "HOST", "PORT"):
        monkeypatch.setenv(f"POINTSBANK_{name}", "")
    settings = read_settings()
    assert settings.data == default_data_directory()
    assert (settings.database_url, settings.redis_url) == (None, None)
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    monkeypatch.setenv("POINTSBANK_PARTNER_COUNTER_PIN", "")
    monkeypatch.setenv("POINTSBANK_PARTNER_DATABASE_URL", "")
    with pytest.raises(ValidationError) as refused:
        PartnerSettings(platform_url="http://127.0.0.1:1", secret="long-enough")  # type: ignore[call-arg, arg-type]
    assert [fault["loc"] for fault in refused.value.errors()] == [("database_url",)]


def test_a_blank_or_homeless_data_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, said in (("  ", "names no directory"), ("~nobody-of-that-name/x", "cannot be found")):
        monkeypatch.setenv("POINTSBANK_DATA", given)
        with pytest.raises(click.ClickException, match=r"^data \(POINTSBANK_DATA\): .*" + said):
            read_settings()


COMMAND_LINES = [
    *(["up"], ["doctor"], ["links"], ["settle"], ["audit", "verify"], ["audit", "seal"]),
    *(["ledger", "recompute"], ["policy", "show"], ["policy", "approve", "1", "--by", "x"]),
    *(["import", "people", "x"], ["import", "service", "x"], ["migrate", "up"], ["migrate", "check"]),
    *(["claim", "--period", "2026-11"], ["outbox", "list"]),
]


@pytest.mark.parametrize("words", COMMAND_LINES, ids=" ".join)
def test_an_empty_data_option_is_not_taken_for_the_current_directory(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POINTSBANK_HOST", "nowhere.invalid")  # should it be taken all the same, `up` ends
    refused = CliRunner().invoke(main, [*words, "--data", ""])
    assert (refused.exit_code, refused.output) == (1, "Error: --data: names no directory\n")
    assert list(tmp_path.iterdir()) == []
    assert {line[0] for line in COMMAND_LINES} | {"match"} == set(COMMANDS)  # match has no data directory


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:se[k@127.0.0.1/bank",
        "postgresql://u:sek@127.0.0.1:port/bank",
        "postgresql://u:se/k@127.0.0.1/bank",
        "postgresql://u:1#sek@127.0.0.1/bank",
        "postgresql://u:1?sek@127.0.0.1/bank",
        "postgresql://u:sek@127.0.0.1:99999/bank",
        "mysql://u:sek@127.0.0.1/bank",
        "sek",
        "  ",
    ],
)
@pytest.mark.parametrize("name", ["database_url", "app_database_url", "redis_url"])
def test_an_address_that_is_none_is_refused_by_its_variable_and_never_quoted(
    name: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"POINTSBANK_{name.upper()}"
    monkeypatch.setenv(variable, address)
    with pytest.raises(click.ClickException) as refused:
        read_settings()
    line = str(refused.value)
    assert line.startswith(f"{name} ({variable}): is no address such as ")
    assert "\n" not in line
    assert "sek" not in line
    with pytest.raises(ValidationError) as raw:
        Settings()
    assert "sek" not in str(raw.value)


@pytest.mark.parametrize(
    "address",
    ["postgresql://u:s%5Bk@[::1]:5432/bank", "postgres:///bank?host=/run/postgresql", "postgresql://u@h"],
)
def test_an_address_that_is_one_is_taken_as_it_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSBANK_DATABASE_URL", address)
    settings = read_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == address


def test_a_partners_database_address_is_judged_too() -> None:
    with pytest.raises(ValidationError, match="is no address such as"):
        PartnerSettings(database_url="sek", platform_url="http://127.0.0.1:1", secret="long")  # type: ignore[arg-type]


def test_an_ipv6_host_stands_in_brackets_in_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSBANK_HOST", "::1")
    assert addresses(read_settings(port=8000))["station"] == "http://[::1]:8002"


@pytest.mark.parametrize("what", ["logs", "lock"])
def test_a_data_directory_of_two_owners_is_refused_in_one_line(data: Path, what: str) -> None:
    make_data_directory(data)
    for folder in (data, data / "logs"):
        folder.chmod(0o777)
    (data / "up.lock").touch()
    if what == "logs":
        (data / "logs").chmod(0o555)
    else:
        (data / "up.lock").chmod(0o400)
    with without_roots_rights(), pytest.raises(click.ClickException) as refused:
        make_data_directory(data)
        with only_one_up(data):
            pass
    path = data / ("logs" if what == "logs" else "up.lock")
    assert str(path) in str(refused.value)
    assert str(refused.value).endswith(": Permission denied")


def test_a_lock_that_is_a_directory_is_refused_in_one_line(data: Path) -> None:
    (data / "up.lock").mkdir()
    with (
        pytest.raises(click.ClickException, match=r"up\.lock cannot be opened: Is a directory"),
        only_one_up(data),
    ):
        pass


def raised(error: Exception) -> Exception:
    """Return ``error`` as it is after it passed a line."""
    try:
        raise error
    except type(error) as passed:
        return passed


def test_what_nobody_foresaw_is_kept_without_its_message(data: Path) -> None:
    make_data_directory(data)
    log = data / "logs" / "up.log"
    error = raised(RuntimeError("DETAIL: Key (phone)=(15400000001) already exists"))
    assert failure_line(data, error) == f"this should not happen: RuntimeError (see {log})"
    kept = log.read_text()
    assert "15400000001" not in kept
    assert '"RuntimeError"' in kept
    assert f"{Path(__file__).name}:" in kept


def test_a_log_that_cannot_be_written_hides_no_failure(data: Path) -> None:
    (data / "logs" / "up.log").mkdir(parents=True)
    assert failure_line(data, raised(RuntimeError("x"))) == "this should not happen: RuntimeError"


def test_a_file_that_cannot_be_used_is_named(data: Path) -> None:
    error = PermissionError(13, "Permission denied", str(data / "postgres"))
    assert failure_line(data, raised(error)) == f"{data / 'postgres'}: Permission denied"


@pytest.fixture
def silent_valkey(data: Path) -> Iterator[str]:
    """The address of a Valkey that takes connections and answers nothing."""
    with EmbeddedValkey(data / "valkey", "silent", persistent=False) as valkey:
        assert valkey.process is not None
        os.kill(valkey.process.pid, signal.SIGSTOP)
        yield valkey.url
        os.kill(valkey.process.pid, signal.SIGCONT)


async def _asked_to_start(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSBANK_REDIS_URL", url)
    backing = Backing(read_settings(), say=lambda _: None, warn=lambda _: None, changed=lambda: None)
    async with AsyncExitStack() as stack:
        with pytest.raises(
            click.ClickException, match=r"POINTSBANK_REDIS_URL has not answered within 0\.3 s"
        ):
            await backing.start_queue(stack, Secrets())


async def test_a_queue_server_that_says_nothing_holds_nobody_up(
    silent_valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.processes.PROBE_SECONDS_MAX", 0.3)
    monkeypatch.setattr("api.cli.backing.OUTSIDE_SECONDS_MAX", 0.3)
    began = monotonic()
    async with asyncio.timeout(20):
        assert await worker_probe(silent_valkey)() is False
        await forget_worker_health(silent_valkey)()
        await _asked_to_start(silent_valkey, monkeypatch)
    assert monotonic() - began < 5


def test_a_real_banks_servers_in_the_environment_are_not_touched_by_the_tests() -> None:
    nowhere = {
        "POINTSBANK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/bank",
        "POINTSBANK_APP_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/bank",
        "POINTSBANK_REDIS_URL": "redis://127.0.0.1:1/0",
        "POINTSBANK_SWEEP_SECONDS": "0",  # refused by whoever reads settings
    }
    tests = Path(__file__).parent
    chosen = [
        f"{tests}/test_roles.py::test_a_missing_outside_database_is_made",
        f"{tests}/test_roles.py::test_every_test_starts_with_an_empty_queue_server",
        f"{tests}/test_connection.py::test_an_ipv6_host_stands_in_brackets_in_the_addresses",
    ]
    inner = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *chosen],
        env=os.environ | nowhere,
        cwd=tests.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert inner.returncode == 0, inner.stdout
