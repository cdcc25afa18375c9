"""The whole chain in four real processes: from two files to an audited meal, the worker killed on the way."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import psutil
import pytest

from pointsbank.domain.free_hours import FreeHour
from pointsbank.domain.roles import Role
from pointsbank.platform.database import Database
from pointsbank.platform.secrets import load_secrets
from services.matching import service as matching
from services.people import service as people
from tests.conftest import server_directory
from tests.e2e.running import Up, one_line, pointsbank, three_free_ports

PATIENCE_SECONDS = 60
SERVED = 12
"""Two-hour visits in the imported file: 24 points for the volunteer."""

ROSTER = """编号,姓名,电话,性别,出生日期,小区,楼栋,房号,小网格,角色
E1,测试甲,15400000001,女,1946-03-01,样例小区,1栋,101,1,长者
V1,测试乙,15400000002,男,1980-07-09,样例小区,1栋,102,1,志愿者
C1,测试丙,15400000003,女,1990-01-01,样例小区,1栋,103,1,社工
"""


@dataclass
class Person:
    """Somebody signed in over HTTP."""

    id: UUID
    http: httpx.Client

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self.http.post(f"/api/v1{path}", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


@dataclass
class Chain:
    """The running processes and who takes part."""

    up: Up
    elder: Person
    volunteer: Person
    coordinator: Person

    def counter(self, partner: str) -> httpx.Client:
        """Sign in at a partner's counter with the PIN that ``up`` printed."""
        pin = getattr(load_secrets(self.up.data), f"{partner}_pin")
        base = self.up.runtime.addresses[partner]
        counter = httpx.Client(base_url=base, headers={"Origin": base}, follow_redirects=True)
        assert counter.post("/counter/sign-in", data={"pin": pin}).status_code == 200
        return counter


async def signed_in(up: Up) -> dict[str, tuple[UUID, str]]:
    """Give the volunteer the whole week free, and everybody a sign-in token; by member number."""
    database = Database(up.runtime.app_url, pool_size=1)
    try:
        tokens: dict[str, tuple[UUID, str]] = {}
        async with database.unit_of_work(1) as uow:
            for role, number in ((Role.ELDER, "E1"), (Role.VOLUNTEER, "V1"), (Role.COORDINATOR, "C1")):
                person = next(iter(await people.people_with_role(uow, role)))
                tokens[number] = (person.id, await people.issue_sign_in_token(uow, person.id))
            week = [FreeHour(weekday, 0, 1440) for weekday in range(7)]
            await matching.set_free_hours(uow, tokens["V1"][0], week)
        return tokens
    finally:
        await database.close()


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """A community of three from a roster, the volunteer's past service from a record, all by the commands."""
    with server_directory() as folder:
        yield from walked(folder)


def walked(folder: Path) -> Iterator[Chain]:
    """Start everything in ``folder``, bring the two files in, sign everybody in; end it all after."""
    roster, record = folder / "roster.csv", folder / "service.csv"
    roster.write_text(ROSTER, encoding="gb18030")
    day = datetime.now(UTC).date() - timedelta(days=SERVED + 2)
    lines = [
        f"V1,E1,陪伴,{day + timedelta(days=number)} 09:00,{day + timedelta(days=number)} 11:00,C1"
        for number in range(SERVED)
    ]
    record.write_text("志愿者,长者,服务类型,开始,结束,确认人\n" + "\n".join(lines) + "\n", encoding="utf-8")
    up = Up(
        folder / "data",
        three_free_ports(),
        extra={"POINTSBANK_SWEEP_SECONDS": "1", "POINTSBANK_PAIRING_SECONDS": "0"},
    )
    try:
        up.ready()
        for kind, file in (("people", roster), ("service", record)):
            done = pointsbank("import", kind, str(file), "--data", str(up.data), "--yes")
            assert done.returncode == 0, done.stdout + done.stderr
        tokens = asyncio.run(signed_in(up))
        base = f"http://127.0.0.1:{up.port}"

        def person(number: str) -> Person:
            person_id, token = tokens[number]
            client = httpx.Client(base_url=base, headers={"Origin": base})
            assert client.get(f"/sign-in/{token}").status_code in (302, 303)
            return Person(person_id, client)

        yield Chain(up, person("E1"), person("V1"), person("C1"))
    finally:
        up.end()


def eventually(look: Callable[[], Any], wanted: Any) -> None:
    """Look until ``wanted`` is seen; fail with what was seen last."""
    seen, end = None, time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if (seen := look()) == wanted:
            return
        time.sleep(0.1)
    assert seen == wanted


async def an_hour_passes(up: Up, visit_id: str) -> None:
    """Let the visit have begun an hour earlier: the owner of the database moves its check-in back."""
    connection = await asyncpg.connect(up.runtime.owner_url)
    try:
        moved = await connection.execute(
            "UPDATE bank.visits SET checked_in_at = checked_in_at - interval '1 hour' "
            "WHERE community_id = 1 AND id = $1",
            UUID(visit_id),
        )
        assert moved == "UPDATE 1"
    finally:
        await connection.close()


def available(person: Person) -> int:
    return int(person.get("/me")["balance"]["available_milli_points"])


def test_the_imported_record_is_minutes_and_points_on_the_ledger(chain: Chain) -> None:
    balance = chain.volunteer.get("/me")["balance"]
    assert balance["service_minutes"] == SERVED * 120
    assert balance["available_milli_points"] == SERVED * 2_000


def test_help_asked_is_paired_visited_confirmed_and_posted(chain: Chain) -> None:
    before = available(chain.volunteer)
    soon = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    asked = chain.elder.post("/help-requests", {"kind": "companionship", "starts_at": soon, "minutes": 60})
    assert chain.coordinator.post("/pairing-runs")["paired"] == 1
    (offer,) = chain.volunteer.get("/offers")["items"]
    visit = chain.volunteer.post(f"/offers/{offer['id']}/accept")
    chain.volunteer.post(f"/visits/{visit['id']}/check-in")
    asyncio.run(an_hour_passes(chain.up, visit["id"]))
    chain.volunteer.post(f"/visits/{visit['id']}/check-out")
    confirmed = chain.elder.post(f"/visits/{visit['id']}/confirm")
    assert (confirmed["minutes"], confirmed["confirmation_method"]) == (60, "elder")
    assert available(chain.volunteer) == before + 1_000
    assert chain.elder.get(f"/help-requests/{asked['id']}")["state"] == "posted"


def test_a_worker_killed_between_hold_and_capture_loses_nothing_and_pays_once(chain: Chain) -> None:
    before = available(chain.volunteer)
    meal = chain.volunteer.post("/redemptions", {"partner": "canteen", "item": "lunch_set"})
    path = f"/redemptions/{meal['id']}"
    eventually(lambda: chain.volunteer.get(path)["state"], "accepted")
    assert available(chain.volunteer) == before - meal["milli_points"]

    worker = psutil.Process(chain.up.pid("worker"))
    worker.suspend()  # it must not be the quicker one: the meal is served while nobody can capture
    counter = chain.counter("canteen")
    assert meal["voucher"] in counter.get("/").text
    served = counter.post(f"/counter/redemptions/{meal['voucher']}/fulfil", data={"community_id": "1"})
    assert served.status_code == 200
    assert chain.volunteer.get(path)["state"] == "accepted"
    os.kill(worker.pid, signal.SIGKILL)

    eventually(lambda: chain.volunteer.get(path)["state"], "fulfilled")
    assert chain.up.pid("worker") != worker.pid
    balance = chain.volunteer.get("/me")["balance"]
    assert balance["available_milli_points"] == before - meal["milli_points"]
    assert balance["held_milli_points"] == 0


def test_the_station_gives_a_water_and_rest_pack_the_same_way(chain: Chain) -> None:
    before = available(chain.volunteer)
    pack = chain.volunteer.post("/redemptions", {"partner": "station", "item": "water_rest_pack"})
    path = f"/redemptions/{pack['id']}"
    eventually(lambda: chain.volunteer.get(path)["state"], "accepted")
    counter = chain.counter("station")
    counter.post(f"/counter/redemptions/{pack['voucher']}/fulfil", data={"community_id": "1"})
    eventually(lambda: chain.volunteer.get(path)["state"], "fulfilled")
    assert available(chain.volunteer) == before - pack["milli_points"]


def test_the_day_is_settled_reconciled_and_the_books_balance(chain: Chain) -> None:
    settled = pointsbank("settle", "--data", str(chain.up.data))
    assert settled.returncode == 0, settled.stdout + settled.stderr
    for partner in ("canteen", "station"):
        assert re.search(rf"{partner} \S+: 1 lines here, 1 there, 0 differences", settled.stdout)
        assert re.search(rf"{partner} \S+ batch 1: 1 lines", settled.stdout)
    again = pointsbank("settle", "--data", str(chain.up.data))
    assert "batch" not in again.stdout, "nothing is settled twice"

    lines = chain.volunteer.get("/statement")["lines"]
    assert [line["kind"] for line in lines].count("capture") == 0, (
        "a capture takes from held, not from available"
    )
    trial = chain.coordinator.get("/trial-balance")
    assert trial["balanced"] is True
    sums = {(line["kind"], line["commodity"]): line["balance"] for line in trial["lines"]}
    assert sums["partner_earned", "POINT"] == 0
    assert sums["partner_settled", "POINT"] == 10_000 + 2_000
    assert sums["partner_receivable", "FEN"] == 1_200 + 300
    assert sums["issuance", "POINT"] == -(SERVED * 2_000 + 1_000)


def test_the_audit_and_the_doctor_find_nothing_wrong(chain: Chain) -> None:
    sealed = pointsbank("audit", "seal", "--data", str(chain.up.data))
    assert sealed.returncode == 0, sealed.stderr
    verified = pointsbank("audit", "verify", "--data", str(chain.up.data))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.endswith("the journal is sound\n")
    told = pointsbank("doctor", "--data", str(chain.up.data))
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_link_can_be_made_for_one_person_by_their_number(chain: Chain) -> None:
    told = pointsbank("links", "--member", "V1", "--data", str(chain.up.data))
    assert told.returncode == 0, told.stderr
    with httpx.Client(follow_redirects=True) as browser:
        assert browser.get(told.stdout.strip()).status_code == 200
        me = browser.get(f"http://127.0.0.1:{chain.up.port}/api/v1/me").json()
    assert me["id"] == str(chain.volunteer.id)
    for nobody in ("V2", "测试癸"):
        assert one_line(pointsbank("links", "--member", nobody, "--data", str(chain.up.data))) == (
            "Error: --member: nobody is registered so"
        )


def test_no_name_or_phone_is_in_a_log(chain: Chain) -> None:
    logs = list((chain.up.data / "logs").glob("*.log"))
    assert len(logs) >= 4
    for log in logs:
        text = log.read_text(encoding="utf-8", errors="replace")
        for secret in ("测试甲", "测试乙", "测试丙", "1540000", "样例小区"):
            assert secret not in text, f"{log.name} holds personal data"


def test_no_sign_in_token_is_kept_in_clear(chain: Chain, tmp_path: Path) -> None:
    async def hashes() -> list[int]:
        connection = await asyncpg.connect(chain.up.runtime.owner_url)
        try:
            rows = await connection.fetch("SELECT length(token_hash) AS n FROM bank.access_tokens")
            return [row["n"] for row in rows]
        finally:
            await connection.close()

    lengths = asyncio.run(hashes())
    assert lengths
    assert set(lengths) == {32}
