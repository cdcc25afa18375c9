"""Rows of requests whose carer does not come after all."""

from __future__ import annotations

from uuid import UUID

from pointsbank.platform.database import UnitOfWork
from services.matching.store import DEAD

GIVEN_UP = f"""
SELECT help_request_id FROM bank.offers
 WHERE community_id = $1 AND volunteer_id = $3
   AND EXISTS (SELECT FROM bank.help_requests r
                WHERE r.community_id = $1 AND r.id = offers.help_request_id AND r.elder_id = $2
                  AND r.state IN ('open', 'offered') AND r.latest_start > $4)
   AND {DEAD} ORDER BY help_request_id
"""  # noqa: S608 - put together from fixed parts


async def given_up(uow: UnitOfWork, elder_id: UUID, volunteer_id: UUID) -> list[UUID]:
    """Return an elder's requests that a volunteer had accepted and does not come to, while it is time yet."""
    connection = await uow.connection()
    rows = await connection.fetch(GIVEN_UP, uow.community_id, elder_id, volunteer_id, uow.clock.now())
    return [row["help_request_id"] for row in rows]
