"""Seals are published to anybody, and carry nothing of anybody."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

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
    assert all(set(seal) == set(seal_form.FIELDS) for seal in told["seals"]), "nothing of anybody"
    assert "max-age" in answer.headers["cache-control"]


async def test_published_seals_come_in_pages(client: httpx.AsyncClient, sealed: str) -> None:
    first = (await client.get(f"/seals/{sealed}?limit=2")).json()
    assert [seal["entry_number"] for seal in first["seals"]] == [3, 2]
    rest = (await client.get(f"/seals/{sealed}?limit=2&before={first['next_before']}")).json()
    assert [seal["entry_number"] for seal in rest["seals"]] == [1]
    assert rest["next_before"] is None


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
