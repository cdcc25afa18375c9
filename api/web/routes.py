"""All pages, for the application to mount."""

from __future__ import annotations

from litestar import Router

from api.web import (
    asking,
    audit,
    availability,
    books,
    coordinator,
    decisions,
    elder,
    exports,
    fairness,
    family,
    home,
    meals,
    orders,
    pairing,
    settling,
    volunteer,
)

web_router = Router(
    path="/",
    route_handlers=[
        *home.ROUTES,
        *elder.ROUTES,
        *asking.ROUTES,
        *family.ROUTES,
        *orders.ROUTES,
        *meals.ROUTES,
        *volunteer.ROUTES,
        *availability.ROUTES,
        *coordinator.ROUTES,
        *fairness.ROUTES,
        *pairing.ROUTES,
        *settling.ROUTES,
        *decisions.ROUTES,
        *books.ROUTES,
        *exports.ROUTES,
        *audit.ROUTES,
    ],
    include_in_schema=False,
)
"""Pages and static files. Every one declares who may see it; a refusal becomes a page by ``error_page``."""
