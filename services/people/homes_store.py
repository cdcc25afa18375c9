"""Where people live, in one statement for many."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from pointsbank.domain.resident import Gender
from pointsbank.domain.roles import Role
from pointsbank.platform.database import UnitOfWork
from services.people.views import HomeInfo

HOME = """
SELECT p.id, p.name, p.gender, b.small_grid, b.east_m, b.north_m
  FROM bank.people p
  JOIN bank.buildings b ON b.community_id = p.community_id AND b.id = p.building_id
 WHERE p.community_id = $1
"""
GENDERS = {each.value: each for each in Gender}


async def of_people(uow: UnitOfWork, ids: Collection[UUID]) -> list[HomeInfo]:
    """Return those of ``ids`` that live in a building, in order of id."""
    return await _homes(uow, HOME + "AND p.id = ANY ($2::uuid[]) ORDER BY p.id", list(ids))


async def with_role(uow: UnitOfWork, role: Role) -> list[HomeInfo]:
    """Return those who hold ``role`` and live in a building, in order of id."""
    query = """
    AND EXISTS (SELECT FROM bank.person_roles r
                 WHERE r.community_id = p.community_id AND r.person_id = p.id AND r.role = $2)
    ORDER BY p.id
    """
    return await _homes(uow, HOME + query, role.value)


async def _homes(uow: UnitOfWork, query: str, *arguments: Any) -> list[HomeInfo]:
    connection = await uow.connection()
    rows = await connection.fetch(query, uow.community_id, *arguments)
    return [
        HomeInfo(person, name, GENDERS[gender], small_grid, east_m, north_m)
        for person, name, gender, small_grid, east_m, north_m in rows
    ]
