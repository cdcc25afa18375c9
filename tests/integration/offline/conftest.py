"""A journal of three days, sealed twice by a key of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pointsbank.domain import accounts
from pointsbank.domain.accounts import Commodity
from pointsbank.domain.journal import EntryKind, Transfer
from pointsbank.platform.clock import FixedClock
from pointsbank.platform.database import Database
from services.ledger import service
from services.ledger.proof import seals
from tests.integration.offline.support import DAY, MEMBER, OTHER
from tests.ledgers import NOON, bare_ledger, entry, grant, move


@pytest.fixture
def key(tmp_path: Path) -> Ed25519PrivateKey:
    return seals.load_key(tmp_path)


@pytest.fixture
def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


@pytest.fixture
async def ledger(database: Database, key: Ed25519PrivateKey) -> Database:
    """Three days of entries of two lines and of one; sealed after the second day and at the end."""
    clock = FixedClock(NOON)
    database.clock = clock
    await bare_ledger(database)
    for day in range(3):
        clock.move_to(NOON + day * DAY)
        async with database.unit_of_work(1) as uow:
            for visit in range(4):
                await service.post(
                    uow,
                    entry(
                        f"v{day}.{visit}",
                        [
                            Transfer(accounts.issuance(Commodity.MINUTE), accounts.service(MEMBER), 30),
                            Transfer(accounts.issuance(Commodity.POINT), accounts.available(MEMBER), 500),
                        ],
                        kind=EntryKind.EARNING,
                    ),
                )
                await service.post(uow, grant(OTHER, 100, f"o{day}.{visit}"))
            await service.post(
                uow, move(accounts.available(MEMBER), accounts.available(OTHER), 200, f"m{day}")
            )
            if day:
                await seals.seal_head(uow, key)
    return database
