"""The reference's other house: checks a signature, commits one row, answers. Nothing is decided."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from litestar import Litestar, Request, get, put

from pointsbank.platform.clock import SystemClock
from pointsbank.platform.signing import verify
from tests.partners.support import SECRET

CLOCK = SystemClock()


@put("/orders/{number:int}", status_code=200)
async def take(request: Request[Any, Any, Any], number: int) -> dict[str, int]:
    """Take one signed call."""
    verify(
        request.headers,
        "PUT",
        request.scope["path"],
        await request.body(),
        secrets_by_key={"platform": SECRET},
        at=CLOCK.now(),
    )
    await request.app.state.pool.execute("INSERT INTO bench_commits VALUES ($1)", number)
    return {"number": number}


@get("/readyz", sync_to_thread=False)
def ready() -> dict[str, str]:
    """Say that it answers."""
    return {"status": "ok"}


def create_app() -> Litestar:
    """Return the application; BENCH_DATABASE_URL names the database."""

    @asynccontextmanager
    async def opened(app: Litestar) -> AsyncIterator[None]:
        async with asyncpg.create_pool(os.environ["BENCH_DATABASE_URL"], min_size=1, max_size=10) as pool:
            app.state.pool = pool
            yield

    return Litestar([take, ready], lifespan=[opened], openapi_config=None)
