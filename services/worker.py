"""The worker: carries out what the outbox holds, and tends what only time moves.

arq rings the moment an intent is committed; its job does no more than that. The worker's own sweep rings for
every community, so that it needs Valkey only to be quick: while Valkey is away the sweep goes on, and arq
comes back by itself. What asks a partner has a lane apart from what only moves points: a partner that is slow
to answer keeps no capture and no void waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from arq.worker import Worker, func
from redis.exceptions import RedisError

from pointsbank.platform import idempotency, outbox, queue, telemetry
from pointsbank.platform.database import Database, UnitOfWork
from pointsbank.platform.lane import Lane
from pointsbank.platform.outbox import Topics
from pointsbank.platform.queue import Queue
from pointsbank.platform.settings import Settings
from services.care import jobs as care_jobs
from services.ledger import jobs as ledger_jobs
from services.ledger.proof.verification import Processes
from services.matching import jobs as matching_jobs
from services.people import service as people
from services.settlement import jobs as settlement_jobs
from services.settlement import service as redemptions
from services.settlement import settling
from services.settlement.client import Partners, open_partners
from services.settlement.meals import feedback
from services.settlement.meals import jobs as meal_jobs

log = structlog.get_logger(__name__)

JOB_SECONDS_MAX = 5
"""arq's job only rings, so its time limit is small; what is rung for has ``outbox.HANDLER_SECONDS_MAX``.

arq tries a job once (``max_tries``) and drops what a killed worker had begun: the sweep takes that up again
when the intent's lease has ended.
"""

SEAL_LOOK_SECONDS = 60
"""How often the worker looks whether a seal is due: a local day ends in the midst of any hour."""

APART_SECONDS = 60
"""How often the worker looks whether two who are kept apart have anything left to do with each other."""

JOBS_AT_ONCE = 50
POLL_SECONDS = 0.1
HEALTH_SECONDS = 5
RECONNECT_SECONDS = 2.0
JOBS_END_SECONDS_MAX = 2.0
STOP_SECONDS_MAX = 4.0

MOVES_AT_ONCE, ASKS_AT_ONCE = 32, 8
"""Intents under way in one process: those that only move points share their commits, the others wait."""

ASKS_A_PARTNER = frozenset(
    {redemptions.REQUEST, redemptions.CANCEL, redemptions.INTRODUCE, feedback.RATE, feedback.COMPLAIN}
)
"""Topics whose handlers wait for another house; all others are done with our own database."""

CommunityWork = Callable[[int], Awaitable[object]]


class WorkerProcess:
    """One worker: arq's loop, the sweep and the settling of ended days, until told to stop."""

    def __init__(self, settings: Settings, database: Database, partners: Partners, redis_url: str) -> None:
        self._database = database
        self._redis_url = redis_url
        self._gathered = settlement_jobs.gathering(database)
        handlers = {
            **settlement_jobs.handlers(database, partners, self._gathered),
            **meal_jobs.handlers(database, partners),
        }
        asking = Topics(ASKS_A_PARTNER)
        self._moves = Lane(database, handlers, replace(asking, others=True), at_once=MOVES_AT_ONCE)
        self._asks = Lane(database, handlers, asking, at_once=ASKS_AT_ONCE)
        self._stopping = asyncio.Event()
        self._rounds: list[tuple[float, str, CommunityWork]] = [
            (settings.sweep_seconds, "outbox", self._sweep),
            (
                settings.sweep_seconds,
                "lapse",
                lambda community: settlement_jobs.lapse_overdue(database, community),
            ),
            (
                settings.sweep_seconds,
                "ask",
                lambda community: settlement_jobs.ask_after_silent(database, partners, community),
            ),
            (settings.sweep_seconds, "offers", self._in_one_commit(matching_jobs.lapse_offers)),
            (settings.sweep_seconds, "requests", self._in_one_commit(care_jobs.expire_requests)),
            (settings.sweep_seconds, "waiting", self._in_one_commit(care_jobs.escalate_waiting)),
            (settings.batch_seconds, "series", self._in_one_commit(care_jobs.make_requests)),
            (APART_SECONDS, "apart", self._in_one_commit(care_jobs.part_kept_apart)),
            (APART_SECONDS, "apart_offers", self._in_one_commit(matching_jobs.part_offers)),
            (settings.sweep_seconds, "visits", self._in_one_commit(care_jobs.tend_visits)),
            (
                settings.batch_seconds,
                "settle",
                lambda community: settling.settle_ended_days(database, partners, community),
            ),
            (min(settings.seal_seconds, SEAL_LOOK_SECONDS), "seal", self._in_one_commit(_seal(settings))),
            (settings.seal_seconds, "verify", self._verify(settings)),
            (min(settings.seal_seconds, SEAL_LOOK_SECONDS), "prove", self._prove),
            (
                settings.batch_seconds,
                "expire",
                lambda community: ledger_jobs.expire_lots(database, community),
            ),
            (
                settings.sweep_seconds,
                "runs",
                lambda community: meal_jobs.read_runs(database, partners, community),
            ),
            (
                settings.batch_seconds,
                "answers",
                lambda community: meal_jobs.read_answers(database, partners, community),
            ),
            (
                settings.batch_seconds,
                "standing",
                lambda community: meal_jobs.order_standing(database, community),
            ),
            (settings.batch_seconds, "forget", self._in_one_commit(_forget)),
        ]
        if settings.pairing_seconds:
            self._rounds.append(
                (
                    settings.pairing_seconds,
                    "pair",
                    lambda community: matching_jobs.pair_open_requests(database, community),
                )
            )

    def stop(self) -> None:
        """Begin to stop: nothing new is taken, what runs may be cut off (it will run again)."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until :meth:`stop`."""
        lanes = [asyncio.create_task(lane.run()) for lane in (self._moves, self._asks)]
        tasks = [
            asyncio.create_task(self._wakes()),
            *(asyncio.create_task(self._repeat(*round_)) for round_ in self._rounds),
        ]
        log.info("worker_started")
        await self._stopping.wait()
        _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS_MAX)
        for task in late:
            task.cancel()
        for task in lanes:
            task.cancel()
        await asyncio.gather(*tasks, *lanes, return_exceptions=True)
        await self._gathered.close()
        log.info("worker_stopped")

    async def ring(self, _ctx: dict[Any, Any], community_id: int, topic: str) -> None:
        """Begin what arq was woken for, without waiting for its end."""
        (self._asks if topic in ASKS_A_PARTNER else self._moves).ring(community_id)

    async def _sweep(self, community_id: int) -> None:
        for lane in (self._moves, self._asks):
            lane.ring(community_id)
        await outbox.bury(self._database, community_id)

    def _verify(self, settings: Settings) -> CommunityWork:
        """Return the work of verifying the books when a local day has ended, in one process beside this."""
        url = settings.app_database_url
        processes = Processes(url.get_secret_value(), 1) if url else None

        async def work(community_id: int) -> None:
            async with self._database.unit_of_work(community_id, snapshot=True) as uow:
                timezone = (await people.community(uow)).timezone
                await ledger_jobs.verify_if_day_ended(
                    uow, settings.data, timezone=timezone, processes=processes
                )

        return work

    async def _prove(self, community_id: int) -> None:
        async with self._database.unit_of_work(community_id) as uow:
            timezone = (await people.community(uow)).timezone
        await ledger_jobs.prove_ended_day(self._database, community_id, timezone=timezone)

    def _in_one_commit(self, job: Callable[[UnitOfWork], Awaitable[object]]) -> CommunityWork:
        async def work(community_id: int) -> None:
            async with self._database.unit_of_work(community_id) as uow:
                await job(uow)

        return work

    async def _repeat(self, seconds: float, name: str, work: CommunityWork) -> None:
        # Each kind of work has a loop of its own: a partner that is slow to answer delays no other.
        while not self._stopping.is_set():
            await self._in_every_community(name, work)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _in_every_community(self, name: str, work: CommunityWork) -> None:
        try:
            async with self._database.session() as session:
                communities = [community.id for community in await people.communities(session)]
        except Exception as error:
            log.warning("work_failed", work=name, error=type(error).__name__)
            return
        for community_id in communities:
            try:
                await work(community_id)
            except Exception as error:  # one community's trouble, or one kind of work's, is not another's
                log.error("work_failed", work=name, community=community_id, exc_info=error)

    async def _wakes(self) -> None:
        """Run arq; when Valkey goes away, wait and begin again."""
        while not self._stopping.is_set():
            worker = Worker(
                [func(self.ring, name=queue.RING)],  # type: ignore[arg-type]
                redis_settings=queue.redis_settings(self._redis_url),
                handle_signals=False,
                max_jobs=JOBS_AT_ONCE,
                job_timeout=JOB_SECONDS_MAX,
                keep_result=0,
                max_tries=1,
                retry_jobs=False,
                poll_delay=POLL_SECONDS,
                health_check_interval=HEALTH_SECONDS,
                job_serializer=queue.encode,
                job_deserializer=queue.decode,
            )
            working = asyncio.create_task(worker.async_run())
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            await self._close(worker)
            working.cancel()
            (ended,) = await asyncio.gather(working, return_exceptions=True)
            if not self._stopping.is_set():
                log.warning("queue_lost", error=type(ended).__name__)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RECONNECT_SECONDS)

    async def _close(self, worker: Worker) -> None:
        """Let arq's jobs end, cut off those that will not, and have it say that it has gone."""
        worker.allow_pick_jobs = False
        if jobs := list(worker.tasks.values()):
            _, late = await asyncio.wait(jobs, timeout=JOBS_END_SECONDS_MAX)
            for job in late:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        # A job that was cut off would make arq's own ending raise before its health key is gone.
        worker.tasks.clear()
        with contextlib.suppress(RedisError, OSError):
            await worker.close()


def _seal(settings: Settings) -> Callable[[UnitOfWork], Awaitable[object]]:
    """Return the work of sealing: when the hour has passed, and when a local day has ended."""
    webhook = settings.seal_webhook.get_secret_value() if settings.seal_webhook else None

    async def work(uow: UnitOfWork) -> None:
        timezone = (await people.community(uow)).timezone
        await ledger_jobs.seal_due(
            uow,
            settings.data,
            timezone=timezone,
            every=timedelta(seconds=settings.seal_seconds),
            webhook=webhook,
        )

    return work


async def _forget(uow: UnitOfWork) -> None:
    """Drop what need not be remembered any longer."""
    await outbox.forget(uow)
    await idempotency.forget(uow)
    await people.forget_tokens(uow)
    await settlement_jobs.forget(uow)
    await care_jobs.forget_codes(uow)
    await matching_jobs.forget_inputs(uow)


async def run(settings: Settings, *, app_database_url: str, redis_url: str) -> None:
    """Run the worker until SIGTERM or SIGINT."""
    database, wakes = Database(app_database_url), Queue(redis_url)
    database.wake = wakes.wake
    try:
        async with open_partners(settings) as partners:
            process = WorkerProcess(settings, database, partners, redis_url)
            loop = asyncio.get_running_loop()
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(signum, process.stop)
            await process.run()
    finally:
        await wakes.close()
        await database.close()


def main() -> int:
    """Read the settings and run; return the exit code."""
    settings = Settings()
    telemetry.configure("worker", level=settings.log_level)
    for name in ("app_database_url", "redis_url"):
        if getattr(settings, name) is None:
            sys.stderr.write(f"the worker needs POINTSBANK_{name.upper()}; `pointsbank up` sets it\n")
            return 2
    assert settings.app_database_url is not None
    assert settings.redis_url is not None
    asyncio.run(
        run(
            settings,
            app_database_url=settings.app_database_url.get_secret_value(),
            redis_url=settings.redis_url.get_secret_value(),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
