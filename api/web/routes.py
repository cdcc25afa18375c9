"""All pages, for the application to mount."""

from __future__ import annotations

from litestar import Router

from api.web import (
    apart,
    asked,
    asking,
    asking_desk,
    audit,
    availability,
    books,
    complaining,
    coordinator,
    decisions,
    doors,
    elder,
    exports,
    fairness,
    family,
    home,
    not_again,
    orders,
    pairing,
    past,
    proof,
    repeating,
    settling,
    standing,
    volunteer,
    waiting_work,
)

web_router = Router(
    path="/",
    route_handlers=[
        *home.ROUTES,
        *elder.ROUTES,
        *asking.ROUTES,
        *asking_desk.ROUTES,
        *asked.ROUTES,
        *repeating.ROUTES,
        *not_again.ROUTES,
        *family.ROUTES,
        *orders.ROUTES,
        *standing.ROUTES,
        *volunteer.ROUTES,
        *availability.ROUTES,
        *coordinator.ROUTES,
        *fairness.ROUTES,
        *pairing.ROUTES,
        *settling.ROUTES,
        *complaining.ROUTES,
        *past.ROUTES,
        *doors.ROUTES,
        *apart.ROUTES,
        *decisions.ROUTES,
        *waiting_work.ROUTES,
        *books.ROUTES,
        *exports.ROUTES,
        *audit.ROUTES,
        *proof.ROUTES,
    ],
    include_in_schema=False,
)
"""Pages and static files. Every one declares who may see it; a refusal becomes a page by ``error_page``."""
