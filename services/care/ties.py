"""Who speaks for an elder, and who is not sent to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pointsbank.domain.errors import InvalidValue, NotAllowed, NotFound
from pointsbank.domain.help_request import AskedThrough
from pointsbank.domain.preferences import ExclusionReason, KeptApart, Relation
from pointsbank.domain.roles import READERS, STAFF, Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.care import ties_store as store
from services.care.views import ExclusionInfo, TieInfo
from services.people import service as people

TIES_MAX = 20
"""Most of an elder's family, and most elders of one family member."""

SHOWN_MAX = 100


async def speaks_for(uow: UnitOfWork, actor: Actor, elder_id: UUID, *, action: str) -> AskedThrough:
    """Return how the actor speaks for an elder: as themselves, as family, as coordinator told by phone.

    action: a stable word. Raises NotAllowed.
    """
    if actor.person_id == elder_id:
        return AskedThrough.SELF
    if await is_family(uow, elder_id, actor.person_id):
        return AskedThrough.FAMILY
    actor.require(*STAFF, action=action)
    return AskedThrough.PHONE


async def require_view(uow: UnitOfWork, actor: Actor, elder_id: UUID, *, action: str) -> None:
    """Let through the elder, their family and who may read the community. Raises NotAllowed."""
    if actor.person_id != elder_id and not actor.has(*READERS):
        await speaks_for(uow, actor, elder_id, action=action)


async def is_family(uow: UnitOfWork, elder_id: UUID, person_id: UUID) -> bool:
    """Tell whether a coordinator has confirmed somebody as family of an elder."""
    rows = await store.ties_of(uow, elder_id=elder_id, member_id=person_id)
    return any(row["confirmed_at"] is not None for row in rows)


async def confirmed_elders(uow: UnitOfWork, member_id: UUID) -> list[UUID]:
    """Return the elders whose family somebody is, as a coordinator has confirmed."""
    rows = await store.ties_of(uow, elder_id=None, member_id=member_id)
    return [row["elder_id"] for row in rows if row["confirmed_at"] is not None]


async def tell_family(
    uow: UnitOfWork, actor: Actor, elder_id: UUID, member_id: UUID, relation: Relation
) -> TieInfo:
    """Say that somebody is family of an elder; a tie that is known stays as it is.

    By either of the two, or a coordinator. It counts once :func:`confirm_family` has been called.
    Raises NotAllowed, NotFound, InvalidValue (``elder_id``, ``member_id``).
    """
    if actor.person_id not in (elder_id, member_id):
        actor.require(*STAFF, action="tell_family")
    await require_elder(uow, elder_id)
    await people.person(uow, member_id)
    if elder_id == member_id:
        raise InvalidValue(field="member_id", rule="not_oneself")
    for one in (await _ties(uow, elder_id=elder_id), await _ties(uow, member_id=member_id)):
        if len(one) >= TIES_MAX:
            raise InvalidValue(field="member_id", rule=f"at_most_{TIES_MAX}")
    await store.tell_tie(uow, elder_id, member_id, relation, actor.person_id)
    return await _tie(uow, elder_id, member_id)


async def confirm_family(uow: UnitOfWork, actor: Actor, elder_id: UUID, member_id: UUID) -> TieInfo:
    """Confirm a tie: by a coordinator who is not the family member. Who confirmed first stays.

    Raises NotAllowed, NotFound.
    """
    actor.require(*STAFF, action="confirm_family")
    if actor.person_id == member_id:
        raise NotAllowed(action="confirm_family")
    await _tie(uow, elder_id, member_id)
    await store.confirm_tie(uow, elder_id, member_id, actor.person_id)
    return await _tie(uow, elder_id, member_id)


async def end_family(uow: UnitOfWork, actor: Actor, elder_id: UUID, member_id: UUID) -> None:
    """End a tie, confirmed or not: by either of the two, or a coordinator. What was asked stays asked.

    Raises NotAllowed, NotFound.
    """
    if actor.person_id not in (elder_id, member_id):
        actor.require(*STAFF, action="end_family")
    await _tie(uow, elder_id, member_id)
    await store.delete_tie(uow, elder_id, member_id)


async def family_of(uow: UnitOfWork, actor: Actor, elder_id: UUID) -> list[TieInfo]:
    """Return an elder's family, confirmed or not, to the elder or who may read the community.

    Raises NotAllowed.
    """
    actor.require_self_or(elder_id, *READERS, action="view_family")
    return await _ties(uow, elder_id=elder_id)


async def elders_of(uow: UnitOfWork, actor: Actor) -> list[TieInfo]:
    """Return the actor's own ties, confirmed or not, by the elder's name."""
    return await _ties(uow, member_id=actor.person_id)


async def family_to_confirm(uow: UnitOfWork, actor: Actor) -> list[TieInfo]:
    """Return the ties that wait for a coordinator, the oldest first. Raises NotAllowed."""
    actor.require(*STAFF, action="confirm_family")
    return [_info(row) for row in await store.unconfirmed_ties(uow, SHOWN_MAX)]


async def lift_exclusion(uow: UnitOfWork, actor: Actor, elder_id: UUID, volunteer_id: UUID) -> None:
    """Let a volunteer be sent to an elder again: by the elder, their family or a coordinator.

    Raises NotAllowed, NotFound.
    """
    await speaks_for(uow, actor, elder_id, action="lift_exclusion")
    if not await store.lift_exclusion(uow, elder_id, volunteer_id, actor.person_id):
        raise NotFound(what="exclusion")


async def exclusions_of(uow: UnitOfWork, actor: Actor, elder_id: UUID) -> list[ExclusionInfo]:
    """Return who is not sent to an elder. Raises NotAllowed."""
    await require_view(uow, actor, elder_id, action="view_exclusions")
    return [
        ExclusionInfo(**{**row, "reason": ExclusionReason(row["reason"])})
        for row in await store.exclusions_of(uow, [elder_id])
    ]


async def excluded_volunteers(uow: UnitOfWork, elder_ids: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return, for each of the elders, who is never sent: whom they were kept from, and their own household.

    An elder whom nobody is kept from has an empty set. Household: registered in the same room.
    """
    wanted = list(set(elder_ids))
    kept: dict[UUID, set[UUID]] = {elder_id: set() for elder_id in wanted}
    for row in await store.exclusions_of(uow, wanted):
        kept[row["elder_id"]].add(row["volunteer_id"])
    for elder_id, others in (await people.households(uow, wanted)).items():
        kept[elder_id] |= others
    return {elder_id: frozenset(others) for elder_id, others in kept.items()}


async def require_not_apart(uow: UnitOfWork, elder_id: UUID, volunteer_id: UUID) -> None:
    """Check that a volunteer may be sent to an elder: not excluded, not of their household.

    Raises KeptApart.
    """
    if volunteer_id in (await excluded_volunteers(uow, [elder_id]))[elder_id]:
        raise KeptApart


async def require_elder(uow: UnitOfWork, elder_id: UUID) -> None:
    """Check that somebody is an elder. Raises NotFound, InvalidValue (``elder_id``)."""
    if Role.ELDER not in (await people.person(uow, elder_id)).roles:
        raise InvalidValue(field="elder_id", rule="elder")


async def _tie(uow: UnitOfWork, elder_id: UUID, member_id: UUID) -> TieInfo:
    found = await _ties(uow, elder_id=elder_id, member_id=member_id)
    if not found:
        raise NotFound(what="family_tie")
    return found[0]


async def _ties(
    uow: UnitOfWork, *, elder_id: UUID | None = None, member_id: UUID | None = None
) -> list[TieInfo]:
    return [_info(row) for row in await store.ties_of(uow, elder_id=elder_id, member_id=member_id)]


def _info(row: dict[str, Any]) -> TieInfo:
    return TieInfo(**{**row, "relation": Relation(row["relation"])})
