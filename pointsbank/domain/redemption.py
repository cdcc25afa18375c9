"""Redemptions: points on their way to a meal.

::

    held ──request──► requested ──► accepted ──► fulfilled   (hold captured)
     │                    │            ├───────► cancelled   (hold voided)
     │                    │            └───────► lapsed      (hold expired: nobody came)
     │                    └──► refused                       (hold voided)
     └──► cancelled

A late word from the partner never undoes an ending: ``fulfilled``, ``refused``, ``cancelled`` and
``lapsed`` are final. Of several portions some may be handed over: those are captured and the rest is given
back. What was paid for a meal that was not as it should be is given back by a refund
(:mod:`pointsbank.domain.refund`), and the redemption stays ``fulfilled``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from pointsbank.domain import points
from pointsbank.domain.errors import DomainError, InvalidValue, WrongState
from pointsbank.domain.policy import Item

AHEAD_DAYS_MAX = 7
"""How many days ahead a meal may be ordered."""

QUANTITY_MAX = 20
"""Most of one item in one redemption; the policy's daily limit is usually far below."""

HOLD_GRACE = timedelta(hours=6)
"""How long after its business day a redemption can still be captured, for news that is late."""


class RedemptionState(StrEnum):
    """Where a redemption is in its life."""

    HELD = "held"
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    FULFILLED = "fulfilled"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


_S = RedemptionState
NEXT: dict[RedemptionState, frozenset[RedemptionState]] = {
    # An event may overtake the answer it follows, so later states are reachable from earlier ones.
    _S.HELD: frozenset({_S.REQUESTED, _S.ACCEPTED, _S.REFUSED, _S.FULFILLED, _S.CANCELLED, _S.LAPSED}),
    _S.REQUESTED: frozenset({_S.ACCEPTED, _S.REFUSED, _S.FULFILLED, _S.CANCELLED, _S.LAPSED}),
    _S.ACCEPTED: frozenset({_S.FULFILLED, _S.CANCELLED, _S.LAPSED}),
    _S.FULFILLED: frozenset(),
    _S.REFUSED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.LAPSED: frozenset(),
}

ENDED = frozenset(state for state, following in NEXT.items() if not following)


def advance(state: RedemptionState, to: RedemptionState) -> RedemptionState:
    """Return ``to`` if a redemption may go there from ``state``. Raises WrongState."""
    if to not in NEXT[state]:
        raise WrongState(what="redemption", state=state, action=to)
    return to


class PartnerWord(StrEnum):
    """What a partner says of an order, in an answer, an event or a statement."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


def hear(state: RedemptionState, word: PartnerWord) -> RedemptionState | None:
    """Return where the partner's ``word`` takes a redemption, or None where it changes nothing.

    Words may come twice, late and out of order, so nothing here raises: an ending stays as it is, and a
    partner that takes back its acceptance has cancelled.
    """
    to = RedemptionState(word)
    if to is state or state in ENDED:
        return None
    if to in NEXT[state]:
        return to
    return RedemptionState.CANCELLED if to is RedemptionState.REFUSED else None


def portion(total: int, *, quantity: int, served: int) -> int:
    """Return what ``served`` of ``quantity`` cost, when all cost ``total`` (any whole unit), rounded down.

    Raises InvalidValue.
    """
    if not 1 <= served <= quantity:
        raise InvalidValue(field="served", rule="within_order")
    return total * served // quantity


@dataclass(eq=False)
class DailyLimitReached(DomainError):
    """The policy gives a member no more of this item that day. ``taken``: what they have already."""

    code = "daily_limit_reached"
    item: str
    limit: int
    taken: int


def require_order(item: Item, *, quantity: int, taken: int, day: date, today: date) -> None:
    """Check what a member asks for against the policy's ``item``.

    taken: how many of the item the member has for ``day`` (local, as ``today``) already.
    Raises InvalidValue, DailyLimitReached.
    """
    require_order_of(quantity=quantity, day=day, today=today)
    require_daily_limit(item, quantity=quantity, taken=taken)


def require_order_of(*, quantity: int, day: date, today: date) -> None:
    """Check how much is asked for and for when, whatever it is. Raises InvalidValue."""
    if not 1 <= points.whole(quantity, field="quantity") <= QUANTITY_MAX:
        raise InvalidValue(field="quantity", rule=f"between_1_and_{QUANTITY_MAX}")
    if not today <= day <= today + timedelta(days=AHEAD_DAYS_MAX):
        raise InvalidValue(field="business_date", rule=f"within_{AHEAD_DAYS_MAX}_days")


def require_daily_limit(item: Item, *, quantity: int, taken: int) -> None:
    """Raise DailyLimitReached if ``quantity`` more would pass the item's limit of a day."""
    if taken + quantity > item.daily_limit:
        raise DailyLimitReached(item=item.code, limit=item.daily_limit, taken=taken)


def hold_until(now: datetime, *, day_ends: datetime, hold_hours: int) -> datetime:
    """Return when a redemption's hold expires: after the policy's hours, never before its day is over.

    day_ends: when the business day ends. A hold that ended earlier would give back what is still served.
    """
    return max(now + timedelta(hours=hold_hours), day_ends + HOLD_GRACE)
