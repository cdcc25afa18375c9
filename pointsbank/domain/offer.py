"""Offers: a help request offered to one volunteer.

::

    offered ──► accepted
       ├──────► declined
       ├──────► lapsed (nobody answered in time)
       └──────► replaced (before it was answered: a later run found better, or the two are kept apart since)

An offer ends once; each place of a request has at most one that is offered or accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pointsbank.domain.errors import DomainError
from pointsbank.domain.pairing.rules import Blocked


@dataclass(eq=False)
class CannotTake(DomainError):
    """A volunteer may not take this request. blocked: what stands in the way."""

    code = "cannot_take"
    blocked: Blocked


class OfferState(StrEnum):
    """Where an offer is in its life: it ends once."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    LAPSED = "lapsed"
    REPLACED = "replaced"
