"""Who is family of an elder: what is known of it stands with the help requests."""

from __future__ import annotations

from uuid import UUID

from pointsbank.platform.database import UnitOfWork


async def is_family(uow: UnitOfWork, elder_id: UUID, person_id: UUID) -> bool:
    """Tell whether a person's tie to an elder has been confirmed."""
    return person_id in await family_of(uow, elder_id)


async def family_of(_uow: UnitOfWork, _elder_id: UUID) -> frozenset[UUID]:
    """Return who has a confirmed tie to an elder."""
    return frozenset()


async def elders_of(_uow: UnitOfWork, _person_id: UUID) -> list[UUID]:
    """Return the elders to whom a person has a confirmed tie."""
    return []
