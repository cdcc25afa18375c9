"""The station's process: ``uvicorn services.station.app:create_app --factory``."""

from __future__ import annotations

from litestar import Litestar

from pointsbank.platform.clock import Clock
from pointsbank.platform.settings import PartnerSettings
from services.partnerkit.app import Partner, partner_app
from services.station.http import add_visit, add_visits, summary
from services.station.store import StationSupply, Terms
from services.station.tables import TABLES

STATION = Partner(
    name="station",
    reference_prefix="S",
    script_location="services.station:migrations",
    tables=TABLES,
    supply=StationSupply(),
    terms=Terms,
    routes=(add_visit, add_visits, summary),
)


def create_app(settings: PartnerSettings | None = None, *, clock: Clock | None = None) -> Litestar:
    """Return the station's application. settings: from the environment by default. clock: for tests."""
    return partner_app(STATION, settings, clock=clock)
