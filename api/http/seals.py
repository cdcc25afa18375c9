"""The newest seals of each community, for anybody: what is published cannot be rewritten unseen.

A seal names a number, two hashes, a time and a key, and nobody. The objects are those that were signed, so
that they can be checked, and compared with a copy kept elsewhere, byte by byte.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath, QueryParameter

from api.auth import ANYONE
from api.dependencies import desk
from api.http.wire import NUMBER_MAX
from pointsbank.domain.errors import NotFound
from services.ledger.proof import seals
from services.people import service as people

READERS_MAX = 4
"""Readers at once: who may call without a name takes no more of the database than this; others wait."""

CACHE_SECONDS = 30
PAGE_DEFAULT = 20

_readers = asyncio.Semaphore(READERS_MAX)

Before = Annotated[int | None, QueryParameter(ge=1, le=NUMBER_MAX)]
Limit = Annotated[int, QueryParameter(ge=1, le=seals.SEALS_SHOWN_MAX)]


@get("/seals/{code:str}", opt=ANYONE, include_in_schema=False)
async def published(
    request: Request[Any, Any, State],
    code: FromPath[str],
    before: Before = None,
    limit: Limit = PAGE_DEFAULT,
) -> Response[dict[str, Any]]:
    """Return a community's seals, newest first, and the public key. before: go on from that entry number.

    Raises NotFound.
    """
    database = desk(request).database
    async with _readers:
        async with database.session() as session:
            found = [each for each in await people.communities(session) if each.code == code]
        if not found:
            raise NotFound(what="community")
        async with database.unit_of_work(found[0].id) as uow:
            newest = await seals.newest(uow, before=before, limit=limit)
    return Response(
        {
            "community": code,
            "community_id": found[0].id,
            "public_key": newest[0]["public_key"] if newest else None,
            "seals": newest,
            "next_before": newest[-1]["entry_number"] if len(newest) == limit else None,
        },
        headers={"Cache-Control": f"public, max-age={CACHE_SECONDS}"},
    )


ROUTES = [published]
