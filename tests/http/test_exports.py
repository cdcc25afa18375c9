"""An auditor takes the whole journal away over HTTP; nobody else does."""

from __future__ import annotations

import io
import json

import httpx
import openpyxl
import pytest

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
