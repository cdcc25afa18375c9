"""The public proof of a day: summed by the worker once the day is over, kept as it was, told to anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import structlog

from pointsbank.domain.accounts import Commodity
from pointsbank.domain.public_proof import CommoditySums, Term, public_sums
from pointsbank.platform.clock import local_date
from pointsbank.platform.database import Database, UnitOfWork
from services.ledger import store
from services.ledger.proof import audit_store, seals, sums_store

log = structlog.get_logger(__name__)

PROOFS_MAX = 100


@dataclass(frozen=True, slots=True)
class DayProof:
    """A day's sums as they stood after entry ``entry_number``, whose hash is ``head_hash``.

    seal: the newest seal of then, as it was signed; None where nothing was sealed yet.
    """

    day: date
    proved_at: datetime
    entry_number: int
    head_hash: bytes
    sound: bool
    sums: list[CommoditySums]
    seal: dict[str, Any] | None


async def prove(uow: UnitOfWork, day: date) -> DayProof:
    """Sum the books as they stand. Give it a snapshot unit of work. Raises NotFound (no ledger)."""
    head = await audit_store.head(uow)
    sums = public_sums(
        [(kind, commodity, balance) for kind, commodity, _, balance in await store.trial_balance(uow)],
        await sums_store.issued(uow),
    )
    newest = await seals.newest(uow, limit=1)
    return DayProof(
        day=day,
        proved_at=uow.clock.now(),
        entry_number=head["entry_number"],
        head_hash=head["hash"],
        sound=all(each.sound for each in sums),
        sums=sums,
        seal=newest[0] if newest else None,
    )


async def prove_ended_day(database: Database, community_id: int, *, timezone: str) -> DayProof | None:
    """Prove the day that ended last, once; return the proof, None where it stands already.

    Days on which nothing ran have none: the next one covers them. Sums that disagree are published as they
    are, and are an error in the log.
    """
    async with database.unit_of_work(community_id, snapshot=True) as uow:
        day = local_date(uow.clock.now(), timezone) - timedelta(days=1)
        last = await sums_store.proofs(uow, limit=1)
        if last and last[0]["day"] >= day:
            return None
        proof = await prove(uow, day)
    async with database.unit_of_work(community_id) as uow:
        await sums_store.insert(
            uow,
            {
                "day": proof.day,
                "proved_at": proof.proved_at,
                "entry_number": proof.entry_number,
                "head_hash": proof.head_hash,
                "sound": proof.sound,
                "sums": {each.commodity.value: _written(each) for each in proof.sums},
                "seal": proof.seal,
            },
        )
    if not proof.sound:
        wrong = {each.commodity.value: each.difference for each in proof.sums if not each.sound}
        log.error("public_sums_wrong", community=community_id, day=str(day), differences=wrong)
    return proof


async def proofs(uow: UnitOfWork, *, before: date | None = None, limit: int = 1) -> list[DayProof]:
    """Return published proofs, newest first. before: a day to go on from."""
    found = await sums_store.proofs(uow, before=before, limit=max(1, min(limit, PROOFS_MAX)))
    return [
        DayProof(**(row | {"sums": [_read(each, row["sums"][each.value]) for each in Commodity]}))
        for row in found
    ]


def _written(sums: CommoditySums) -> dict[str, int]:
    return {
        "minted": sums.minted,
        **{term.value: sums.terms[term] for term in Term},
        "adjusted": sums.adjusted,
        "sources": sums.sources,
    }


def _read(commodity: Commodity, told: dict[str, int]) -> CommoditySums:
    return CommoditySums(
        commodity,
        told["minted"],
        told["adjusted"],
        told["sources"],
        {term: told[term.value] for term in Term},
    )
