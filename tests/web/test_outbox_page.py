"""What a coordinator sees of the worker's trouble, and does about it: by page, by program, by command."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from click.testing import CliRunner

from api.cli import main
from pointsbank.platform import outbox
from services.ledger.proof import daily
from services.settlement.service import REQUEST
from tests.web.conftest import Site
from tests.web.test_pages import program


async def a_dead_letter(site: Site) -> UUID:
    """Record an intent and put it aside, as a worker does that has tried often enough."""
    async with site.database.unit_of_work(1) as uow:
        intent_id = await outbox.add(uow, REQUEST, uuid4())
        connection = await uow.connection()
        await connection.execute(
            "UPDATE bank.outbox SET dead_at = $1, attempts = 12, last_error = 'NotFound: not_found'"
            " WHERE id = $2",
            site.clock.now(),
            intent_id,
        )
    return intent_id


async def test_a_coordinator_sees_a_dead_letter_and_tries_it_again(site: Site) -> None:
    letter = await a_dead_letter(site)
    async with program(site, site.world.coordinator) as client:
        assert 'href="/coordinator/outbox"' in (await client.get("/coordinator")).text
        shown = await client.get("/coordinator/outbox")
        assert "把订单送到合作点" in shown.text
        assert "NotFound: not_found" in shown.text
        assert shown.text.count("畅通") == 2
        (key,) = re.findall(rf'/outbox/{letter}/retry">.*?name="key" value="([^"]+)"', shown.text)
        done = await client.post(f"/coordinator/outbox/{letter}/retry", data={"key": key})
        assert done.headers["location"] == "/coordinator/outbox?done=tried_again"
        assert "没有办不成的事" in (await client.get("/coordinator/outbox")).text


async def test_a_letter_is_closed_with_a_reason_and_not_without(site: Site) -> None:
    letter = await a_dead_letter(site)
    async with program(site, site.world.coordinator) as client:
        address = f"/coordinator/outbox/{letter}/close"
        refused = await client.post(address, data={"key": str(uuid4()), "text": "  "})
        assert refused.status_code == 422
        assert str(letter) in refused.text
        closed = await client.post(address, data={"key": str(uuid4()), "text": "已电话核对"})
        assert closed.headers["location"] == "/coordinator/outbox?done=resolved"
        told = (await client.get("/api/v1/outbox")).json()
        assert told["dead"] == 0
        assert [each["state"] for each in told["circuits"]] == ["closed", "closed"]


async def test_programs_list_retry_and_close_letters(site: Site) -> None:
    first, second = await a_dead_letter(site), await a_dead_letter(site)
    async with program(site, site.world.coordinator) as client:
        listed = (await client.get("/api/v1/outbox/dead-letters")).json()
        assert [each["id"] for each in listed["items"]] == [str(first), str(second)]

        async def post(path: str, body: object = None) -> int:
            headers = {"Idempotency-Key": str(uuid4())}
            sent = await client.post(f"/api/v1/outbox/dead-letters/{path}", json=body, headers=headers)
            return sent.status_code

        assert await post(f"{first}/retry") == 200
        assert await post(f"{first}/retry") == 409
        assert await post(f"{second}/close", {"reason": "served all the same"}) == 200
        assert await post(f"{uuid4()}/close", {"reason": "x"}) == 404
    async with program(site, site.world.auditor) as client:
        assert (await client.get("/coordinator/outbox")).status_code == 200
        assert await post(f"{first}/retry") == 403
    async with program(site, site.world.elder) as client:
        assert (await client.get("/api/v1/outbox")).status_code == 403


@pytest.fixture
def app_address(app_url: str) -> str:
    return app_url


async def test_the_command_lists_retries_and_closes(site: Site, app_address: str, tmp_path: Path) -> None:
    first, second = await a_dead_letter(site), await a_dead_letter(site)

    async def run(*arguments: str) -> tuple[int, str]:
        environment = {"POINTSBANK_APP_DATABASE_URL": app_address, "COLUMNS": "200"}
        given = ["outbox", *arguments, "--data", str(tmp_path)]
        result = await asyncio.to_thread(CliRunner().invoke, main, given, env=environment)
        return result.exit_code, result.output

    code, said = await run("list", "--json")
    assert code == 0, said
    assert [each["id"] for each in json.loads(said)["letters"]] == [str(first), str(second)]
    assert (await run("retry", str(first))) == (0, "1 letters will be tried again\n")
    assert (await run("retry"))[0] == 2
    number = site.world.coordinator.member_number or ""
    assert (await run("close", str(second), "--reason", "x", "--by", site.world.elder.member_number or ""))[
        0
    ] == 1
    assert (await run("close", str(second), "--reason", "x", "--by", number))[0] == 0
    code, said = await run("list")
    assert said.splitlines()[1:] == ["canteen: circuit closed", "station: circuit closed"]


async def test_anybody_reads_the_proof_of_the_day(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.address) as client:
        assert "还没有公示" in (await client.get("/proof/test-1")).text
        await daily.prove_ended_day(site.database, 1, timezone="Asia/Shanghai")
        shown = await client.get("/proof/test-1")
        assert "账目相符" in shown.text
        told = (await client.get("/proofs/test-1")).json()
        assert [each["sound"] for each in told["proofs"]] == [True]
        assert set(told["proofs"][0]["sums"]) == {"POINT", "MINUTE", "FEN"}
        assert (await client.get("/proofs/nowhere")).status_code == 404
