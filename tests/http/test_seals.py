"""Seals are published to anybody, and carry nothing of anybody."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from api.gate import RECOMPUTING, Gate
from api.http import seals as published_seals
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.proof import seal_form, seals
from services.people import service as people
from tests.http.conftest import Caller
from tests.ledgers import NOON, grant
from tests.worlds import World


@pytest.fixture
async def sealed(bank: Database, world: World, clock: FixedClock, tmp_path: Path) -> str:
    """Three seals; returns the community's code."""
    clock.move_to(max(clock.now(), NOON))
    key = seals.load_key(tmp_path)
    async with bank.session() as session:
        code = (await people.communities(session))[0].code
    for at in range(3):
        async with bank.unit_of_work(1) as uow:
            await service.post(uow, grant(world.volunteer.ledger_ref, 10, f"s{at}"))
            await seals.seal_head(uow, key)
    return code


async def test_seals_are_published_without_sign_in_and_can_be_checked(
    client: httpx.AsyncClient, sealed: str
) -> None:
    answer = await client.get(f"/seals/{sealed}")
    assert answer.status_code == 200
    told = answer.json()
    key = bytes.fromhex(told["public_key"])
    assert [seal_form.checked(seal, key).entry_number for seal in told["seals"]] == [3, 2, 1]
    assert told["next_before"] is None
    assert all(set(seal) == {*seal_form.FIELDS, seal_form.POLICIES} for seal in told["seals"]), (
        "nothing of anybody"
    )
    assert "max-age" in answer.headers["cache-control"]


async def test_published_seals_come_in_pages(client: httpx.AsyncClient, sealed: str) -> None:
    first = (await client.get(f"/seals/{sealed}?limit=2")).json()
    assert [seal["entry_number"] for seal in first["seals"]] == [3, 2]
    rest = (await client.get(f"/seals/{sealed}?limit=2&before={first['next_before']}")).json()
    assert [seal["entry_number"] for seal in rest["seals"]] == [1]
    assert rest["next_before"] is None


async def test_the_file_outside_the_database_is_what_is_published(
    client: httpx.AsyncClient, bank: Database, sealed: str, tmp_path: Path
) -> None:
    """A row put into the database, by a key of whoever put it there, is not."""
    told = (await client.get(f"/seals/{sealed}")).json()
    assert told["source"] == "database"
    path = seals.seals_file(tmp_path, 1)
    for seal in reversed(told["seals"]):
        seals.append_seal(path, json.dumps(seal))
    (tmp_path / "other").mkdir()
    async with bank.unit_of_work(1) as uow:
        await service.post(uow, grant(UUID(int=5), 10, "more"))
        forged = await seals.seal_head(uow, seals.load_key(tmp_path / "other"))
    published = (await client.get(f"/seals/{sealed}")).json()
    assert published == told | {"source": "file"}
    seals.append_seal(path, forged)
    assert (await client.get(f"/seals/{sealed}")).json() == published, "nor what another key signed"
    first = (await client.get(f"/seals/{sealed}?limit=2")).json()
    rest = (await client.get(f"/seals/{sealed}?limit=2&before={first['next_before']}")).json()
    assert first["seals"] + rest["seals"] == told["seals"]


async def test_no_key_is_told_that_only_the_database_names(
    client: httpx.AsyncClient, sealed: str, tmp_path: Path
) -> None:
    (tmp_path / seals.KEY_FILE).unlink()
    told = (await client.get(f"/seals/{sealed}")).json()
    assert (told["public_key"], told["source"], len(told["seals"])) == (None, "database", 3)


async def test_whoever_comes_when_enough_wait_is_asked_to_come_again(
    client: httpx.AsyncClient, sealed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(1, 1)
    monkeypatch.setattr(published_seals, "_readers", gate)

    async def wait() -> None:
        async with gate.enter():
            pass

    async with gate.enter():
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        refused = await client.get(f"/seals/{sealed}")
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_readers")
    assert int(refused.headers["retry-after"]) > 0
    await waiting
    assert (await client.get(f"/seals/{sealed}")).status_code == 200


async def test_the_newest_entries_are_recomputed_for_one_at_a_time(auditor: Caller, sealed: str) -> None:
    async with RECOMPUTING.enter():
        refused = await auditor.get("/verification")
    assert refused.status_code == 503
    assert (await auditor.get("/verification")).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"), [("?limit=0", 422), ("?limit=1000000", 422), ("?before=x", 422), ("?before=0", 422)]
)
async def test_a_page_of_seals_is_bounded(
    client: httpx.AsyncClient, sealed: str, query: str, status: int
) -> None:
    assert (await client.get(f"/seals/{sealed}{query}")).status_code == status


async def test_a_community_that_is_not_there_has_no_seals(client: httpx.AsyncClient, world: World) -> None:
    assert (await client.get("/seals/nowhere")).status_code == 404


async def test_an_auditor_has_the_newest_entries_recomputed_and_is_told_from_where(
    auditor: Caller, sealed: str
) -> None:
    told = (await auditor.get("/verification")).json()
    assert told["sound"] is True
    assert (told["since"], told["entries"], told["seals"], told["omitted"]) == (1, 3, 3, 0)
