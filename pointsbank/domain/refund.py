"""Refunds: what was paid for a served order given back, whole or in part, once.

::

    proposed ──approve──► approved   (the capture is taken back; the partner's next batch corrects it)
        └─────refuse────► refused    (nothing moves; another may be proposed)

Nobody decides what they proposed, nor what concerns themselves (:mod:`pointsbank.domain.decision`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pointsbank.domain.errors import InvalidValue, WrongState
from pointsbank.domain.points import Fen, MilliPoints
from pointsbank.domain.redemption import RedemptionState, portion
from pointsbank.domain.subsidy.payers import Share
from pointsbank.domain.subsidy.refund import points_left


class RefundReason(StrEnum):
    """Why, in a word that can be counted."""

    NOT_DELIVERED = "not_delivered"
    WRONG_DISH = "wrong_dish"
    BAD_QUALITY = "bad_quality"
    CHARGED_TWICE = "charged_twice"
    MISTAKE = "mistake"  # taken back though it was not asked for


def amounts(
    state: RedemptionState,
    *,
    milli_points: int,
    fen: int,
    quantity: int,
    served: int,
    returned: int | None,
    shares: Sequence[Share] = (),
) -> tuple[MilliPoints, Fen]:
    """Return what goes back of an order: milli-points and fen.

    milli_points, fen, shares: of the whole order. served: how many of its ``quantity`` were handed over.
    returned: of how many of those the price goes back, None for all. Raises WrongState (not served),
    InvalidValue.
    """
    if state is not RedemptionState.FULFILLED:
        raise WrongState(what="redemption", state=state, action="refund")
    wanted = served if returned is None else returned
    if not 1 <= wanted <= served:
        raise InvalidValue(field="quantity", rule="within_order")
    paid = points_left(milli_points, shares, quantity=quantity, kept=served)
    kept = points_left(milli_points, shares, quantity=quantity, kept=served - wanted)
    return (
        # At least 1, as what is given back is an entry; never more than was paid.
        MilliPoints(max(1, paid - kept)),
        Fen(portion(fen, quantity=quantity, served=wanted)),
    )
