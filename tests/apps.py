"""The api's application, put together once a process; each test opens it on its own database and clock.

Putting it together (every route's signature is read) takes longer than most tests. What it stands on is
opened by its lifespan, anew for each test, from ``settings`` and ``clock`` in its state.
"""

from __future__ import annotations

from functools import cache

from litestar import Litestar

from api.app import create_app
from pointsbank.platform.clock import Clock
from pointsbank.platform.settings import Settings


@cache
def _app() -> Litestar:
    return create_app(Settings.model_validate({"app_database_url": "postgresql://nobody@127.0.0.1:1/none"}))


def api_on(settings: Settings, clock: Clock) -> Litestar:
    """Return the app, to be opened next on ``settings``; one at a time."""
    app = _app()
    app.state.settings, app.state.clock = settings, clock
    return app
