"""``/livez`` and ``/readyz``."""

from __future__ import annotations

import asyncpg
import httpx
import pytest

from api.app import create_app
from pointsbank.platform.settings import Settings
from tests.http.conftest import running


async def test_a_ready_process_says_so(client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_health_is_told_to_who_asks_without_a_body(client: httpx.AsyncClient, owner_url: str) -> None:
    for path in ("/livez", "/readyz"):
        answer = await client.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("UPDATE bank.alembic_version SET version_num = '0000'")
    finally:
        await owner.close()
    assert (await client.head("/readyz")).status_code == 503
    assert (await client.head("/livez")).status_code == 200


async def test_a_schema_behind_the_code_is_not_ready(client: httpx.AsyncClient, owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("UPDATE bank.alembic_version SET version_num = '0000'")
    finally:
        await owner.close()
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["facts"] == {"rule": "migrations_behind"}
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/livez")).status_code == 200


async def test_a_database_that_does_not_answer_is_told_in_one_line() -> None:
    url = "postgresql://nobody:nothing@127.0.0.1:1/none"
    app = create_app(Settings.model_validate({"app_database_url": url}))
    async with running(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://points.test") as client:
            for path in ("/readyz", "/api/v1/me"):
                answer = await client.get(path, headers={"Authorization": "Bearer 1.token"})
                assert (answer.status_code, answer.json()["code"]) == (503, "not_ready"), path
                assert "127.0.0.1" not in answer.text
            assert (await client.get("/livez")).status_code == 200


def test_a_process_without_a_database_address_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POINTSBANK_APP_DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match="POINTSBANK_APP_DATABASE_URL"):
        create_app()
