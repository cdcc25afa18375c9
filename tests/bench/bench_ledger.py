"""How fast is the ledger, through its own services, at full durability?

Every rate of posting stands beside pgbench's tpcb-like at eight clients, measured on the same server right
before and right after; a lone post beside one bare durable insert; a bulk beside a bare COPY. Chain,
idempotency and floors are on, as always; fsync is on, the server's settings are those of ``pointsbank up``.

    uv run python -m tests.bench.bench_ledger [--quick] [--entries N] [--json FILE]

The full run also grows one journal to 10,000,000 entries and measures again there: posting must not slow
down. --entries gives that journal another length; --quick leaves it out.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial

import asyncpg

from tests.bench import form
from tests.bench.form import Row, row
from tests.bench.ledger_reads import exported, look_ups, verified
from tests.bench.ledger_world import (
    COMMUNITIES,
    World,
    found,
    know_accounts,
    member,
    moving,
    movings,
    opened,
    seconds_since,
    wal_position,
    world,
)

FEW, MANY = 100_000, 10_000_000
BULK_ENTRIES = 40_000
LONE_POSTS = 1_500


class Measured:
    """Rows, each rate with the reference measured around it."""

    def __init__(self, here: World, seconds: float) -> None:
        self.here = here
        self.seconds = seconds
        self.rows: list[Row] = []
        self._before = here.pgbench.per_second()

    def rate(self, case: str, work: Callable[[], tuple[int, float]]) -> float:
        """Measure entries per second. ``work`` returns (entries, seconds)."""
        wal = asyncio.run(wal_position(self.here))
        entries, seconds = work()
        written = asyncio.run(wal_position(self.here)) - wal
        after = self.here.pgbench.per_second()
        reference, self._before = (self._before + after) / 2, after
        self.rows.append(row(case, entries / seconds, "entries/s", reference))
        self.rows.append(row("… write-ahead log", written / entries, "bytes/entry"))
        return entries / seconds


def gathered(
    here: World, posters: int, seconds: float, *, hot: float = 0.0, communities: int = 1
) -> tuple[int, float]:
    """Let so many posters post one entry after the other, each waiting for its own."""

    async def run() -> tuple[int, float]:
        async with opened(here.app_url) as (_, poster):
            await poster.post(1, moving(member(1), member(2)))
            done = 0
            begun = time.perf_counter()
            end = begun + seconds

            async def post(number: int) -> None:
                nonlocal done
                entries = movings(10**9, hot=hot, seed=number)
                community = COMMUNITIES[number % communities]
                while time.perf_counter() < end:
                    await poster.post(community, next(entries))
                    done += 1

            await asyncio.gather(*(post(number) for number in range(posters)))
            return done, seconds_since(begun)

    with settled():
        return asyncio.run(run())


@contextmanager
def settled() -> Iterator[None]:
    """As in a process that has run for a while: account ids known, long-lived objects out of the way."""
    know_accounts(COMMUNITIES)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def bulk(here: World, communities: tuple[int, ...], entries: int) -> tuple[int, float]:
    """Let a process for each community post a bulk, all at once; the slowest counts."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        start = manager.Barrier(len(communities))
        with ProcessPoolExecutor(len(communities), mp_context=context) as pool:
            runs = [pool.submit(_bulk, here.app_url, community, entries, start) for community in communities]
            spans = [run.result() for run in runs]
    return entries * len(communities), max(end for _, end in spans) - min(begun for begun, _ in spans)


def _bulk(url: str, community: int, entries: int, start: object) -> tuple[float, float]:
    async def run() -> tuple[float, float]:
        async with opened(url) as (_, poster):
            async for _ in poster.post_bulk(community, movings(2_000, seed=community + 100)):
                pass
            made = list(movings(entries, seed=community))
            await asyncio.to_thread(start.wait)  # type: ignore[attr-defined]
            begun = time.time()
            async for _ in poster.post_bulk(community, made):
                pass
            return begun, time.time()

    know_accounts((community,))
    return asyncio.run(run())


async def length_of(here: World) -> int:
    """Return how many entries community 1 has."""
    connection = await asyncpg.connect(here.owner_url)
    try:
        query = "SELECT entry_number FROM bank.ledger_heads WHERE community_id = 1"
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


def grow(here: World, to: int) -> None:
    """Post in bulk to community 1 until its journal holds ``to`` entries."""

    async def run() -> None:
        async with opened(here.app_url) as (_, poster):
            missing = max(0, to - await length_of(here))
            async for _ in poster.post_bulk(1, movings(missing, hot=0.1, seed=7)):
                pass

    asyncio.run(run())


def lone(here: World, posts: int) -> tuple[float, float]:
    """Return the median seconds of a lone post and of one bare durable insert, taken in turn."""

    async def run() -> tuple[float, float]:
        bare = await asyncpg.connect(here.owner_url)
        await bare.execute("CREATE TABLE IF NOT EXISTS public.bare (id bigserial PRIMARY KEY, amount bigint)")
        insert = await bare.prepare("INSERT INTO public.bare (amount) VALUES ($1)")
        took: tuple[list[float], list[float]] = ([], [])
        async with opened(here.app_url) as (_, poster):
            for entry in movings(posts):
                for times, work in zip(
                    took, (lambda e=entry: poster.post(1, e), lambda: insert.fetch(1)), strict=True
                ):
                    begun = time.perf_counter()
                    await work()
                    times.append(seconds_since(begun))
        await bare.close()
        return statistics.median(took[0]), statistics.median(took[1])

    with settled():
        return asyncio.run(run())


def bare_copy(here: World, entries: int) -> tuple[int, float]:
    """COPY so many journal lines to a table without a key: what the disk and the parser alone would allow."""

    async def run() -> tuple[int, float]:
        connection = await asyncpg.connect(here.owner_url)
        await connection.execute(
            "DROP TABLE IF EXISTS public.copied; "
            "CREATE TABLE public.copied AS SELECT * FROM bank.journal_lines WITH NO DATA"
        )
        rows = await connection.fetch(
            "SELECT * FROM bank.journal_lines WHERE community_id = 1 ORDER BY number LIMIT $1", entries
        )
        begun = time.perf_counter()
        await connection.copy_records_to_table("copied", schema_name="public", records=rows)
        took = seconds_since(begun)
        await connection.close()
        return len(rows), took

    return asyncio.run(run())


def posting(here: World, measured: Measured, *, quick: bool) -> None:
    """Measure posting at many sizes of crowd, hot and random, one community and four."""
    seconds = measured.seconds
    for posters in (8, 256) if quick else (1, 8, 32, 256):
        measured.rate(f"{posters} posters, random accounts", partial(gathered, here, posters, seconds))
    measured.rate("256 posters, half to one account", lambda: gathered(here, 256, seconds, hot=0.5))
    if not quick:
        four = "256 posters over 4 communities"
        measured.rate(four, lambda: gathered(here, 256, seconds, communities=4))
    measured.rate("bulk, one community", lambda: bulk(here, (1,), BULK_ENTRIES))
    measured.rate("bulk, 4 communities at once", lambda: bulk(here, COMMUNITIES, BULK_ENTRIES))
    copied, took = bare_copy(here, BULK_ENTRIES)
    measured.rows.append(row("bare COPY of journal lines", copied / took, "lines/s"))
    post, insert = lone(here, LONE_POSTS // (3 if quick else 1))
    measured.rows.append(row("a lone post", post * 1e3, "ms", insert * 1e3))


def flat(here: World, measured: Measured, many: int) -> None:
    """Measure the same posting on a short journal and on a long one."""
    rates = []
    for length in (FEW, many):
        grow(here, length)
        measured.rows += look_ups(here, length) + verified(here)
        rates.append(
            (
                measured.rate(
                    f"256 posters at {length:,} entries", lambda: gathered(here, 256, measured.seconds)
                ),
                measured.rate(f"bulk at {length:,} entries", lambda: bulk(here, (1,), BULK_ENTRIES)),
            )
        )
    for name, few, long in zip(("posters", "bulk"), *rates, strict=True):
        measured.rows.append(row(f"{name}: the long journal's rate", long, "entries/s", few))


def main() -> None:
    """Run the benchmark and print its table."""
    chosen = form.options("bench_ledger")
    with world() as here:
        asyncio.run(found(here))
        measured = Measured(here, seconds=3 if chosen.quick else 8)
        posting(here, measured, quick=chosen.quick)
        if chosen.quick:
            measured.rows += look_ups(here, asyncio.run(length_of(here))) + verified(here)
        else:
            measured.rows += exported(here)
            flat(here, measured, chosen.entries or MANY)
        form.report("The ledger", measured.rows, chosen)


if __name__ == "__main__":
    main()
