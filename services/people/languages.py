"""Which languages people speak: volunteers, and the elders they come to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from pointsbank.domain.availability import require_languages
from pointsbank.domain.errors import NotFound
from pointsbank.domain.roles import STAFF, Actor
from pointsbank.platform.database import UnitOfWork
from services.people import languages_store, store


async def set_languages(uow: UnitOfWork, actor: Actor, person_id: UUID, languages: Collection[str]) -> None:
    """Put the languages a person speaks in place of the former. By themselves or a coordinator.

    languages: codes such as ``yue``. Raises NotAllowed, NotFound, InvalidValue.
    """
    actor.require_self_or(person_id, *STAFF, action="set_languages")
    require_languages(languages)
    if not await store.lock_people(uow, [person_id]):
        raise NotFound(what="person")
    await languages_store.replace(uow, person_id, languages)


async def add_languages_many(uow: UnitOfWork, languages: Mapping[UUID, Collection[str]]) -> None:
    """Note what many people speak, beside what is known. Raises NotFound, InvalidValue.

    For callers that have decided who may.
    """
    for spoken in languages.values():
        require_languages(spoken)
    if len(await store.people_by_id(uow, list(languages))) != len(languages):
        raise NotFound(what="person")
    await languages_store.insert_many(uow, languages)


async def languages_of(uow: UnitOfWork, person_ids: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """Return the languages of those people who have told any, by person.

    For callers that have decided who may know.
    """
    return await languages_store.of(uow, person_ids)
