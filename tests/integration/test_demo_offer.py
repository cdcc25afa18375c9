"""When the demo world may be built, and when it may not."""

from __future__ import annotations

import io
import os
from pathlib import Path

import click
import pytest
from rich.console import Console

from api.cli import demo
from api.cli.founding import ensure_founded
from api.cli.runtime import ProcessMark, Runtime, read_settings
from pointsbank.platform.secrets import Secrets


@pytest.fixture
def runtime(app_url: str) -> Runtime:
    """A running bank of which only the database is asked."""
    mark = ProcessMark.of("up", os.getpid())
    assert mark is not None
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    return Runtime(
        up=mark,
        addresses={},
        owner_url=nowhere,
        app_url=app_url,
        canteen_url=nowhere,
        station_url=nowhere,
        redis_url="redis://127.0.0.1:1/0",
    )


async def offered(runtime: Runtime, data: Path, *, wanted: bool) -> str:
    """Return what the offer printed."""
    screen = io.StringIO()
    console = Console(file=screen, soft_wrap=True)
    wish = demo.Wish(demo=wanted, small=True)
    await demo.offer(runtime, read_settings(data=data), Secrets(), console, wish)
    return screen.getvalue()


async def test_an_empty_database_without_a_terminal_is_told_how_to_fill_it(
    runtime: Runtime, tmp_path: Path
) -> None:
    said = await offered(runtime, tmp_path, wanted=False)
    assert "`pointsbank up --demo` builds a demo world" in said
    assert "`pointsbank import people FILE`" in said


async def test_the_demo_world_is_not_built_into_a_community_that_stands(
    runtime: Runtime, tmp_path: Path
) -> None:
    await ensure_founded(runtime.app_url)
    await ensure_founded(runtime.app_url)
    assert "the demo world is not built" in await offered(runtime, tmp_path, wanted=True)


def test_an_interrupted_demo_world_is_neither_built_upon_nor_served(tmp_path: Path) -> None:
    (tmp_path / demo.MARK_FILE).write_text('{"state": "building", "small": true}')
    with pytest.raises(click.ClickException, match="was interrupted") as refused:
        demo.refuse_half_built(tmp_path)
    assert "\n" not in str(refused.value)
    assert not demo.is_demo(tmp_path)


def test_a_whole_demo_world_and_a_real_community_are_told_apart(tmp_path: Path) -> None:
    demo.refuse_half_built(tmp_path)
    assert not demo.is_demo(tmp_path)
    (tmp_path / demo.MARK_FILE).write_text('{"state": "built", "small": true}')
    demo.refuse_half_built(tmp_path)
    assert demo.is_demo(tmp_path)
