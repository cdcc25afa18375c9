"""An auditor takes the whole journal away over HTTP; nobody else does."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openpyxl
import pytest
from litestar import Litestar

from api.web import exports
from pointsbank.platform.database import Database
from services.ledger.exchange.exports import MEDIA_TYPES, Format
from tests.http.conftest import Caller
from tests.worlds import World, give_points


async def fetch(caller: Caller, path: str, **headers: str) -> httpx.Response:
    """GET a page's path, signed in as the caller."""
    return await caller.client.get(f"/books/export/{path}", headers=caller.headers | headers)


@pytest.mark.parametrize("format_", list(Format))
async def test_an_auditor_gets_the_journal_in_every_format(
    bank: Database, world: World, auditor: Caller, format_: Format
) -> None:
    await give_points(bank, world, world.volunteer, 1_500, minutes=90)
    answer = await fetch(auditor, format_)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == MEDIA_TYPES[format_]
    assert answer.headers["content-disposition"].startswith('attachment; filename="pointsbank-test-1-1.')
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    for private in (world.volunteer.name, world.volunteer.phone, str(world.volunteer.id)):
        assert private is not None
        assert private.encode() not in answer.content
    if format_ is not Format.XLSX:
        pseudonym = world.volunteer.ledger_ref
        assert any(said.encode() in answer.content for said in (str(pseudonym), pseudonym.hex))


async def test_a_file_longer_than_a_piece_arrives_whole(
    bank: Database, world: World, auditor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHUNK_BYTES", 100)
    await give_points(bank, world, world.volunteer, 1_500)
    lines = [json.loads(line) for line in (await fetch(auditor, "jsonl")).text.splitlines()]
    assert (lines[0]["entries"], lines[0]["head"]) == (1, lines[-1]["hash"])


@pytest.mark.parametrize(("language", "title"), [("zh-CN", "分录"), ("zh-HK", "分錄"), ("en", "Journal")])
async def test_the_tables_speak_the_readers_language(auditor: Caller, language: str, title: str) -> None:
    answer = await fetch(auditor, "xlsx", **{"Accept-Language": language})
    assert openpyxl.load_workbook(io.BytesIO(answer.content)).sheetnames[1] == title


async def test_nobody_but_a_reader_of_the_books_gets_it(
    elder: Caller, volunteer: Caller, client: httpx.AsyncClient
) -> None:
    for caller in (elder, volunteer):
        assert (await fetch(caller, "csv")).status_code == 403
    assert (await client.get("/books/export/csv")).status_code in (303, 401)


async def test_a_format_there_is_not_is_not_found(auditor: Caller) -> None:
    assert (await fetch(auditor, "pdf")).status_code == 404


async def test_the_books_lead_to_every_format(auditor: Caller) -> None:
    page = await auditor.client.get("/books", headers=auditor.headers)
    assert page.status_code == 200
    for format_ in Format:
        assert f'href="/books/export/{format_}"' in page.text


@asynccontextmanager
async def slow_reader(app: Litestar, caller: Caller) -> AsyncIterator[asyncio.Event]:
    """Fetch the journal and stop reading at its first piece, until the event that is yielded is set.

    Leaves at the end, whether everything has been read or not.
    """
    reading, go_on, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            reading.set()
            await go_on.wait()

    headers = [(name.lower().encode(), value.encode()) for name, value in caller.headers.items()]
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/books/export/csv",
        "raw_path": b"/books/export/csv",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"points.test"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("points.test", 80),
    }
    task = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
    try:
        await asyncio.wait_for(reading.wait(), 10)
        yield go_on
    finally:
        gone.set()
        await task


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One copy of the journal at a time, and nobody waits."""
    monkeypatch.setattr(exports, "EXPORTS_AT_ONCE", 1)
    monkeypatch.setattr(exports, "WAITING_MAX", 0)
    monkeypatch.setattr(exports, "turns", exports.Turns())


@pytest.mark.usefixtures("few")
async def test_who_reads_slowly_keeps_the_turn_until_the_last_byte_or_until_leaving(
    app: Litestar, auditor: Caller
) -> None:
    for leaves in (False, True):
        async with slow_reader(app, auditor) as go_on:
            refused = await fetch(auditor, "jsonl", **{"Accept-Language": "en"})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
            assert refused.json()["code"] == "exports_busy"
            assert "{" not in refused.json()["detail"]
            if not leaves:
                go_on.set()
                await until_served(auditor)
        await until_served(auditor)


@pytest.mark.usefixtures("few")
async def test_who_stops_reading_loses_the_turn_after_a_while(
    app: Litestar, auditor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "SEND_SECONDS", 0.3)
    async with slow_reader(app, auditor):
        assert (await fetch(auditor, "jsonl")).status_code == 503
        await until_served(auditor)


async def until_served(caller: Caller) -> None:
    """Ask again until it is one's turn."""
    for _ in range(50):
        if (await fetch(caller, "jsonl")).status_code == 200:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the turn never came")


async def test_a_few_wait_for_their_turn_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "EXPORTS_AT_ONCE", 1)
    monkeypatch.setattr(exports, "WAITING_MAX", 1)
    turns = exports.Turns()
    first = await turns.take()
    waiting = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    with pytest.raises(exports.ExportsBusy):
        await turns.take()
    first.close()
    first.close()  # frees one turn, not two
    second = await waiting
    monkeypatch.setattr(exports, "WAIT_SECONDS", 0.05)
    with pytest.raises(exports.ExportsBusy):
        await turns.take()
    second.close()
    (await turns.take()).close()
