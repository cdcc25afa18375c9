"""Rows of people's standing: hardship and household, each from a day on. Only ever added to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from pointsbank.domain.subsidy.payers import Hardship
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.people.views import StandingInfo

Row = tuple[UUID, date, Hardship | None, str | None]
"""Person, first day, hardship, household."""


async def insert_many(uow: UnitOfWork, rows: Sequence[Row], *, set_by: UUID | None) -> None:
    """Write standings."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.person_standings (community_id, id, person_id, effective_from, hardship, household,
                                           set_by, set_at)
        SELECT $1, u.id, u.person_id, u.effective_from, u.hardship, u.household, $2, $3
          FROM unnest($4::uuid[], $5::uuid[], $6::date[], $7::text[], $8::text[])
               AS u(id, person_id, effective_from, hardship, household)
        """,
        uow.community_id,
        set_by,
        uow.clock.now(),
        [uuid7() for _ in rows],
        [person_id for person_id, _, _, _ in rows],
        [day for _, day, _, _ in rows],
        [hardship.value if hardship else None for _, _, hardship, _ in rows],
        [household for _, _, _, household in rows],
    )


async def of(uow: UnitOfWork, person_ids: Collection[UUID]) -> dict[UUID, list[StandingInfo]]:
    """Return the standings of those who have any, the one that counts first before those it replaced."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT person_id, effective_from, hardship, household, set_by, set_at FROM bank.person_standings
         WHERE community_id = $1 AND person_id = ANY ($2::uuid[])
         ORDER BY person_id, effective_from DESC, set_at DESC, id DESC
        """,
        uow.community_id,
        list(person_ids),
    )
    found: dict[UUID, list[StandingInfo]] = {}
    for row in rows:
        hardship = Hardship(row["hardship"]) if row["hardship"] else None
        found.setdefault(row["person_id"], []).append(
            StandingInfo(
                effective_from=row["effective_from"],
                hardship=hardship,
                household=row["household"],
                set_by=row["set_by"],
                set_at=row["set_at"],
            )
        )
    return found
