"""Whose the entries are, and what a verification says of the journal."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from pointsbank.platform.database import Database
from services.ledger.proof import seals
from services.ledger.proof.verification import Fault, Verification, verify

MEMBER, OTHER = UUID(int=101), UUID(int=102)


async def verified(ledger: Database, file: Path | None = None) -> Verification:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        return await verify(uow, seals=seals.read_seals(file) if file else None)


def faults(verification: Verification) -> list[Fault]:
    return [finding.fault for finding in verification.findings]
