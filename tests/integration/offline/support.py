"""What is handed out, and how it is checked from its file alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pointsbank.domain.accounts import AccountCode
from pointsbank.platform.database import Database
from services.ledger.proof import proofs, seals
from services.ledger.proof.file_check import FileReport
from services.ledger.proof.proof_check import check_file
from tests.ledgers import NOON

MEMBER, OTHER = UUID(int=101), UUID(int=102)
DAY = timedelta(days=1)
Change = Callable[[dict[str, Any]], None]


async def proven(ledger: Database, code: AccountCode, first: int = 1, days: int = 2) -> dict[str, Any]:
    async with ledger.unit_of_work(1, snapshot=True) as uow:
        start = NOON + first * DAY - timedelta(hours=1)
        return await proofs.statement(uow, code, start, start + days * DAY)


def checked(document: dict[str, Any], tmp_path: Path, public: bytes, *, unsealed: bool = False) -> FileReport:
    """Check a document as the bank would have signed it."""
    facts = {name: value for name, value in document.items() if name != "signature"}
    signed = proofs.signed(facts, seals.load_key(tmp_path))
    return checked_as_it_is(signed, tmp_path, public, unsealed=unsealed)


def checked_as_it_is(
    document: dict[str, Any], tmp_path: Path, public: bytes, *, unsealed: bool = False
) -> FileReport:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(document))
    return check_file(path, public, unsealed=unsealed)


def told(report: FileReport) -> list[tuple[str, str]]:
    return [(finding.fault, finding.where) for finding in report.findings]
