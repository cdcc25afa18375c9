"""What settlement may not do, the database refuses too, for code that goes around the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import pytest

from pointsbank.domain.redemption import PartnerWord
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.settlement import batches
from services.settlement import service as settlement
from services.settlement.service import Redeem
from tests.worlds import NINE_ON_MONDAY, World, give_points, small_world


@dataclass
class Books:
    """A captured meal (``settled``: in a batch), an open one, and the application's bare connection."""

    app: asyncpg.Connection
    captured: UUID
    waiting: UUID
    batch: UUID
    partner: UUID


@pytest.fixture
async def world(database: Database) -> World:
    database.clock = FixedClock(NINE_ON_MONDAY)
    return await small_world(database)


@pytest.fixture
async def books(database: Database, app_url: str, world: World) -> AsyncIterator[Books]:
    await give_points(database, world, world.elder, 50_000)
    ids = []
    for item in ("lunch_set", "dinner_set"):
        async with database.unit_of_work(1) as uow:
            info = await settlement.redeem(uow, world.elder.actor, Redeem(world.elder.id, "canteen", item))
            ids.append(info.id)
    async with database.unit_of_work(1) as uow:
        partner = await settlement.partner(uow, "canteen")
        await settlement.hear(uow, ids[0], PartnerWord.FULFILLED, reference="C-1", said_by=partner.id)
    (batch,) = await batches.freeze_batches(database, 1, NINE_ON_MONDAY.date())
    connection = await asyncpg.connect(app_url)
    await connection.execute("SET pointsbank.community_id = '1'")
    yield Books(connection, ids[0], ids[1], batch.id, partner.id)
    await connection.close()


@pytest.mark.parametrize("column", ["milli_points", "fen", "quantity"])
async def test_what_a_redemption_costs_is_never_changed(books: Books, column: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await books.app.execute(f"UPDATE bank.redemptions SET {column} = {column} + 1")


async def test_a_redemption_is_not_fulfilled_without_its_capture(books: Books) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="its hold is not"):
        await books.app.execute(
            "UPDATE bank.redemptions SET state = 'fulfilled', served = 1, captured_on = '2026-03-02'"
            " WHERE id = $1",
            books.waiting,
        )


async def test_a_redemption_is_not_fulfilled_without_its_day(books: Books) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="ck_redemptions_captured"):
        await books.app.execute(
            "UPDATE bank.redemptions SET state = 'fulfilled' WHERE id = $1", books.waiting
        )


async def test_a_redemption_is_not_called_off_while_its_points_are_held(books: Books) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="its hold is not"):
        await books.app.execute(
            "UPDATE bank.redemptions SET state = 'cancelled' WHERE id = $1", books.waiting
        )


async def test_a_redemption_that_has_ended_stays_as_it_is(books: Books) -> None:
    with pytest.raises(asyncpg.RestrictViolationError, match="stays as it is"):
        await books.app.execute(
            "UPDATE bank.redemptions SET state = 'held', captured_on = NULL WHERE id = $1", books.captured
        )


async def test_a_line_of_an_uncaptured_redemption_is_refused(books: Books) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="not a captured redemption"):
        await books.app.execute(
            "INSERT INTO bank.settlement_lines "
            "VALUES (1, $1, $2, 10000, 1200, 'capture', '2026-03-02', 0, 0)",
            books.waiting,
            books.batch,
        )


async def test_a_redemption_is_settled_in_one_batch_only(books: Books) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await books.app.execute("INSERT INTO bank.settlement_lines SELECT * FROM bank.settlement_lines")


async def test_a_batch_is_the_sum_of_its_lines(books: Books) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="not the sum of its lines"):
        await books.app.execute(
            """
            INSERT INTO bank.settlement_batches (community_id, id, partner_id, business_date, sequence,
                                                 frozen_at, lines, milli_points, fen, subsidy_fen,
                                                 cash_fen, content_hash, entry_number)
            SELECT 1, $1, partner_id, business_date, 2, now(), 1, 999, 999999, 0, 0, content_hash, 1
              FROM bank.settlement_batches
            """,
            uuid4(),
        )


async def test_two_batches_cannot_claim_one_entry(books: Books) -> None:
    with pytest.raises(asyncpg.UniqueViolationError, match="entry_number"):
        await books.app.execute(
            """
            INSERT INTO bank.settlement_batches (community_id, id, partner_id, business_date, sequence,
                                                 frozen_at, lines, milli_points, fen, subsidy_fen,
                                                 cash_fen, content_hash, entry_number)
            SELECT 1, $1, partner_id, business_date, 2, now(), lines, milli_points, fen, 0, 0,
                   content_hash, entry_number
              FROM bank.settlement_batches
            """,
            uuid4(),
        )
