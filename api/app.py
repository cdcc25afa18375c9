"""The composition root of the api process: ``uvicorn api.app:create_app --factory``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Router, get, head
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware
from litestar.plugins.pydantic import PydanticPlugin

from api import auth, openapi
from api.auth import ANYONE
from api.dependencies import Desk, desk
from api.errors import BODY_BYTES_MAX, EXCEPTION_HANDLERS, UNAVAILABLE, NotReady, require_json
from api.http import (
    audit,
    availability,
    balance,
    books,
    care,
    claims,
    complaints,
    decisions,
    door,
    fairness,
    feedback,
    giving,
    liability,
    matching,
    meals,
    partners,
    people,
    public_proofs,
    redemptions,
    refunds,
    seals,
    settlement,
    settling,
    standings,
    visits,
    waiting_work,
)
from api.idempotency import require_key
from api.web.pages import error_page
from api.web.routes import web_router
from pointsbank.platform import migrations, telemetry
from pointsbank.platform.clock import Clock
from pointsbank.platform.database import Database
from pointsbank.platform.queue import Queue
from pointsbank.platform.readiness import schema_revision
from pointsbank.platform.settings import Settings
from services.settlement.client import open_partners
from services.settlement.events import partner_secrets

API_PATH = "/api/v1"
MIGRATIONS = "services:migrations"


@get("/livez", opt=ANYONE, include_in_schema=False, sync_to_thread=False)
def livez() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@head("/livez", opt=ANYONE, include_in_schema=False, sync_to_thread=False)
def livez_head() -> None:
    """Say the same without a body."""


@get("/readyz", opt=ANYONE, include_in_schema=False)
async def readyz(request: Request[Any, Any, State]) -> dict[str, str]:
    """Say whether the database answers and its schema is at head. Raises NotReady."""
    await _require_ready(request)
    return {"status": "ok"}


@head("/readyz", opt=ANYONE, include_in_schema=False)
async def readyz_head(request: Request[Any, Any, State]) -> None:
    """Say the same without a body. Raises NotReady."""
    await _require_ready(request)


async def _require_ready(request: Request[Any, Any, State]) -> None:
    at = desk(request)
    try:
        revision = await schema_revision(at.database)
    except UNAVAILABLE:
        raise NotReady(rule="database_unreachable") from None
    if revision != at.head:
        raise NotReady(rule="migrations_behind")


@asynccontextmanager
async def _open(app: Litestar) -> AsyncIterator[None]:
    """Open what the process stands on, as ``settings`` and ``clock`` in the app's state say at its start."""
    settings: Settings = app.state.settings
    assert settings.app_database_url is not None
    database = Database(settings.app_database_url.get_secret_value(), clock=app.state.clock)
    queue = Queue(settings.redis_url.get_secret_value()) if settings.redis_url else None
    if queue is not None:
        database.wake = queue.wake
    try:
        async with open_partners(settings) as partners:
            app.state.desk = Desk(
                database=database,
                settings=settings,
                head=migrations.head(MIGRATIONS),
                partner_secrets=partner_secrets(settings),
                partners=partners,
            )
            yield
    finally:
        await database.close()
        if queue is not None:
            await queue.close()


def create_app(settings: Settings | None = None, *, clock: Clock | None = None) -> Litestar:
    """Return the app. settings: from the environment unless given; clock: the machine's unless given.

    Exits with one line when the settings name no database.
    """
    if settings is None:
        settings = Settings()
        telemetry.configure("api", level=settings.log_level)
    if settings.app_database_url is None or not settings.app_database_url.get_secret_value():
        raise SystemExit("POINTSBANK_APP_DATABASE_URL is not set; `pointsbank up` sets it")
    programs = Router(
        API_PATH,
        route_handlers=[
            people.router,
            standings.router,
            care.router,
            visits.router,
            door.router,
            settling.router,
            feedback.router,
            complaints.router,
            matching.router,
            availability.router,
            fairness.router,
            redemptions.router,
            meals.router,
            claims.router,
            giving.router,
            decisions.router,
            books.router,
            balance.router,
            liability.router,
            audit.router,
            settlement.router,
            waiting_work.router,
            refunds.router,
        ],
        before_request=require_json,
    )
    return Litestar(
        route_handlers=[
            livez,
            livez_head,
            readyz,
            readyz_head,
            *auth.ROUTES,
            programs,
            partners.router,
            *seals.ROUTES,
            *public_proofs.ROUTES,
            openapi.static_files(),
            web_router,
        ],
        lifespan=[_open],
        guards=[auth.require_right, require_key],
        middleware=[DefineMiddleware(auth.SessionAuthentication)],
        exception_handlers=EXCEPTION_HANDLERS,
        before_send=[auth.add_security_headers],
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=openapi.config(),
        plugins=[PydanticPlugin(prefer_alias=True)],
        state=State({"error_page": error_page, "settings": settings, "clock": clock}),
    )
