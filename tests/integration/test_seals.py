"""Seals are made when they are due, leave the machine, and are there for anybody to compare."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import jobs, service
from services.ledger.proof import last_verification, seal_form, seals
from services.ledger.proof.verification import Fault, verify
from tests.ledgers import NOON, bare_ledger, grant

MEMBER = UUID(int=101)
TIMEZONE = "Asia/Shanghai"
HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
"""The end of the local day that NOON lies in."""


@pytest.fixture
def clock(database: Database) -> FixedClock:
    clock = FixedClock(NOON)
    database.clock = clock
    return clock


@pytest.fixture
async def ledger(database: Database, clock: FixedClock) -> Database:
    await bare_ledger(database)
    return database


async def post(ledger: Database, count: int, key: str) -> None:
    async with ledger.unit_of_work(1) as uow:
        await service.post_many(uow, [grant(MEMBER, 10, f"{key}{at}") for at in range(count)])


async def seal_due(ledger: Database, directory: Path, webhook: str | None = None) -> int:
    async with ledger.unit_of_work(1) as uow:
        return await jobs.seal_due(uow, directory, timezone=TIMEZONE, every=HOUR, webhook=webhook)


def sealed_numbers(directory: Path) -> list[int]:
    return [seal.entry_number for seal in seals.read_seals(seals.seals_file(directory, 1))]


async def test_a_grown_head_is_sealed_once_an_hour(
    ledger: Database, clock: FixedClock, tmp_path: Path
) -> None:
    assert await seal_due(ledger, tmp_path) == 0, "nothing to seal"
    await post(ledger, 3, "a")
    assert await seal_due(ledger, tmp_path) == 1
    assert await seal_due(ledger, tmp_path) == 0, "not grown"
    await post(ledger, 2, "b")
    clock.move_to(NOON + timedelta(minutes=59))
    assert await seal_due(ledger, tmp_path) == 0, "not an hour yet"
    clock.move_to(NOON + HOUR)
    assert await seal_due(ledger, tmp_path) == 1
    assert sealed_numbers(tmp_path) == [3, 5]


async def test_the_day_that_ended_gets_a_seal_of_its_own_as_it_ended(
    ledger: Database, clock: FixedClock, tmp_path: Path
) -> None:
    clock.move_to(MIDNIGHT - timedelta(minutes=10))
    await post(ledger, 3, "a")
    await seal_due(ledger, tmp_path)
    clock.move_to(MIDNIGHT - timedelta(seconds=1))
    await post(ledger, 2, "b")  # the last of the day
    clock.move_to(MIDNIGHT)
    await post(ledger, 4, "c")  # the first of the next
    clock.move_to(MIDNIGHT + timedelta(seconds=30))
    assert await seal_due(ledger, tmp_path) == 1
    assert sealed_numbers(tmp_path) == [3, 5], "the books of that day, without what came after"
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        found = await verify(uow, seals=seals.read_seals(seals.seals_file(tmp_path, 1)))
    assert found.sound
    assert found.seals == 2


async def test_days_on_which_nothing_ran_get_their_seals_later(
    ledger: Database, clock: FixedClock, tmp_path: Path
) -> None:
    await post(ledger, 1, "a")
    for day in (1, 3):
        clock.move_to(NOON + timedelta(days=day))
        await post(ledger, 2, f"d{day}")
    clock.move_to(NOON + timedelta(days=4))
    assert await seal_due(ledger, tmp_path) == 3
    assert sealed_numbers(tmp_path) == [1, 3, 5]


@dataclass
class Hook:
    """A webhook that keeps what it is sent; ``status`` is what it answers, 0: nothing at all."""

    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


@asynccontextmanager
async def listening() -> AsyncIterator[Hook]:
    hook = Hook()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = [
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le")
        ]
        body = json.loads(await reader.readexactly(length))
        if hook.status:
            if hook.status == 200:
                hook.bodies.append(body)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % hook.status)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    hook.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/seals"
    async with server:
        yield hook


async def test_a_webhook_gets_each_seal_once_as_it_was_signed(
    ledger: Database, clock: FixedClock, tmp_path: Path
) -> None:
    async with listening() as hook:
        for hour in (0, 1):
            clock.move_to(NOON + hour * HOUR)
            await post(ledger, 2, f"h{hour}")
            assert await seal_due(ledger, tmp_path, hook.url) == 1
    sent = [seal for body in hook.bodies for seal in body["seals"]]
    assert [seal_form.checked(seal, None).entry_number for seal in sent] == [2, 4]
    assert {"pointsbank", "seals"} == set(hook.bodies[0])


@pytest.mark.parametrize("status", [500, 0])
async def test_a_webhook_that_fails_loses_nothing_and_gets_all_with_the_next_seal(
    ledger: Database, clock: FixedClock, tmp_path: Path, status: int
) -> None:
    async with listening() as hook:
        hook.status = status
        await post(ledger, 1, "a")
        assert await seal_due(ledger, tmp_path, hook.url) == 1
        assert sealed_numbers(tmp_path) == [1]
        hook.status = 200
        clock.move_to(NOON + HOUR)
        await post(ledger, 1, "b")
        assert await seal_due(ledger, tmp_path, hook.url) == 1
    assert [seal["entry_number"] for body in hook.bodies for seal in body["seals"]] == [1, 2]


async def test_a_printed_seal_can_be_read_aloud_and_compared(ledger: Database, tmp_path: Path) -> None:
    await post(ledger, 3, "a")
    async with ledger.unit_of_work(1) as uow:
        line = await seals.seal_head(uow, seals.load_key(tmp_path))
    seal = json.loads(line)
    paper = seals.printed(line, "test-1")
    assert paper.startswith("test-1  entry 3  2026-03-02T04:00:00")
    groups = [word for word in paper.split() if len(word) == 4 and word not in ("root", "head")]
    assert "".join(groups[:16]) == seal["merkle_root"]
    assert "".join(groups[16:32]) == seal["hash"]
    assert all(len(row) < 60 for row in paper.splitlines())


@pytest.mark.parametrize(
    "change",
    [
        {"entry_number": 4},
        {"merkle_root": "00" * 32},
        {"sealed_at": "2026-03-02T05:00:00.000000+00:00"},
        {"community_id": 2},
        {"signature": "00" * 64},
        {"signature": None},
        {"public_key": "00" * 32},
        {"more": 1},
    ],
)
async def test_a_seal_with_anything_changed_does_not_hold(
    ledger: Database, tmp_path: Path, change: dict[str, Any]
) -> None:
    await post(ledger, 3, "a")
    async with ledger.unit_of_work(1) as uow:
        line = await seals.seal_head(uow, seals.load_key(tmp_path))
    assert seal_form.parsed(line, None).entry_number == 3
    with pytest.raises(seals.SealUnreadable):
        seal_form.parsed(json.dumps(json.loads(line) | change), None)


async def test_the_books_are_verified_once_a_local_day_and_what_was_found_is_kept(
    ledger: Database, clock: FixedClock, tmp_path: Path
) -> None:
    await post(ledger, 3, "a")
    await seal_due(ledger, tmp_path)

    async def verify_due() -> int | None:
        async with ledger.unit_of_work(1, snapshot=True) as uow:
            done = await jobs.verify_if_day_ended(uow, tmp_path, timezone=TIMEZONE, processes=None)
        return None if done is None else done.entries

    assert await verify_due() == 3
    await post(ledger, 1, "b")
    clock.move_to(MIDNIGHT - timedelta(seconds=1))
    assert await verify_due() is None
    clock.move_to(MIDNIGHT)
    assert await verify_due() == 4
    last = last_verification.recall(tmp_path, 1)
    assert last is not None
    assert (last.at, last.entries, last.sound) == (MIDNIGHT, 4, True)


async def test_a_verification_that_fails_is_kept_as_failed_and_tried_again_within_the_day(
    ledger: Database, clock: FixedClock, tmp_path: Path
) -> None:
    await post(ledger, 3, "a")
    await seal_due(ledger, tmp_path)
    path = seals.seals_file(tmp_path, 1)
    good = path.read_text()

    async def verify_due() -> bool:
        async with ledger.unit_of_work(1, snapshot=True) as uow:
            return (
                await jobs.verify_if_day_ended(uow, tmp_path, timezone=TIMEZONE, processes=None) is not None
            )

    assert await verify_due()
    clock.move_to(MIDNIGHT)
    path.write_text(good + "{")
    with pytest.raises(seals.SealUnreadable):
        await verify_due()
    last = last_verification.recall(tmp_path, 1)
    assert last is not None
    assert (last.failed, last.sound, last.good_at) == ("seal_unreadable", False, NOON)
    path.write_text(good)
    clock.move_to(MIDNIGHT + timedelta(minutes=59))
    assert not await verify_due(), "not at once"
    clock.move_to(MIDNIGHT + HOUR)
    assert await verify_due()
    last = last_verification.recall(tmp_path, 1)
    assert last is not None
    assert last.sound
    assert not last.is_stale(last.at + timedelta(days=2))
    assert last.is_stale(last.at + timedelta(days=2, seconds=1))


async def test_the_daily_verification_knows_the_key_and_what_was_sent_away(
    ledger: Database, clock: FixedClock, tmp_path: Path
) -> None:
    await post(ledger, 3, "a")
    (tmp_path / "other").mkdir()
    async with ledger.unit_of_work(1) as uow:
        forged = await seals.seal_head(uow, seals.load_key(tmp_path / "other"))
    seals.load_key(tmp_path)
    path = seals.seals_file(tmp_path, 1)
    seals.append_seal(path, forged)
    seals.sent_mark(path).write_text("2\n")
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        done = await jobs.verify_if_day_ended(uow, tmp_path, timezone=TIMEZONE, processes=None)
    assert done is not None
    assert {each.fault for each in done.findings} == {Fault.SEAL_FORGED, Fault.SEALS_MISSING}


def test_a_seal_begins_a_line_of_its_own_after_one_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "seals" / "some.jsonl"
    seals.append_seal(path, "one")
    with path.open("a") as file:
        file.write('{"cut')
    seals.append_seal(path, "two")
    seals.append_seal(path, "three")
    assert path.read_text() == 'one\n{"cut\ntwo\nthree\n'


@pytest.mark.parametrize("wrong", [{"hash": "00" * 32}, {"merkle_root": "00" * 32}, {"entry_number": 9}])
async def test_a_journal_that_does_not_go_on_from_the_last_seal_is_not_sealed(
    ledger: Database, clock: FixedClock, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    await post(ledger, 300, "a")
    assert await seal_due(ledger, tmp_path) == 1
    (seal,) = seals.kept_seals(seals.seals_file(tmp_path, 1))
    seal |= wrong
    other = seal_form.sign(
        seals.load_key(tmp_path),
        community_id=1,
        entry_number=seal["entry_number"] + (1_000 if "entry_number" in wrong else 0),
        hash_=bytes.fromhex(seal["hash"]),
        merkle_root=bytes.fromhex(seal["merkle_root"]),
        algorithm="sha256",
        sealed_at=NOON,
    )
    good = seals.seals_file(tmp_path, 1).read_text()
    seals.append_seal(seals.seals_file(tmp_path, 1), json.dumps(other))
    clock.move_to(NOON + HOUR)
    await post(ledger, 300, "b")
    with pytest.raises(seals.SealNotContinued):
        await seal_due(ledger, tmp_path)
    async with ledger.unit_of_work(1) as uow:
        assert [each["entry_number"] for each in await seals.newest(uow)] == [300], "nothing was signed"
    seals.seals_file(tmp_path, 1).write_text(good)
    assert await seal_due(ledger, tmp_path) == 1
    assert sealed_numbers(tmp_path) == [300, 600]


async def test_a_day_that_ended_before_the_last_seal_kept_is_sealed_when_it_fits(
    ledger: Database, clock: FixedClock, tmp_path: Path
) -> None:
    """A seal that only the file has: the database's copy is gone, as after an import."""
    await post(ledger, 300, "a")
    key = seals.load_key(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        async with ledger.unit_of_work(1) as uow:
            line = await seals.seal_head(uow, key)
            raise KeyboardInterrupt
    last = seal_form.parsed(line, None)
    async with ledger.unit_of_work(1) as uow:
        assert await seals.seal_head(uow, key, number=7, last=last)
