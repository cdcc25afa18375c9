"""What elders ask for, and who speaks for them; visits stand in modules of their own."""

from __future__ import annotations

from litestar import Router

from api.http import help_requests, series, ties

router = Router(
    "/",
    route_handlers=[
        Router("/", route_handlers=help_requests.ROUTES, tags=["help requests"]),
        Router("/", route_handlers=series.ROUTES, tags=["series"]),
        Router("/", route_handlers=ties.ROUTES, tags=["family and exclusions"]),
    ],
)
