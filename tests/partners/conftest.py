"""A canteen and a station under test, each on its own role and a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pointsbank.platform.clock import FixedClock
from services.canteen.app import create_app as canteen_app
from services.station.app import create_app as station_app
from tests.partners.support import Platform, at_noon, calling, partner_settings


@pytest.fixture
def clock() -> FixedClock:
    """Noon, until the test moves it."""
    return at_noon()


@pytest.fixture
async def canteen(canteen_url_db: str, clock: FixedClock) -> AsyncIterator[Platform]:
    """A canteen that serves the tests' community."""
    async with calling(canteen_app(partner_settings(canteen_url_db), clock=clock), clock) as platform:
        await platform.serve()
        yield platform


@pytest.fixture
async def station(station_url_db: str, clock: FixedClock) -> AsyncIterator[Platform]:
    """A station that serves the tests' community."""
    async with calling(station_app(partner_settings(station_url_db), clock=clock), clock) as platform:
        await platform.serve()
        yield platform
