"""From hold to capture, a night's settlement, a lunch hour: how many, how long, how much memory.

Real processes on one machine: api, canteen, station and workers, PostgreSQL (fsync on) and Valkey. A
redemption is redeemed here, ordered by a worker, accepted by the canteen, handed over, told and captured. The
reference does as many signed HTTP round trips and as many commits, with nothing decided by either side.

    uv run python -m tests.bench.bench_settlement [--quick] [--json FILE]
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import httpx
import psutil

from pointsbank.platform.clock import SystemClock, local_date
from pointsbank.platform.database import Database
from pointsbank.platform.signing import sign
from services.settlement import batches, reconciliation
from tests.bench import form
from tests.bench.form import Rows, row
from tests.bench.settlement_world import TIMEZONE, World, bank, paper_day, servers, telling
from tests.partners.support import SECRET, free_port
from tests.processes import LUNCHES, Bank, http_process

AT_ONCE = 16
ROUND_TRIPS, COMMITS = 4, 10
"""Of one redemption: order, accepted, hand-over and fulfilled are told; and each is committed on the side
that tells and the side that hears, besides the hold and the capture."""

LUNCH_PER_SECOND = 50
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 600.0


class Watch:
    """Sees when redemptions are accepted, hands those over, and sees when they are captured."""

    def __init__(self, running: Bank) -> None:
        self._bank = running
        self.made: dict[UUID, float] = {}
        self.accepted: dict[UUID, float] = {}
        self.handed: dict[UUID, float] = {}
        self.captured: dict[UUID, float] = {}
        self.wrong: list[str] = []
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []

    async def look(self, connection: asyncpg.Connection) -> None:
        """Look once at all that is under way."""
        waiting = [each for each in self.made if each not in self.captured]
        rows = await connection.fetch(
            "SELECT id, state FROM bank.redemptions WHERE community_id = 1 AND id = ANY($1::uuid[])"
            " AND state NOT IN ('held', 'requested')",
            waiting,
        )
        now = time.perf_counter()
        fresh: list[UUID] = []
        for found in rows:
            if found["state"] == "fulfilled":
                self.captured[found["id"]] = now
            elif found["state"] != "accepted":
                self.wrong.append(found["state"])
                self.captured[found["id"]] = now
            elif found["id"] not in self.accepted:
                self.accepted[found["id"]] = now
                fresh.append(found["id"])
        for each in fresh:
            self._tasks.append(asyncio.create_task(self._hand_over(each)))

    async def _hand_over(self, redemption_id: UUID) -> None:
        async with self._turn:
            try:
                await self._bank.partners["canteen"].fulfil(1, redemption_id)
            except Exception as error:
                self.wrong.append(type(error).__name__)
        self.handed[redemption_id] = time.perf_counter()

    async def until_all(self, owner_url: str, finished: asyncio.Event) -> None:
        """Look again and again until all that was made is captured."""
        connection = await asyncpg.connect(owner_url)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (finished.is_set() and len(self.captured) == len(self.made)):
                    await self.look(connection)
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await connection.close()


async def end_to_end(running: Bank, world: World, numbers: list[int]) -> tuple[float, Watch]:
    """Return redemptions a second from the first hold to the last capture."""
    watch, finished = Watch(running), asyncio.Event()
    waiting = iter(numbers)

    async def redeem() -> None:
        for number in waiting:
            begun = time.perf_counter()
            watch.made[await running.redeem(number)] = begun

    begun = time.perf_counter()
    looking = asyncio.create_task(watch.until_all(world.owner_url, finished))
    await asyncio.gather(*(redeem() for _ in range(AT_ONCE)))
    finished.set()
    await looking
    return len(numbers) / (time.perf_counter() - begun), watch


async def peak(running: Bank, world: World, numbers: list[int]) -> tuple[Watch, list[float]]:
    """Let members redeem at ``LUNCH_PER_SECOND``, whatever the answers take; return what came of it.

    Also returns the seconds each member waited for the answer.
    """
    watch, finished, waited = Watch(running), asyncio.Event(), list[float]()

    async def redeem(number: int, due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        try:
            watch.made[await running.redeem(number)] = due
        except Exception as error:
            watch.wrong.append(type(error).__name__)
        waited.append(time.perf_counter() - due)

    looking = asyncio.create_task(watch.until_all(world.owner_url, finished))
    begun = time.perf_counter() + 0.1
    await asyncio.gather(
        *(redeem(number, begun + place / LUNCH_PER_SECOND) for place, number in enumerate(numbers))
    )
    finished.set()
    await looking
    return watch, waited


async def bare(world: World, count: int) -> float:
    """Return sets of ``ROUND_TRIPS`` signed round trips and ``COMMITS`` commits a second, nothing decided."""
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute("CREATE TABLE IF NOT EXISTS bench_commits (number bigint)")
    await owner.close()
    port, clock = free_port(), SystemClock()
    environment = {"BENCH_DATABASE_URL": world.owner_url}
    log = world.folder / "bare.log"
    async with (
        http_process("tests.bench.bare_partner:create_app", port, environment, log) as url,
        httpx.AsyncClient(trust_env=False, base_url=url) as http,
        asyncpg.create_pool(world.owner_url, min_size=1, max_size=10) as pool,
    ):
        numbers = iter(range(count))

        async def one() -> None:
            for number in numbers:
                for _ in range(ROUND_TRIPS):
                    path, content = f"/orders/{number}", b'{"item":"lunch_set","quantity":1}'
                    signed = sign(SECRET, "platform", "PUT", path, content, at=clock.now())
                    (await http.put(path, content=content, headers=signed)).raise_for_status()
                for _ in range(COMMITS - ROUND_TRIPS):
                    await pool.execute("INSERT INTO bench_commits VALUES ($1)", number)

        begun = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))
        return count / (time.perf_counter() - begun)


class Growth:
    """How far this process's own memory grows while the block runs, in MiB."""

    def __enter__(self) -> Growth:
        self._process = psutil.Process(os.getpid())
        self._from = self._most = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._most = max(self._most, self._process.memory_info().rss)

    @property
    def mebibytes(self) -> float:
        """The growth."""
        return (self._most - self._from) / 2**20


async def _grown(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    with Growth() as growth:
        begun = time.perf_counter()
        await work()
        seconds = time.perf_counter() - begun
    return seconds, growth.mebibytes


async def night(rows: Rows, world: World, members: list[UUID], lines: int) -> None:
    """Compare and freeze a day of ``lines`` lines; the reference reads the same lines and no more."""
    database = Database(world.at.app, pool_size=2)
    try:
        past = await paper_day(database, members, lines)
        today = local_date(SystemClock().now(), TIMEZONE)
        connection = await asyncpg.connect(world.owner_url)
        begun = time.perf_counter()
        async with connection.transaction():
            async for _ in connection.cursor(
                "SELECT id, milli_points, fen FROM bank.redemptions WHERE community_id = 1"
                " AND captured_on = $1 ORDER BY id",
                today,
                prefetch=1_000,
            ):
                pass
        read = time.perf_counter() - begun
        await connection.close()
        client = telling(past)
        seconds, grown = await _grown(lambda: reconciliation.reconcile_day(database, client, 1, today))
        rows.add(
            row(f"reconciliation of {lines:,} lines", seconds, "s", read),
            row("its memory above the process's own", grown, "MiB"),
        )
        seconds, grown = await _grown(lambda: batches.freeze_batches(database, 1, today))
        rows.add(
            row(f"nightly batches of {lines:,} lines", seconds, "s", read),
            row("their memory above the process's own", grown, "MiB"),
        )
    finally:
        await database.close()


def hundredth(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of all lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, round(share * len(ordered)) - 1)] if ordered else float("nan")


async def measure(rows: Rows, world: World, *, quick: bool) -> None:
    """Measure every case."""
    count, lunch = (150, 20 * LUNCH_PER_SECOND) if quick else (2_000, 300 * LUNCH_PER_SECOND)
    lines = 10_000 if quick else 100_000
    members = (2 * count + lunch) // LUNCHES + lines // 50 + 2
    async with bank(world, members=members) as running:
        await bare(world, count // 4)
        reference = await bare(world, count)
        rows.add(row(f"bare: {ROUND_TRIPS} round trips, {COMMITS} commits", reference, "a second"))
        first = 0
        for workers in (1, 2):
            running.start_worker(POINTSBANK_SWEEP_SECONDS="5")
            numbers = list(range(first, first + count))
            first += count
            await asyncio.sleep(5)
            rate, watch = await end_to_end(running, world, numbers)
            rows.add(row(f"redemptions end to end, {workers} worker(s)", rate, "a second", reference))
            rows.add(row("  of them with an error", len(watch.wrong), ""))
        watch, waited = await peak(running, world, list(range(first, first + lunch)))
        seconds = lunch // LUNCH_PER_SECOND
        rows.add(
            row(f"lunch peak: {LUNCH_PER_SECOND} a second for {seconds} s", len(watch.captured), "captured")
        )
        for name, taken in (
            ("the member's answer", waited),
            ("accepted by the canteen", [watch.accepted[each] - at for each, at in watch.made.items()]),
            (
                "captured after the hand-over",
                [watch.captured[each] - at for each, at in watch.handed.items()],
            ),
        ):
            for share in (0.5, 0.95, 0.99):
                rows.add(row(f"  {name}, {share:.0%}", hundredth(taken, share) * 1e3, "ms"))
        rows.add(row("  errors", len(watch.wrong), ""))
        for worker in running.workers:
            worker.terminate()
        ids = [each.id for each in running.members[-(lines // 50) :]]
    await night(rows, world, ids, lines)


def main() -> None:
    """Run the benchmark and print its table."""
    chosen = form.options("bench_settlement")
    rows = Rows()
    with servers() as world:
        asyncio.run(measure(rows, world, quick=chosen.quick))
    form.report("From hold to capture", rows.all, chosen)


if __name__ == "__main__":
    main()
