"""Offers: a help request offered to one volunteer.

::

    offered ──► accepted
       ├──────► declined
       └──────► lapsed (nobody answered in time)

An offer ends once; a request has at most one that is offered or accepted.
"""

from __future__ import annotations

from enum import StrEnum


class OfferState(StrEnum):
    """Where an offer is in its life: it ends once."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    LAPSED = "lapsed"
