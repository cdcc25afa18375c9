"""A redemption as the partner sees it: pure rules, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pointsbank.domain.errors import DomainError, WrongState
from pointsbank.platform.clock import local_date

AHEAD_DAYS_MAX = 30
"""How far ahead of its business date an order is taken."""


#                     ┌────────► REFUSED
#                     │
#   order ────────────┤
#                     │
#                     └────────► ACCEPTED ──── hand over ───────────► FULFILLED
#                                   ├──────── cancel ───────────────► CANCELLED
#                                   └──────── business day ended ───► LAPSED
class Status(StrEnum):
    """Where an order stands. All but ACCEPTED are final."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


class Reason(StrEnum):
    """Why an order was refused."""

    SOLD_OUT = "sold_out"
    UNKNOWN_ITEM = "unknown_item"
    CLOSED = "closed"
    PRICE_DIFFERS = "price_differs"
    LATE = "late"
    NOT_ON_MENU = "not_on_menu"


EVERYWHERE = (Reason.SOLD_OUT, Reason.UNKNOWN_ITEM, Reason.CLOSED, Reason.PRICE_DIFFERS)
"""Reasons that any partner may have; the others are a canteen's."""


@dataclass(eq=False)
class RedemptionDiffers(DomainError):
    """This redemption id was used before for another order; ``field`` is the first that differs."""

    code = "redemption_differs"
    redemption_id: UUID
    field: str


@dataclass(eq=False)
class VoucherTaken(DomainError):
    """Another accepted order of the same day carries this voucher."""

    code = "voucher_taken"
    voucher: str


@dataclass(eq=False)
class AlreadyFulfilled(DomainError):
    """What was handed over cannot be cancelled."""

    code = "already_fulfilled"
    redemption_id: UUID


@dataclass(frozen=True, slots=True)
class Order:
    """What the platform asks for. It names no person; amounts are totals over ``quantity``.

    details: what only this kind of partner asks, in its own frozen dataclass; None for nothing more.
    """

    redemption_id: UUID
    item: str
    quantity: int
    business_date: date
    milli_points: int
    fen: int
    voucher: str | None
    mode: str | None = None
    details: Any = None
    shares: tuple[tuple[str, int], ...] | None = None
    """Who pays how many fen of a meal, where the platform has said so; they sum to ``fen``."""


@dataclass(frozen=True, slots=True)
class Item:
    """What can be ordered, at a price for one."""

    code: str
    name: str
    milli_points: int
    fen: int
    available: bool


def refusal(order: Order, item: Item | None, *, now: datetime, timezone: str) -> Reason | None:
    """Return why ``order`` must be refused whatever is left, or None.

    item: the ordered item, None when there is none of that code. timezone: the community's.
    """
    today = local_date(now, timezone)
    if item is None:
        return Reason.UNKNOWN_ITEM
    if not item.available or not today <= order.business_date <= today + timedelta(days=AHEAD_DAYS_MAX):
        return Reason.CLOSED
    points = item.milli_points * order.quantity
    if order.fen != item.fen * order.quantity or order.milli_points > points:
        return Reason.PRICE_DIFFERS
    # Only who shares a meal with others pays fewer points than its price.
    if order.shares is None and order.milli_points != points:
        return Reason.PRICE_DIFFERS
    return None


def difference(known: Order, asked: Order) -> str | None:
    """Return the first field in which two orders of one id differ, or None.

    Who pays is compared only where it was kept.
    """
    for field in Order.__slots__:
        if field == "shares" and known.shares is None:
            continue
        if getattr(known, field) != getattr(asked, field):
            return field
    return None


def fulfil(status: Status) -> bool:
    """Decide a hand-over: True when it changes something, False when it was done before.

    Raises WrongState for an order that was refused, cancelled or has lapsed.
    """
    if status is Status.FULFILLED:
        return False
    if status is not Status.ACCEPTED:
        raise WrongState(what="redemption", state=status, action="fulfil")
    return True


def cancel(redemption_id: UUID, status: Status) -> bool:
    """Decide a cancellation: True when it changes something, False when nothing will be served anyway.

    Raises AlreadyFulfilled.
    """
    if status is Status.FULFILLED:
        raise AlreadyFulfilled(redemption_id=redemption_id)
    return status is Status.ACCEPTED
