"""Whom a coordinator means by a name or a number typed into a form."""

from __future__ import annotations

from uuid import UUID

from pointsbank.domain.errors import InvalidValue
from pointsbank.domain.roles import Actor, Role
from pointsbank.platform.database import UnitOfWork
from services.people import service as people

SOUGHT_MAX = 50


async def named(uow: UnitOfWork, actor: Actor, text: str, role: Role, *, field: str) -> UUID:
    """Return who is meant: of all who match, the one with just that name or number, else the only one.

    text: a name, a member number, or the last digits of a phone. Raises NotAllowed, InvalidValue.
    """
    if not text:
        raise InvalidValue(field=field, rule="not_blank")
    found = await people.search_people(uow, actor, text, role, SOUGHT_MAX)
    exact = [each for each in found if text in (each.name, each.member_number)]
    meant = exact or found
    if not meant:
        raise InvalidValue(field=field, rule="nobody_found")
    if len(meant) > 1:
        raise InvalidValue(field=field, rule="one_person")
    return meant[0].id
