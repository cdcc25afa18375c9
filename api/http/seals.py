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
from api.gate import Gate
from api.http.wire import NUMBER_MAX
from pointsbank.domain.errors import NotFound
from services.ledger.proof import seals
from services.people import service as people

READERS_MAX, WAITING_MAX = 4, 8
"""Readers at once: who may call without a name takes no more than this; some wait, the rest is refused."""

CACHE_SECONDS = 30
PAGE_DEFAULT = 20

_readers = Gate(READERS_MAX, WAITING_MAX)

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

    They are those of the file outside the database, where it and the key are; else the database's copy
    (``source`` says which). The key is never one that only the database names. Raises NotFound,
    TooManyReaders.
    """
    at = desk(request)
    async with _readers.enter():
        async with at.database.session() as session:
            found = [each for each in await people.communities(session) if each.code == code]
        if not found:
            raise NotFound(what="community")
        path, key = seals.seals_file(at.settings.data, found[0].id), seals.known_key(at.settings.data)
        kept = key is not None and path.exists()
        if key is not None and kept:
            newest = await asyncio.to_thread(
                seals.newest_kept, path, found[0].id, key, before=before, limit=limit
            )
        else:
            async with at.database.unit_of_work(found[0].id) as uow:
                newest = await seals.newest(uow, before=before, limit=limit)
    return Response(
        {
            "community": code,
            "community_id": found[0].id,
            "public_key": key.hex() if key else None,
            "source": "file" if kept else "database",
            "seals": newest,
            "next_before": newest[-1]["entry_number"] if len(newest) == limit else None,
        },
        headers={"Cache-Control": f"public, max-age={CACHE_SECONDS}"},
    )


ROUTES = [published]
