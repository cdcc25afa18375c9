"""The database that a command gets when nothing runs yet."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import click
import psutil
import pytest

from api.cli.connection import app_database
from api.cli.runtime import only_one_up, read_settings
from pointsbank.platform.roles import APP


@pytest.fixture(autouse=True)
def _no_outside_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POINTSBANK_DATABASE_URL", raising=False)
    monkeypatch.delenv("POINTSBANK_REDIS_URL", raising=False)


async def test_a_command_without_up_gets_a_migrated_database_and_it_is_stopped_after(data: Path) -> None:
    async with app_database(read_settings(data=data)) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT current_user::text") == APP
        assert await connection.fetchval("SELECT to_regclass('bank.journal_entries') IS NOT NULL")
        await connection.close()
        with (
            pytest.raises(click.ClickException, match=r"\(process \d+\) is running on"),
            only_one_up(data),
        ):
            pass
        server = psutil.Process(int((data / "postgres" / "postmaster.pid").read_text().split()[0]))
    assert not server.is_running()


async def test_a_command_is_given_the_database_that_the_settings_name(
    data: Path, app_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSBANK_APP_DATABASE_URL", app_url)
    async with app_database(read_settings(data=data)) as url:
        assert url == app_url
    assert not (data / "postgres").exists()


def test_a_setting_out_of_range_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSBANK_SWEEP_SECONDS", "0")
    with pytest.raises(
        click.ClickException, match=r"^sweep_seconds \(POINTSBANK_SWEEP_SECONDS\): "
    ) as refused:
        read_settings()
    assert "\n" not in str(refused.value)
