"""Composition of a partner's process: settings, pool, routes and background work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler
from pydantic import ValidationError

from pointsbank.domain.errors import DomainError
from pointsbank.platform import migrations, telemetry
from pointsbank.platform.clock import Clock
from pointsbank.platform.database import Database
from pointsbank.platform.settings import PartnerSettings
from services.partnerkit import http
from services.partnerkit.counter import counter_routes
from services.partnerkit.events import EventDelivery, background
from services.partnerkit.pages import NO_ASIDE, Aside, Counter
from services.partnerkit.service import PartnerService
from services.partnerkit.store import PartnerStore
from services.partnerkit.supply import Supply
from services.partnerkit.tables import PartnerTables
from services.partnerkit.wire import Details, no_details

BODY_BYTES_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Partner:
    """What one partner is made of.

    name: its signing key and its schema's. reference_prefix: capital letters before its papers' numbers.
    terms: the shape of its items' own terms. routes: its own signed routes. pages: its own pages at the
    counter; links: (address, key of the words) of those the counter leads to. details: reads an order's own
    part. public: routes that anybody may ask.
    """

    name: str
    reference_prefix: str
    script_location: str
    tables: PartnerTables
    supply: Supply
    terms: Any
    routes: Sequence[ControllerRouterHandler] = ()
    pages: Sequence[ControllerRouterHandler] = ()
    links: Sequence[tuple[str, str]] = ()
    details: Details = no_details
    aside: Aside = NO_ASIDE
    public: Sequence[ControllerRouterHandler] = ()


def settings_from_environment() -> PartnerSettings:
    """Return the settings; exit with one line naming each variable that is missing or wrong."""
    try:
        return PartnerSettings()  # type: ignore[call-arg]  # pydantic-settings reads the environment
    except ValidationError as error:
        prefix = PartnerSettings.model_config.get("env_prefix", "")
        wrong = "; ".join(
            f"{prefix}{'_'.join(str(part) for part in each['loc']).upper()}: {each['msg']}"
            for each in error.errors(include_input=False)
        )
        raise SystemExit(f"settings: {wrong}") from None


def partner_app(
    partner: Partner, settings: PartnerSettings | None = None, *, clock: Clock | None = None
) -> Litestar:
    """Return the partner's application. settings: from the environment by default. clock: for tests."""
    if settings is None:
        settings = settings_from_environment()
        telemetry.configure(partner.name, level=settings.log_level)
    database = Database(settings.database_url.get_secret_value(), clock=clock)
    secret = settings.secret.get_secret_value()
    service = PartnerService(
        PartnerStore(partner.tables), partner.supply, reference_prefix=partner.reference_prefix
    )
    delivery = EventDelivery(
        database, service, name=partner.name, platform_url=settings.platform_url, secret=secret
    )

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with background(database, service, delivery, event_seconds=settings.event_seconds):
            yield
        await database.close()

    desk = http.Desk(
        database=database,
        service=service,
        secret=secret,
        terms=partner.terms,
        head=migrations.head(partner.script_location),
        details=partner.details,
    )
    counter = Counter(
        name=partner.name,
        pin=settings.counter_pin.get_secret_value() if settings.counter_pin else None,
        secret=secret,
        now=database.clock.now,
        links=partner.links,
        aside=partner.aside,
    )
    return Litestar(
        route_handlers=[
            http.signed_routes(*partner.routes),
            counter_routes(*partner.pages),
            *http.HEALTH,
            *partner.public,
        ],
        state=State({"desk": desk, "counter": counter}),
        lifespan=[lifespan],
        exception_handlers={
            DomainError: http.domain_problem,
            HTTPException: http.http_problem,
            Exception: http.unexpected_problem,
        },
        before_send=[http.add_headers],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )
