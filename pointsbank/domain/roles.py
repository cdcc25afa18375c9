"""Who a person is to the community, and what each role may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pointsbank.domain.errors import NotAllowed


class Role(StrEnum):
    """A role held in one community; a person may hold several."""

    ELDER = "elder"
    VOLUNTEER = "volunteer"
    COORDINATOR = "coordinator"
    AUDITOR = "auditor"
    BUILDING_LEADER = "building_leader"
    GRID_LEADER = "grid_leader"


STAFF = frozenset({Role.COORDINATOR})
"""Who may act for others and see the whole community."""

READERS = STAFF | {Role.AUDITOR}
"""Who may read the community's books."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person of the community with their roles. ``ledger_ref`` is their pseudonym."""

    person_id: UUID
    ledger_ref: UUID
    roles: frozenset[Role]

    def has(self, *roles: Role) -> bool:
        """Tell whether the actor holds any of ``roles``."""
        return bool(self.roles & set(roles))

    def require(self, *roles: Role, action: str) -> None:
        """Raise NotAllowed unless the actor holds one of ``roles``. action: a stable word."""
        if not self.has(*roles):
            raise NotAllowed(action=action)

    def require_self_or(self, person_id: UUID, *roles: Role, action: str) -> None:
        """Raise NotAllowed unless the actor is that person or holds one of ``roles`` (a proxy, 代办)."""
        if self.person_id != person_id:
            self.require(*roles, action=action)
