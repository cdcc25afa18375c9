"""Tiers of confirmation by length: one person, two with a coordinator among them, two coordinators."""

from __future__ import annotations

from dataclasses import dataclass

from pointsbank.domain.errors import DomainError
from pointsbank.domain.visit import ConfirmationMethod


@dataclass(eq=False)
class CoordinatorNeeded(DomainError):
    """A visit so long needs a coordinator's confirmation now. coordinators: how many in all."""

    code = "coordinator_needed"
    coordinators: int


def completes(tier: int, first: ConfirmationMethod | None, method: ConfirmationMethod) -> bool:
    """Tell whether a confirmation by ``method`` completes those of a visit.

    first: how another person has confirmed it before; None: nobody has. False: it is noted, and one more is
    needed. Raises CoordinatorNeeded where this one would bring it no further.
    """
    coordinator = ConfirmationMethod.COORDINATOR
    if tier == 1:
        return True
    if tier == 2:
        if first is None:
            return False
        if coordinator not in (first, method):
            raise CoordinatorNeeded(coordinators=1)
        return True
    if method is not coordinator:
        raise CoordinatorNeeded(coordinators=2)
    return first is coordinator
