"""What the ledger does on its own: seal the head, send the seals away, verify the books, expire lots."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import structlog

from pointsbank.domain.errors import DomainError
from pointsbank.platform.clock import local_date, local_day
from pointsbank.platform.database import Database, UnitOfWork
from services.ledger import expiry, store
from services.ledger.proof import audit_store, daily, last_verification, seals
from services.ledger.proof.verification import Processes, Verification, verify

log = structlog.get_logger(__name__)

WEBHOOK_SECONDS_MAX = 10.0
SEALS_PER_POST_MAX = 100
AGAIN_AFTER = timedelta(hours=1)
"""When a verification that failed is tried again."""

DAYS_BACK_MAX = 31
"""Ended days that get a seal of their own when nothing ran for long; one seal covers all before."""


async def seal_due(
    uow: UnitOfWork,
    directory: Path,
    *,
    timezone: str,
    every: timedelta,
    webhook: str | None = None,
) -> int:
    """Seal what is due: each local day that has ended, as it ended; and a head that grew since ``every`` ago.

    directory: the data directory, which holds the key and the seals. webhook: where new seals are posted.
    Returns how many seals were made. A crash after the commit and before the file is written leaves the seal
    in the database only; the next seal covers it. Raises SealNotContinued: nothing is signed.
    """
    now = uow.clock.now()
    head = await audit_store.head(uow)
    last = await audit_store.last_seal(uow)
    sealed = last["entry_number"] if last else 0
    numbers: list[int] = []
    if head["entry_number"] > sealed:
        since = last["sealed_at"] if last else await audit_store.recorded_at(uow, 1)
        for end in _ended_days(since, now, timezone):
            number = await store.last_entry_before(uow, end)
            if number > (numbers[-1] if numbers else sealed):
                numbers.append(number)
        grown = head["entry_number"] > (numbers[-1] if numbers else sealed)
        if grown and (last is None or last["sealed_at"] <= now - every):
            numbers.append(head["entry_number"])
    lines = await _seal(uow, directory, numbers) if numbers else []
    if lines:
        uow.after_commit(lambda: publish(directory, uow.community_id, lines, webhook))
    return len(lines)


async def _seal(uow: UnitOfWork, directory: Path, numbers: list[int]) -> list[str]:
    key = seals.load_key(directory)
    last = seals.last_kept(seals.seals_file(directory, uow.community_id), uow.community_id)
    try:
        return [await seals.seal_head(uow, key, number=number, last=last) for number in numbers]
    except seals.SealNotContinued:
        log.error("seal_not_continued", community=uow.community_id, entry=last.entry_number if last else 0)
        raise


async def verify_if_day_ended(
    uow: UnitOfWork, directory: Path, *, timezone: str, processes: Processes | None
) -> Verification | None:
    """Recompute the whole journal once a local day, and keep what was found for the page of the books.

    Give it a snapshot unit of work. A fault is an error in the log; nothing else stops. A verification that
    fails is kept as failed, and tried again within the day. Raises what made it fail.
    """
    now = uow.clock.now()
    last = last_verification.recall(directory, uow.community_id)
    if last is not None and local_date(last.at, timezone) >= local_date(now, timezone):
        again = last.failed and last.at <= now - AGAIN_AFTER
        if not again:
            return None
    path = seals.seals_file(directory, uow.community_id)
    try:
        verification = await verify(
            uow,
            seals=seals.read_seals(path),
            sent=seals.sent_count(path),
            public_key=seals.known_key(directory),
            processes=processes,
        )
    except Exception as error:
        reason = error.code if isinstance(error, DomainError) else type(error).__name__
        last_verification.remember_failure(directory, uow.community_id, reason, now)
        raise
    last_verification.remember(directory, uow.community_id, verification, now)
    if not verification.sound:
        first = verification.findings[0]
        log.error("books_unsound", community=uow.community_id, fault=str(first.fault), where=first.where)
    return verification


async def publish(directory: Path, community_id: int, lines: list[str], webhook: str | None) -> None:
    """Add seals to the file, and post to ``webhook`` all that it has not had yet.

    A post that fails is logged and loses nothing: the next seal sends again.
    """
    path = seals.seals_file(directory, community_id)
    for line in lines:
        seals.append_seal(path, line)
    if webhook is None:
        return
    mark, sent = seals.sent_mark(path), seals.sent_count(path)
    kept = [line for line in path.read_text().splitlines() if line.strip()]
    while sent < len(kept):
        part = kept[sent : sent + SEALS_PER_POST_MAX]
        if not await _post(webhook, part, community_id):
            return
        sent += len(part)
        mark.write_text(f"{sent}\n")


async def _post(webhook: str, lines: list[str], community_id: int) -> bool:
    body = {"pointsbank": "seals", "seals": [json.loads(line) for line in lines]}
    try:
        async with httpx.AsyncClient(timeout=WEBHOOK_SECONDS_MAX) as client:
            answer = await client.post(webhook, json=body)
            answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # No address in the log: it may carry a secret.
        log.warning("seal_webhook_failed", community=community_id, error=type(error).__name__)
        return False
    return True


def _ended_days(since: datetime, now: datetime, timezone: str) -> list[datetime]:
    """Return the ends of the local days that ended after ``since`` and before ``now``, oldest first."""
    today = local_date(now, timezone)
    first = max(local_date(since, timezone), today - timedelta(days=DAYS_BACK_MAX))
    return [local_day(first + timedelta(days=at), timezone)[1] for at in range((today - first).days)]


async def expire_lots(database: Database, community_id: int) -> int:
    """Take the points of lots whose day has passed from their owners; return from how many."""
    return await expiry.expire_lots(database, community_id)


async def prove_ended_day(database: Database, community_id: int, *, timezone: str) -> bool:
    """Publish the proof of the local day that ended last, once; tell whether that was now."""
    return await daily.prove_ended_day(database, community_id, timezone=timezone) is not None
