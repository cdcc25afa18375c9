"""What the ledger does on its own: seal the head of the chain, take points whose day has passed."""

from __future__ import annotations

from pathlib import Path

from pointsbank.platform.database import Database, UnitOfWork
from services.ledger import audit_store, expiry, seals


async def seal_if_grown(uow: UnitOfWork, directory: Path) -> bool:
    """Seal the head and add it to the file of seals, if entries came since the last seal.

    directory: the data directory, which holds the key and the seals. Returns whether a seal was made.
    A crash after the commit and before the file is written leaves the seal in the database only; the next
    seal covers it.
    """
    head = await audit_store.head(uow)
    last = await audit_store.last_seal(uow)
    if head["entry_number"] == (last["entry_number"] if last else 0):
        return False
    line = await seals.seal_head(uow, seals.load_key(directory))
    path = seals.seals_file(directory, uow.community_id)

    async def keep() -> None:
        seals.append_seal(path, line)

    uow.after_commit(keep)
    return True


async def expire_lots(database: Database, community_id: int) -> int:
    """Take the points of lots whose day has passed from their owners; return from how many."""
    return await expiry.expire_lots(database, community_id)
