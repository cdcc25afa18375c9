"""The living day: what a world has under way when it is opened.

Its moments follow the machine's clock. Nothing here is confirmed and only the points of a few orders are
set aside, always the same ones, so that minutes and points do not depend on the hour of the building.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pointsbank.platform.clock import local_date
from seeds.geography import COMMUNITY_ID, TIMEZONE
from seeds.history import Past, RequestSeed
from seeds.partners import CANTEEN, STATION
from seeds.walk import ask_all, offer_all
from seeds.world import World
from services.care import service as care
from services.matching import service as matching
from services.settlement import service as settlement

COMING_DAYS = 5
ACCEPTED_SHARE = 3
"""One offer in so many has been accepted already; the others wait for an answer."""

UNDER_WAY = 3
BEGUN_AGO = timedelta(minutes=20)
ORDERS = (
    (CANTEEN, "lunch_set"),
    (CANTEEN, "soft_lunch"),
    (CANTEEN, "dinner_set"),
    (STATION, "water_rest_pack"),
    (STATION, "cooling_pack"),
)
"""What the richest members have ordered today, the richest first; who has too little orders nothing."""


async def live_today(world: World, past: Past) -> None:
    """Leave requests open, offers standing, visits agreed and under way, and orders on their way."""
    today = local_date(world.now.clock.now(), TIMEZONE)
    days = [today + timedelta(days=number) for number in range(1, COMING_DAYS + 1)]
    coming = past.requests(days, 3 * world.scale.coming, in_slots=True)
    # Requests that are to stay open are asked last: a pairing run takes every open one.
    await _begin_visits(world, past)
    await _make_offers(world, coming[world.scale.coming :])
    await _ask(world, coming[: world.scale.coming])
    await _order(world, past)


async def _begin_visits(world: World, past: Past) -> None:
    """Have visits under way that were asked for hours ago, if anybody is free at this hour."""
    now = world.now.clock.now()
    started = (now - BEGUN_AGO).replace(second=0, microsecond=0)
    requests = past.requests_at(started, UNDER_WAY)
    async with world.past.unit_of_work(COMMUNITY_ID) as uow:
        asked = await ask_all(world, uow, requests, first_at=now - timedelta(hours=5))
        world.clock.move_to(now - timedelta(hours=3))
        offers = await offer_all(world, uow, asked)
        visits = [(actor, await matching.accept_offer(uow, actor, offer.id)) for actor, offer in offers]
        world.clock.move_to(started)
        for actor, visit in visits:
            await care.check_in(uow, actor, visit.id)
        world.clock.move_to(now)
        await care.expire_requests(uow)
    world.count("visits_under_way", len(visits))


async def _make_offers(world: World, requests: Sequence[RequestSeed]) -> None:
    now = world.now.clock.now()
    async with world.past.unit_of_work(COMMUNITY_ID) as uow:
        asked = await ask_all(world, uow, requests, first_at=now - timedelta(hours=4))
        world.clock.move_to(now - timedelta(minutes=40))
        offers = await offer_all(world, uow, asked)
        world.clock.move_to(now - timedelta(minutes=10))
        for actor, offer in offers[::ACCEPTED_SHARE]:
            await matching.accept_offer(uow, actor, offer.id)
    world.count("visits_agreed", len(offers[::ACCEPTED_SHARE]))


async def _ask(world: World, requests: Sequence[RequestSeed]) -> None:
    now = world.now.clock.now()
    async with world.past.unit_of_work(COMMUNITY_ID) as uow:
        await ask_all(world, uow, requests, first_at=now - timedelta(minutes=7 * len(requests) + 1))


async def _order(world: World, past: Past) -> None:
    """Set aside points of members who have enough; the worker tells the partners."""
    async with world.now.unit_of_work(COMMUNITY_ID) as uow:
        for (partner, item), member in zip(ORDERS, past.wealthiest(len(ORDERS)), strict=True):
            actor = await world.actor(uow, member)
            if past.balances[member] >= past.policy.item(partner, item).milli_points:
                await settlement.redeem(uow, actor, settlement.Redeem(actor.person_id, partner, item))
                world.count("orders", 1)
