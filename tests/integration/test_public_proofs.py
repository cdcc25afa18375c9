"""The proof of a day is published once, and tells a wrong sum."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import asyncpg
import pytest

from pointsbank.domain.accounts import Commodity
from pointsbank.domain.public_proof import Term
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger.proof import daily, seals
from services.settlement import service
from services.settlement.service import Redeem
from tests.worlds import NINE_ON_MONDAY, World, give_points, small_world

ZONE = "Asia/Shanghai"


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    """A world with points earned and a lunch on its way, sealed."""
    database.clock = FixedClock(NINE_ON_MONDAY)
    world = await small_world(database)
    await give_points(database, world, world.elder, 50_000, minutes=90)
    async with database.unit_of_work(1) as uow:
        await service.redeem(uow, world.elder.actor, Redeem(world.elder.id, "canteen", "lunch_set"))
        await seals.seal_head(uow, seals.load_key(tmp_path))
    return world


async def test_a_day_is_proven_once_with_its_sums_and_the_seal(database: Database, world: World) -> None:
    proof = await daily.prove_ended_day(database, 1, timezone=ZONE)
    assert proof is not None
    assert proof.sound
    points, minutes, _ = proof.sums
    assert (points.minted, points.terms[Term.AVAILABLE], points.terms[Term.HELD]) == (50_000, 40_000, 10_000)
    assert (minutes.commodity, minutes.minted) == (Commodity.MINUTE, 90)
    assert proof.seal is not None
    assert proof.seal["entry_number"] == proof.entry_number
    assert await daily.prove_ended_day(database, 1, timezone=ZONE) is None
    async with database.unit_of_work(1) as uow:
        assert await daily.proofs(uow) == [proof]
    assert isinstance(database.clock, FixedClock)
    database.clock.move_to(NINE_ON_MONDAY + timedelta(days=1))
    following = await daily.prove_ended_day(database, 1, timezone=ZONE)
    assert following is not None
    assert (proof.day, following.day) == (date(2026, 3, 1), date(2026, 3, 2))


async def test_a_balance_that_was_tampered_with_is_published_as_wrong(
    database: Database, world: World, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("ALTER TABLE bank.balances DISABLE TRIGGER USER")
    await owner.execute(
        "UPDATE bank.balances b SET balance = balance + 1 FROM bank.accounts a"
        " WHERE a.community_id = b.community_id AND a.id = b.account_id AND a.kind = 'member_held'"
    )
    await owner.close()
    proof = await daily.prove_ended_day(database, 1, timezone=ZONE)
    assert proof is not None
    assert not proof.sound
    assert [each.difference for each in proof.sums] == [-1, 0, 0]


async def test_a_published_proof_stays_as_it_is(database: Database, world: World, owner_url: str) -> None:
    await daily.prove_ended_day(database, 1, timezone=ZONE)
    owner = await asyncpg.connect(owner_url)
    for change in ("UPDATE bank.public_proofs SET sound = false", "DELETE FROM bank.public_proofs"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(change)
    await owner.close()
