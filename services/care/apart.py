"""Who is not to meet (again): excluded, of one household, or not again by either side's last word."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from pointsbank.platform.database import UnitOfWork
from services.care import ties
from services.care.aftercare import feedback


async def kept_apart(
    uow: UnitOfWork, elder_ids: Collection[UUID], volunteer_ids: Sequence[UUID] | None = None
) -> dict[UUID, frozenset[UUID]]:
    """Return, for each of the elders, the volunteers who are never sent to them.

    volunteer_ids: those who are asked about, where they are few; None: all.
    """
    wanted = sorted(set(elder_ids))
    apart = {each: set(others) for each, others in (await ties.excluded_volunteers(uow, wanted)).items()}
    for (elder, volunteer), history in (await feedback.pair_history(uow, wanted, volunteer_ids)).items():
        if False in (history.again_elder, history.again_volunteer):
            apart[elder].add(volunteer)
    return {each: frozenset(others) for each, others in apart.items()}
