"""The canteen's process: ``uvicorn services.canteen.app:create_app --factory``."""

from __future__ import annotations

from litestar import Litestar

from pointsbank.platform.clock import Clock
from pointsbank.platform.settings import PartnerSettings
from services.canteen import http, pages
from services.canteen.store import CanteenSupply, Terms
from services.canteen.tables import TABLES
from services.canteen.wire import read_details
from services.partnerkit.app import Partner, partner_app

CANTEEN = Partner(
    name="canteen",
    reference_prefix="C",
    script_location="services.canteen:migrations",
    tables=TABLES,
    supply=CanteenSupply(),
    terms=Terms,
    routes=http.SIGNED,
    public=http.OPEN,
    pages=pages.PAGES,
    aside=pages.ASIDE,
    links=pages.LINKS,
    details=read_details,
)


def create_app(settings: PartnerSettings | None = None, *, clock: Clock | None = None) -> Litestar:
    """Return the canteen's application. settings: from the environment by default. clock: for tests."""
    return partner_app(CANTEEN, settings, clock=clock)
