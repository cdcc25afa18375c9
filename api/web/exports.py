"""The whole journal as a file, for who may read the books."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import BinaryIO

from litestar import get
from litestar.params import FromPath
from litestar.response import Stream

from api.auth import may
from api.dependencies import SignedIn, desk
from api.errors import RouteNotFound
from api.web.visitor import page_locale
from api.web.words import catalogues
from pointsbank.domain.roles import READERS
from services.ledger.exchange.exports import MEDIA_TYPES, Format, export, file_name
from services.ledger.proof import seals

CHUNK_BYTES = 256 * 1024
EXPORTS_AT_ONCE = 2
"""More wait their turn: each holds a connection and some disk."""

_turns = asyncio.Semaphore(EXPORTS_AT_ONCE)


@get("/books/export/{format_:str}", opt=may(*READERS), include_in_schema=False)
async def export_journal(request: SignedIn, format_: FromPath[str]) -> Stream:
    """Send the journal in one of the formats. Raises RouteNotFound for any other.

    It is written to a nameless file first: a slow reader then holds no snapshot open, and what fails half way
    is told as an error and not as a file that looks whole.
    """
    if format_ not in list(Format):
        raise RouteNotFound
    wanted, locale, at = Format(format_), page_locale(request), desk(request)
    community_id = request.auth.community_id
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the last byte is sent
    try:
        async with _turns, at.database.unit_of_work(community_id, snapshot=True) as uow:
            books = await export(
                uow,
                wanted,
                file,
                say=lambda key: catalogues.translate(locale, key),
                seals=seals.kept_seals(seals.seals_file(at.settings.data, community_id)),
            )
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    name = file_name(wanted, books.community.code, books.entries)
    return Stream(
        _sent(file),
        media_type=MEDIA_TYPES[wanted],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(size),
            "Cache-Control": "no-store",
        },
    )


async def _sent(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


ROUTES = [export_journal]
