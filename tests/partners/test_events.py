"""Events to the platform: written with what they tell of, and sent until they are taken."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
from litestar import Response

from pointsbank.platform.clock import FixedClock
from services.canteen.app import create_app
from services.partnerkit.events import BACKOFF_SECONDS_MAX, backoff
from tests.partners.support import COMMUNITY, NOON, Platform, calling, partner_settings, receiving, until


async def undelivered(url: str) -> list[str]:
    """Return the types of events that the platform does not have."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT type FROM canteen.events WHERE delivered_at IS NULL ORDER BY event_id"
        )
        return [row["type"] for row in rows]
    finally:
        await connection.close()


async def until_delivered(url: str) -> None:
    """Wait until the canteen knows that the platform has everything."""

    async def delivered() -> bool:
        return not await undelivered(url)

    await until(delivered)


async def post(canteen: Platform, redemption_id: UUID, verb: str) -> None:
    """Change an order."""
    answer = await canteen.call("POST", f"/redemptions/{redemption_id}/{verb}", {"community_id": COMMUNITY})
    assert answer.status_code == 200, answer.text


async def test_each_step_of_an_order_is_told_once_and_in_order(
    canteen_url_db: str, clock: FixedClock
) -> None:
    async with receiving(clock) as platform_side:
        settings = partner_settings(canteen_url_db, platform_url=platform_side.url)
        async with calling(create_app(settings, clock=clock), clock) as canteen:
            await canteen.serve()
            eaten, dropped, refused = uuid4(), uuid4(), uuid4()
            await canteen.place(eaten, quantity=2, milli_points=20_000, fen=2_400)
            await canteen.place(dropped)
            await canteen.place(refused, fen=1)
            await post(canteen, eaten, "fulfil")
            await post(canteen, eaten, "fulfil")
            await post(canteen, dropped, "cancel")
            await platform_side.wait_for(5)
        assert platform_side.of(eaten) == ["accepted", "fulfilled"]
        assert platform_side.of(dropped) == ["accepted", "cancelled"]
        assert platform_side.of(refused) == ["refused"]
        told = next(event for event in platform_side.events if event["type"] == "fulfilled")
        assert set(told) == {
            "event_id",
            "community_id",
            "partner",
            "redemption_id",
            "type",
            "occurred_at",
            "fulfilled_quantity",
        }
        assert (told["partner"], told["community_id"], told["fulfilled_quantity"]) == (
            "canteen",
            COMMUNITY,
            2,
        )


async def test_an_event_is_sent_again_until_the_platform_takes_it(
    canteen_url_db: str, clock: FixedClock
) -> None:
    async with receiving(clock) as platform_side:
        platform_side.refuse_next = 3
        settings = partner_settings(canteen_url_db, platform_url=platform_side.url)
        async with calling(create_app(settings, clock=clock), clock) as canteen:
            await canteen.serve()
            await canteen.place()

            async def taken() -> bool:
                clock.move_to(clock.now() + timedelta(seconds=1))  # beyond the first waits between tries
                return bool(platform_side.events)

            await until(taken)
            await until_delivered(canteen_url_db)
        assert platform_side.refused == 3
        assert len(platform_side.events) == 1


async def test_events_of_a_stopped_canteen_are_sent_by_the_next_one(
    canteen_url_db: str, clock: FixedClock
) -> None:
    redemption_id = uuid4()
    async with calling(create_app(partner_settings(canteen_url_db), clock=clock), clock) as canteen:
        await canteen.serve()
        await canteen.place(redemption_id)
    assert await undelivered(canteen_url_db) == ["accepted"]
    clock.move_to(NOON + timedelta(minutes=2))
    async with receiving(clock) as platform_side:
        settings = partner_settings(canteen_url_db, platform_url=platform_side.url)
        async with calling(create_app(settings, clock=clock), clock):
            await platform_side.wait_for(1)
        assert platform_side.of(redemption_id) == ["accepted"]


async def test_an_event_that_the_platform_has_already_counts_as_delivered(
    canteen_url_db: str, clock: FixedClock
) -> None:
    async with receiving(clock) as platform_side:
        platform_side.answer = Response({"code": "duplicate_event"}, status_code=409)
        settings = partner_settings(canteen_url_db, platform_url=platform_side.url)
        async with calling(create_app(settings, clock=clock), clock) as canteen:
            await canteen.serve()
            await canteen.place()
            await platform_side.wait_for(1)
            await canteen.place()
            await platform_side.wait_for(2)
            await until_delivered(canteen_url_db)
    assert len(platform_side.events) == 2


async def test_an_order_nobody_came_for_lapses_after_its_day(canteen_url_db: str, clock: FixedClock) -> None:
    redemption_id = uuid4()
    settings = partner_settings(canteen_url_db)
    async with calling(create_app(settings, clock=clock), clock) as canteen:
        await canteen.serve()
        await canteen.place(redemption_id)
    clock.move_to(NOON + timedelta(days=1))
    async with receiving(clock) as platform_side:
        settings = partner_settings(canteen_url_db, platform_url=platform_side.url)
        async with calling(create_app(settings, clock=clock), clock) as canteen:
            await platform_side.wait_for(2)
            assert await canteen.status(redemption_id) == "lapsed"
            await post(canteen, redemption_id, "cancel")
            assert await canteen.status(redemption_id) == "lapsed"
        assert platform_side.of(redemption_id) == ["accepted", "lapsed"]


def test_the_wait_between_tries_doubles_and_is_bounded() -> None:
    for tries in (1, 2, 3, 10, 1_000):
        middle = min(BACKOFF_SECONDS_MAX, 2 ** (tries - 1))
        waits = {backoff(tries, 1.0).total_seconds() for _ in range(20)}
        assert all(middle * 0.5 <= wait <= middle * 1.5 for wait in waits)
        assert len(waits) > 1
