"""What differs between partners in an order: what is left, and how it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Protocol

from pointsbank.platform.database import UnitOfWork
from services.partnerkit.redemption import Order, Reason


class Supply(Protocol):
    """A partner's limited things. Every method works inside the caller's transaction."""

    async def bootstrap(self, uow: UnitOfWork) -> None:
        """Give a community that has no items the partner's first ones."""
        ...

    async def remaining(self, uow: UnitOfWork, business_date: date) -> dict[str, int]:
        """Return by item code how many are left for a day."""
        ...

    async def take(self, uow: UnitOfWork, order: Order) -> Reason | None:
        """Take what ``order`` asks for, or take nothing and return why not."""
        ...

    async def give_back(self, uow: UnitOfWork, order: Order) -> None:
        """Return what :meth:`take` took for an order that will not be served."""
        ...

    async def lock(self, uow: UnitOfWork, orders: Sequence[Order]) -> None:
        """Lock what several orders took, in the one order everybody keeps, before it is given back."""
        ...

    async def set_terms(self, uow: UnitOfWork, code: str, terms: Any) -> None:
        """Set an item's terms, of the partner's own ``Terms`` type. Raises InvalidValue."""
        ...
