"""Who somebody is and where they live, and no more: what is asked for many people while somebody waits."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from pointsbank.domain.roles import Role
from pointsbank.platform.database import UnitOfWork
from services.people import homes_store
from services.people.views import HomeInfo


async def homes_of(uow: UnitOfWork, ids: Collection[UUID]) -> dict[UUID, HomeInfo]:
    """Return those of ``ids`` that live in a registered building, in order of id."""
    return {each.id: each for each in await homes_store.of_people(uow, ids)}


async def homes_with_role(uow: UnitOfWork, role: Role) -> list[HomeInfo]:
    """Return who holds ``role`` and lives in a registered building, in order of id."""
    return await homes_store.with_role(uow, role)
