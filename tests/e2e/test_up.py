"""``pointsbank up`` from the outside: real processes, one shared run of the small demo world."""

from __future__ import annotations

import os
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from pointsbank.platform.roles import role_url
from pointsbank.platform.servers import EmbeddedPostgres, EmbeddedValkey
from tests.conftest import server_directory
from tests.e2e.running import Up, one_line, pointsbank, processes_in, three_free_ports

SAMPLES = Path(__file__).parents[1] / "samples"
STOP_ORDER = ["worker", "api", "canteen", "station"]


@pytest.fixture(scope="module")
def running() -> Iterator[Up]:
    """One `up --demo --small` for the tests that leave it as it was."""
    with server_directory() as directory:
        up = Up(directory / "data", three_free_ports(), "--demo", "--small")
        try:
            yield up.ready()
        finally:
            up.end()


@pytest.fixture
def ups(data: Path) -> Iterator[list[Up]]:
    """The test's own runs, ended after it whatever happened."""
    started: list[Up] = []
    yield started
    for up in started:
        up.end(signal.SIGTERM)


def test_the_processes_answer_at_the_printed_addresses(running: Up) -> None:
    printed = running.lines[: running.lines.index("ready")]
    for offset, name in enumerate(("api", "canteen", "station")):
        address = f"http://127.0.0.1:{running.port + offset}"
        assert any(line.split() == [name, address] for line in printed)
        for path in ("livez", "readyz"):
            answer = httpx.get(f"{address}/{path}")
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_printed_link_signs_in_as_each_role(running: Up) -> None:
    links = dict(re.findall(r"sign in as (\w+): (\S+)", "\n".join(running.lines)))
    assert set(links) == {"elder", "volunteer", "coordinator", "auditor"}
    for link in links.values():
        with httpx.Client(follow_redirects=True) as browser:
            assert browser.get(link).status_code == 200
            assert "pointsbank_session" in browser.cookies


def test_links_prints_the_same_ways_in_again(running: Up) -> None:
    told = pointsbank("links", "--data", str(running.data))
    assert told.returncode == 0, told.stderr
    pins = [line for line in told.stdout.splitlines() if "counter PIN" in line]
    assert [line.split()[0] for line in pins] == ["canteen", "station"]
    assert set(pins) <= set(running.lines)
    assert len(re.findall(r"sign in as \w+: http://\S+/sign-in/\S+", told.stdout)) == 4


def test_doctor_finds_everything_well(running: Up) -> None:
    told = pointsbank("doctor", "--data", str(running.data))
    assert told.returncode == 0, told.stdout + told.stderr
    assert "WRONG" not in told.stdout
    for what in (
        "PostgreSQL",
        "Valkey",
        "worker",
        "schema bank",
        "outbox of",
        "trial balance of",
        "journal of",
    ):
        assert what in told.stdout
    assert told.stdout.splitlines()[-1] == "all is well"


def test_doctor_names_a_process_that_does_not_answer(running: Up) -> None:
    canteen = psutil.Process(running.pid("canteen"))
    canteen.suspend()
    try:
        told = pointsbank("doctor", "--data", str(running.data))
    finally:
        canteen.resume()
    assert one_line(told) == "Error: wrong: canteen"


def test_what_up_keeps_on_disk_is_for_its_owner_only(running: Up) -> None:
    for name in ("secrets.json", "runtime.json"):
        assert stat.S_IMODE((running.data / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(running.data.stat().st_mode) & 0o077 in (0, stat.S_IXOTH)


def test_no_child_knows_more_than_its_own_role_and_secret(running: Up) -> None:
    runtime = running.runtime
    for name in STOP_ORDER:
        environment = psutil.Process(running.pid(name)).environ()
        assert "POINTSBANK_DATABASE_URL" not in environment
        assert runtime.owner_url not in environment.values()
    canteen = psutil.Process(running.pid("canteen")).environ()
    assert canteen["POINTSBANK_PARTNER_DATABASE_URL"] == runtime.canteen_url
    assert not {runtime.app_url, runtime.station_url, runtime.redis_url} & set(canteen.values())


def test_a_second_up_on_the_same_data_is_refused_in_one_line(running: Up) -> None:
    refused = pointsbank("up", "--data", str(running.data), "--port", str(three_free_ports()))
    assert one_line(refused) == (
        f"Error: `pointsbank up` (process {running.process.pid}) is running on {running.data}"
    )


@pytest.mark.parametrize(("offset", "name"), [(0, "api"), (1, "canteen"), (2, "station")])
def test_a_port_in_use_is_named_in_one_line(running: Up, tmp_path: Path, offset: int, name: str) -> None:
    # Its own api's port is taken by turns as the new one's api, canteen and station.
    port = running.port - offset
    refused = pointsbank("up", "--data", str(tmp_path / "data"), "--port", str(port))
    assert one_line(refused).startswith(f"Error: port {running.port} ({name}) on 127.0.0.1 is in use")


def test_a_killed_worker_is_started_again_and_this_is_said(running: Up) -> None:
    killed = running.pid("worker")
    os.kill(killed, signal.SIGKILL)
    running.wait_for(r"^worker: waiting \(ended by SIGKILL; starting again in ")
    running.wait_for("^worker: healthy$")
    assert running.pid("worker") != killed


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused = pointsbank("up", "--data", str(tmp_path / "file" / "data"))
    assert one_line(refused).startswith(
        f"Error: the data directory {tmp_path / 'file' / 'data'} cannot be written"
    )


@pytest.mark.parametrize("options", [(), ("--demo",)])
def test_a_half_built_demo_world_is_not_served(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "demo.json").write_text('{"state": "building", "small": true}')
    refused = pointsbank("up", "--data", str(tmp_path), "--port", str(three_free_ports()), *options)
    assert "was interrupted while it was built and is incomplete" in one_line(refused)
    assert not (tmp_path / "postgres").exists()


def test_a_host_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    extra = {"POINTSBANK_HOST": "nowhere.invalid"}
    refused = pointsbank("up", "--data", str(tmp_path), "--port", str(three_free_ports()), extra=extra)
    assert one_line(refused).startswith(
        "Error: host (POINTSBANK_HOST): nowhere.invalid is no address of this machine ("
    )


@pytest.mark.parametrize("port", ["0", "65534", "eight"])
def test_a_port_out_of_range_is_refused(tmp_path: Path, port: str) -> None:
    refused = pointsbank("up", "--data", str(tmp_path), "--port", port)
    assert refused.returncode != 0
    assert "port" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr


def test_an_outside_database_that_does_not_answer_is_refused_in_one_line(tmp_path: Path) -> None:
    address = f"postgresql://someone:hidden@127.0.0.1:{three_free_ports()}/bank"
    refused = pointsbank(
        "up",
        "--data",
        str(tmp_path / "data"),
        "--port",
        str(three_free_ports()),
        extra={"POINTSBANK_DATABASE_URL": address},
    )
    line = one_line(refused)
    assert "cannot be used as someone" in line
    assert "hidden" not in line


def test_doctor_says_clearly_that_nothing_runs(tmp_path: Path) -> None:
    told = pointsbank("doctor", "--data", str(tmp_path))
    assert one_line(told) == f"Error: pointsbank is not running on {tmp_path}: start it with `pointsbank up`"


def test_what_a_killed_up_leaves_running_is_ended_by_the_next_one(data: Path, ups: list[Up]) -> None:
    port = three_free_ports()
    ups.append(killed := Up(data, port).ready())
    assert any("the database is empty: `pointsbank up --demo`" in line for line in killed.lines)
    assert "counter PIN" not in "\n".join(killed.lines)
    left = killed.runtime.processes
    killed.process.kill()
    killed.process.wait()
    assert len(left) == 6
    assert all(mark.process() for mark in left)
    ups.append(heir := Up(data, port))
    heir.wait_for("^schemas: ")
    assert not any(mark.process() for mark in left)
    assert "api: left over from a run that was killed; ended" in heir.lines
    assert heir.end(signal.SIGTERM) == 0


def test_an_up_killed_before_it_wrote_anything_down_leaves_no_second_queue_server(
    data: Path, ups: list[Up]
) -> None:
    port = three_free_ports()
    ups.append(killed := Up(data, port))
    killed.wait_for("^Valkey: .* running$")
    killed.process.kill()
    killed.process.wait()
    ups.append(heir := Up(data, port))
    heir.wait_for("^schemas: ")
    assert [process.name() for process in processes_in(data / "valkey")] == ["valkey-server"]
    assert heir.end(signal.SIGTERM) == 0
    assert processes_in(data) == []


def test_a_run_that_does_not_end_is_killed_with_all_that_it_started(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.e2e.running.END_SECONDS_MAX", 1)
    up = Up(data, three_free_ports())
    up.wait_for("^canteen: starting$")
    up.process.send_signal(signal.SIGSTOP)
    with pytest.raises(AssertionError, match="it did not end within 1 s"):
        up.end()
    assert up.process.poll() is not None
    assert processes_in(data) == []


async def test_up_uses_the_servers_that_the_settings_name_and_leaves_them_running(
    data: Path, ups: list[Up]
) -> None:
    (data / "outside").mkdir()
    with (
        EmbeddedPostgres(data / "outside" / "postgres", "outside", durable=False) as postgres,
        EmbeddedValkey(data / "outside" / "valkey", "outside", persistent=False) as valkey,
    ):
        admin = await asyncpg.connect(postgres.url())
        await admin.execute("CREATE ROLE host LOGIN CREATEDB CREATEROLE PASSWORD 'host'")
        address = role_url(postgres.url(), "host", "host", database="members")
        settings = {"POINTSBANK_DATABASE_URL": address, "POINTSBANK_REDIS_URL": valkey.url}
        ups.append(up := Up(data / "data", three_free_ports(), extra=settings).ready())
        assert await admin.fetchval("SELECT count(*) FROM pg_database WHERE datname = 'members'") == 1
        assert not (data / "data" / "postgres").exists()
        assert not (data / "data" / "valkey").exists()
        told = pointsbank("doctor", "--data", str(up.data))
        assert told.returncode == 0, told.stdout + told.stderr
        assert up.end() == 0
        assert await admin.fetchval("SELECT 1") == 1
        await admin.close()


def test_an_interrupt_stops_everything_in_order_and_a_real_communitys_data_is_there_again(
    data: Path, ups: list[Up]
) -> None:
    ups.append(first := Up(data, three_free_ports()).ready())
    for kind, file in (("people", "roster.csv"), ("service", "service.csv")):
        done = pointsbank("import", kind, str(SAMPLES / file), "--data", str(data), "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
    before = journal(first)
    assert before.startswith("ok  journal of shichong")
    assert " 0 entries" not in before
    assert first.end(signal.SIGINT) == 0
    stopped = [line.partition(":")[0] for line in first.lines if line.endswith(": stopped")]
    assert stopped == STOP_ORDER
    assert first.lines[-1] == "stopped"
    assert processes_in(data) == []
    assert not (data / "runtime.json").exists()
    ups.append(again := Up(data, first.port).ready())
    assert journal(again) == before
    assert again.lines[-2] == "`pointsbank links` prints the counters' PINs and a way in for each role"
    assert not re.search(r"/sign-in/|counter PIN \d", "\n".join(again.lines))


def journal(up: Up) -> str:
    """What `doctor` says of the journal: how many entries and balances it recomputed."""
    told = pointsbank("doctor", "--data", str(up.data))
    assert told.returncode == 0, told.stdout + told.stderr
    return next(line for line in told.stdout.splitlines() if "journal of" in line)
