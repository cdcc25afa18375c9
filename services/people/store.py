"""Rows of people, their roles and tokens. Bulk writes are one statement a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pointsbank.domain.resident import Gender
from pointsbank.domain.roles import Role
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.people.views import NewPerson, PersonInfo

INSERT_ROWS = 5_000
"""Residents written by one statement: bounds the memory its arrays take."""

PERSON = """
SELECT p.id, p.ledger_ref, p.member_number, p.name, p.phone, p.gender, p.born_on, p.building_id,
       pl.name AS place, b.name AS building, p.room, b.small_grid, p.canteen_eligible,
       (SELECT array_agg(r.role ORDER BY r.role) FROM bank.person_roles r
         WHERE r.community_id = p.community_id AND r.person_id = p.id) AS roles,
       (SELECT array_agg(r.small_grid ORDER BY r.role) FROM bank.person_roles r
         WHERE r.community_id = p.community_id AND r.person_id = p.id) AS role_grids
  FROM bank.people p
  LEFT JOIN bank.buildings b ON b.community_id = p.community_id AND b.id = p.building_id
  LEFT JOIN bank.places pl ON pl.community_id = b.community_id AND pl.id = b.place_id
 WHERE p.community_id = $1
"""


async def add_people(uow: UnitOfWork, people: Sequence[NewPerson], known: Mapping[bytes, UUID]) -> list[UUID]:
    """Insert people with their roles, except those whose key is ``known``; return all ids in order."""
    keys: dict[bytes, UUID] = dict(known)
    ids: list[UUID] = []
    fresh: list[tuple[UUID, NewPerson]] = []
    for person in people:
        person_id = keys.get(person.content_key) if person.content_key is not None else None
        if person_id is None:
            person_id = uuid7()
            fresh.append((person_id, person))
            if person.content_key is not None:
                keys[person.content_key] = person_id
        ids.append(person_id)
    for start in range(0, len(fresh), INSERT_ROWS):
        await _insert_people(uow, fresh[start : start + INSERT_ROWS])
    return ids


async def _insert_people(uow: UnitOfWork, fresh: Sequence[tuple[UUID, NewPerson]]) -> None:
    connection = await uow.connection()
    people = [person for _, person in fresh]
    await connection.execute(
        """
        INSERT INTO bank.people (community_id, id, ledger_ref, member_number, name, phone, gender, born_on,
                                 building_id, room, canteen_eligible, content_key, created_at)
        SELECT $1, u.*, $2
          FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::date[],
                      $10::uuid[], $11::text[], $12::boolean[], $13::bytea[]) AS u
        """,
        uow.community_id,
        uow.clock.now(),
        [person_id for person_id, _ in fresh],
        [uuid7() for _ in fresh],
        [person.member_number for person in people],
        [person.name for person in people],
        [person.phone for person in people],
        [person.gender.value for person in people],
        [person.born_on for person in people],
        [person.building_id for person in people],
        [person.room for person in people],
        [person.canteen_eligible for person in people],
        [person.content_key for person in people],
    )
    roles = [(person_id, role, grid) for person_id, person in fresh for role, grid in person.roles.items()]
    await connection.execute(
        """
        INSERT INTO bank.person_roles (community_id, person_id, role, small_grid)
        SELECT $1, u.* FROM unnest($2::uuid[], $3::text[], $4::int[]) AS u
        """,
        uow.community_id,
        [person_id for person_id, _, _ in roles],
        [role.value for _, role, _ in roles],
        [grid for _, _, grid in roles],
    )


async def add_role(uow: UnitOfWork, person_id: UUID, role: Role, small_grid: int | None) -> None:
    """Insert a role unless the person holds it."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.person_roles (community_id, person_id, role, small_grid) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        """,
        uow.community_id,
        person_id,
        role.value,
        small_grid,
    )


async def people_by_content_key(uow: UnitOfWork, keys: Sequence[bytes]) -> dict[bytes, UUID]:
    """Return the ids of those who came with one of ``keys``."""
    connection = await uow.connection()
    rows = await connection.fetch(
        "SELECT content_key, id FROM bank.people WHERE community_id = $1 AND content_key = ANY ($2::bytea[])",
        uow.community_id,
        keys,
    )
    return {row["content_key"]: row["id"] for row in rows}


async def known_member_numbers(uow: UnitOfWork, numbers: Sequence[str]) -> bool:
    """Tell whether somebody has one of ``numbers``."""
    connection = await uow.connection()
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (SELECT FROM bank.people
                            WHERE community_id = $1 AND member_number = ANY ($2::text[]))
            """,
            uow.community_id,
            numbers,
        )
    )


async def has_people(uow: UnitOfWork) -> bool:
    """Tell whether the community has any resident."""
    connection = await uow.connection()
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM bank.people WHERE community_id = $1)", uow.community_id
        )
    )


async def people_by_id(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, PersonInfo]:
    """Return those of ``ids`` that exist."""
    found = await _people(uow, PERSON + "AND p.id = ANY ($2::uuid[])", list(ids))
    return {person.id: person for person in found}


async def households(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return, for each of ``ids`` who does not live alone, the others of the same building and room."""
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT p.id, array_agg(o.id) AS others
          FROM bank.people p
          JOIN bank.people o ON o.community_id = $1 AND o.building_id = p.building_id AND o.room = p.room
                            AND o.id <> p.id
         WHERE p.community_id = $1 AND p.id = ANY ($2::uuid[]) GROUP BY p.id
        """,
        uow.community_id,
        list(ids),
    )
    return {row["id"]: frozenset(row["others"]) for row in rows}


async def people_by_ledger_ref(uow: UnitOfWork, refs: Sequence[UUID]) -> dict[UUID, PersonInfo]:
    """Return those behind ``refs``."""
    found = await _people(uow, PERSON + "AND p.ledger_ref = ANY ($2::uuid[])", list(refs))
    return {person.ledger_ref: person for person in found}


async def people_named(uow: UnitOfWork, numbers: Sequence[str], names: Sequence[str]) -> list[PersonInfo]:
    """Return who has one of the member numbers or names."""
    return await _people(
        uow,
        PERSON + "AND (p.member_number = ANY ($2::text[]) OR p.name = ANY ($3::text[])) ORDER BY p.id",
        list(numbers),
        list(names),
    )


async def people_with_role(
    uow: UnitOfWork, role: Role, after: UUID | None, limit: int | None
) -> list[PersonInfo]:
    """Return who holds ``role``, in order of id."""
    return await _people(
        uow,
        PERSON
        + """
        AND ($3::uuid IS NULL OR p.id > $3)
        AND EXISTS (SELECT FROM bank.person_roles r
                     WHERE r.community_id = p.community_id AND r.person_id = p.id AND r.role = $2)
        ORDER BY p.id LIMIT $4
        """,
        role.value,
        after,
        limit,
    )


async def search_people(
    uow: UnitOfWork, text: str, role: Role | None, grids: Sequence[int] | None, limit: int
) -> list[PersonInfo]:
    """Return who matches ``text``. grids: only who lives in one of these; None: everywhere."""
    pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    digits = text if text.isascii() and text.isdigit() and len(text) >= 4 else None
    return await _people(
        uow,
        PERSON
        + """
        AND (p.name ILIKE '%' || $2 || '%' OR p.member_number = $3
             OR pl.name || b.name ILIKE '%' || replace($2, ' ', '') || '%'
             OR ($4::text IS NOT NULL AND right(regexp_replace(p.phone, '[^0-9]', '', 'g'), length($4)) = $4))
        AND ($5::text IS NULL OR EXISTS (SELECT FROM bank.person_roles r WHERE r.community_id = p.community_id
                                            AND r.person_id = p.id AND r.role = $5))
        AND ($6::int[] IS NULL OR b.small_grid = ANY ($6))
        ORDER BY p.name, p.id LIMIT $7
        """,
        pattern,
        text,
        digits,
        role.value if role else None,
        grids,
        limit,
    )


async def someone_with_role(uow: UnitOfWork, role: Role, *, rather: Role | None = None) -> UUID | None:
    """Return one holder of ``role``: with a building, also ``rather``, few other roles; else the first."""
    connection = await uow.connection()
    found: UUID | None = await connection.fetchval(
        """
        SELECT p.id FROM bank.person_roles r
          JOIN bank.people p ON p.community_id = r.community_id AND p.id = r.person_id
         WHERE r.community_id = $1 AND r.role = $2
         ORDER BY p.building_id IS NULL,
                  NOT EXISTS (SELECT 1 FROM bank.person_roles o
                               WHERE o.community_id = r.community_id AND o.person_id = r.person_id
                                 AND o.role = $3),
                  (SELECT count(*) FROM bank.person_roles o
                    WHERE o.community_id = r.community_id AND o.person_id = r.person_id),
                  NOT p.canteen_eligible, p.id
         LIMIT 1
        """,
        uow.community_id,
        role.value,
        (rather or role).value,
    )
    return found


async def lock_people(uow: UnitOfWork, ids: Sequence[UUID]) -> int:
    """Lock people's rows in id order and return how many there are.

    The lock is the one that foreign keys do not wait for.
    """
    connection = await uow.connection()
    rows = await connection.fetch(
        """
        SELECT id FROM bank.people WHERE community_id = $1 AND id = ANY ($2::uuid[])
         ORDER BY id FOR NO KEY UPDATE
        """,
        uow.community_id,
        ids,
    )
    return len(rows)


async def insert_token(
    uow: UnitOfWork, digest: bytes, person_id: UUID, purpose: str, expires_at: datetime
) -> None:
    """Insert a token's digest."""
    connection = await uow.connection()
    await connection.execute(
        """
        INSERT INTO bank.access_tokens (community_id, token_hash, person_id, purpose, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        uow.community_id,
        digest,
        person_id,
        purpose,
        uow.clock.now(),
        expires_at,
    )


async def holder_of_token(uow: UnitOfWork, digest: bytes, purpose: str) -> UUID | None:
    """Return whose token this is, if it is good for ``purpose`` now."""
    connection = await uow.connection()
    found: UUID | None = await connection.fetchval(
        """
        SELECT person_id FROM bank.access_tokens
         WHERE community_id = $1 AND token_hash = $2 AND purpose = $3
           AND revoked_at IS NULL AND expires_at > $4
        """,
        uow.community_id,
        digest,
        purpose,
        uow.clock.now(),
    )
    return found


async def revoke_token(uow: UnitOfWork, digest: bytes) -> None:
    """End a token; the moment it first ended stays."""
    connection = await uow.connection()
    await connection.execute(
        """
        UPDATE bank.access_tokens SET revoked_at = $3
         WHERE community_id = $1 AND token_hash = $2 AND revoked_at IS NULL
        """,
        uow.community_id,
        digest,
        uow.clock.now(),
    )


async def delete_tokens(uow: UnitOfWork, *, expired_before: datetime) -> int:
    """Drop the tokens that expired before a moment; return how many."""
    connection = await uow.connection()
    tag: str = await connection.execute(
        "DELETE FROM bank.access_tokens WHERE community_id = $1 AND expires_at < $2",
        uow.community_id,
        expired_before,
    )
    return int(tag.rpartition(" ")[2])


async def _people(uow: UnitOfWork, query: str, *arguments: Any) -> list[PersonInfo]:
    connection = await uow.connection()
    rows = await connection.fetch(query, uow.community_id, *arguments)
    return [_person(dict(row)) for row in rows]


def _person(row: dict[str, Any]) -> PersonInfo:
    roles = zip(row.pop("roles") or [], row.pop("role_grids") or [], strict=True)
    return PersonInfo(
        **{**row, "gender": Gender(row["gender"])}, roles={Role(role): grid for role, grid in roles}
    )
