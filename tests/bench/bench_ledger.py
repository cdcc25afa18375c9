"""How fast is the ledger, through its own services, at full durability?

Every rate of posting stands beside pgbench's tpcb-like at eight clients, measured on the same server right
before and right after; a lone post beside one bare durable insert; a bulk beside a bare COPY. Chain,
idempotency and floors are on, as always; fsync is on, the server's settings are those of ``pointsbank up``.
Entries are made beforehand, as whoever posts has made them; everything from there on counts: packing,
sending, judging, recording, answering. Before each case the server writes a checkpoint and a share of the
work is done unmeasured, so that no case pays for the first touch of pages that another has spared itself.

    uv run python -m tests.bench.bench_ledger [--quick] [--entries N] [--json FILE]

The full run also grows one journal to 10,000,000 entries and measures again there: posting must not slow
down. --entries gives that journal another length; --quick leaves it out. Rows are told as they come.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

import asyncpg

from pointsbank.domain.journal import InsufficientPoints
from services.ledger.views import VerdictKind
from tests.bench import form
from tests.bench.form import Rows, row
from tests.bench.ledger_reads import exported, look_ups, verified
from tests.bench.ledger_world import (
    COMMUNITIES,
    World,
    checkpoint,
    found,
    know_accounts,
    movings,
    opened,
    seconds_since,
    wal_position,
    world,
)

FEW, MANY = 100_000, 10_000_000
BULK_ENTRIES = 40_000
LONE_POSTS = 1_500
POSTED = {1: 4_000, 8: 20_000, 32: 40_000, 256: 80_000}
"""Entries that so many posters post while they are measured; half as many again before."""


class Measured:
    """Rows, each rate with the reference measured around it."""

    def __init__(self, here: World, rows: Rows) -> None:
        self.here = here
        self.rows = rows
        self._before = here.pgbench.per_second()

    def rate(self, case: str, work: Callable[[], tuple[int, float, int]]) -> float:
        """Measure entries per second, as a multiple of the reference; return that multiple.

        ``work`` returns (entries, seconds, bytes of log written).
        """
        asyncio.run(checkpoint(self.here))
        entries, seconds, written = work()
        after = self.here.pgbench.per_second()
        reference, self._before = (self._before + after) / 2, after
        self.rows.add(
            row(case, entries / seconds, "entries/s", reference),
            row("… write-ahead log", written / entries, "bytes/entry"),
        )
        return entries / seconds / reference


def gathered(
    here: World,
    posters: int,
    entries: int,
    *,
    hot: float = 0.0,
    poor: float = 0.0,
    communities: int = 1,
) -> tuple[int, float, int]:
    """Let so many posters post one entry after the other, each waiting for its own; refusals count too."""
    each = -(-entries // posters)

    async def run() -> tuple[int, float, int]:
        made = [list(movings(each + each // 2, hot=hot, poor=poor, seed=number)) for number in range(posters)]
        async with opened(here.app_url) as (_, poster):

            async def post(number: int, from_: int, to: int) -> None:
                community = COMMUNITIES[number % communities]
                for entry in made[number][from_:to]:
                    with suppress(InsufficientPoints):
                        await poster.post(community, entry)

            with settled():
                await asyncio.gather(*(post(number, each, each + each // 2) for number in range(posters)))
                wal = await wal_position(here)
                begun = time.perf_counter()
                await asyncio.gather(*(post(number, 0, each) for number in range(posters)))
                took = seconds_since(begun)
            return each * posters, took, await wal_position(here) - wal

    know_accounts(COMMUNITIES)
    return asyncio.run(run())


@contextmanager
def settled() -> Iterator[None]:
    """As in a process that has run for a while: long-lived objects out of the collector's way."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def bulk(here: World, communities: tuple[int, ...], entries: int) -> tuple[int, float, int]:
    """Let a process for each community post a bulk, all at once; the slowest counts."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        start = manager.Barrier(len(communities) + 1)
        with ProcessPoolExecutor(len(communities), mp_context=context) as pool:
            runs = [pool.submit(_bulk, here.app_url, community, entries, start) for community in communities]
            start.wait()
            wal = asyncio.run(wal_position(here))
            start.wait()
            spans = [run.result() for run in runs]
    written = asyncio.run(wal_position(here)) - wal
    took = max(end for _, end in spans) - min(begun for begun, _ in spans)
    return entries * len(communities), took, written


def _bulk(url: str, community: int, entries: int, start: threading.Barrier) -> tuple[float, float]:
    async def run() -> tuple[float, float]:
        async with opened(url) as (_, poster):
            async for _ in poster.post_bulk(community, movings(entries // 2, seed=community + 100)):
                pass
            made = list(movings(entries, seed=community))
            with settled():
                await asyncio.to_thread(start.wait)  # all are ready
                await asyncio.to_thread(start.wait)  # the log has been read
                begun = time.time()
                async for _ in poster.post_bulk(community, made):
                    pass
                return begun, time.time()

    know_accounts((community,))
    return asyncio.run(run())


def again(here: World, entries: int) -> tuple[int, float, int]:
    """Send a bulk whose entries are all recorded already."""

    async def run() -> tuple[int, float, int]:
        made = list(movings(entries, seed=11))
        async with opened(here.app_url) as (_, poster):
            async for _ in poster.post_bulk(1, made):
                pass
            with settled():
                wal = await wal_position(here)
                begun = time.perf_counter()
                async for verdicts in poster.post_bulk(1, made):
                    assert verdicts[0].kind is VerdictKind.ALREADY
                took = seconds_since(begun)
            return entries, took, await wal_position(here) - wal

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
        made = list(movings(posts))
        async with opened(here.app_url) as (_, poster):
            with settled():
                for entry in made:
                    for times, work in zip(
                        took, (lambda e=entry: poster.post(1, e), lambda: insert.fetch(1)), strict=True
                    ):
                        begun = time.perf_counter()
                        await work()
                        times.append(seconds_since(begun))
        await bare.close()
        return statistics.median(took[0]), statistics.median(took[1])

    know_accounts((1,))
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
    post, insert = lone(here, LONE_POSTS // (3 if quick else 1))
    measured.rows.add(row("a lone post, beside one durable insert", post * 1e3, "ms", insert * 1e3))
    for posters in (8, 256) if quick else (1, 8, 32, 256):
        entries = POSTED[posters] // (2 if quick else 1)
        measured.rate(
            f"{posters} poster{'s' * (posters > 1)}, random accounts",
            partial(gathered, here, posters, entries),
        )
    crowd = POSTED[256] // (2 if quick else 1)
    measured.rate("256 posters, half to one account", lambda: gathered(here, 256, crowd, hot=0.5))
    poor = partial(gathered, here, 256, crowd, poor=0.01)
    measured.rate("256 posters, one post in a hundred refused", poor)
    if not quick:
        four = "256 posters over 4 communities"
        measured.rate(four, lambda: gathered(here, 256, crowd, communities=4))
    measured.rate("bulk, one community", lambda: bulk(here, (1,), BULK_ENTRIES))
    measured.rate("a bulk that was recorded before, once more", lambda: again(here, BULK_ENTRIES // 4))
    measured.rate("bulk, 4 communities at once", lambda: bulk(here, COMMUNITIES, BULK_ENTRIES))
    copied, took = bare_copy(here, BULK_ENTRIES)
    measured.rows.add(row("bare COPY of journal lines", copied / took, "lines/s"))


def at_length(here: World, measured: Measured, length: int) -> tuple[float, float]:
    """Grow the journal to a length; measure reading there, then posting; return the multiples of posting."""
    grow(here, length)
    measured.rows.add(*look_ups(here, length), *verified(here), *exported(here, length))
    return (
        measured.rate(f"256 posters at {length:,} entries", lambda: gathered(here, 256, POSTED[256])),
        measured.rate(f"bulk at {length:,} entries", lambda: bulk(here, (1,), BULK_ENTRIES)),
    )


def main() -> None:
    """Run the benchmark and print its table."""
    chosen = form.options("bench_ledger")
    rows = form.Rows()
    with world() as here:
        asyncio.run(found(here))
        measured = Measured(here, rows)
        if chosen.quick:
            posting(here, measured, quick=True)
            rows.add(*look_ups(here, asyncio.run(length_of(here))), *verified(here))
        else:
            short = at_length(here, measured, FEW)
            posting(here, measured, quick=False)
            long = at_length(here, measured, chosen.entries or MANY)
            for name, few, many in zip(("posters", "bulk"), short, long, strict=True):
                case = f"{name}: the long journal's multiple, beside the short one's"
                rows.add(row(case, many, "×", few))
        form.report("The ledger", rows.all, chosen)


if __name__ == "__main__":
    main()
