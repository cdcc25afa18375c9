"""Rows of the languages people speak."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from pointsbank.platform.database import UnitOfWork


async def replace(uow: UnitOfWork, person_id: UUID, languages: Collection[str]) -> None:
    """Put a person's languages in place of the former."""
    connection = await uow.connection()
    await connection.execute(
        "DELETE FROM bank.spoken_languages WHERE community_id = $1 AND person_id = $2",
        uow.community_id,
        person_id,
    )
    await connection.execute(
        """
        INSERT INTO bank.spoken_languages (community_id, person_id, language)
        SELECT $1, $2, u.language FROM unnest($3::text[]) AS u(language)
        """,
        uow.community_id,
        person_id,
        sorted(set(languages)),
    )


async def insert_many(uow: UnitOfWork, languages: Mapping[UUID, Collection[str]]) -> None:
    """Insert the languages that are not known yet."""
    rows = [(person_id, each) for person_id, spoken in languages.items() for each in sorted(set(spoken))]
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.spoken_languages (community_id, person_id, language)
        SELECT $1, u.* FROM unnest($2::uuid[], $3::text[]) AS u ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        [person_id for person_id, _ in rows],
        [each for _, each in rows],
    )


async def of(uow: UnitOfWork, person_ids: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """Return the languages of those people who have told any."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT person_id, array_agg(language) AS languages FROM bank.spoken_languages
         WHERE community_id = $1 AND person_id = ANY ($2::uuid[]) GROUP BY person_id
        """,
        uow.community_id,
        list(person_ids),
    )
    return {row["person_id"]: frozenset(row["languages"]) for row in rows}
