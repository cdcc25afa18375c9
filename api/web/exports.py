"""The whole journal as a file, for who may read the books.

A copy of the journal takes a connection while it is written and disk until it is sent. Two are made and sent
at a time, a few wait, and more are told to come again. A turn ends when the last byte has gone or the reader
has left, and at the latest when a slow line would have been done: who stops reading keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from litestar import get
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath
from litestar.response import Stream

from api.auth import may
from api.dependencies import SignedIn, desk
from api.errors import RouteNotFound
from api.web.visitor import page_locale
from api.web.words import catalogues
from pointsbank.domain.errors import DomainError
from pointsbank.domain.roles import READERS
from services.ledger.exchange.exports import MEDIA_TYPES, Format, export, file_name
from services.ledger.proof import seals

CHUNK_BYTES = 256 * 1024
EXPORTS_AT_ONCE = 2
WAITING_MAX = 4
WAIT_SECONDS = 30.0
SEND_SECONDS = 60.0
PACE_BYTES = 128 * 1024
"""Bytes a second of the slowest line that is waited for, beyond ``SEND_SECONDS``."""


@dataclass(eq=False)
class ExportsBusy(DomainError):
    """As many copies of the journal as can be made at a time are being made or fetched."""

    code = "exports_busy"


class Copy:
    """A nameless file that holds a turn until it is closed."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._deadline: asyncio.TimerHandle | None = None
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the copy

    def close_after(self, seconds: float) -> None:
        """Close the copy so many seconds from now, whatever becomes of its reader."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.close)

    def read(self) -> bytes:
        """Return the next piece; nothing at the end, and once the copy is closed."""
        try:
            return self.file.read(CHUNK_BYTES)
        except ValueError:
            return b""

    def close(self) -> None:
        """Free the disk and the turn. Does nothing the second time."""
        if self.file.closed:
            return
        self.file.close()
        if self._deadline is not None:
            self._deadline.cancel()
        self._release()

    async def aclose(self) -> None:
        """Do the same when the answer has ended, also because its reader left."""
        self.close()


class Turns:
    """Who may have a copy made now, and how many wait."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(EXPORTS_AT_ONCE)
        self._waiting = 0

    async def take(self) -> Copy:
        """Return an empty copy when it is one's turn. Raises ExportsBusy."""
        if self._free.locked() and self._waiting >= WAITING_MAX:
            raise ExportsBusy
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise ExportsBusy from None
        finally:
            self._waiting -= 1
        try:
            return Copy(self._free.release)
        except OSError:
            self._free.release()
            raise


turns = Turns()


@get("/books/export/{format_:str}", opt=may(*READERS), include_in_schema=False)
async def export_journal(request: SignedIn, format_: FromPath[str]) -> Stream:
    """Send the journal in one of the formats. Raises RouteNotFound for any other, ExportsBusy.

    It is written to a nameless file first: a slow reader then holds no snapshot open, and what fails half way
    is told as an error and not as a file that looks whole.
    """
    if format_ not in list(Format):
        raise RouteNotFound
    wanted, locale, at = Format(format_), page_locale(request), desk(request)
    community_id = request.auth.community_id
    copy = await turns.take()
    try:
        async with at.database.unit_of_work(community_id, snapshot=True) as uow:
            books = await export(
                uow,
                wanted,
                copy.file,
                say=lambda key: catalogues.translate(locale, key),
                seals=seals.kept_seals(seals.seals_file(at.settings.data, community_id)),
            )
        size = copy.file.tell()
        copy.file.seek(0)
        copy.close_after(SEND_SECONDS + size / PACE_BYTES)
    except BaseException:
        copy.close()
        raise
    name = file_name(wanted, books.community.code, books.entries)
    return Stream(
        _sent(copy),
        background=BackgroundTask(copy.aclose),
        media_type=MEDIA_TYPES[wanted],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(size),
            "Cache-Control": "no-store",
        },
    )


async def _sent(copy: Copy) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(copy.read):
            yield chunk
    finally:
        copy.close()


ROUTES = [export_journal]
