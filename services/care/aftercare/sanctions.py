"""Sanctions: imposed by what is found of a complaint, lifted by an appeal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pointsbank.domain.roles import READERS, Actor
from pointsbank.domain.visit_rules import BarKind
from pointsbank.platform.database import UnitOfWork
from pointsbank.platform.ids import uuid7
from services.care.aftercare import sanction_store as store
from services.care.aftercare.views import SanctionInfo

SHOWN_MAX = 100


async def barred_until(uow: UnitOfWork, person_id: UUID, kind: BarKind) -> datetime | None:
    """Return until when a person is barred, or None."""
    return (await barred(uow, [person_id], kind)).get(person_id)


async def barred(uow: UnitOfWork, person_ids: Sequence[UUID], kind: BarKind) -> dict[UUID, datetime]:
    """Return, for those of the people who are barred now, until when."""
    return await store.standing(uow, person_ids, kind, uow.clock.now())


async def impose(
    uow: UnitOfWork,
    person_id: UUID,
    kind: BarKind,
    *,
    days: int,
    why: str,
    complaint_id: UUID,
    decided_by: UUID,
) -> None:
    """Bar a person for so many days. For callers that have decided it."""
    await store.insert(
        uow,
        uuid7(),
        person_id=person_id,
        kind=kind,
        until_at=uow.clock.now() + timedelta(days=days),
        why=why,
        complaint_id=complaint_id,
        decided_by=decided_by,
    )


async def sanctions_of(uow: UnitOfWork, actor: Actor, person_id: UUID) -> list[SanctionInfo]:
    """Return a person's sanctions, newest first, to themselves or a reader. Raises NotAllowed."""
    actor.require_self_or(person_id, *READERS, action="view_sanctions")
    rows = await store.of_person(uow, person_id, SHOWN_MAX)
    return [SanctionInfo(**{**row, "kind": BarKind(row["kind"])}) for row in rows]
